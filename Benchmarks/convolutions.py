"""Convolutions alone in Martlet and its peers, interleaved: the layers of ResNet-50, the depthwise
layers of MobileNetV3, and the grouped layers of ResNeXt-50.

Usage: $(scripts/peers-env) Benchmarks/convolutions.py [--threads 1 2] [--batch 1 8] [--rounds N]
                                                       [--only TEXT] [--json FILE]

Each layer is an ONNX model of one node with constant weights; see engines.py for the engines and
how they take turns. Prints Martlet's FP32 rate, the best peer's, and how many times as fast Martlet
is (the median of the rounds' own ratios); the same for BF16 where the processor has bf16 units. The
bar is to be ahead.
"""

import argparse
import json
import pathlib

import numpy as np
import onnx
from engines import compared, engines_for, milliseconds
from onnx import TensorProto, helper, numpy_helper

# channels in, channels out, extent, kernel, stride, groups
RESNET = [
    (3, 64, 224, 7, 2, 1),
    (64, 64, 56, 1, 1, 1), (64, 64, 56, 3, 1, 1), (64, 256, 56, 1, 1, 1), (256, 64, 56, 1, 1, 1),
    (256, 128, 56, 1, 1, 1), (128, 128, 56, 3, 2, 1), (256, 512, 56, 1, 2, 1),
    (128, 512, 28, 1, 1, 1), (512, 128, 28, 1, 1, 1), (128, 128, 28, 3, 1, 1),
    (512, 256, 28, 1, 1, 1), (256, 256, 28, 3, 2, 1), (512, 1024, 28, 1, 2, 1),
    (256, 1024, 14, 1, 1, 1), (1024, 256, 14, 1, 1, 1), (256, 256, 14, 3, 1, 1),
    (1024, 512, 14, 1, 1, 1), (512, 512, 14, 3, 2, 1), (1024, 2048, 14, 1, 2, 1),
    (512, 2048, 7, 1, 1, 1), (2048, 512, 7, 1, 1, 1), (512, 512, 7, 3, 1, 1),
]  # fmt: skip
MOBILENET = [
    (16, 16, 112, 3, 1, 16), (64, 64, 112, 3, 2, 64), (72, 72, 56, 3, 1, 72),
    (72, 72, 56, 5, 2, 72), (120, 120, 28, 5, 1, 120), (240, 240, 28, 3, 2, 240),
    (200, 200, 14, 3, 1, 200), (480, 480, 14, 3, 1, 480), (672, 672, 14, 5, 2, 672),
    (960, 960, 7, 5, 1, 960),
]  # fmt: skip
RESNEXT = [(128, 128, 56, 3, 1, 32), (256, 256, 28, 3, 1, 32), (512, 512, 14, 3, 1, 32)]
TURN = 3e-3  # seconds


def title(layer: tuple[int, ...]) -> str:
    channels, filters, extent, kernel, stride, groups = layer
    name = f"{channels} to {filters}, {extent}x{extent}, {kernel}x{kernel}"
    name += f" / {stride}" if stride > 1 else ""
    return name + ("" if groups == 1 else
                   " depthwise" if groups == channels else f" in {groups} groups")  # fmt: skip


def model(layer: tuple[int, ...], batch: int) -> bytes:
    channels, filters, extent, kernel, stride, groups = layer
    rng = np.random.default_rng(1)
    shape = (filters, channels // groups, kernel, kernel)
    weights = rng.standard_normal(shape).astype(np.float32) / kernel
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], kernel_shape=[kernel] * 2, strides=[stride] * 2,
        pads=[kernel // 2] * 4, group=groups)  # fmt: skip
    graph = helper.make_graph(
        [node], "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, channels, extent, extent])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights, "w")])  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made).SerializeToString()


def measure(
    layers: list[tuple[int, ...]], batch: int, threads: int, rounds: int
) -> list[dict]:
    cases = []
    for layer in layers:
        x = np.random.default_rng(2).standard_normal((batch, layer[0], layer[2], layer[2]))
        feeds = {"x": x.astype(np.float32)}
        cases.append(engines_for(model(layer, batch), feeds, threads))
    rows = []
    for layer, times in zip(layers, milliseconds(cases, rounds, TURN), strict=True):
        channels, filters, extent, kernel, stride, groups = layer
        out = (extent + stride - 1) // stride
        gflop = 2e-9 * batch * filters * (channels // groups) * kernel**2 * out**2
        rows.append({"layer": title(layer), "batch": batch, "threads": threads, "gflop": gflop,
                     **compared(times)})  # fmt: skip
    return rows


def show(row: dict, mode: str) -> str:
    best, ratio, ms = row[mode]["best peer"], row[mode]["ratio"], row["ms"]
    return (f"| {row['layer']} | {row['batch']} | {row['threads']} | {mode} "
            f"| {row['gflop'] / ms[f'martlet {mode}'] * 1e3:.1f} | {best} "
            f"| {row['gflop'] / ms[best] * 1e3:.1f} "
            f"| {ratio:.2f} | {'ahead' if ratio >= 1 else 'behind'} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--only", default="", help="layers whose name has this in it")
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    layers = [x for x in RESNET + MOBILENET + RESNEXT if arguments.only in title(x)]
    rows = []
    print("| layer | batch | threads | mode | GFLOP/s | best peer | its GFLOP/s | ratio | |")
    print("|---|---|---|---|---|---|---|---|---|")
    for threads in arguments.threads:
        for batch in arguments.batch:
            for row in measure(layers, batch, threads, arguments.rounds):
                rows.append(row)
                for mode in ("fp32", "bf16"):
                    if mode in row:
                        print(show(row, mode), flush=True)
    ratios = [row[mode]["ratio"] for row in rows for mode in ("fp32", "bf16") if mode in row]
    print(f"\nahead in {sum(ratio >= 1 for ratio in ratios)} of {len(ratios)}")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
