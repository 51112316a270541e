"""Quantised operators of com.microsoft against ONNX Runtime."""

import numpy as np
import onnx
import pytest
from microsoft_case import assert_close, draw, make_model, run_both, run_martlet
from onnx import TensorProto, helper, numpy_helper

import martlet

BYTES = [np.uint8, np.int8]


def one(value, dtype=np.float32):
    return np.array(value, dtype)


def assert_near(op, inputs, share=0.01, **keywords):
    """Both agree but for a unit here and there, where a quotient is a tie in one of them."""
    (expected,), (actual,) = run_both(op, inputs, **keywords)
    assert actual.dtype == expected.dtype and actual.shape == expected.shape
    difference = np.abs(actual.astype(np.int64) - expected.astype(np.int64))
    assert difference.max(initial=0) <= 1
    assert (difference > 0).sum() <= max(1, share * difference.size)


def weights(random, dtype, shape):
    """On AVX2 ONNX Runtime's products of uint8 by int8 saturate unless the weights have 7 bits."""
    values = draw(random, dtype, shape)
    return values // np.array(2, dtype) if dtype is np.int8 else values


@pytest.mark.parametrize("dtype", BYTES)
def test_elements(dtype):
    random = np.random.default_rng(1)
    for shapes in [((2, 3, 40), (2, 3, 40)), ((2, 3, 40), (40,)), ((3, 1), (1, 5)), ((7,), ())]:
        a, b = (draw(random, dtype, shape) for shape in shapes)
        zeros = draw(random, dtype, (3,))
        for op in ("QLinearAdd", "QLinearMul"):
            assert_near(op, [a, one(0.02), zeros[0], b, one(0.03), zeros[1], one(0.05), zeros[2]])
    x = draw(random, dtype, (3, 100))
    zero = draw(random, dtype, (2,))
    y = [one(1 / 256), one(-128 if dtype is np.int8 else 0, dtype)]
    assert_near("QLinearSigmoid", [x, one(0.05), zero[0], *y], share=0.03)
    for alpha in (0.01, 0.3):
        assert_near("QLinearLeakyRelu", [x, one(0.05), zero[0], one(0.04), zero[1]], alpha=alpha)
    x = draw(random, dtype, (3, 4, 10))
    for opset, axis in [(13, -1), (13, 1), (12, 1), (12, 2), (11, 0)]:
        assert_near(
            "QLinearSoftmax", [x, one(0.05), zero[0], *y], opset=opset, axis=axis, share=0.05
        )


@pytest.mark.parametrize("dtype", BYTES)
def test_concat(dtype):
    random = np.random.default_rng(2)
    a, b, c = (draw(random, dtype, (2, n, 5)) for n in (1, 3, 2))
    zeros = draw(random, dtype, (3,))
    result = [one(0.02), zeros[0]]
    for axis in (1, -2):
        assert_near(
            "QLinearConcat",
            [*result, a, one(0.02), zeros[0], b, one(0.03), zeros[1], c, one(0.01), zeros[2]],
            axis=axis, constants=(0, 1, 3, 4, 6, 7, 9, 10),
        )  # fmt: skip


@pytest.mark.parametrize("dtype", BYTES)
def test_choice(dtype):
    random = np.random.default_rng(10)
    which = random.integers(0, 2, (4, 1)).astype(bool)
    a, b = draw(random, dtype, (4, 9)), draw(random, dtype, (9,))
    zeros = draw(random, dtype, (3,))
    constants = (2, 3, 5, 6, 7, 8)
    inputs = [which, a, one(0.02), zeros[0], b, one(0.03), zeros[1], one(0.05), zeros[2]]
    assert_near("QLinearWhere", inputs, constants=constants, share=0.05)


@pytest.mark.parametrize("dtype", [*BYTES, np.uint16, np.int16])
def test_quantize_and_dequantize(dtype):
    random = np.random.default_rng(11)
    x = (5 * random.standard_normal((3, 4))).astype(np.float32)
    zero = np.array([3, 4, 5, 6], dtype)
    scale = random.uniform(0.1, 0.2, 4).astype(np.float32)
    expected, actual = run_both("QuantizeLinear", [x, scale, zero])
    np.testing.assert_array_equal(actual[0], expected[0])
    assert_close("DequantizeLinear", [actual[0], scale, zero])


@pytest.mark.parametrize("dtype", BYTES)
@pytest.mark.parametrize("channels_last", [0, 1])
def test_pools(dtype, channels_last):
    random = np.random.default_rng(3)
    x = draw(random, dtype, (2, 6, 9, 8))
    zero = draw(random, dtype, (2,))
    inputs = [x, one(0.03), zero[0], one(0.02), zero[1]]
    last = {"channels_last": channels_last}
    assert_near("QLinearGlobalAveragePool", inputs, share=0.05, **last)
    for more in (
        {}, {"pads": [1] * 4, "count_include_pad": 1}, {"pads": [1, 0, 1, 1]},
        {"strides": [2, 2], "ceil_mode": 1}, {"auto_pad": "SAME_UPPER"},
    ):  # fmt: skip
        assert_near("QLinearAveragePool", inputs, kernel_shape=[3, 2], share=0.05, **last, **more)
        if channels_last:
            expected, actual = run_both("NhwcMaxPool", [x], kernel_shape=[3, 2], **{
                key: value for key, value in more.items() if key != "count_include_pad"
            })  # fmt: skip
            np.testing.assert_array_equal(actual[0], expected[0])


@pytest.mark.parametrize("dtype", BYTES)
def test_conv(dtype):
    random = np.random.default_rng(4)
    x, w = draw(random, np.uint8, (2, 7, 7, 4)), weights(random, dtype, (6, 2, 3, 3))
    bias = random.integers(-999, 999, (6,)).astype(np.int32)
    for count in ((), (6,)):
        scale = random.uniform(0.01, 0.02, count).astype(np.float32)
        zeros = np.zeros(count, dtype)
        inputs = [
            x, one(0.02), one(7, np.uint8), w, scale, zeros, one(0.05), one(3, np.uint8), bias,
        ]  # fmt: skip
        assert_near(
            "QLinearConv", inputs, constants=(1, 2, 3, 4, 5, 6, 7, 8), channels_last=1, group=2,
            pads=[1] * 4, kernel_shape=[3, 3],
        )  # fmt: skip


@pytest.mark.parametrize("kinds", [(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)])
def test_gemm(kinds):
    random = np.random.default_rng(5)
    a, b = draw(random, kinds[0], (5, 9)), weights(random, kinds[1], (9, 6))
    for columns in ((), (6,)):
        scale = random.uniform(0.01, 0.02, columns).astype(np.float32)
        zero_b = weights(random, kinds[1], columns)
        for c_shape in (None, (6,), (5, 1), (1, 6), (5, 6), ()):
            c = None if c_shape is None else random.integers(-999, 999, c_shape).astype(np.int32)
            for swaps in (0, 1):
                operands = [a.T.copy(), b.T.copy()] if swaps else [a, b]
                inputs = [
                    operands[0], one(0.03), draw(random, kinds[0], ()), operands[1], scale, zero_b,
                    c,
                ]  # fmt: skip
                flags = {"transA": swaps, "transB": swaps, "alpha": 0.7}
                assert_close("QGemm", inputs, **flags)
                assert_near(
                    "QGemm", [*inputs, one(0.5), one(9, kinds[0])], constants=(3, 4, 5), **flags
                )
    # ONNX Runtime lacks int8 by uint8.
    a, b = draw(random, np.int8, (5, 9)), draw(random, np.uint8, (9, 6))
    data, feeds = make_model(
        "QGemm", [a, one(0.1), one(3, np.int8), b, one(0.2), one(4, np.uint8)], ("y",),
        "com.microsoft",
    )  # fmt: skip
    exact = (a.astype(np.int64) - 3) @ (b.astype(np.int64) - 4)
    np.testing.assert_allclose(run_martlet(data, feeds)[0], exact * 0.02, rtol=1e-5)


@pytest.mark.parametrize("rhs", BYTES)
def test_products(rhs):
    random = np.random.default_rng(6)
    a, b = draw(random, np.float32, (2, 5, 33)), weights(random, rhs, (33, 8))
    bias = draw(random, np.float32, (8,))
    for columns in ((), (8,)):
        scale = random.uniform(0.01, 0.02, columns).astype(np.float32)
        zero = weights(random, rhs, columns)
        for more in ([scale], [scale, zero], [scale, zero, bias], [scale, None, bias]):
            for constants in ((), (1,)):
                assert_close("DynamicQuantizeMatMul", [a, b, *more], constants=constants, atol=1e-4)
        for lhs in BYTES:
            if (lhs, rhs) == (np.int8, np.uint8):
                continue
            x = draw(random, lhs, (2, 5, 33))
            for more in ([], [one(5, lhs), zero], [one(5, lhs), zero, bias], [None, None, bias]):
                assert_close(
                    "MatMulIntegerToFloat", [x, b, one(0.02), scale, *more], rtol=1e-5, atol=1e-4
                )
    (y,) = assert_close("DynamicQuantizeMatMul", [np.zeros((2, 33), np.float32), b, one(0.01)])
    assert (y == 0).all()


def lstm(random, kind, directions, steps, batch, width, hidden, per_channel):
    gates = 4 * hidden
    count = (directions, gates) if per_channel else (directions,)
    scale = [random.uniform(0.002, 0.006, count).astype(np.float32) for _ in range(2)]
    zeros = [
        np.zeros(count, kind) if kind is np.int8 else np.full(count, 120, kind) for _ in range(2)
    ]
    return {
        "X": draw(random, np.float32, (steps, batch, width)),
        "W": weights(random, kind, (directions, width, gates)),
        "R": weights(random, kind, (directions, hidden, gates)),
        "B": draw(random, np.float32, (directions, 2 * gates)),
        "lens": None, "h": None, "c": None, "P": None,
        "Ws": scale[0], "Wz": zeros[0], "Rs": scale[1], "Rz": zeros[1],
    }  # fmt: skip


@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize("per_channel", [False, True])
def test_lstm(kind, per_channel):
    """One row, whose states both quantise alike: what is left are the activations' errors, which
    may move a state by a quantum."""
    random = np.random.default_rng(7)
    names = ("y", "h", "c")
    for direction, directions in [("forward", 1), ("reverse", 1), ("bidirectional", 2)]:
        inputs = lstm(random, kind, directions, 6, 1, 5, 8, per_channel)
        for constants in ((), (1, 2, 8, 9, 10, 11)):
            assert_close(
                "DynamicQuantizeLSTM", list(inputs.values()), names, hidden_size=8,
                direction=direction, constants=constants, rtol=0, atol=0.01,
            )  # fmt: skip
        inputs["h"], inputs["c"] = (draw(random, np.float32, (directions, 1, 8)) for _ in "hc")
        inputs["P"] = draw(random, np.float32, (directions, 24))
        inputs["lens"] = np.array([4], np.int32)
        assert_close(
            "DynamicQuantizeLSTM", list(inputs.values()), names, hidden_size=8, clip=1.5,
            direction=direction, rtol=0, atol=0.01,
        )  # fmt: skip


def test_lstm_rows_do_not_depend_on_the_batch():
    random = np.random.default_rng(8)
    inputs = lstm(random, np.int8, 1, 5, 3, 4, 6, False)
    data, feeds = make_model(
        "DynamicQuantizeLSTM", list(inputs.values()), ("y",), "com.microsoft", hidden_size=6
    )
    (whole,) = run_martlet(data, feeds)
    x = inputs["X"]
    for row in range(3):
        # The range of X is that of the whole, which other rows may make.
        others = np.sort(x.reshape(5, 12), 1)[:, None]
        inputs["X"] = np.concatenate([x[:, row : row + 1], others[..., :4], others[..., -4:]], 1)
        data, feeds = make_model(
            "DynamicQuantizeLSTM", list(inputs.values()), ("y",), "com.microsoft", hidden_size=6
        )
        np.testing.assert_array_equal(run_martlet(data, feeds)[0][:, :, 0], whole[:, :, row])


def test_quantised_by_onnxruntime(tmp_path):
    """What ONNX Runtime's own tool writes in its QOperator form, and dynamically."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )

    random = np.random.default_rng(9)

    def draws(*shape):
        return (0.3 * random.standard_normal(shape)).astype(np.float32)

    class Feed(CalibrationDataReader):
        def __init__(self, shape):
            self.rows = iter([{"x": draws(*shape)} for _ in range(4)])

        def get_next(self):
            return next(self.rows, None)

    def save(nodes, shape, consts):
        graph = helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in consts.items()],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, tmp_path / "a.onnx")

    def check(shape, atol):
        from microsoft_case import run_peer

        data = (tmp_path / "b.onnx").read_bytes()
        feeds = {"x": draws(*shape)}
        (expected,), (actual,) = run_peer(data, feeds), run_martlet(data, feeds)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)
        return {node.op_type for node in onnx.load_from_string(data).graph.node}

    shape = (1, 4, 8, 8)
    save(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
            helper.make_node("LeakyRelu", ["a"], ["l"]),
            helper.make_node("Add", ["l", "x"], ["s"]),
            helper.make_node("GlobalAveragePool", ["s"], ["p"]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Gemm", ["f", "g", "b"], ["y"], transB=1),
        ],
        shape, {"w": draws(4, 4, 3, 3), "g": draws(5, 4), "b": draws(5)},
    )  # fmt: skip
    quantize_static(
        tmp_path / "a.onnx", tmp_path / "b.onnx", Feed(shape), quant_format=QuantFormat.QOperator
    )
    assert {"QLinearAdd", "QLinearLeakyRelu", "QGemm"} <= check(shape, 0.01)
    save(
        [helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=4)], (5, 1, 3),
        {"w": draws(1, 16, 3), "r": draws(1, 16, 4), "b": draws(1, 32)},
    )  # fmt: skip
    quantize_dynamic(tmp_path / "a.onnx", tmp_path / "b.onnx", weight_type=QuantType.QInt8)
    assert "DynamicQuantizeLSTM" in check((5, 1, 3), 0.005)


def test_missing_operators_are_named():
    for op in ("BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"):
        data, _ = make_model(op, [one(1.0)], ("y",), "com.microsoft")
        with pytest.raises(martlet.UnsupportedError, match=rf"{op} \(domain com.microsoft"):
            martlet.load(data)
