"""Time single operators at everyday shapes beside ONNX Runtime, in turn, on one and two threads.

Usage: $(scripts/peers-env) Benchmarks/operators.py [--rounds N] [--only TEXT] [--all]

Prints Martlet's time over ONNX Runtime's, the slowest first: those above 1.0, or with --all every
one; then how many are above 1.0 and 3.0. Exits with 1 where one is above 3.0 on one thread. Times
are the best of the rounds.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import martlet

RNG = np.random.default_rng(0)
OPSET = 22
CLIFF = 3.0
PAUSE = 0.005  # s


def f32(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


IMAGE = f32(1, 64, 80, 80)
BYTES = RNG.integers(0, 255, (1, 3, 720, 1280)).astype(np.uint8)
PHOTO = RNG.random((1, 3, 720, 1280), dtype=np.float32)
LONGS = RNG.integers(-1000, 1000, 400_000)
TRUTH = IMAGE > 0
SCORES = f32(1, 80, 8400)
TOKENS = f32(256, 3072)


class Case:
    """One operator: inputs that are fed, constants behind them, attributes."""

    def __init__(self, op, *feeds, constants=(), name="", out=None, opset=OPSET, **attributes):
        self.op, self.feeds, self.constants = op, feeds, constants
        self.out, self.opset, self.attributes = out, opset, attributes
        shape = " ".join("x".join(map(str, feed.shape)) for feed in feeds)
        dtype = feeds[0].dtype.name if feeds and feeds[0].dtype != np.float32 else ""
        self.name = " ".join(filter(None, [op, name, dtype, shape]))

    def model(self) -> tuple[bytes, dict[str, np.ndarray]]:
        feeds = {f"x{i}": value for i, value in enumerate(self.feeds)}
        names, weights = list(feeds), []
        for i, value in enumerate(self.constants):
            names.append("" if value is None else f"c{i}")
            if value is not None:
                weights.append(numpy_helper.from_array(value, f"c{i}"))
        outputs = (
            2 if self.op in ("TopK", "Split") else 3 if self.op == "DynamicQuantizeLinear" else 1
        )
        node = helper.make_node(
            self.op, names, [f"y{i}" for i in range(outputs)], **self.attributes
        )
        inputs = [
            helper.make_tensor_value_info(
                key, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for key, value in feeds.items()
        ]
        results = [onnx.ValueInfoProto(name=f"y{i}") for i in range(outputs)]
        graph = helper.make_graph([node], "operator", inputs, results, weights)
        imports = [helper.make_opsetid("", self.opset)]
        proto = helper.make_model(graph, opset_imports=imports, ir_version=9)
        return onnx.shape_inference.infer_shapes(proto).SerializeToString(), feeds


def elementwise() -> list[Case]:
    positive = np.abs(IMAGE) + np.float32(0.1)
    unary = [
        "Relu",
        "Sigmoid",
        "Tanh",
        "Exp",
        "Sqrt",
        "Abs",
        "Neg",
        "Erf",
        "Softplus",
        "Mish",
        "Elu",
        "HardSwish",
        "HardSigmoid",
        "LeakyRelu",
        "Gelu",
        "Floor",
        "Round",
        "Sin",
        "Cos",
        "Atan",
        "Reciprocal",
        "Sign",
        "Selu",
        "Celu",
        "Softsign",
        "ThresholdedRelu",
    ]
    cases = [Case(op, IMAGE) for op in unary]
    cases += [Case("Log", positive), Case("Acos", positive % 1), Case("Asin", positive % 1)]
    channel = f32(64, 1, 1)
    for op in ("Add", "Mul", "Sub", "Div", "Max", "Min", "Pow", "PRelu"):
        cases.append(Case(op, positive, constants=[np.abs(channel)], name="per channel"))
    for op in ("Greater", "Less", "Equal", "GreaterOrEqual"):
        cases.append(Case(op, IMAGE, IMAGE[..., ::-1].copy()))
    cases += [
        Case("Add", LONGS, LONGS),
        Case("Mul", LONGS, LONGS),
        Case("Equal", LONGS, LONGS),
        Case("Add", IMAGE.astype(np.float16), IMAGE.astype(np.float16)),
        Case("Mod", LONGS, constants=[ints(7)]),
        Case("Div", LONGS, constants=[ints(7)]),
        Case("Clip", IMAGE, constants=[np.float32(0), np.float32(6)]),
        Case("And", TRUTH, ~TRUTH),
        Case("Or", TRUTH, ~TRUTH),
        Case("Not", TRUTH),
        Case("Where", TRUTH, IMAGE, IMAGE),
        Case("Where", TRUTH, constants=[np.float32(1), np.float32(0)]),
        Case("IsNaN", IMAGE),
        Case("IsInf", IMAGE),
        Case("Sum", IMAGE, IMAGE, IMAGE),
    ]
    for source, to in [
        (TRUTH, "FLOAT"),
        (BYTES, "FLOAT"),
        (LONGS, "FLOAT"),
        (LONGS, "INT32"),
        (IMAGE, "INT64"),
        (IMAGE, "UINT8"),
        (IMAGE, "FLOAT16"),
        (IMAGE.astype(np.float16), "FLOAT"),
        (IMAGE, "BOOL"),
        (IMAGE, "DOUBLE"),
        (IMAGE.astype(np.int32), "INT64"),
    ]:
        cases.append(Case("Cast", source, name=f"to {to.lower()}", to=getattr(TensorProto, to)))
    return cases


def movement() -> list[Case]:
    perms = ([0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2], [0, 2, 1, 3])
    cases = [Case("Transpose", IMAGE, name=str(perm), perm=perm) for perm in perms]
    cases += [
        Case("Transpose", BYTES, name="[0, 2, 3, 1]", perm=[0, 2, 3, 1]),
        Case("Expand", f32(1, 64, 1, 1), constants=[ints(1, 64, 80, 80)]),
        Case("Tile", IMAGE, constants=[ints(1, 1, 2, 2)]),
        Case("Concat", IMAGE, IMAGE, name="channels", axis=1),
        Case("Concat", IMAGE, IMAGE, name="last", axis=-1),
        Case("Split", IMAGE, name="channels", axis=1, num_outputs=2),
        Case("Slice", IMAGE, constants=[ints(0), ints(80), ints(2), ints(2)], name="step 2"),
        Case("Slice", IMAGE, constants=[ints(79), ints(-100), ints(3), ints(-1)], name="reversed"),
        Case("Slice", IMAGE, constants=[ints(8), ints(56), ints(1)], name="channels"),
        Case("Gather", f32(30522, 384), constants=[RNG.integers(0, 30522, 512)], name="rows"),
        Case("Gather", IMAGE, constants=[ints(*range(0, 64, 2))], name="channels", axis=1),
        Case("GatherElements", f32(64, 6400), RNG.integers(0, 6400, (64, 6400)), axis=1),
        Case("GatherND", f32(200, 200, 8), RNG.integers(0, 200, (20000, 2))),
        Case("ScatterND", f32(200, 200, 8), RNG.integers(0, 200, (20000, 2)), f32(20000, 8)),
        Case(
            "ScatterElements",
            f32(20000, 64),
            RNG.integers(0, 20000, (20000, 64)),
            f32(20000, 64),
            name="add",
            axis=0,
            reduction="add",
        ),
        Case("Compress", f32(400_000), RNG.random(400_000) > 0.5, axis=0),
        Case("NonZero", TRUTH),
        Case(
            "OneHot",
            RNG.integers(0, 1000, 512),
            constants=[np.array(1000), np.array([0, 1], np.float32)],
        ),
        Case("DepthToSpace", IMAGE, blocksize=2),
        Case("SpaceToDepth", IMAGE, blocksize=2),
        Case("Trilu", f32(12, 256, 256)),
    ]
    pads = ints(0, 0, 1, 1, 0, 0, 1, 1)
    cases += [
        Case("Pad", IMAGE, constants=[pads], name=m, mode=m)
        for m in ("constant", "edge", "reflect")
    ]
    scales = np.array([1, 1, 2, 2], np.float32)
    for mode, transformation in [
        ("linear", "half_pixel"),
        ("linear", "align_corners"),
        ("linear", "asymmetric"),
        ("nearest", "asymmetric"),
        ("cubic", "half_pixel"),
    ]:
        cases.append(
            Case(
                "Resize",
                IMAGE,
                constants=[None, scales],
                name=f"{mode} {transformation} x2",
                mode=mode,
                coordinate_transformation_mode=transformation,
                nearest_mode="floor",
            )
        )
    cases.append(
        Case(
            "Resize",
            PHOTO,
            constants=[None, None, ints(1, 3, 640, 640)],
            name="linear to 640",
            mode="linear",
        )
    )
    return cases


def reductions() -> list[Case]:
    cases = [
        Case("ReduceMean", IMAGE, constants=[ints(*axes)], name=str(axes))
        for axes in ([2, 3], [3], [2], [1])
    ]
    cases += [
        Case(op, IMAGE, constants=[ints(1)], name="[1]")
        for op in ("ReduceMax", "ReduceSum", "ReduceL2")
    ]
    cases += [
        Case("ArgMax", SCORES, axis=1),
        Case("ArgMax", f32(80, 6625), axis=-1),
        Case("TopK", f32(512, 1000), constants=[ints(5)], name="5"),
        Case("TopK", f32(8400), constants=[ints(300)], name="300"),
        Case("CumSum", IMAGE, constants=[np.array(1)], name="axis 1"),
        Case("Softmax", f32(12, 256, 256)),
        Case("LogSoftmax", f32(80, 6625)),
        Case("Softmax", IMAGE, name="axis 1", axis=1),
        Case("LayerNormalization", TOKENS, constants=[f32(3072), f32(3072)]),
        Case("InstanceNormalization", IMAGE, constants=[f32(64), f32(64)]),
        Case("BatchNormalization", IMAGE, constants=[f32(64), f32(64), f32(64), np.abs(f32(64))]),
        Case("MaxPool", IMAGE, kernel_shape=[2, 2], strides=[2, 2]),
        Case("MaxPool", IMAGE, name="k5", kernel_shape=[5, 5], pads=[2] * 4),
        Case("AveragePool", IMAGE, kernel_shape=[2, 2], strides=[2, 2]),
        Case("GlobalAveragePool", IMAGE),
        Case("GlobalMaxPool", IMAGE),
        Case("MaxPool", f32(1, 16, 48, 48, 48), kernel_shape=[2] * 3, strides=[2] * 3),
        Case("AveragePool", f32(1, 16, 48, 48, 48), kernel_shape=[2] * 3, strides=[2] * 3),
    ]
    return cases


def products() -> list[Case]:
    doubles, numbers = RNG.random((256, 256)), RNG.integers(0, 9, (128, 128)).astype(np.int32)
    levels = RNG.integers(0, 255, (64, 256)).astype(np.uint8)
    zero, scale = np.array(128, np.uint8), np.float32(0.02)
    return [
        Case("MatMul", doubles, doubles),
        Case("MatMul", numbers, numbers),
        Case("MatMul", f32(256, 768), constants=[f32(768, 768)]),
        Case("MatMul", f32(256, 768), f32(768, 768), name="fed"),
        Case("MatMul", f32(4096, 4, 4), f32(4096, 4, 4)),
        Case(
            "MatMul", f32(256, 768).astype(np.float16), constants=[f32(768, 768).astype(np.float16)]
        ),
        Case("Gemm", f32(64, 512), constants=[f32(512, 512), f32(512)]),
        Case("Conv", IMAGE, constants=[f32(64, 64, 3, 3)], pads=[1] * 4),
        Case("Conv", IMAGE, constants=[f32(64, 1, 3, 3)], name="depthwise", group=64, pads=[1] * 4),
        Case("Conv", IMAGE, constants=[f32(64, 64, 1, 1)], name="1x1"),
        Case("Conv", f32(1, 8, 32, 32, 32), constants=[f32(16, 8, 3, 3, 3)], pads=[1] * 6),
        Case("ConvTranspose", IMAGE, constants=[f32(64, 32, 2, 2)], strides=[2, 2]),
        Case("Einsum", f32(8, 64, 64), f32(8, 64, 64), equation="bij,bjk->bik"),
        Case(
            "LSTM", f32(50, 1, 128), constants=[f32(1, 512, 128), f32(1, 512, 128)], hidden_size=128
        ),
        Case(
            "GRU", f32(50, 1, 128), constants=[f32(1, 384, 128), f32(1, 384, 128)], hidden_size=128
        ),
        Case("QuantizeLinear", IMAGE, constants=[scale, zero]),
        Case("DequantizeLinear", levels, constants=[scale, zero]),
        Case("DynamicQuantizeLinear", IMAGE),
        Case("MatMulInteger", levels, constants=[levels.T.copy(), zero, zero]),
    ]


def best(runs: list, rounds: int) -> list[float]:
    """The shortest time of each, in milliseconds, in turns, each after a pause in which the other's
    threads go to sleep, and a run that wakes its own."""
    times = [float("inf")] * len(runs)
    for run in runs:
        run()
    for _ in range(rounds):
        for index, run in enumerate(runs):
            time.sleep(PAUSE)
            run()
            start = time.perf_counter()
            run()
            times[index] = min(times[index], 1e3 * (time.perf_counter() - start))
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--only", default="", help="cases whose names have this text")
    parser.add_argument("--all", action="store_true", help="print every case")
    arguments = parser.parse_args()
    rows = []
    for case in elementwise() + movement() + reductions() + products():
        if arguments.only not in case.name:
            continue
        model, feeds = case.model()
        ratios, mine = [], 0.0
        for threads in (1, 2):
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.log_severity_level = 3
            session = onnxruntime.InferenceSession(model, options)
            martlet.set_num_threads(threads)
            loaded = martlet.load(model)
            held = {key: martlet.Tensor(value) for key, value in feeds.items()}
            ours, theirs = best(
                [lambda: loaded.run(held), lambda: session.run(None, feeds)],  # noqa: B023
                arguments.rounds,
            )
            ratios.append(ours / theirs)
            mine = mine or ours
        rows.append((max(ratios), ratios, mine, case.name))
    rows.sort(reverse=True)
    print("| operator | one thread | two threads | ms, one thread |\n|---|---|---|---|")
    for worst, ratios, mine, name in rows:
        if arguments.all or worst > 1:
            print(f"| {name} | {ratios[0]:.2f} | {ratios[1]:.2f} | {mine:.3f} |")
    for place, threads in enumerate(("one thread", "two threads")):
        slower = sum(ratios[place] > 1 for _, ratios, _, _ in rows)
        cliffs = sum(ratios[place] > CLIFF for _, ratios, _, _ in rows)
        print(f"{threads}: {slower} of {len(rows)} above 1.0, {cliffs} above {CLIFF}")
    return 1 if any(ratios[0] > CLIFF for _, ratios, _, _ in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
