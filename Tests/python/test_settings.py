"""Modes, threads and the processor."""

import os
import subprocess
import sys
import threading

import pytest

import martlet


@pytest.mark.parametrize(
    ("name", "standard"),
    [("BF16", "BF16"), ("bf16", "BF16"), ("FP32", "FP32"), ("strict", "FP32"), ("IEEE", "FP32"),
     ("highest", "FP32"), ("TF32", "TF32"), ("f16", "F16"), ("any", "ANY"),
     ("float32", "FP32"), ("bfloat16", "BF16"), ("medium", "BF16"), ("High", "TF32"),
     ("float16", "F16"), ("FP16", "F16")],
)  # fmt: skip
def test_modes_have_names_and_aliases(name, standard):
    martlet.set_float32_fast_math_mode(name)
    assert martlet.get_float32_fast_math_mode() == standard


@pytest.mark.parametrize("name", ["", "BF17", "bfloat16 ", "float64", "low"])
def test_an_unknown_mode_is_a_value_error_that_lists_the_names(name):
    for call in (martlet.set_float32_fast_math_mode, martlet.fast_math):
        choices = r"choose FP32 .*STRICT.*BF16.*TF32.*F16.*ANY$"
        with pytest.raises(ValueError, match=choices) as info:
            call(name)
        assert isinstance(info.value, martlet.Error)
        assert info.value.code == "NOT_FOUND"
        assert info.value.actual == name
        assert str(info.value).count("BF16") == 1 and "martlet_" not in str(info.value)


def test_a_mode_must_be_a_string(digits_path):
    for bad in (1, None, float):
        for call in (martlet.set_float32_fast_math_mode, martlet.fast_math):
            with pytest.raises(TypeError, match="mode"):
                call(bad)

    class LikeTorchs:
        def __str__(self):
            return "torch.bfloat16"

    martlet.set_float32_fast_math_mode(LikeTorchs())
    assert martlet.get_float32_fast_math_mode() == "BF16"
    assert martlet.load(digits_path, mode=LikeTorchs()).mode == "BF16"
    assert martlet.matmul([[1.0]], [[2.0]], mode="medium").item() == 2


def test_scopes_nest_and_belong_to_their_thread():
    martlet.set_float32_fast_math_mode("FP32")
    seen = []
    with martlet.fast_math("BF16"):
        assert martlet.get_float32_fast_math_mode() == "BF16"
        with martlet.fast_math("strict"):
            assert martlet.get_float32_fast_math_mode() == "FP32"
        thread = threading.Thread(target=lambda: seen.append(martlet.get_float32_fast_math_mode()))
        thread.start()
        thread.join()
        assert martlet.get_float32_fast_math_mode() == "BF16"
    assert seen == ["FP32"]
    assert martlet.get_float32_fast_math_mode() == "FP32"


def test_a_scope_ends_with_an_exception_and_decorates():
    with pytest.raises(KeyError), martlet.fast_math("BF16"):
        raise KeyError
    assert martlet.get_float32_fast_math_mode() == "FP32"

    @martlet.fast_math("ANY")
    def inside():
        return martlet.get_float32_fast_math_mode()

    assert inside() == "ANY" and inside() == "ANY"


def test_too_many_scopes_are_an_error():
    entered = []
    with pytest.raises(martlet.Error) as info:
        for _ in range(65):
            scope = martlet.fast_math("BF16")
            scope.__enter__()
            entered.append(scope)
    for scope in entered:
        scope.__exit__(None, None, None)
    assert len(entered) == 64 and info.value.code == "INVALID_STATE"


@pytest.mark.parametrize(
    ("variables", "mode"),
    [
        ({"MARTLET_FLOAT32_FAST_MATH_MODE": "bf16"}, "BF16"),
        ({"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"}, "BF16"),
        ({"DNNL_DEFAULT_FPMATH_MODE": "STRICT"}, "FP32"),
        ({"MARTLET_FLOAT32_FAST_MATH_MODE": "FP32", "ONEDNN_DEFAULT_FPMATH_MODE": "BF16"}, "FP32"),
        ({"MARTLET_FLOAT32_FAST_MATH_MODE": "nonsense"}, "FP32"),
    ],
)
def test_the_environment_comes_last(variables, mode):
    script = "import martlet; print(martlet.get_float32_fast_math_mode())"
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | variables, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout.strip() == mode
    assert result.stderr.count("nonsense") == ("nonsense" in str(variables))


def test_threads():
    for count in (1, 2, 1024):
        martlet.set_num_threads(count)
        assert martlet.get_num_threads() == count
    martlet.set_num_threads(0)
    assert martlet.get_num_threads() >= 1
    for bad in (-1, 1025):
        with pytest.raises(ValueError):
            martlet.set_num_threads(bad)


def test_the_processor_says_what_was_chosen_and_why():
    info = martlet.cpu_info()
    assert info.name and info.isa
    assert sum(entry.is_chosen for entry in info.instruction_sets) == 1
    assert all(entry.reason for entry in info.instruction_sets)
    assert info.kernels
    assert isinstance(info.has_bf16, bool)
    with pytest.raises(martlet.Error):
        martlet.set_isa(info.isa)  # settled by now


def test_the_instruction_set_can_be_capped():
    script = "import martlet; {}; print(martlet.cpu_info().isa)"
    for line, variables in (("martlet.set_isa('generic')", {}), ("0", {"MARTLET_ISA": "generic"})):
        result = subprocess.run(
            [sys.executable, "-c", script.format(line)],
            env=os.environ | variables, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert result.stdout.strip() == "generic"
    with pytest.raises(ValueError):
        martlet.set_isa("z80")


@pytest.mark.parametrize("order", ["numpy, martlet", "martlet, numpy", "torch, martlet",
                                   "martlet, torch", "onnxruntime, martlet",
                                   "martlet, onnxruntime"])  # fmt: skip
def test_import_order_does_not_matter(order):
    for module in order.split(", "):
        pytest.importorskip(module)
    script = f"import {order}; print(martlet.tensor([1.5]).astype('bfloat16').tolist())"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[1.5]"
