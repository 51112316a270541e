"""Time what small nodes, iterations and steps cost beside ONNX Runtime, on one thread, in turn.

Usage: $(scripts/peers-env) Benchmarks/overhead.py [--rounds N]

The chain: 1,000 Add and Relu nodes on 16 floats, at most 150 ns a node and 0.5 of ONNX Runtime's
time. The loop: 1,000 iterations of five nodes on 64 floats, at most 0.5. The LSTM: two layers of
128 units over 50 steps, at most 0.7. Without a bar: a call of a model of one Relu, and a loop that
appends to a sequence 4,000 times. Times are the best of the rounds.
"""

import argparse
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import martlet

NANOSECONDS_A_NODE = 150
RNG = np.random.default_rng(0)


def info(name: str, shape: list | None, dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def constant(name: str, value: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def model(nodes: list, inputs: list, outputs: list, constants: list) -> bytes:
    graph = helper.make_graph(nodes, "overhead", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def chain() -> tuple[bytes, dict, int]:
    nodes = []
    last = "x"
    for index in range(1000):
        inputs = [last] if index % 2 else [last, "c"]
        last = f"v{index}"
        nodes.append(helper.make_node("Relu" if index % 2 else "Add", inputs, [last]))
        if index % 50 == 49:
            nodes.append(helper.make_node("Neg", [last], [f"n{index}"]))
            last = f"n{index}"
    quarter = constant("c", np.full(16, 0.25, np.float32))
    feed = {"x": RNG.standard_normal(16).astype(np.float32)}
    return model(nodes, [info("x", [16])], [info(last, [16])], [quarter]), feed, len(nodes)


def loop() -> tuple[bytes, dict, int]:
    steps = [("Add", "s c", "a"), ("Mul", "a k", "b"), ("Tanh", "b", "t"), ("Sub", "t c", "u"),
             ("Relu", "u", "next"), ("Identity", "goes", "goes_on")]
    body = helper.make_graph(
        [helper.make_node(name, inputs.split(), [output]) for name, inputs, output in steps],
        "body",
        [info("i", [], TensorProto.INT64), info("goes", [], TensorProto.BOOL), info("s", [64])],
        [info("goes_on", [], TensorProto.BOOL), info("next", [64])])
    constants = [
        constant("trips", np.array(1000, np.int64)), constant("yes", np.array(True)),
        constant("c", np.full(64, 0.1, np.float32)), constant("k", np.full(64, 0.9, np.float32))]
    nodes = [helper.make_node("Loop", ["trips", "yes", "x"], ["y"], body=body)]
    feed = {"x": RNG.standard_normal(64).astype(np.float32)}
    return model(nodes, [info("x", [64])], [info("y", [64])], constants), feed, 6000


def lstm() -> tuple[bytes, dict, int]:
    units = 128

    def weight(*shape: int) -> np.ndarray:
        return (RNG.standard_normal(shape) * 0.1).astype(np.float32)

    constants = [constant(name, weight(1, 4 * units, units)) for name in ("W1", "R1", "W2", "R2")]
    constants.append(constant("axis", np.array([1], np.int64)))
    nodes = [
        helper.make_node("LSTM", ["x", "W1", "R1"], ["a"], hidden_size=units),
        helper.make_node("Squeeze", ["a", "axis"], ["b"]),
        helper.make_node("LSTM", ["b", "W2", "R2"], ["y"], hidden_size=units)]
    feed = {"x": weight(50, 1, units)}
    return model(nodes, [info("x", [50, 1, units])], [info("y", None)], constants), feed, 100


def call() -> tuple[bytes, dict, int]:
    feed = {"x": RNG.standard_normal(16).astype(np.float32)}
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    return model(nodes, [info("x", [16])], [info("y", [16])], []), feed, 1


def append() -> tuple[bytes, dict, int]:
    trips = 4000
    sequence = helper.make_tensor_sequence_value_info
    body = helper.make_graph(
        [helper.make_node("Cast", ["i"], ["element"], to=TensorProto.FLOAT),
         helper.make_node("SequenceInsert", ["s", "element"], ["next"]),
         helper.make_node("Identity", ["goes"], ["goes_on"])],
        "body",
        [info("i", [], TensorProto.INT64), info("goes", [], TensorProto.BOOL),
         sequence("s", TensorProto.FLOAT, None)],
        [info("goes_on", [], TensorProto.BOOL), sequence("next", TensorProto.FLOAT, None)])
    nodes = [helper.make_node("SequenceEmpty", [], ["none"]),
             helper.make_node("Loop", ["trips", "yes", "none"], ["all"], body=body),
             helper.make_node("SequenceLength", ["all"], ["y"])]
    feed = {"trips": np.array(trips, np.int64)}
    inputs, outputs = info("trips", [], TensorProto.INT64), info("y", [], TensorProto.INT64)
    return model(nodes, [inputs], [outputs], [constant("yes", np.array(True))]), feed, trips


def seconds(run, *arguments) -> float:
    start = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    martlet.set_num_threads(1)
    missed = False
    print("case   ns a node or step  of ONNX Runtime's time   bar")
    for make, bar in ((chain, 0.5), (loop, 0.5), (lstm, 0.7), (call, None), (append, None)):
        data, feed, count = make()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        if make is chain:  # all optimisations would compute part of it beforehand
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        session = onnxruntime.InferenceSession(data, options)
        loaded = martlet.load(data)
        expected = session.run(None, feed)[0]
        result = np.asarray(next(iter(loaded.run(feed).values())))
        np.testing.assert_allclose(result, expected, atol=1e-5)
        mine, theirs = [], []
        for _ in range(arguments.rounds):
            mine.append(seconds(loaded.run, feed))
            theirs.append(seconds(session.run, None, feed))
        each = min(mine) / count * 1e9
        ratio = min(mine) / min(theirs)
        line = f"{make.__name__:6} {each:18.0f}  {ratio:22.2f}"
        if bar is not None:
            passes = ratio <= bar and (make is not chain or each <= NANOSECONDS_A_NODE)
            missed |= not passes
            line += f"   {bar}  {'pass' if passes else 'fall short'}"
        print(line)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
