"""One token of attention with a cache: a growing State against a cache that is only read.

Usage: $(scripts/peers-env) Benchmarks/decoding.py [--tokens N] [--rounds N] [--threads N]

Attention of ONNX with 32 heads over 8 heads of keys of width 128, float32, and a cache of 4,096
tokens. Four ways take turns: "state" appends the token to two martlet.State; "tensors" is given the
cache as tensors and gives it back longer, a copy of it; "read" has all keys and values as inputs
already, which is what reading the cache once costs; "onnxruntime" is the same model as "tensors".
The bar is state over read, the median of the rounds' own ratios: at most 1.15.
"""

import argparse
import statistics
import sys
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

import martlet

HEADS, KEY_HEADS, WIDTH = 32, 8, 128
BAR = 1.15


def model(names: list[str], outputs: list[str]) -> bytes:
    inputs = [helper.make_tensor_value_info(
        name, TensorProto.FLOAT, [1, HEADS if name == "q" else KEY_HEADS, None, WIDTH])
        for name in names]  # fmt: skip
    slots = [*names[:3], "", *names[3:]] if len(names) > 3 else names
    graph = helper.make_graph(
        [helper.make_node("Attention", slots, outputs)], "decode", inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs])
    opsets = [helper.make_opsetid("", 24)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=11).SerializeToString()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    martlet.set_num_threads(arguments.threads)
    rng = np.random.default_rng(0)

    def random(heads: int, count: int) -> np.ndarray:
        return rng.standard_normal((1, heads, count, WIDTH), np.float32)

    query, key, value = random(HEADS, 1), random(KEY_HEADS, 1), random(KEY_HEADS, 1)
    keys, values = random(KEY_HEADS, arguments.tokens), random(KEY_HEADS, arguments.tokens)
    joined = [np.concatenate(pair, axis=2) for pair in ((keys, key), (values, value))]
    cached = model(["q", "k", "v", "pk", "pv"], ["y", "nk", "nv"])
    decode, read = martlet.load(cached), martlet.load(model(["q", "k", "v"], ["y"]))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    session = onnxruntime.InferenceSession(cached, options, providers=["CPUExecutionProvider"])
    feed = dict(zip(["q", "k", "v", "pk", "pv"], [query, key, value, keys, values], strict=True))
    room = arguments.tokens + 2 * arguments.rounds + 8
    states = [martlet.State(keys, 2, room), martlet.State(values, 2, room)]

    def step() -> object:
        nonlocal states
        y, *states = decode(query, key, value, *states)
        return y

    ways = {
        "state": step,
        "tensors": lambda: decode(query, key, value, keys, values)[0],
        "read": lambda: read(query, *joined),
        "onnxruntime": lambda: session.run(None, feed)[0],
    }
    first = {name: np.asarray(run()) for name, run in ways.items()}
    for name, y in first.items():
        difference = float(np.abs(y - first["read"]).max())
        assert difference < 1e-4, f"{name} differs by {difference}"
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    size = sum(array.nbytes for array in joined)
    for name, values_of in times.items():
        median = statistics.median(values_of)
        print(f"{name:12} {median * 1e6:9.1f} us  {size / median / 1e9:6.2f} GB/s of cache")
    ratio = statistics.median(
        a / b for a, b in zip(times["state"], times["read"], strict=True))
    verdict = "pass" if ratio <= BAR else "fall short"
    print(f"state over read {ratio:.2f}, bar {BAR}: {verdict}")
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
