"""One node of com.microsoft, run by ONNX Runtime and by Martlet."""

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

import martlet


def make_model(op, inputs, outputs, domain, constants=(), version=17, **attributes):
    """A model of one node; None: an input that is absent. `constants`: inputs that are weights."""
    inputs = [value if value is None else np.asarray(value) for value in inputs]
    names = [f"i{i}" if value is not None else "" for i, value in enumerate(inputs)]
    node = helper.make_node(op, names, list(outputs), domain=domain, **attributes)
    fed = [
        (name, value)
        for i, (name, value) in enumerate(zip(names, inputs, strict=True))
        if value is not None and i not in constants
    ]
    weights = [numpy_helper.from_array(inputs[i], names[i]) for i in sorted(constants)]
    graph = helper.make_graph(
        [node], "g",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for name, value in fed
        ],
        [
            # ONNX Runtime does not infer the type of this one.
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            if name == "qk"
            else helper.make_empty_tensor_value_info(name)
            for name in outputs
            if name
        ],
        weights,
    )  # fmt: skip
    imports = [helper.make_opsetid("", version)]
    if domain:
        imports.append(helper.make_opsetid(domain, 1))
    model = helper.make_model(graph, opset_imports=imports)
    model.ir_version = 10
    return model.SerializeToString(), dict(fed)


def run_peer(data, feeds):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def run_martlet(data, feeds):
    results = martlet.load(data)(*feeds.values())
    results = results if isinstance(results, tuple) else (results,)
    return [np.asarray(value) for value in results]


def run_both(
    op, inputs, outputs=("y",), domain="com.microsoft", constants=(), version=17, **attributes
):
    """The outputs of one node on both: ONNX Runtime's, then Martlet's."""
    data, feeds = make_model(op, inputs, outputs, domain, constants, version, **attributes)
    return run_peer(data, feeds), run_martlet(data, feeds)


def assert_close(op, inputs, outputs=("y",), rtol=1e-5, atol=1e-5, **keywords):
    """Both agree, with what is a weight as a weight and as a run's input."""
    expected, actual = run_both(op, inputs, outputs, **keywords)
    assert len(expected) == len(actual)
    for want, got in zip(expected, actual, strict=True):
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(
            got.astype(np.float64), want.astype(np.float64), rtol=rtol, atol=atol
        )
    return actual


def draw(random, dtype, shape):
    """Random numbers of a type: all integers of one of 8 bits, else a normal distribution."""
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        return random.integers(info.min, info.max + 1, shape).astype(dtype)
    return random.standard_normal(shape).astype(dtype)


__all__ = ["assert_close", "draw", "make_model", "onnx", "run_both", "run_martlet", "run_peer"]
