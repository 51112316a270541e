"""martlet.onnx_backend by itself; onnx_suite.py runs ONNX's own cases through it."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.backend.base import Backend
from onnx.backend.test import BackendTest

import martlet
from martlet import onnx_backend

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def model(operator="Neg", domain=""):
    def info(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3])

    node = helper.make_node(operator, ["x"], ["y"], domain=domain)
    graph = helper.make_graph([node], "g", [info("x")], [info("y")])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("a.b", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_it_is_a_backend():
    assert issubclass(onnx_backend.MartletBackend, Backend)
    assert onnx_backend.supports_device("CPU")
    assert onnx_backend.supports_device("CPU:0")
    assert not onnx_backend.supports_device("CUDA")
    with pytest.raises(RuntimeError, match="not on CUDA"):
        onnx_backend.prepare(model(), "CUDA")


def test_models_are_prepared_and_run(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(model().SerializeToString())
    for source in (model(), model().SerializeToString(), path, str(path)):
        prepared = onnx_backend.prepare(source)
        for inputs in ([X], X, {"x": X}):
            (result,) = prepared.run(inputs)
            np.testing.assert_array_equal(result, -X)
    (result,) = onnx_backend.run_model(model(), [X], mode="BF16")
    np.testing.assert_array_equal(result, -X)
    with pytest.raises(ValueError, match="the model has 1 inputs, 2 were given"):
        onnx_backend.run_model(model(), [X, X])


def test_compatible_is_what_loads():
    assert onnx_backend.is_compatible(model())
    assert not onnx_backend.is_compatible(model(), "CUDA")
    assert not onnx_backend.is_compatible(model("Nope", "a.b"))
    with pytest.raises(martlet.InvalidModelError):
        onnx_backend.is_compatible(b"no model")


def test_nodes_run():
    node = helper.make_node("Concat", ["a", "b"], ["y"], axis=0)
    (result,) = onnx_backend.run_node(node, [X, X])
    np.testing.assert_array_equal(result, np.concatenate([X, X]))
    node = helper.make_node("Clip", ["x", "", "high"], ["y"])
    for inputs in ([X, np.float32(2)], {"x": X, "high": np.float32(2)}):
        (result,) = onnx_backend.run_node(node, inputs)
        np.testing.assert_array_equal(result, np.minimum(X, 2))
    node = helper.make_node("Softmax", ["x"], ["y"])
    flat = np.exp(X) / np.exp(X).sum()
    (result,) = onnx_backend.run_node(node, [X[None]], opset_version=11)
    np.testing.assert_allclose(result[0], flat, rtol=1e-6)
    node = helper.make_node("StringConcat", ["a", "b"], ["y"])
    (result,) = onnx_backend.run_node(node, [np.array(["a"]), np.array(["b"])])
    assert result.tolist() == ["ab"]


def test_onnx_own_runner_takes_it():
    tests = BackendTest(onnx_backend, __name__).include(
        "test_(relu|concat_1d_axis_0|if|if_seq)_cpu"
    )
    suite = tests.test_suite
    result = __import__("unittest").TestResult()
    suite.run(result)
    assert result.testsRun - len(result.skipped) >= 4
    assert not result.errors + result.failures
