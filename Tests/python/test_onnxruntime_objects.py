"""Sessions, options, values and bindings of martlet.onnxruntime and of ONNX Runtime, alike."""

import importlib
import json
import threading

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_onnxruntime_calls import F32, HAS, SQUARE, X, check, info, model, node, ort, outcome

__all__ = ["ort"]

UNKNOWN = model([node("Nope", ["x"], ["y"])], [info("x", [1])], [info("y", [1])])
FOREIGN = model([node("Nope", ["x"], ["y"], domain="a.b")], [info("x", [1])], [info("y", [1])])
TOO_NEW = model([node("Relu", ["x"], ["y"])], [info("x", [1])], [info("y", [1])], opset=99)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"garbage garbage", ("InvalidProtobuf", "Failed to load model because protobuf parsing")),
        (b"", ("InvalidArgument", "No graph was found in the protobuf.")),
        (UNKNOWN, ("InvalidGraph", "This is an invalid model.")),
        (FOREIGN, ("Fail", "Fatal error: a.b:Nope(-1) is not a registered function/op")),
        (TOO_NEW, ("Fail", "")),
        (5, ("TypeError", "Unable to load from type '<class 'int'>'")),
        (None, ("TypeError", "Unable to load from type '<class 'NoneType'>'")),
    ],
)
def test_what_is_no_model(ort, content, expected):
    check(outcome(lambda: ort.InferenceSession(content)), expected)


def test_an_attribute_that_the_operator_does_not_have(ort):
    wrong = model([node("Relu", ["x"], ["y"], p=3)], [info("x", [1])], [info("y", [1])])
    with pytest.raises(Exception, match="Unrecognized attribute: p for operator Relu") as raised:
        ort.InferenceSession(wrong)
    assert type(raised.value).__name__ == "InvalidGraph"


def test_files(ort, tmp_path):
    def load(path):
        return outcome(lambda: ort.InferenceSession(path))

    missing = tmp_path / "missing.onnx"
    check(load(str(missing)), ("NoSuchFile", f"Load model from {missing} failed:Load model"))
    check(load(tmp_path), ("InvalidProtobuf", f"Load model from {tmp_path} failed:Protobuf pars"))
    text = tmp_path / "text.onnx"
    text.write_text("hello world\n")
    check(load(text), ("InvalidProtobuf", f"Load model from {text} failed:Protobuf parsing fail"))
    text.write_bytes(b"")
    check(load(text), ("InvalidArgument", f"Load model from {text} failed:No graph was found in"))
    text.write_bytes(SQUARE)
    for path in (text, str(text)):
        np.testing.assert_array_equal(ort.InferenceSession(path).run(None, {"x": X})[0], X * X)


def test_what_a_session_says_of_its_model(ort):
    inputs = [
        info("a", []),
        info("b", None),
        info("c", [-1, "", None, "n", 3]),
        info("d", [1], TensorProto.BFLOAT16),
        info("e", ["None"], TensorProto.STRING),
        info("f", [2], TensorProto.FLOAT8E4M3FN),
        info("g", [], TensorProto.DOUBLE),
        helper.make_tensor_sequence_value_info("h", TensorProto.INT64, None),
    ]
    outputs = [helper.make_empty_tensor_value_info(f"{i.name}o") for i in inputs]
    nodes = [node("Identity", [i.name], [f"{i.name}o"]) for i in inputs]
    session = ort.InferenceSession(model(nodes, inputs, outputs, opset=19))
    expected = [
        ("a", [], "tensor(float)"),
        ("b", [], "tensor(float)"),
        ("c", [None, None, None, "n", 3], "tensor(float)"),
        ("d", [1], "tensor(bfloat16)"),
        ("e", ["None"], "tensor(string)"),
        ("f", [2], "tensor(float8e4m3fn)"),
        ("g", [], "tensor(double)"),
        ("h", [], "seq(tensor(int64))"),
    ]
    assert [(i.name, i.shape, i.type) for i in session.get_inputs()] == expected
    given = [(o.name, o.shape, o.type) for o in session.get_outputs()]
    assert given == [(f"{name}o", shape, text) for name, shape, text in expected]
    assert str(session.get_inputs()[2]) == (
        "NodeArg(name='c', type='tensor(float)', shape=[None, None, None, 'n', 3])"
    )
    assert session.get_overridable_initializers() == []
    assert ort.InferenceSession(HAS).get_inputs()[0].type == "optional(tensor(float))"


def test_initialisers_that_are_inputs_too(ort):
    scaled = model(
        [node("Mul", ["x", "k"], ["y"])],
        [info("x", ["N"]), info("k", [1])],
        [info("y", ["N"])],
        [numpy_helper.from_array(np.array([2], F32), "k")],
    )
    session = ort.InferenceSession(scaled)
    assert [i.name for i in session.get_inputs()] == ["x"]
    (own,) = session.get_overridable_initializers()
    assert (own.name, own.shape, own.type) == ("k", [1], "tensor(float)")
    x = np.array([1, 2], F32)
    assert session.run(None, {"x": x})[0].tolist() == [2, 4]
    assert session.run(None, {"x": x, "k": np.array([5], F32)})[0].tolist() == [5, 10]
    with pytest.raises(RuntimeError, match="Failed to find NodeArg with name: k in the def list"):
        session.io_binding().bind_cpu_input("k", x)
    check(
        outcome(lambda: session.run(None, {"x": x, "k": x})),
        ("InvalidArgument", "Got invalid dimensions for input: k for the following indices\n"),
    )


def test_extents_of_one_name_may_differ(ort):
    two = model(
        [node("Add", ["x", "z"], ["y"])],
        [info("x", ["N", 3]), info("z", ["N", 3])],
        [info("y", None)],
    )
    (result,) = ort.InferenceSession(two).run(None, {"x": X, "z": X[:1]})
    np.testing.assert_array_equal(result, X + X[:1])
    scalar = model([node("Identity", ["x"], ["y"])], [info("x", [])], [info("y", [])])
    (result,) = ort.InferenceSession(scalar).run(None, {"x": X})
    np.testing.assert_array_equal(result, X)


def test_metadata(ort):
    def of(source):
        meta = ort.InferenceSession(source).get_modelmeta()
        return (
            meta.producer_name,
            meta.version,
            meta.graph_name,
            meta.domain,
            meta.description,
            meta.custom_metadata_map,
        )

    assert of(SQUARE) == ("", 2**63 - 1, "g", "", "", {})
    full = model(
        [node("Relu", ["x"], ["y"])],
        [info("x", [1])],
        [info("y", [1])],
        producer_name="p",
        model_version=7,
        domain="d",
        doc_string="text",
    )
    assert of(full) == ("p", 7, "g", "d", "text", {})


def test_providers(ort):
    def of(providers, options=None):
        session = ort.InferenceSession(SQUARE, providers=providers, provider_options=options)
        return session.get_providers(), session.get_provider_options()

    own = (["CPUExecutionProvider"], {"CPUExecutionProvider": {}})
    assert of(None) == of([]) == of(["CPUExecutionProvider"]) == own
    assert of([("CPUExecutionProvider", {"a": 1})]) == own
    assert of(["CPUExecutionProvider"], [{}]) == own
    with pytest.warns(UserWarning, match="Specified provider 'CUDAExecutionProvider' is not in"):
        assert of(["CUDAExecutionProvider", "CPUExecutionProvider"]) == own
    session = ort.InferenceSession(SQUARE)
    session.set_providers(["CPUExecutionProvider"])
    assert session.get_providers() == own[0]
    session.disable_fallback()
    session.enable_fallback()
    assert "CPUExecutionProvider" in ort.get_available_providers()
    assert "CPUExecutionProvider" in ort.get_all_providers()
    assert ort.get_device() == "CPU"


DEFAULTS = {
    "enable_cpu_mem_arena": True,
    "enable_mem_pattern": True,
    "enable_mem_reuse": True,
    "enable_profiling": False,
    "inter_op_num_threads": 0,
    "intra_op_num_threads": 0,
    "log_severity_level": -1,
    "log_verbosity_level": 0,
    "logid": "",
    "optimized_model_filepath": "",
    "profile_file_prefix": "onnxruntime_profile_",
    "use_deterministic_compute": False,
    "use_per_session_threads": True,
}


def test_session_options(ort):
    options = ort.SessionOptions()
    assert {name: getattr(options, name) for name in DEFAULTS} == DEFAULTS
    assert options.execution_mode == ort.ExecutionMode.ORT_SEQUENTIAL
    assert options.execution_order == ort.ExecutionOrder.DEFAULT
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    assert options.graph_optimization_level == 99
    options.intra_op_num_threads = np.int64(2)
    assert options.intra_op_num_threads == 2
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    assert str(options.graph_optimization_level) == "GraphOptimizationLevel.ORT_DISABLE_ALL"
    assert ort.GraphOptimizationLevel(1).name == "ORT_ENABLE_BASIC"
    for name, value in [
        ("intra_op_num_threads", "2"),
        ("graph_optimization_level", 1),
        ("enable_profiling", "yes"),
    ]:
        with pytest.raises(TypeError):
            setattr(options, name, value)
    with pytest.raises(AttributeError):
        options.nope = 1
    options.add_session_config_entry("any.key", "1")
    assert options.get_session_config_entry("any.key") == "1"
    with pytest.raises(RuntimeError, match="does not have configuration with key: other"):
        options.get_session_config_entry("other")
    with pytest.raises(TypeError):
        options.add_session_config_entry("any.key", 1)
    assert not options.has_providers()
    session = ort.InferenceSession(SQUARE, options)
    assert session.get_session_options().intra_op_num_threads == 2
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], X * X)


def test_free_dimensions(ort):
    options = ort.SessionOptions()
    options.add_free_dimension_override_by_name("N", 2)
    session = ort.InferenceSession(SQUARE, options)
    assert [v.shape for v in session.get_inputs() + session.get_outputs()] == [[2, 3], [2, 3]]
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], X * X)
    check(
        outcome(lambda: session.run(None, {"x": np.ones((3, 3), F32)})),
        ("InvalidArgument", "Got invalid dimensions for input: x for the following indices\n"),
    )


def test_run_options(ort):
    options = ort.RunOptions()
    assert (options.log_severity_level, options.logid, options.terminate) == (-1, "", False)
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    assert options.get_run_config_entry("memory.enable_memory_arena_shrinkage") == "cpu:0"
    with pytest.raises(RuntimeError, match="does not have configuration with key: a"):
        options.get_run_config_entry("a")
    session = ort.InferenceSession(SQUARE)
    np.testing.assert_array_equal(session.run(None, {"x": X}, options)[0], X * X)
    options.terminate = True
    check(
        outcome(lambda: session.run(None, {"x": X}, run_options=options)),
        ("Fail", "Exiting due to terminate flag being set to true."),
    )


def test_ort_values(ort):
    array = X.copy()
    value = ort.OrtValue.ortvalue_from_numpy(array)
    assert (value.shape(), value.data_type(), value.element_type()) == ([2, 3], "tensor(float)", 1)
    assert value.device_name() == "cpu"
    assert value.has_value()
    assert value.is_tensor()
    assert not value.is_sparse_tensor()
    assert not value.is_tensor_sequence()
    assert value.data_ptr() == array.ctypes.data
    assert value.tensor_size_in_bytes() == 24
    assert np.shares_memory(value.numpy(), array)
    assert np.array_equal(np.asarray(value), array)
    assert np.array_equal(np.from_dlpack(value), array)
    value.update_inplace(array * 2)
    np.testing.assert_array_equal(array, X * 2)
    with pytest.raises(RuntimeError, match="does not match the size of the OrtValue"):
        value.update_inplace(np.ones((2, 4), F32))
    columns = ort.OrtValue.ortvalue_from_numpy(X.T)
    assert not np.shares_memory(columns.numpy(), X)
    np.testing.assert_array_equal(columns.numpy(), X.T)
    empty = ort.OrtValue.ortvalue_from_shape_and_type([2, 3], np.float64)
    assert (empty.shape(), empty.data_type()) == ([2, 3], "tensor(double)")
    assert ort.OrtValue.ortvalue_from_shape_and_type([2], 16).data_type() == "tensor(bfloat16)"
    made = ort.OrtValue.from_dlpack(X)
    np.testing.assert_array_equal(made.numpy(), X)
    for wrong in ([1.0], np.array(["a"], object)):
        with pytest.raises(RuntimeError, match="only supported from non-string numpy arrays"):
            ort.OrtValue.ortvalue_from_numpy(wrong)
    with pytest.raises(RuntimeError, match="Can't allocate memory on the device using this pack"):
        ort.OrtValue.ortvalue_from_numpy(X, "cuda", 0)


def test_bfloat16_goes_in_and_out_by_ort_values(ort):
    twice = model(
        [node("Cast", ["x"], ["f"], to=1), node("Cast", ["f"], ["y"], to=16)],
        [info("x", [2], TensorProto.BFLOAT16)],
        [info("y", [2], TensorProto.BFLOAT16)],
    )
    bits = np.array([1.5, -2], ml_dtypes.bfloat16).view(np.uint16)
    value = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, 16)
    assert (value.data_type(), value.element_type()) == ("tensor(bfloat16)", 16)
    (result,) = ort.InferenceSession(twice).run_with_ort_values(["y"], {"x": value})
    assert (result.data_type(), result.shape()) == ("tensor(bfloat16)", [2])
    with pytest.raises(RuntimeError, match="Items size in the incoming array: 4"):
        ort.OrtValue.ortvalue_from_numpy_with_onnx_type(X, 10)


def test_runs_with_ort_values(ort):
    session = ort.InferenceSession(SQUARE)
    value = ort.OrtValue.ortvalue_from_numpy(X)
    for names in (None, ["y"]):
        (result,) = session.run_with_ort_values(names, {"x": value})
        np.testing.assert_array_equal(result.numpy(), X * X)
    np.testing.assert_array_equal(session.run(None, {"x": value})[0], X * X)
    with pytest.raises(AttributeError):
        session.run_with_ort_values(None, {"x": X})


def test_io_binding(ort):
    session = ort.InferenceSession(SQUARE)
    binding = session.io_binding()
    nothing = (
        "RuntimeError",
        "Error in execution: At least one output should be requested.",
    )
    check(outcome(lambda: session.run_with_iobinding(binding)), nothing)
    with pytest.raises(RuntimeError, match="Failed to find NodeArg with name: q in the def list"):
        binding.bind_cpu_input("q", X)
    array = X.copy()
    binding.bind_cpu_input("x", array)
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[0], X * X)
    array += 1  # what is bound is read anew
    session.run_with_iobinding(binding)
    (result,) = binding.get_outputs()
    np.testing.assert_array_equal(result.numpy(), (X + 1) ** 2)

    binding = session.io_binding()
    into = np.zeros((2, 3), F32)
    binding.bind_input("x", "cpu", 0, F32, (2, 3), X.ctypes.data)
    binding.bind_output("y", "cpu", 0, F32, (2, 3), into.ctypes.data)
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(into, X * X)

    binding.clear_binding_outputs()
    value = ort.OrtValue.ortvalue_from_shape_and_type((2, 3), F32)
    binding.bind_ortvalue_output("y", value)
    binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(X * 2))
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(value.numpy(), 4 * X * X)

    wide = np.zeros((2, 4), F32)
    binding.bind_output("y", "cpu", 0, F32, (2, 4), wide.ctypes.data)
    check(
        outcome(lambda: session.run_with_iobinding(binding)),
        ("RuntimeError", "Error in execution: Got invalid dimensions for output: y"),
    )
    binding = session.io_binding()
    binding.bind_cpu_input("x", X[0])
    binding.bind_output("y")
    check(
        outcome(lambda: session.run_with_iobinding(binding)),
        ("RuntimeError", "Error in execution: Invalid rank for input: x Got: 1 Expected: 2"),
    )


def test_outputs_come_in_the_order_bound(ort):
    both = model(
        [node("Relu", ["x"], ["a"]), node("Neg", ["x"], ["b"])],
        [info("x", [2])],
        [info("a", [2]), info("b", [2])],
    )
    session = ort.InferenceSession(both)
    binding = session.io_binding()
    binding.bind_cpu_input("x", np.array([1, 2], F32))
    binding.bind_output("b")
    binding.bind_output("a")
    session.run_with_iobinding(binding)
    first, second = binding.copy_outputs_to_cpu()
    assert first.tolist() == [-1, -2]
    assert second.tolist() == [1, 2]


def test_asynchronous_runs(ort):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2  # ONNX Runtime wants a thread to spare
    session = ort.InferenceSession(SQUARE, options)
    for feeds, expected in [
        ({"x": X}, ""),
        ({"x": X[0]}, "Invalid rank for input: x Got: 1 Expected: 2 Please fix either the inputs"),
    ]:
        done = threading.Event()
        seen = []

        def callback(results, user, error, seen=seen, done=done):
            seen.extend([results, user, error])
            done.set()

        session.run_async(["y"], feeds, callback, "user")
        assert done.wait(30)
        results, user, error = seen
        assert user == "user"
        assert error.startswith(expected)
        assert len(results) == (0 if expected else 1)
        if results:
            np.testing.assert_array_equal(results[0], X * X)


def test_profiles(ort, tmp_path):
    assert ort.InferenceSession(SQUARE).end_profiling() == ""
    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "prof")
    session = ort.InferenceSession(SQUARE, options)
    session.run(None, {"x": X})
    assert session.get_profiling_start_time_ns() > 0
    path = session.end_profiling()
    assert path.startswith(str(tmp_path / "prof_"))
    assert path.endswith(".json")
    with open(path) as file:
        events = json.load(file)
    names = {event["name"]: event for event in events}
    assert {"model_loading_array", "session_initialization", "model_run"} <= names.keys()
    nodes = [event for event in events if event["cat"] == "Node"]
    assert [event["args"]["op_name"] for event in nodes] == ["Mul"]
    assert nodes[0]["name"].endswith("_kernel_time")
    assert all(event["ph"] == "X" and event["dur"] >= 0 for event in events)


def test_settings_of_the_process(ort):
    with pytest.raises(RuntimeError, match="Invalid logging severity"):
        ort.set_default_logger_severity(7)
    ort.set_default_logger_verbosity(0)
    ort.set_seed(5)
    ort.disable_telemetry_events()
    assert isinstance(ort.get_build_info(), str)
    assert ort.__version__ == ort.get_version_string() == "1.32.0"


EXCEPTIONS = [
    "EPFail",
    "EngineError",
    "Fail",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "ModelLoaded",
    "NoModel",
    "NoSuchFile",
    "NotImplemented",
    "RuntimeException",
]


def test_exceptions_are_where_programs_look_for_them(ort):
    state = importlib.import_module(f"{ort.__name__}.capi.onnxruntime_pybind11_state")
    other = importlib.import_module(f"{ort.__name__}.capi._pybind_state")
    for name in EXCEPTIONS:
        assert getattr(state, name).__mro__[1] is Exception
        assert getattr(other, name) is getattr(state, name)
    with pytest.raises(state.InvalidArgument):
        ort.InferenceSession(SQUARE).run(None, {"x": X[0]})
