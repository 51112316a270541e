"""Runs trained models in FP32 and in BF16, from C and from Python, and draws what came of it.

scripts/demo builds everything and calls this.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import real_inputs

import martlet

MODELS = pathlib.Path(__file__).resolve().parents[1] / "models"
Outputs = list[np.ndarray]


@dataclass
class Case:
    title: str
    path: pathlib.Path
    #: All real inputs, one a row.
    feeds: real_inputs.Feeds
    #: The row that latency is measured on, alone.
    timed_row: int
    #: Outputs -> one vector a row, to compare between the modes.
    vectors: Callable[[Outputs], np.ndarray]
    #: Vectors -> one answer a row.
    answers: Callable[[np.ndarray], np.ndarray]
    #: A few answers in words.
    explain: Callable[[np.ndarray], list[str]]


@dataclass
class Figures:
    fp32_ms: float
    bf16_ms: float
    speed_up: float
    cosine: float
    top1: float


def largest(vectors: np.ndarray) -> np.ndarray:
    return vectors.argmax(axis=1)


def digits_case() -> Case:
    labels = np.load(MODELS / "digits_labels.npy")

    def explain(vectors: np.ndarray) -> list[str]:
        right = int((largest(vectors) == labels).sum())
        return [f"{right} of {len(labels)} held-out digits are read right"]

    feeds = {"image": np.load(MODELS / "digits_images.npy")}
    title = f"digits classifier, {len(labels)} handwritten digits"
    return Case(title, MODELS / "digits.onnx", feeds, 0, lambda out: out[0], largest, explain)


def minilm_case() -> Case:
    feeds = real_inputs.minilm()
    texts = real_inputs.sentences()

    def nearest(vectors: np.ndarray) -> np.ndarray:
        return (vectors @ vectors.T - 2 * np.eye(len(vectors))).argmax(axis=1)

    def embed(outputs: Outputs) -> np.ndarray:
        tokens = next(x for x in outputs if x.dtype.kind == "f" and x.ndim == 3)
        return real_inputs.mean_pooled(tokens, feeds["attention_mask"])

    def explain(vectors: np.ndarray) -> list[str]:
        pairs = zip(texts[:6:2], nearest(vectors)[:6:2], strict=True)
        return [f"nearest to {text!r}: {texts[other]!r}" for text, other in pairs]

    title = f"MiniLM sentence embedding, {len(texts)} sentences"
    path = real_inputs.model_path("minilm")
    return Case(title, path, feeds, len(texts) - 1, embed, nearest, explain)


def opennsfw_case() -> Case:
    names = list(real_inputs.photographs())

    def explain(vectors: np.ndarray) -> list[str]:
        words = [f"{name} {row[0]:.0%}" for name, row in zip(names, vectors, strict=True)]
        return [f"judged harmless: {', '.join(words)}"]

    title = f"opennsfw photograph classifier (ResNet-50), {len(names)} photographs"
    path = real_inputs.model_path("opennsfw")
    feeds = real_inputs.opennsfw()
    return Case(title, path, feeds, 0, lambda out: out[0], largest, explain)


def row_of(feeds: real_inputs.Feeds, row: int) -> real_inputs.Feeds:
    return {name: np.ascontiguousarray(value[row : row + 1]) for name, value in feeds.items()}


def from_python(case: Case, runs: int) -> tuple[Figures, list[str]]:
    model = martlet.load(case.path)
    vectors = {}
    for mode in ("FP32", "BF16"):
        martlet.set_float32_fast_math_mode(mode)  # the one line
        outputs = [value.numpy() for value in model.run(case.feeds).values()]
        vectors[mode] = case.vectors(outputs).astype(np.float64)
    products = [node for node in model.precision_report().nodes if node.precision is not None]
    low = [node for node in products if node.precision != "fp32"]
    martlet.set_float32_fast_math_mode("FP32")

    single = row_of(case.feeds, case.timed_row)
    times: dict[str, list[float]] = {"FP32": [], "BF16": []}
    for round_number in range(runs + 3):
        for mode, measured in times.items():
            with martlet.fast_math(mode):
                model.run(single)  # the other mode has had the caches
                start = time.perf_counter()
                model.run(single)
                if round_number >= 3:
                    measured.append((time.perf_counter() - start) * 1e3)
    a, b = vectors["FP32"], vectors["BF16"]
    cosines = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    same = (case.answers(a) == case.answers(b)).mean()
    fp32, bf16 = (statistics.median(measured) for measured in times.values())
    figures = Figures(fp32, bf16, fp32 / bf16, float(cosines.min()), float(same))
    bits = "the results have the same bits" if np.array_equal(a, b) else "the results differ"
    words = [f"in BF16 mode {len(low)} of {len(products)} matrix products ran in bf16; {bits}"]
    return figures, words + case.explain(b)


def from_c(case: Case, program: str, runs: int) -> Figures:
    """The C example: once on one row for the latency, once on all rows for the agreement."""

    def call(feeds: real_inputs.Feeds, count: int) -> dict:
        with tempfile.TemporaryDirectory() as folder:
            arguments = []
            for index, (name, value) in enumerate(feeds.items()):
                np.save(f"{folder}/{index}.npy", value)
                arguments.append(f"{name}={folder}/{index}.npy")
            command = [program, str(case.path), *arguments, "--runs", str(count), "--json"]
            result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(result.stdout)

    timed = call(row_of(case.feeds, case.timed_row), runs)
    agreement = call(case.feeds, 1)
    fp32, bf16 = timed["fp32_ms"], timed["bf16_ms"]
    return Figures(fp32, bf16, fp32 / bf16, agreement["cosine"], agreement["top1"])


def show(source: str, figures: Figures, compared: str) -> None:
    print(
        f"  {source:<7} FP32 {figures.fp32_ms:9.3f} ms   BF16 {figures.bf16_ms:9.3f} ms   "
        f"speed-up {figures.speed_up:5.2f}   cosine of {compared} {figures.cosine:.6f}   "
        f"same top-1 {figures.top1:.1%}"
    )


def draw(results: list[tuple[Case, Figures, Figures]], caption: str, path: pathlib.Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(results), figsize=(4.2 * len(results), 4.6))
    for axis, (case, in_c, in_python) in zip(np.atleast_1d(axes), results, strict=True):
        values = [in_c.fp32_ms, in_c.bf16_ms, in_python.fp32_ms, in_python.bf16_ms]
        colours = ["#8a94a6", "#1f6feb"] * 2
        bars = axis.bar([0, 1, 2.5, 3.5], values, color=colours)
        axis.bar_label(bars, [f"{value:.3g}" for value in values], fontsize=8)
        axis.set_xticks([0, 1, 2.5, 3.5], ["C\nFP32", "C\nBF16", "Python\nFP32", "Python\nBF16"])
        axis.set_title(case.title.split(",")[0], fontsize=10)
        axis.set_ylabel("median latency of one input, ms")
        axis.set_xlabel(
            f"speed-up {in_c.speed_up:.2f} in C, {in_python.speed_up:.2f} in Python\n"
            f"cosine {in_python.cosine:.5f}, same top-1 {in_python.top1:.0%}",
            fontsize=9,
        )
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(y=0.12)
    figure.suptitle(caption, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--c-example", required=True, help="the compiled Examples/c/bf16_model.c")
    parser.add_argument("--chart", type=pathlib.Path, required=True, help="the PNG to write")
    parser.add_argument("--runs", type=int, default=30, help="runs that count, of each mode")
    options = parser.parse_args()

    info = martlet.cpu_info()
    caption = f"{info.name}, {info.isa} kernels, {martlet.get_num_threads()} threads"
    results, missing = [], []
    for make in (digits_case, minilm_case, opennsfw_case):
        try:
            case = make()
        except FileNotFoundError as error:
            missing.append(str(error))
            continue
        print(f"\n== {case.title}", flush=True)
        in_c = from_c(case, options.c_example, options.runs)
        show("C", in_c, "all outputs")
        in_python, words = from_python(case, options.runs)
        show("Python", in_python, "the answers")
        for line in words:
            print(f"  {line}")
        results.append((case, in_c, in_python))

    print()
    if not info.has_bf16:
        caption += ": no bf16 units, so BF16 mode runs FP32"
        print(
            f"This processor or system offers no bf16 units to the kernels in use ({info.isa}): "
            "BF16 mode is\naccepted and runs in FP32, so the speed-up is 1 but for noise, and the "
            "results have FP32's bits.\nOn a processor with AVX-512 BF16 the line made MiniLM 1.76 "
            "and opennsfw 1.55 times as fast on one\nthread (docs/performance-avx512.md)."
        )
    else:
        for case, in_c, in_python in results:
            print(
                f"The line made the {case.title.split(',')[0]} {in_c.speed_up:.2f} (C) and "
                f"{in_python.speed_up:.2f} (Python) times as fast."
            )
    for reason in missing:
        print(f"Left out: {reason}")
    draw(results, caption, options.chart)
    print(f"The chart is {options.chart}")


if __name__ == "__main__":
    main()
