"""Writes the models beside it that the tests of the doors run: python Tests/Doors/write_models.py

grow.onnx   past float32[1, p, 2], x float32[1, n, 2] and b = [10, 20], which may be replaced, give
            y, x behind past; s, a sequence of x and x; z = x + b.
many.onnx   x float32[65] gives its elements one by one, as y0 ... y64.
"""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def tensor(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def write(name: str, graph: onnx.GraphProto) -> None:
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8, producer_name="doors"
    )
    onnx.checker.check_model(model)
    (pathlib.Path(__file__).parent / name).write_bytes(model.SerializeToString())


def main() -> None:
    element = helper.make_tensor_type_proto(TensorProto.FLOAT, [1, "n", 2])
    grow = helper.make_graph(
        [
            helper.make_node("Concat", ["past", "x"], ["y"], "grow", axis=1),
            helper.make_node("SequenceConstruct", ["x", "x"], ["s"], "twice"),
            helper.make_node("Add", ["x", "b"], ["z"], "shift"),
        ],
        "grow",
        [tensor("past", [1, "p", 2]), tensor("x", [1, "n", 2]), tensor("b", [2])],
        [
            tensor("y", [1, "p + n", 2]),
            helper.make_value_info("s", helper.make_sequence_type_proto(element)),
            tensor("z", [1, "n", 2]),
        ],
        [numpy_helper.from_array(np.array([10, 20], np.float32), "b")],
    )
    write("grow.onnx", grow)
    names = [f"y{index}" for index in range(65)]
    many = helper.make_graph(
        [helper.make_node("Split", ["x"], names, "each", axis=0, num_outputs=65)],
        "many",
        [tensor("x", [65])],
        [tensor(name, [1]) for name in names],
    )
    write("many.onnx", many)


if __name__ == "__main__":
    main()
