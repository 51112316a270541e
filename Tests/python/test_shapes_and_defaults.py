"""Extents that share a name, scalars by declaration alone, and initialisers that are inputs too."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_onnx_reference import onnxruntime_ran

import martlet

F32 = np.float32
X = np.arange(4, dtype=F32)


def model(node, inputs, constants=None):
    def info(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    initializers = [
        numpy_helper.from_array(value, name) for name, value in (constants or {}).items()
    ]
    graph = helper.make_graph(
        [node], "g", [info(*one) for one in inputs], [info("y", None)], initializers
    )
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


SCALED = model(
    helper.make_node("Mul", ["x", "k"], ["y"]), [("x", [4]), ("k", [1])], {"k": np.array([2], F32)}
)
RELU = helper.make_node("Relu", ["x"], ["y"])
ADD = helper.make_node("Add", ["x", "z"], ["y"])


@pytest.mark.parametrize(
    ("source", "feeds"),
    [
        (SCALED, {"x": X}),
        (SCALED, {"x": X, "k": np.array([5], F32)}),
        (model(RELU, [("x", ["None"] * 4)]), {"x": np.ones((1, 3, 8, 16), F32)}),
        (model(RELU, [("x", ["?"] * 4)]), {"x": np.ones((1, 3, 8, 16), F32)}),
        (model(RELU, [("x", [])]), {"x": X}),
        (
            model(ADD, [("x", ["N", 4]), ("z", ["N", 4])]),
            {"x": np.ones((3, 4), F32), "z": np.ones((1, 4), F32)},
        ),
    ],
    ids=["as it is", "replaced", "None", "?", "no extents", "N"],
)
def test_runs_are_as_with_onnx_runtime(source, feeds):
    loaded = martlet.load(source.SerializeToString())
    (want,) = onnxruntime_ran(source, feeds)
    for _ in range(2):
        np.testing.assert_array_equal(loaded.run(feeds)["y"].numpy(), want)


def test_what_may_be_replaced_is_told():
    loaded = martlet.load(SCALED.SerializeToString())
    assert [value.name for value in loaded.inputs] == ["x"]
    assert loaded.replaceable == (martlet.ValueInfo("k", "float32", (1,), "float32[1]"),)
    np.testing.assert_array_equal(loaded(X, k=np.array([3], F32)).numpy(), X * 3)
    np.testing.assert_array_equal(loaded(X).numpy(), X * 2)
    with pytest.raises(martlet.InvalidShapeError) as error:
        loaded.run({"x": X, "k": X})
    assert error.value.input == "k"


def test_strict_shapes_keep_names_apart():
    source = model(ADD, [("x", ["N"]), ("z", ["N"])]).SerializeToString()
    feeds = {"x": X, "z": X[:1]}
    np.testing.assert_array_equal(martlet.load(source).run(feeds)["y"].numpy(), X)
    strict = martlet.load(source, strict_shapes=True)
    with pytest.raises(martlet.InvalidShapeError) as error:
        strict.run(feeds)
    assert (error.value.input, error.value.expected) == ("z", "N = 4")
    np.testing.assert_array_equal(strict.run({"x": X, "z": X})["y"].numpy(), X * 2)
