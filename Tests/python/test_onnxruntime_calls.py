"""martlet.onnxruntime does what ONNX Runtime does: one list of calls, on both modules.

Each call has its outcome beside it: what it gives, or the exception's class and first words
(without "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : "). ONNX Runtime is held to it too where it is
installed. Sessions, options and values are in test_onnxruntime_objects.py.
"""

import numpy as np
import pytest
from onnx import TensorProto, helper

F32 = np.float32
MODULES = ["martlet.onnxruntime", "onnxruntime"]


@pytest.fixture(params=MODULES)
def ort(request):
    module = pytest.importorskip(request.param)
    module.set_default_logger_severity(4)
    return module


def info(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def model(nodes, inputs, outputs, initializers=(), opset=18, **fields):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("a.b", 1)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=8, **fields)
    return proto.SerializeToString()


def node(operator, inputs, outputs, **attributes):
    return helper.make_node(operator, inputs, outputs, **attributes)


SQUARE = model([node("Mul", ["x", "x"], ["y"])], [info("x", ["N", 3])], [info("y", ["N", 3])])
SUM = model(
    [node("Add", ["x", "z"], ["y"], name="adder")],
    [info("x", ["N"]), info("z", ["M"])],
    [info("y", None)],
)
TEXTS = model(
    [node("Identity", ["x"], ["y"])],
    [info("x", ["N"], TensorProto.STRING)],
    [info("y", None, TensorProto.STRING)],
)
LENGTH = model(
    [node("SequenceLength", ["x"], ["y"])],
    [helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)],
    [info("y", [], TensorProto.INT64)],
)
HAS = model(
    [node("OptionalHasElement", ["x"], ["y"])],
    [
        helper.make_value_info(
            "x",
            helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None)),
        )
    ],
    [info("y", [], TensorProto.BOOL)],
)
SCALAR = model(
    [node("ReduceSum", ["x"], ["y"], keepdims=0)], [info("x", ["N", 3])], [info("y", [])]
)
X = np.arange(6, dtype=F32).reshape(2, 3)
BAD = "[ONNXRuntimeError] : "


def outcome(call):
    """What a call gives, or what it raises as (class, message)."""
    try:
        return call()
    except Exception as error:
        text = str(error)
        if text.startswith(BAD):
            text = text.split(" : ", 3)[3]
        return type(error).__name__, text


def check(actual, expected):
    if isinstance(expected, tuple) and len(expected) == 2 and isinstance(expected[0], str):
        assert isinstance(actual, tuple), actual
        assert actual[0] == expected[0], actual
        assert actual[1].startswith(expected[1]), actual
    elif isinstance(expected, list) and expected and isinstance(expected[0], np.ndarray):
        assert isinstance(actual, list)
        assert len(actual) == len(expected)
        for got, want in zip(actual, expected, strict=True):
            assert isinstance(got, np.ndarray)
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got, want)
    else:
        assert actual == expected


def texts(*items):
    return np.array(items, object)


# name: (model, feeds, output names, outcome)
RUNS = {
    "all outputs for None": (SQUARE, {"x": X}, None, [X * X]),
    "all outputs for none": (SQUARE, {"x": X}, [], [X * X]),
    "a tuple of names": (SQUARE, {"x": X}, ("y",), [X * X]),
    "an output twice": (SQUARE, {"x": X}, ["y", "y"], [X * X, X * X]),
    "a list of floats": (SQUARE, {"x": [[1.0, 2, 3]]}, None, [np.array([[1, 4, 9]], F32)]),
    "a list of ints": (SQUARE, {"x": [[1, 2, 3]]}, None, [np.array([[1, 4, 9]], F32)]),
    "Fortran order": (SQUARE, {"x": np.asfortranarray(X)}, None, [X * X]),
    "negative strides": (SQUARE, {"x": X[::-1, ::-1]}, None, [(X * X)[::-1, ::-1]]),
    "no rows": (SQUARE, {"x": X[:0]}, None, [X[:0]]),
    "a scalar result": (SCALAR, {"x": X}, None, [np.array(15, F32)]),
    "an unknown output": (SQUARE, {"x": X}, ["q"], ("InvalidArgument", "Invalid output name:q")),
    "an unknown input": (
        SQUARE,
        {"x": X, "q": X},
        None,
        ("InvalidArgument", "Invalid input name: q"),
    ),
    "a missing input": (
        SQUARE,
        {},
        None,
        ("ValueError", "Required inputs (['x']) are missing from input feed ([])."),
    ),
    "another name": (
        SQUARE,
        {"q": X},
        None,
        ("ValueError", "Required inputs (['x']) are missing from input feed (['q'])."),
    ),
    "another dtype": (
        SQUARE,
        {"x": X.astype(float)},
        None,
        (
            "InvalidArgument",
            "Unexpected input data type. Actual: (tensor(double)) , expected: (tensor(float))",
        ),
    ),
    "bool for float": (
        SQUARE,
        {"x": X > 0},
        None,
        ("InvalidArgument", "Unexpected input data type. Actual: (tensor(bool)) , expected: ("),
    ),
    "strings for float": (
        SQUARE,
        {"x": np.array([["a", "b", "c"]])},
        None,
        ("InvalidArgument", "Unexpected input data type. Actual: (tensor(string)) , expected: ("),
    ),
    "another rank": (
        SQUARE,
        {"x": X[0]},
        None,
        (
            "InvalidArgument",
            "Invalid rank for input: x Got: 1 Expected: 2 Please fix either the inputs/outputs or",
        ),
    ),
    "another extent": (
        SQUARE,
        {"x": np.ones((2, 4), F32)},
        None,
        (
            "InvalidArgument",
            "Got invalid dimensions for input: x for the following indices\n"
            " index: 1 Got: 4 Expected: 3\n Please fix either",
        ),
    ),
    "a float": (
        SQUARE,
        {"x": 1.0},
        None,
        ("RuntimeError", "Unable to handle object of type <class 'float'>"),
    ),
    "a NumPy scalar": (
        SQUARE,
        {"x": F32(1)},
        None,
        ("RuntimeError", "Unable to handle object of type <class 'numpy.float32'>"),
    ),
    "a tuple": (
        SQUARE,
        {"x": ((1.0, 2, 3),)},
        None,
        ("RuntimeError", "Input must be a list of dictionaries or a single numpy array for input"),
    ),
    "a ragged list": (
        SQUARE,
        {"x": [[1.0], [1, 2]]},
        None,
        ("RuntimeError", "Could not create tensor from given input list"),
    ),
    "None": (SQUARE, {"x": None}, None, ("Fail", "")),
    "complex numbers": (
        SQUARE,
        {"x": X.astype(np.complex64)},
        None,
        ("RuntimeError", "Numpy_type 14 can't be converted to MLDataType."),
    ),
    "a list of arrays as feed": (
        SQUARE,
        [X],
        None,
        ("AttributeError", "'list' object has no attribute 'keys'"),
    ),
    "a str as output names": (SQUARE, {"x": X}, "y", ("TypeError", "run(): ")),
    "shapes that do not broadcast": (
        SUM,
        {"x": np.ones(2, F32), "z": np.ones(3, F32)},
        None,
        ("Fail", "Non-zero status code returned while running Add node. Name:'adder' Status Mess"),
    ),
    "str": (TEXTS, {"x": np.array(["a", "bc"])}, None, [texts("a", "bc")]),
    "objects": (TEXTS, {"x": texts("a", "bc")}, None, [texts("a", "bc")]),
    "objects that are no strings": (TEXTS, {"x": texts("a", 3)}, None, [texts("a", "3")]),
    "a list of strings": (TEXTS, {"x": ["a", "b"]}, None, [texts("a", "b")]),
    "a sequence": (LENGTH, {"x": [X, X]}, None, [np.array(2)]),
    "an empty sequence": (LENGTH, {"x": []}, None, [np.array(0)]),
    "a tensor for a sequence": (
        LENGTH,
        {"x": X},
        None,
        ("InvalidArgument", "input with name: 'x' expected to be of type: 3 but received a tensor"),
    ),
    "a tuple for a sequence": (LENGTH, {"x": (X,)}, None, ("RuntimeError", "Iterable of ")),
    "an optional": (HAS, {"x": X}, None, [np.array(True)]),
    "an optional without a value": (HAS, {"x": None}, None, [np.array(False)]),
    "an optional that is left out": (HAS, {}, None, [np.array(False)]),
}


@pytest.mark.parametrize("name", RUNS)
def test_run(ort, name):
    source, feeds, names, expected = RUNS[name]
    session = ort.InferenceSession(source)
    check(outcome(lambda: session.run(names, feeds)), expected)
