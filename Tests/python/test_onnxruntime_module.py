"""What martlet.onnxruntime is by itself: taking ONNX Runtime's place, and where it differs."""

import subprocess
import sys
import warnings

import numpy as np
import onnx
import pytest
from test_onnxruntime_calls import F32, SQUARE, TEXTS, X, info, model, node, texts

import martlet
from martlet import onnxruntime as ort
from martlet.onnxruntime.capi import onnxruntime_pybind11_state as state


@pytest.fixture(autouse=True)
def messages_are_shown():
    ort.set_default_logger_severity(2)
    yield
    ort.set_default_logger_severity(2)


def python(*arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, **options
    )


def test_install_makes_import_onnxruntime_mean_martlet():
    program = """
import importlib.metadata, importlib.util
import martlet.onnxruntime
martlet.onnxruntime.install()
martlet.onnxruntime.install()
import onnxruntime, onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from onnxruntime.capi import _pybind_state as C
import onnxruntime.capi.onnxruntime_inference_collection as collection
assert onnxruntime is martlet.onnxruntime
assert collection.InferenceSession is ort.InferenceSession
assert C.InvalidArgument is InvalidArgument
assert importlib.util.find_spec("onnxruntime") is not None
assert importlib.metadata.version("onnxruntime") == ort.__version__
for name in ("quantization", "quantization.calibrate", "transformers", "tools"):
    try:
        importlib.import_module("onnxruntime." + name)
    except ImportError as error:
        top = name.split(".")[0]
        assert f"onnxruntime.{top} is not in martlet.onnxruntime: " in str(error), error
    else:
        raise AssertionError(name)
try:
    from onnxruntime.quantization import quantize_dynamic
except ImportError as error:
    assert "quantise models with the onnxruntime package" in str(error)
print("fine")
"""
    done = python("-c", program)
    assert done.stdout == "fine\n", done.stderr


def test_install_says_that_it_comes_too_late():
    pytest.importorskip("onnxruntime")
    done = python("-c", "import onnxruntime, martlet.onnxruntime as m; m.install()")
    assert done.returncode == 1
    assert "RuntimeError: onnxruntime was imported before, from " in done.stderr


SCRIPT = """
import sys, numpy as np, onnxruntime as ort
assert __name__ == "__main__"
session = ort.InferenceSession(sys.argv[1])
print(ort.get_build_info().split()[0], session.run(None, {"x": np.ones((1, 3), "f4")})[0].tolist())
"""


def test_programs_run_by_one_line(tmp_path):
    path = tmp_path / "square.onnx"
    path.write_bytes(SQUARE)
    script = tmp_path / "program.py"
    script.write_text(SCRIPT)
    expected = "Martlet [[1.0, 1.0, 1.0]]\n"
    done = python("-m", "martlet.onnxruntime", str(script), str(path))
    assert done.stdout == expected, done.stderr
    done = python("-m", "martlet.onnxruntime", "-m", "program", str(path), cwd=tmp_path)
    assert done.stdout == expected, done.stderr
    assert python("-m", "martlet.onnxruntime").returncode == 2
    assert "Usage:" in python("-m", "martlet.onnxruntime", "--help").stdout


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, onnx.load_from_string])
def test_models_come_in_any_buffer(kind):
    session = ort.InferenceSession(kind(SQUARE))
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], X * X)


def test_byte_order_is_minded():
    (result,) = ort.InferenceSession(SQUARE).run(None, {"x": X.astype(">f4")})
    np.testing.assert_array_equal(result, X * X)


def test_bytes_are_texts():
    (result,) = ort.InferenceSession(TEXTS).run(None, {"x": np.array([b"a", b"bc"])})
    np.testing.assert_array_equal(result, texts("a", "bc"))


def test_a_provider_may_be_a_string():
    session = ort.InferenceSession(SQUARE, providers="CPUExecutionProvider")
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_results_are_the_callers():
    constant = model(
        [node("Constant", [], ["y"], value_floats=[1.0, 2.0]), node("Identity", ["x"], ["z"])],
        [info("x", [2])],
        [info("y", [2]), info("z", [2])],
    )
    session = ort.InferenceSession(constant)
    x = np.zeros(2, F32)
    for _ in range(2):
        y, z = session.run(None, {"x": x})
        assert y.tolist() == [1, 2]
        y += 1
        z += 1
    assert x.tolist() == [0, 0]


def test_bf16_is_one_key_away():
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((256, 64)).astype(F32)
    product = model(
        [node("MatMul", ["x", "w"], ["y"])],
        [info("x", ["N", 256]), info("w", [256, 64])],
        [info("y", ["N", 64])],
    )
    feeds = {"x": rng.standard_normal((32, 256)).astype(F32), "w": weight}

    def ran(mode):
        options = ort.SessionOptions()
        if mode:
            options.add_session_config_entry("session.martlet.float32_fast_math_mode", mode)
        return ort.InferenceSession(product, options).run(None, feeds)[0]

    expected = {
        mode: martlet.load(product, mode).run(feeds)["y"].numpy() for mode in ("FP32", "BF16")
    }
    np.testing.assert_array_equal(ran(None), expected["FP32"])
    np.testing.assert_array_equal(ran("FP32"), expected["FP32"])
    np.testing.assert_array_equal(ran("BF16"), expected["BF16"])
    with pytest.raises(state.InvalidArgument, match=r"session.martlet.float32_fast_math_mode"):
        ran("nope")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda o: setattr(o, "optimized_model_filepath", "a.onnx"), "'a.onnx' is not written"),
        (lambda o: o.add_free_dimension_override_by_denotation("D", 1), "'D' is not looked for"),
        (lambda o: o.add_initializer("w", None), "'w' keeps the model's value"),
    ],
)
def test_what_is_not_honoured_is_said(change, text):
    options = ort.SessionOptions()
    change(options)
    with pytest.warns(UserWarning, match=text):
        ort.InferenceSession(SQUARE, options)
    options.log_severity_level = 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ort.InferenceSession(SQUARE, options)


def test_denormals_are_zero_where_a_session_asks_for_it():
    double = model([node("Add", ["x", "x"], ["y"])], [info("x", ["N"])], [info("y", ["N"])])
    tiny = np.full(5, 2.0**-140, np.float32)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    flushed = ort.InferenceSession(double, options).run(None, {"x": tiny})[0]
    kept = ort.InferenceSession(double).run(None, {"x": tiny})[0]
    np.testing.assert_array_equal(flushed, 0 * tiny)
    np.testing.assert_array_equal(kept, 2 * tiny)


def test_what_changes_no_result_is_said_to_those_who_ask():
    options = ort.SessionOptions()
    options.enable_cpu_mem_arena = False
    options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    options.inter_op_num_threads = 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ort.InferenceSession(SQUARE, options)
    options.log_severity_level = 1
    with pytest.warns(UserWarning) as said:
        ort.InferenceSession(SQUARE, options)
    named = [str(warning.message).split(":")[1].strip() for warning in said]
    assert named == ["execution_mode", "inter_op_num_threads", "enable_cpu_mem_arena"]


def test_what_cannot_be_is_refused():
    options = ort.SessionOptions()
    for call in (
        lambda: options.register_custom_ops_library("ops.so"),
        lambda: options.add_external_initializers([], []),
        lambda: ort.RunOptions().add_active_adapter(None),
        lambda: ort.register_execution_provider_library("P", "p.so"),
        lambda: ort.LoraAdapter(),
        lambda: ort.ModelCompiler(),
        lambda: ort.SparseTensor(None),
    ):
        with pytest.raises(state.NotImplemented):
            call()
    options.add_session_config_entry("session.load_model_format", "ORT")
    with pytest.raises(state.NotImplemented, match="not those in ORT format"):
        ort.InferenceSession(SQUARE, options)


def test_threads_and_processors_are_the_sessions_own():
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    assert ort.InferenceSession(SQUARE, options)._model._pool.threads == 2
    options.add_session_config_entry("session.intra_op_thread_affinities", "1")
    np.testing.assert_array_equal(
        ort.InferenceSession(SQUARE, options).run(None, {"x": X})[0], X * X
    )
    options.add_session_config_entry("session.intra_op_thread_affinities", "no")
    with pytest.raises(state.InvalidArgument, match=r"session.intra_op_thread_affinities is 'no'"):
        ort.InferenceSession(SQUARE, options)


def test_operators_that_martlet_lacks_are_not_implemented(monkeypatch):
    error = martlet.UnsupportedError("the model needs operators that are not supported: Conv")
    error.node, error.operator, error.actual = "n", "Conv", "Conv"
    from martlet.onnxruntime import _errors

    made = _errors.of_loading(error, None)
    assert type(made) is state.NotImplemented
    assert "Could not find an implementation for Conv." in str(made)
