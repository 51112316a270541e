"""ImageDecoder against Pillow, for the formats that libraries of the system read."""

import io

import numpy as np
import PIL.Image
import pytest
from onnx import TensorProto
from test_conv_transpose import model_of

import martlet


def picture(width=37, height=23):
    """A smooth picture with some noise."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:height, :width]
    base = np.stack([x * 5, y * 9, (x + y) * 3], -1) + rng.integers(0, 20, (height, width, 3))
    return PIL.Image.fromarray(base.astype(np.uint8))


def encoded(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return np.frombuffer(file.getvalue(), np.uint8)


def decoded(stream, **attributes):
    model, feeds = model_of([stream], 20, op="ImageDecoder", kind=TensorProto.UINT8, **attributes)
    try:
        return martlet.load(model.SerializeToString()).run(feeds)["y"].numpy()
    except martlet.UnsupportedError as error:
        if "library of the system" in str(error):
            pytest.skip(str(error))
        raise


CASES = {
    "png": ("PNG", {}),
    "bmp": ("BMP", {}),
    "pnm": ("PPM", {}),
    "jpeg": ("JPEG", {}),
    "progressive jpeg": ("JPEG", {"progressive": True, "quality": 60}),
    "tiff": ("TIFF", {}),
    "packed tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "webp": ("WEBP", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_formats(case):
    form, options = CASES[case]
    stream = encoded(picture(), form, **options)
    image = PIL.Image.open(io.BytesIO(stream.tobytes()))
    want = np.asarray(image.convert("RGB")).astype(int)
    # Versions of the libraries round differently where they are lossy.
    tolerance = 2 if case in {"webp", "jpeg", "progressive jpeg"} else 0
    got = decoded(stream).astype(int)
    assert got.shape == want.shape and np.abs(got - want).max() <= tolerance
    np.testing.assert_array_equal(decoded(stream, pixel_format="BGR"), got[..., ::-1])
    gray = decoded(stream, pixel_format="Grayscale").astype(int)
    assert gray.shape == (*want.shape[:2], 1)
    assert np.abs(gray[..., 0] - np.asarray(image.convert("L"))).max() <= tolerance


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["L", "P", "1", "RGBA", "I;16"])
def test_kinds_of_pixels(form, mode):
    if (form, mode) in {("BMP", "I;16"), ("BMP", "RGBA")}:
        pytest.skip("Pillow does not write it")
    if mode == "I;16":
        image = PIL.Image.fromarray(np.arange(23 * 37, dtype=np.uint16).reshape(23, 37) * 70)
        want = np.round(np.asarray(image) / 257)[..., None].repeat(3, 2)
    elif mode == "RGBA":
        image = picture().convert("RGBA")
        want = np.asarray(image)[..., :3]
    else:
        image = picture().convert(mode)
        want = np.asarray(image.convert("RGB"))
    got = decoded(encoded(image, form))
    assert got.shape == want.shape
    assert np.abs(got.astype(int) - want.astype(int)).max() <= (1 if mode == "I;16" else 0)


def test_interlaced_and_inks():
    image = picture().convert("CMYK")
    got = decoded(encoded(image, "JPEG", quality=95)).astype(int)
    assert np.abs(got - np.asarray(image.convert("RGB"))).mean() < 8


@pytest.mark.parametrize("case", CASES)
def test_damaged_files_end_nothing(case):
    form, options = CASES[case]
    stream = encoded(picture(), form, **options)
    model, _ = model_of([stream], 20, op="ImageDecoder", kind=TensorProto.UINT8)
    loaded = martlet.load(model.SerializeToString())
    rng = np.random.default_rng(1)
    for _ in range(300):
        damaged = stream.copy()
        if rng.random() < 0.5:
            damaged = damaged[: rng.integers(0, len(damaged))]
        for place in rng.integers(0, max(len(damaged), 1), rng.integers(0, 6)):
            if place < len(damaged):
                damaged[place] = rng.integers(0, 256)
        try:
            got = loaded.run({"x0": damaged}, max_memory_bytes=1 << 28)["y"].numpy()
        except (martlet.UnsupportedError, martlet.LimitExceededError):
            continue
        assert got.ndim == 3 and got.shape[2] == 3
