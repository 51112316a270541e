"""LSTM, GRU and RNN against ONNX Runtime on random configurations, and what it refuses or lacks."""

import ml_dtypes
import numpy as np
import pytest
from onnx import helper, numpy_helper
from test_onnx_reference import onnxruntime_ran, ran

import martlet

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
FUNCTIONS = {"LSTM": 3, "GRU": 2, "RNN": 1}
# Of those without parameters ONNX Runtime's defaults matter not; its RNN lacks some.
PLAIN = ["Relu", "Tanh", "Sigmoid", "Softsign", "Softplus"]
ALPHA = {"LeakyRelu": (0.01, 0.3), "ThresholdedRelu": (0.1, 0.5), "Elu": (0.5, 1.0)}
BOTH = {"Affine": (0.3, 0.8), "ScaledTanh": (0.3, 1.0), "HardSigmoid": (0.1, 0.4)}


def model_of(op, inputs, outputs, opset=14, constants=(), **attributes):
    """The serialised model and its feeds; inputs in order, None left out."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    arrays = {name: x for name, x in zip(names, inputs, strict=True) if name}
    kinds = {name: helper.np_dtype_to_tensor_dtype(x.dtype) for name, x in arrays.items()}
    held = {f"x{i}" for i in constants}
    infos = [
        helper.make_tensor_value_info(n, kinds[n], x.shape)
        for n, x in arrays.items()
        if n not in held
    ]
    results = [helper.make_tensor_value_info(y, kinds["x0"], None) for y in outputs if y]
    node = helper.make_node(op, names, outputs, **attributes)
    weights = [numpy_helper.from_array(x, n) for n, x in arrays.items() if n in held]
    graph = helper.make_graph([node], "g", infos, results, weights)
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=7)
    return model, {n: x for n, x in arrays.items() if n not in held}


def activations(rng, op, directions):
    """Attributes that name functions and give all of their parameters."""
    names, alphas, betas = [], [], []
    for _ in range(directions * FUNCTIONS[op]):
        choices = PLAIN if op == "RNN" else PLAIN + list(ALPHA) + list(BOTH)
        name = choices[rng.integers(len(choices))]
        if name in ALPHA or name in BOTH:
            alphas.append(float(rng.uniform(*(ALPHA.get(name) or BOTH[name]))))
        if name in BOTH:
            betas.append(float(rng.uniform(0.1, 0.6)))
        # ONNX Runtime's RNN knows its functions by their exact names only.
        names.append(name if op == "RNN" or rng.random() < 0.7 else name.lower())
    found = {"activations": names}
    if alphas:
        found["activation_alpha"] = alphas
    if betas:
        found["activation_beta"] = betas
    return found


def configuration(op, seed):
    """Inputs, outputs and attributes that ONNX Runtime runs too."""
    rng = np.random.default_rng(seed)
    steps, batch, width = (int(rng.integers(1, n)) for n in (8, 6, 40))
    direction = ["forward", "reverse", "bidirectional"][rng.integers(3)]
    d = 2 if direction == "bidirectional" else 1
    size, gates = int(rng.integers(1, 12)), GATES[op]

    def make(*shape, scale=1.0):
        return (rng.uniform(-1, 1, shape) * scale).astype(np.float32)

    def perhaps(*shape):
        return make(*shape) if rng.random() < 0.5 else None

    # A row of length 0 is read from before the memory by ONNX Runtime's RNN.
    least = 1 if op == "RNN" else 0
    lengths = rng.integers(least, steps + 1, batch).astype(np.int32)
    inputs = [
        make(steps, batch, size),
        make(d, gates * width, size),
        make(d, gates * width, width, scale=width**-0.5),
        perhaps(d, 2 * gates * width),
        lengths if rng.random() < 0.5 else None,
        perhaps(d, batch, width),
    ]
    attributes = {"direction": direction, "hidden_size": width}
    if rng.random() < 0.5:
        attributes |= activations(rng, op, d)
    # Functions without bounds make states that grow from step to step.
    if "activations" in attributes or rng.random() < 0.3:
        attributes["clip"] = float(rng.uniform(0.3, 1))
    if op == "LSTM":
        inputs += [perhaps(d, batch, width), perhaps(d, 3 * width)]
        attributes["input_forget"] = int(rng.random() < 0.3)
    if op == "GRU":
        attributes["linear_before_reset"] = int(rng.random() < 0.5)
    outputs = ["y", "h", "c"] if op == "LSTM" else ["y", "h"]
    outputs = [name if rng.random() < 0.7 else "" for name in outputs]
    if not any(outputs):
        outputs[0] = "y"
    return inputs, outputs, attributes


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("seed", range(60))
def test_random_configurations(op, seed):
    inputs, outputs, attributes = configuration(op, seed)
    opset = [7, 14, 22][seed % 3]
    constants = (1, 2, 3) if seed % 2 else ()
    model, feeds = model_of(op, inputs, outputs, opset, constants, **attributes)
    for got, want in zip(ran(model, feeds), onnxruntime_ran(model, feeds), strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=3e-5, atol=3e-5)


@pytest.mark.parametrize("op", GATES)
def test_batch_first_is_the_other_layout_turned(op):
    """ONNX Runtime has no layout 1."""
    for seed in range(10):
        inputs, _, attributes = configuration(op, 1000 + seed)
        outputs = ["y", "h", "c"] if op == "LSTM" else ["y", "h"]
        want = ran(*model_of(op, inputs, outputs, **attributes))
        for index in (0, 5, 6):
            if index < len(inputs) and inputs[index] is not None:
                inputs[index] = np.ascontiguousarray(inputs[index].swapaxes(0, 1))
        got = ran(*model_of(op, inputs, outputs, layout=1, **attributes))
        np.testing.assert_array_equal(got[0], want[0].transpose(2, 0, 1, 3))
        for a, b in zip(got[1:], want[1:], strict=True):
            np.testing.assert_array_equal(a, b.swapaxes(0, 1))


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float64, 1e-6), (np.float16, 1e-3), (ml_dtypes.bfloat16, 8e-3)]
)
def test_other_types_are_float32_rounded_once(op, dtype, tolerance):
    for seed in range(6):
        inputs, _, attributes = configuration(op, 2000 + seed)
        outputs = ["y", "h", "c"] if op == "LSTM" else ["y", "h"]
        inputs = [x if x is None or x.dtype == np.int32 else x.astype(dtype) for x in inputs]
        got = ran(*model_of(op, inputs, outputs, 22, **attributes))
        wide = [x if x is None or x.dtype == np.int32 else x.astype(np.float32) for x in inputs]
        want = ran(*model_of(op, wide, outputs, 22, **attributes))
        for a, b in zip(got, want, strict=True):
            assert a.dtype == dtype
            np.testing.assert_allclose(
                a.astype(np.float64), b.astype(np.float64), rtol=tolerance, atol=tolerance
            )


@pytest.mark.parametrize("op", GATES)
def test_rows_do_not_depend_on_the_batch_or_threads(op):
    rng = np.random.default_rng(4)
    width, gates = 96, GATES[op]
    x = rng.standard_normal((5, 9, 32)).astype(np.float32)
    w = (rng.standard_normal((1, gates * width, 32)) * 0.2).astype(np.float32)
    r = (rng.standard_normal((1, gates * width, width)) * 0.1).astype(np.float32)
    try:
        martlet.set_num_threads(1)
        whole = ran(*model_of(op, [x, w, r], ["y"], constants=(1, 2), hidden_size=width))[0]
        martlet.set_num_threads(2)
        again = ran(*model_of(op, [x, w, r], ["y"], hidden_size=width))[0]
    finally:
        martlet.set_num_threads(0)
    np.testing.assert_array_equal(again, whole)
    one = ran(*model_of(op, [x[:, 4:5], w, r], ["y"], hidden_size=width))[0]
    np.testing.assert_array_equal(one, whole[:, :, 4:5])


@pytest.mark.parametrize("op", GATES)
def test_bf16_mode_is_near_float32(op):
    rng = np.random.default_rng(6)
    width, gates = 48, GATES[op]
    x = rng.standard_normal((4, 3, 32)).astype(np.float32)
    w = (rng.standard_normal((2, gates * width, 32)) * 0.2).astype(np.float32)
    r = (rng.standard_normal((2, gates * width, width)) * 0.1).astype(np.float32)
    model, feeds = model_of(op, [x, w, r], ["y", "h"], constants=(1, 2), direction="bidirectional")
    want = ran(model, feeds)
    with martlet.fast_math("BF16"):
        got, alone = (
            ran(model, feeds),
            ran(*model_of(op, [x[:, 1:2], w, r], ["y", "h"], direction="bidirectional")),
        )
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=0.03, atol=0.03)
    np.testing.assert_array_equal(alone[0], got[0][:, :, 1:2])


def test_a_form_of_opset_1():
    """`output_sequence` asked for Y, which is there where somebody reads it."""
    inputs, _, _ = configuration("LSTM", 3)
    inputs = [*inputs[:3], None, None]
    d, width = inputs[1].shape[0], inputs[2].shape[2]
    attributes = {
        "hidden_size": width,
        "direction": "bidirectional" if d == 2 else "forward",
    }
    old, feeds = model_of("LSTM", inputs, ["y"], 1, output_sequence=1, **attributes)
    new, _ = model_of("LSTM", inputs, ["y"], 14, **attributes)
    np.testing.assert_array_equal(ran(old, feeds)[0], ran(new, feeds)[0])


def test_contradictions_are_found_when_the_model_is_loaded():
    x = np.zeros((3, 2, 4), np.float32)
    w, r = np.zeros((1, 20, 4), np.float32), np.zeros((1, 20, 5), np.float32)
    for inputs, attributes, words in [
        ([x, w, r], {"hidden_size": 6}, ("LSTM", "W", "[1, 24, 4]", "[1, 20, 4]")),
        ([x, w, r[:, :16]], {}, ("LSTM", "R", "[1, 20, 5]", "[1, 16, 5]")),
        ([x, w, r], {"activations": ["Sigmoid", "Tanh", "Mish"]}, ("Mish", "Softsign")),
        ([x, w, r, None, np.array([1, 4], np.int32)], {}, ("sequence_lens", "3", "4")),
    ]:
        model, _ = model_of("LSTM", inputs, ["y"], constants=range(1, 5), **attributes)
        with pytest.raises(martlet.Error) as caught:
            martlet.load(model.SerializeToString())
        text = f"{caught.value} {getattr(caught.value, 'expected', '')}"
        assert all(word in text for word in words), text
