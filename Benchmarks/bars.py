"""Hold whole models, layers and operators against ONNX Runtime's time, each with its bar.

Usage: $(scripts/peers-env) Benchmarks/bars.py [--threads N ...] [--rounds N] [--only TEXT]

Both take turns, each after a pause in which the other's threads go to sleep; times are the best of
the rounds. "ready" is the time to load a model and prepare it for its first run (plan, packed
weights), against that of making a session at ONNX Runtime's default optimisation, each in a process
that has loaded and run another model before. Trees have a benchmark of their own (trees.py), single
operators too (operators.py). Exits with 1 where a bar is not reached.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from collections.abc import Callable

import numpy as np
import onnxruntime
import zoo
from onnx import TensorProto
from operators import BYTES, IMAGE, LONGS, PHOTO, RNG, TRUTH, Case, best, f32, ints

import martlet

Feeds = dict[str, np.ndarray]
F32 = np.float32
READY_ROUNDS = 7


def layer(op: str, units: int, batch: int) -> Case:
    gates = {"LSTM": 4, "GRU": 3}[op]
    scale = F32(units**-0.5)
    weights = [scale * f32(1, gates * units, units) for _ in range(2)]
    return Case(op, f32(50, batch, units), constants=weights, hidden_size=units)


def boxes(count: int) -> np.ndarray:
    """[1, count, 4]: boxes of 10 to 100 pixels in an image of 640."""
    corner = RNG.random((count, 2), dtype=F32) * 600
    side = 10 + RNG.random((count, 2), dtype=F32) * 90
    return np.concatenate([corner, corner + side], axis=1)[None]


def grid(side: int) -> np.ndarray:
    """[1, side, side, 2]: a picture turned a little."""
    axis = np.linspace(-1, 1, side, dtype=F32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return np.stack([0.95 * x - 0.2 * y, 0.2 * x + 0.95 * y], axis=-1)[None].astype(F32)


def suppression(classes: int, count: int) -> Case:
    scores = RNG.random((1, classes, count), dtype=F32) ** 4
    constants = [ints(100), np.array([0.5], F32), np.array([0.25], F32)]
    return Case("NonMaxSuppression", boxes(count), scores, constants=constants)


def resize(mode: str, transformation: str, **sizes: np.ndarray) -> Case:
    image, constants = (
        (PHOTO, [None, None, sizes["sizes"]])
        if "sizes" in sizes
        else (IMAGE, [None, np.array([1, 1, 2, 2], F32)])
    )
    return Case(
        "Resize", image, constants=constants, name=f"{mode} {transformation}", mode=mode,
        coordinate_transformation_mode=transformation, nearest_mode="floor",
    )  # fmt: skip


def layers() -> list[tuple[float, Case]]:
    return [
        (0.8, layer(op, units, batch))
        for op in ("LSTM", "GRU")
        for units in (64, 128, 256, 512)
        for batch in (1, 8)
    ]


def operators() -> list[tuple[float, Case]]:
    whole = ints(1, 3, 640, 640)
    cases = [
        Case("ConvTranspose", IMAGE, constants=[f32(64, 32, 2, 2)], strides=[2, 2]),
        Case(
            "ConvTranspose", f32(1, 128, 40, 40), constants=[f32(128, 64, 4, 4)], strides=[2, 2],
            pads=[1] * 4,
        ),
        Case(
            "ConvTranspose", f32(1, 256, 200), constants=[f32(256, 128, 16)], strides=[8],
            pads=[4, 4],
        ),
        Case("GridSample", IMAGE, grid(80), name="bilinear"),
        Case("GridSample", PHOTO, grid(640), name="photo"),
        suppression(1, 8400),
        suppression(80, 8400),
        resize("linear", "half_pixel"),
        resize("linear", "align_corners"),
        resize("nearest", "asymmetric"),
        resize("cubic", "half_pixel"),
        resize("linear", "half_pixel", sizes=whole),
        resize("nearest", "asymmetric", sizes=whole),
        Case("TopK", f32(512, 1000), constants=[ints(5)], name="5"),
        Case("TopK", f32(8400), constants=[ints(300)], name="300"),
        Case("TopK", f32(80, 6625), constants=[ints(1)], name="1"),
        Case("ScatterND", f32(200, 200, 8), RNG.integers(0, 200, (20000, 2)), f32(20000, 8)),
        Case("ScatterND", f32(8, 2048, 64), RNG.integers(0, 8, (512, 1)), f32(512, 2048, 64)),
    ]  # fmt: skip
    return [(0.9, case) for case in cases]


def cliffs() -> list[tuple[float, Case]]:
    """What once took many times as long as there, besides the operators above."""
    doubles, numbers = RNG.random((256, 256)), RNG.integers(0, 9, (128, 128)).astype(np.int32)
    cases = [
        Case("MatMul", doubles, doubles),
        Case("MatMul", numbers, numbers),
        Case("Cast", TRUTH, name="to float", to=TensorProto.FLOAT),
        Case("Cast", BYTES, name="to float", to=TensorProto.FLOAT),
        Case("And", TRUTH, TRUTH),
        Case("Not", TRUTH),
        Case("Expand", f32(1, 64, 1, 1), constants=[ints(1, 64, 80, 80)]),
        *(
            Case("Transpose", IMAGE, name=str(perm), perm=perm)
            for perm in ([0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2])
        ),
        Case("MaxPool", f32(1, 16, 48, 48, 48), kernel_shape=[2] * 3, strides=[2] * 3),
        Case("GatherElements", f32(64, 6400), RNG.integers(0, 6400, (64, 6400)), axis=1),
        Case("CumSum", IMAGE, constants=[np.array(1)], name="axis 1"),
        Case("Acos", np.abs(IMAGE) % 1),
        Case("Mish", IMAGE),
        Case("Equal", LONGS, LONGS),
    ]
    return [(1.0, case) for case in cases]


#: Models of zoo.py, by what the bar calls them.
MODELS = {
    "silero-vad, a chunk of 32 ms": ("silero", 0.5),
    "silero-vad without branches": ("silero_op18", 0.5),
    "piper voice": ("piper", 0.8),
    "PP-OCR detection": ("ocr_det", 0.8),
    "PP-OCR recognition": ("ocr_rec", 0.8),
}
READY_BAR = 0.5


def session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Table:
    def __init__(self) -> None:
        self.met, self.missed = 0, 0
        print("| what | threads | Martlet ms | ONNX Runtime ms | ratio | bar | |\n|" + "---|" * 7)

    def row(self, name: str, threads: int, times: list[float], bar: float) -> None:
        ours, theirs = times
        ratio = ours / theirs
        self.met += ratio <= bar
        self.missed += ratio > bar
        verdict = "pass" if ratio <= bar else "fall short"
        print(
            f"| {name} | {threads} | {ours:.3f} | {theirs:.3f} | {ratio:.2f} | {bar} | {verdict} |",
            flush=True,
        )


def timed(model: bytes, feeds: Feeds, threads: int, rounds: int) -> list[float]:
    theirs = session(model, threads)
    martlet.set_num_threads(threads)
    ours = martlet.load(model)
    held = {key: martlet.Tensor(value) for key, value in feeds.items()}
    return best([lambda: ours.run(held), lambda: theirs.run(None, feeds)], rounds)


def ready(model: bytes, threads: int) -> list[float]:
    """The shortest time until each may run for the first time, in milliseconds."""
    martlet.set_num_threads(threads)
    makers: list[Callable[[], object]] = [
        lambda: martlet.load(model),
        lambda: session(model, threads),
    ]
    times = [float("inf")] * 2
    for _ in range(READY_ROUNDS):
        for index, make in enumerate(makers):
            start = time.perf_counter()
            made = make()
            times[index] = min(times[index], 1e3 * (time.perf_counter() - start))
            del made
    return times


def found(name: str) -> pathlib.Path | None:
    paths = sorted(zoo.real_inputs.model_cache().glob(zoo.MODELS[name][0]))
    return paths[0] if paths else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--only", default="", help="rows whose names have this text")
    arguments = parser.parse_args()
    table, missing = Table(), []
    for title, (name, bar) in MODELS.items():
        if arguments.only not in title:
            continue
        path = found(name)
        if path is None:
            missing.append(name)
            continue
        feeds = zoo.fitted(zoo.MODELS[name][1](), path)
        for threads in arguments.threads:
            times = timed(path.read_bytes(), feeds, threads, arguments.rounds)
            table.row(title, threads, times, bar)
    for bar, case in layers() + operators() + cliffs():
        if arguments.only not in case.name:
            continue
        model, feeds = case.model()
        for threads in arguments.threads:
            table.row(case.name, threads, timed(model, feeds, threads, arguments.rounds), bar)
    for name in zoo.MODELS:
        path = found(name)
        if path is None or arguments.only not in f"ready: {name}":
            continue
        for threads in arguments.threads:
            table.row(f"ready: {name}", threads, ready(path.read_bytes(), threads), READY_BAR)
    print(f"{table.met} pass, {table.missed} fall short")
    if missing:
        print(f"not here: {', '.join(missing)} (scripts/fetch-models)")
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
