"""rapidocr-onnxruntime: detects and reads the lines of a scanned page and of a drawn one."""

REQUIREMENTS = ["rapidocr-onnxruntime==1.4.4", "scikit-image==0.25.2", "numpy<2.4"]


def results():
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont
    from rapidocr_onnxruntime import RapidOCR
    from skimage import data

    drawn = Image.new("RGB", (640, 200), "white")
    font = ImageFont.load_default(36)
    ImageDraw.Draw(drawn).text((20, 30), "Martlets never land.", "black", font)
    ImageDraw.Draw(drawn).text((20, 110), "Invoice 4711: 99.50 EUR", "black", font)
    page = np.repeat(data.page()[:, :, None], 3, axis=2)
    engine = RapidOCR()
    given = {}
    for name, image in [("drawn", np.asarray(drawn)), ("page", page)]:
        lines, _ = engine(image)
        given[f"{name} boxes"] = np.array([line[0] for line in lines], float)
        given[f"{name} texts"] = np.array([line[1] for line in lines])
        given[f"{name} scores"] = np.array([line[2] for line in lines], float)
    assert "4711" in " ".join(given["drawn texts"]), given["drawn texts"]
    return given
