"""Functions against NumPy, and their errors."""

import threading

import numpy as np
import pytest

import martlet

RNG = np.random.default_rng(11)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def relative(actual, expected):
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    return np.linalg.norm(actual - expected) / max(np.linalg.norm(expected), 1e-30)


@pytest.mark.parametrize(
    ("lhs", "rhs"),
    [((5, 7), (7, 3)), ((7,), (7,)), ((4, 7), (7,)), ((7,), (7, 4)), ((2, 1, 5, 7), (3, 7, 4)),
     ((1, 1), (1, 1)), ((0, 3), (3, 2)), ((3, 0), (0, 2)), ((65, 130), (130, 67))],
)  # fmt: skip
def test_matmul_is_numpys(lhs, rhs):
    a, b = normal(*lhs), normal(*rhs)
    result = martlet.matmul(a, b)
    expected = a.astype(np.float64) @ b.astype(np.float64)
    assert result.shape == expected.shape
    assert relative(result, expected) < 1e-6


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "int64", "uint32", "uint64"])
def test_matmul_of_other_dtypes(dtype):
    a = RNG.integers(0, 5, (4, 6)).astype(dtype)
    b = RNG.integers(0, 5, (6, 3)).astype(dtype)
    result = martlet.matmul(a, b)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result.numpy(), a @ b)


def test_views_of_any_strides_give_the_bits_of_their_copies():
    a, b = normal(40, 60), normal(60, 50)
    for left, right in ((a[::-1, ::2], b[:30]), (a.T[:40], b.T[:40]), (a[::3], b[:, ::-1])):
        plain = martlet.matmul(np.ascontiguousarray(left), np.ascontiguousarray(right))
        np.testing.assert_array_equal(martlet.matmul(left, right).numpy(), plain.numpy())


def test_linear_and_pack():
    x, w, b = normal(3, 9, 33), normal(17, 33), normal(17)
    expected = x.astype(np.float64) @ w.T + b
    plain = martlet.linear(x, w, b)
    assert relative(plain, expected) < 1e-6
    assert relative(martlet.linear(x, w), expected - b) < 1e-6
    packed = martlet.pack(w)
    assert packed.shape == (17, 33) and packed.is_read_only
    for _ in range(2):
        np.testing.assert_array_equal(martlet.linear(x, packed, b).numpy(), plain.numpy())


def convolve(x, w, b, stride, pads, dilation, groups):
    """Convolution in float64, as its definition says."""
    axes = x.ndim - 2
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pads])
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilation, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(range(2, 2 + axes)))
    keep = (slice(None),) * 2 + tuple(slice(None, None, s) for s in stride)
    windows = windows[keep + tuple(slice(None, None, d) for d in dilation)]
    parts = []
    for group in range(groups):
        cin, cout = w.shape[1], w.shape[0] // groups
        part = windows[:, group * cin : (group + 1) * cin]
        weight = w[group * cout : (group + 1) * cout].astype(np.float64)
        sums = list(range(2 + axes, 2 + 2 * axes))
        parts.append(np.moveaxis(np.tensordot(part, weight, ([1, *sums],
                                 [1, *range(2, 2 + axes)])), -1, 1))  # fmt: skip
    return np.concatenate(parts, 1) + b.reshape(1, -1, *(1,) * axes)


@pytest.mark.parametrize(
    ("axes", "channels", "options"),
    [
        (1, 4, {}),
        (1, 4, {"stride": 2, "padding": 3, "dilation": 2}),
        (2, 4, {}),
        (2, 4, {"padding": "same"}),
        (2, 4, {"stride": (2, 1), "padding": (1, 2), "groups": 2}),
        (2, 6, {"padding": (0, 1, 2, 3), "groups": 6}),
        (3, 4, {"padding": 1, "stride": 2}),
    ],
)
def test_convolutions(axes, channels, options):
    groups = options.get("groups", 1)
    x = normal(2, channels, *(9, 8, 7)[:axes])
    w, b = normal(6, channels // groups, *(3,) * axes), normal(6)
    result = [martlet.conv1d, martlet.conv2d, martlet.conv3d][axes - 1](x, w, b, **options)

    def spread(value):
        return (value,) * axes if isinstance(value, int) else value

    padding = options.get("padding", 0)
    padding = 1 if padding == "same" else padding
    flat = spread(padding)
    flat = tuple(flat) * 2 if len(flat) == axes else flat
    expected = convolve(
        x, w, b, spread(options.get("stride", 1)), list(zip(flat[:axes], flat[axes:], strict=True)),
        spread(options.get("dilation", 1)), groups,
    )  # fmt: skip
    assert result.shape == expected.shape
    assert relative(result, expected) < 1e-6


def test_softmax_and_layer_norm():
    x, scale, bias = normal(3, 5, 8), normal(8), normal(8)
    for axis in (-1, 0, 1):
        wide = np.exp(x.astype(np.float64) - x.max(axis, keepdims=True))
        assert relative(martlet.softmax(x, axis), wide / wide.sum(axis, keepdims=True)) < 1e-6
    wide = x.astype(np.float64)
    centred = wide - wide.mean(-1, keepdims=True)
    normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    assert relative(martlet.layer_norm(x), normed) < 1e-6
    assert relative(martlet.layer_norm(x, scale, bias), normed * scale + bias) < 1e-6


def test_activations():
    special = pytest.importorskip("scipy.special")
    x = np.linspace(-8, 8, 1001, dtype=np.float32)
    wide = x.astype(np.float64)
    sigmoid = 1 / (1 + np.exp(-wide))
    inner = np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)
    for function, expected in (
        (martlet.gelu, wide / 2 * (1 + special.erf(wide / np.sqrt(2)))),
        (lambda v: martlet.gelu(v, approximate="tanh"), wide / 2 * (1 + np.tanh(inner))),
        (martlet.silu, wide * sigmoid),
        (martlet.sigmoid, sigmoid),
        (martlet.relu, np.maximum(wide, 0)),
        (martlet.tanh, np.tanh(wide)),
        (martlet.exp, np.exp(wide)),
    ):
        assert relative(function(x), expected) < 1e-6


@pytest.mark.parametrize("causal", [False, True])
def test_attention(causal):
    q, k, v = normal(2, 4, 5, 8), normal(2, 4, 7, 8), normal(2, 4, 7, 6)
    scores = q.astype(np.float64) @ k.swapaxes(-1, -2) / np.sqrt(8)
    if causal:
        scores[..., np.arange(7)[None] > np.arange(5)[:, None]] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    expected = weights / weights.sum(-1, keepdims=True) @ v
    result = martlet.scaled_dot_product_attention(q, k, v, is_causal=causal)
    assert relative(result, expected) < 1e-6
    mask = RNG.random((5, 7)) > 0.2
    mask[:, 0] = True
    if not causal:
        weights = np.where(mask, weights, 0)
        expected = weights / weights.sum(-1, keepdims=True) @ v
        assert relative(martlet.scaled_dot_product_attention(q, k, v, mask), expected) < 1e-6


def test_any_operator_by_name():
    assert {"Add", "Concat", "Softmax"} <= set(martlet.operators())
    joined = martlet.op("Concat", normal(2, 3), normal(2, 4), axis=1)
    assert joined.shape == (2, 7)
    assert martlet.op("Add", normal(2, 3), 1.0).shape == (2, 3)
    clipped = martlet.op("Clip", np.arange(6, dtype=np.float32), None, np.float32(3))
    assert clipped.tolist() == [0, 1, 2, 3, 3, 3]
    x = normal(2, 6)
    first, second = martlet.op("Split", x, axis=1, num_outputs=2, outputs=2)
    np.testing.assert_array_equal(np.concatenate([first, second], 1), x)
    assert martlet.op("Transpose", x, perm=(1, 0)).shape == (6, 2)
    assert martlet.op("Transpose", x, perm=[np.int64(1), np.int64(0)]).shape == (6, 2)
    assert martlet.op("Softmax", x, axis=np.int32(0)).shape == (2, 6)
    assert martlet.op("Elu", x, alpha=np.float32(0.5)).shape == (2, 6)
    # An attribute named mode where the operator has one, the fast-math mode elsewhere.
    widths = np.array([1, 1])
    padded = martlet.op("Pad", np.arange(2, dtype=np.float32), widths, mode="edge")
    assert padded.tolist() == [0, 0, 1, 1]
    assert martlet.op("MatMul", x, normal(6, 2), mode="bf16").shape == (2, 2)


@pytest.mark.parametrize(
    ("call", "kind", "pattern"),
    [
        (lambda: martlet.matmul(normal(2, 3), normal(4, 5)), ValueError, r"[Mm]at[Mm]ul.*3.*4"),
        (lambda: martlet.matmul(normal(2, 3), normal(3, 4).astype("f8")), TypeError, "float64"),
        (lambda: martlet.matmul(normal(2, 3), "x"), TypeError, "dtype string"),
        (lambda: martlet.matmul(normal(2, 3), normal(3, 2), mode="BF17"), ValueError, "BF16"),
        (lambda: martlet.linear(normal(2, 3), normal(4, 5)), ValueError, "3"),
        (lambda: martlet.conv2d(normal(1, 2, 3), normal(2, 2, 3, 3)), ValueError, "conv2d"),
        (lambda: martlet.conv2d(normal(1, 2, 5, 5), normal(2, 2, 3, 3), stride=0), ValueError, "."),
        (lambda: martlet.conv2d(normal(1, 2, 5, 5), normal(2, 2, 3, 3), padding="x"),
         ValueError, "same"),
        (lambda: martlet.conv2d(normal(1, 2, 5, 5), normal(2, 2, 3, 3), dilation=(1, 1, 1)),
         ValueError, "dilation"),
        (lambda: martlet.softmax(normal(2, 3), 2), ValueError, "."),
        (lambda: martlet.layer_norm(normal(2, 3), epsilon=-1), ValueError, "epsilon"),
        (lambda: martlet.gelu(normal(3), "sigmoid"), ValueError, "tanh"),
        (lambda: martlet.scaled_dot_product_attention(normal(2, 3), normal(2, 4), normal(2, 3)),
         ValueError, "."),
        (lambda: martlet.matmul(None, normal(2, 2)), TypeError, "lhs is None"),
        (lambda: martlet.conv2d(None, normal(1, 1, 1, 1)), TypeError, "input is None"),
        (lambda: martlet.linear(normal(2, 2), None), TypeError, "weight is None"),
        (lambda: martlet.layer_norm(None), TypeError, "input is None"),
        (lambda: martlet.op("NoSuchOperator", normal(2)), ValueError, "NoSuchOperator"),
        (lambda: martlet.op("Concat", normal(2), no_such=1), ValueError, "no_such"),
        (lambda: martlet.op("Concat"), ValueError, "Concat"),
        (lambda: martlet.op("Relu", normal(2), outputs=0), ValueError, "outputs"),
        (lambda: martlet.op("Relu", object()), TypeError, "Relu: input 0"),
    ],
)  # fmt: skip
def test_errors_say_what_was_expected(call, kind, pattern):
    with pytest.raises(kind, match=pattern):
        call()
    assert martlet.matmul(normal(2, 3), normal(3, 4)).shape == (2, 4)


def test_error_fields_and_pickling():
    import pickle

    with pytest.raises(martlet.InvalidShapeError) as info:
        martlet.matmul(normal(2, 3), normal(4, 5))
    error = info.value
    assert isinstance(error, martlet.Error) and error.code == "INVALID_SHAPE"
    assert error.operator == "MatMul" and error.node is None
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and again.operator == "MatMul"


def test_bf16_mode_rounds_inputs_where_the_processor_has_units():
    a, b = normal(33, 65), normal(65, 47)
    exact = martlet.matmul(a, b).numpy()
    low = martlet.matmul(a, b, mode="BF16").numpy()
    with martlet.fast_math("BF16"):
        np.testing.assert_array_equal(martlet.matmul(a, b).numpy(), low)
        np.testing.assert_array_equal(martlet.matmul(a, b, mode="FP32").numpy(), exact)
    if martlet.cpu_info().has_bf16:
        rounded = [martlet.Tensor(x).astype("bfloat16").astype("float64").numpy() for x in (a, b)]
        assert relative(low, rounded[0] @ rounded[1]) < 1e-5
        assert not np.array_equal(low, exact)
    else:
        np.testing.assert_array_equal(low, exact)
    martlet.set_float32_fast_math_mode("BF16")
    np.testing.assert_array_equal(martlet.matmul(a, b).numpy(), low)
    martlet.set_float32_fast_math_mode("FP32")
    np.testing.assert_array_equal(martlet.matmul(a, b).numpy(), exact)


def test_functions_from_eight_threads():
    a, b = normal(64, 64), normal(64, 64)
    expected = martlet.matmul(a, b).numpy()
    failures = []

    def work():
        for _ in range(50):
            if not np.array_equal(martlet.matmul(a, b).numpy(), expected):
                failures.append("differs")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("name, shapes", [
    ("MatMulInteger", [(2**40, 0, 4), (2**40, 4, 0)]),
    ("MatMul", [(2**40, 0, 4), (2**40, 4, 0)]),
    ("ConvInteger", [(2**40, 0, 4, 4), (0, 0, 1, 1)]),
    ("Conv", [(2**40, 0, 4, 4), (0, 0, 1, 1)]),
    ("MaxPool", [(2**40, 3, 0, 32)]),
    ("AveragePool", [(2**40, 3, 5, 0)]),
    ("LRN", [(2**40, 5, 0, 5)]),
    ("LpNormalization", [(2**40, 0)]),
    ("MeanVarianceNormalization", [(2**40, 3, 3, 0)]),
])  # fmt: skip
def test_any_number_of_empty_matrices_is_no_work(name, shapes):
    dtype = np.uint8 if "Integer" in name else np.float32
    attributes = {"LRN": {"size": 3}}.get(name, {})
    if "Pool" in name:
        attributes = {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}
    result = martlet.op(name, *(np.zeros(shape, dtype) for shape in shapes), **attributes)
    assert result.shape[0] == 2**40 and 0 in result.shape


def test_a_quantisation_block_of_any_size():
    x, scale = np.ones((4, 6), np.float32), np.ones((4, 1), np.float32)
    zero = np.zeros((4, 1), np.uint8)
    result = martlet.op("QuantizeLinear", x, scale, zero, axis=1, block_size=2**63 - 1)
    np.testing.assert_array_equal(result.numpy(), x)
