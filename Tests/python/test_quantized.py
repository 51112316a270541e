"""Integer operators on random data, and a quantised model, against ONNX Runtime."""

import numpy as np
import pytest

import martlet

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper  # noqa: E402

BYTES = [np.uint8, np.int8]


def run_both(op, inputs, outputs=("y",), opset=21, **attributes):
    """The outputs of one node on both: ONNX Runtime's, then Martlet's."""
    inputs = [value if value is None else np.asarray(value) for value in inputs]
    named = {f"i{index}": value for index, value in enumerate(inputs) if value is not None}
    node = helper.make_node(
        op, [f"i{i}" if value is not None else "" for i, value in enumerate(inputs)],
        list(outputs), **attributes,
    )  # fmt: skip
    graph = helper.make_graph(
        [node], "g",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for name, value in named.items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 10
    data = model.SerializeToString()
    reference = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    expected = reference.run(None, named)
    actual = martlet.load(data)(*named.values())
    actual = actual if isinstance(actual, tuple) else (actual,)
    return expected, [np.asarray(value) for value in actual]


def draw(random, dtype, shape):
    info = np.iinfo(dtype)
    return random.integers(info.min, info.max + 1, shape).astype(dtype)


def draw_weights(random, dtype, shape):
    """On AVX2 ONNX Runtime's products of uint8 by int8 saturate unless the weights have 7 bits."""
    return (
        draw(random, dtype, shape) // np.array(2, dtype)
        if dtype is np.int8
        else draw(random, dtype, shape)
    )


def assert_near(actual, expected, share=0.002):
    """Equal but for a unit here and there, where factors are rounded in another order."""
    assert actual.dtype == expected.dtype and actual.shape == expected.shape
    difference = np.abs(actual.astype(np.int64) - expected.astype(np.int64))
    assert difference.max(initial=0) <= 1
    assert (difference > 0).mean() <= share if difference.size else True


@pytest.mark.parametrize("rhs", BYTES)
@pytest.mark.parametrize("lhs", BYTES)
def test_matmul_integer(lhs, rhs):
    random = np.random.default_rng(1)
    if lhs is np.int8 and rhs is np.uint8:
        pytest.skip("ONNX Runtime does not multiply int8 by uint8")
    for _ in range(40):
        m, n, k = random.integers(1, 80, 3)
        batch = [(), (), (3,), (2, 3)][random.integers(4)]
        shared = random.integers(2)
        a = draw(random, lhs, (*batch, m, k))
        b = draw_weights(random, rhs, (*(() if shared else batch), k, n))
        az = draw(random, lhs, ())
        bz = draw(random, rhs, [(), (n,)][random.integers(2)] if b.ndim == 2 else ())
        (expected,), (actual,) = run_both("MatMulInteger", [a, b, az, bz])
        np.testing.assert_array_equal(actual, expected)
        exact = (a.astype(np.int64) - az) @ (b.astype(np.int64) - bz)
        np.testing.assert_array_equal(actual, exact)


def test_matmul_integer_with_zero_points_per_row():
    random = np.random.default_rng(2)
    for lhs in BYTES:
        for rhs in BYTES:
            a, b = draw(random, lhs, (3, 17, 70)), draw(random, rhs, (3, 70, 33))
            az, bz = draw(random, lhs, (3, 17, 1)), draw(random, rhs, (3, 1, 33))
            node = helper.make_node("MatMulInteger", ["a", "b", "az", "bz"], ["y"])
            values = {"a": a, "b": b, "az": az, "bz": bz}
            graph = helper.make_graph(
                [node], "g",
                [
                    helper.make_tensor_value_info(
                        name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
                    )
                    for name, value in values.items()
                ],
                [helper.make_tensor_value_info("y", TensorProto.INT32, None)],
            )  # fmt: skip
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
            actual = martlet.load(model.SerializeToString())(a, b, az, bz)
            expected = (a.astype(np.int64) - az) @ (b.astype(np.int64) - bz)
            np.testing.assert_array_equal(np.asarray(actual), expected)


@pytest.mark.parametrize("rhs", BYTES)
def test_qlinear_matmul(rhs):
    random = np.random.default_rng(3)
    for index in range(40):
        lhs = np.uint8 if rhs is np.uint8 or index % 2 else np.int8
        m, n, k = random.integers(1, 70, 3)
        batch = [(), (3,), (2, 2)][random.integers(3)]
        a, b = draw(random, lhs, (*batch, m, k)), draw_weights(random, rhs, (k, n))
        columns = [(), (n,)][random.integers(2)]
        scale_b = random.uniform(0.01, 0.02, columns).astype(np.float32)
        y = np.float32(np.sqrt(k))
        (expected,), (actual,) = run_both(
            "QLinearMatMul",
            [
                a, np.float32(0.02), draw(random, lhs, ()), b, scale_b,
                np.zeros(columns, rhs) if index % 2 else np.full(columns, 3, rhs), y,
                draw(random, lhs, ()),
            ])  # fmt: skip
        assert_near(actual, expected)


@pytest.mark.parametrize("w_type", BYTES)
def test_convolutions(w_type):
    random = np.random.default_rng(4)
    for index in range(40):
        group = int(random.choice([1, 1, 2]))
        c, m = group * random.integers(1, 9), group * random.integers(1, 17)
        kernel = random.integers(1, 4, 2)
        size = kernel * 2 + random.integers(0, 12, 2)
        attributes = {
            "group": group, "strides": random.integers(1, 3, 2).tolist(),
            "dilations": random.integers(1, 3, 2).tolist(),
            "pads": random.integers(0, 3, 4).tolist(),
        }  # fmt: skip
        x = draw(random, np.uint8, (2, c, *size))
        w = draw_weights(random, w_type, (m, c // group, *kernel))
        x_zero, w_zero = draw(random, np.uint8, ()), draw(random, w_type, ())
        (expected,), (actual,) = run_both("ConvInteger", [x, w, x_zero, w_zero], **attributes)
        np.testing.assert_array_equal(actual, expected)
        channels = [(), (m,)][index % 2]
        bias = random.integers(-5000, 5000, m).astype(np.int32)
        (expected,), (actual,) = run_both(
            "QLinearConv",
            [
                x, np.float32(0.02), x_zero, w,
                random.uniform(0.01, 0.02, channels).astype(np.float32),
                np.full(channels, w_zero), np.float32(1.5), draw(random, np.uint8, ()), bias,
            ],
            **attributes)  # fmt: skip
        assert_near(actual, expected)


def test_quantize_and_dequantize():
    random = np.random.default_rng(5)
    for index in range(60):
        dtype = [np.uint8, np.int8, np.uint16, np.int16][index % 4]
        shape = tuple(random.integers(1, 40, random.integers(1, 4)))
        axis = int(random.integers(len(shape)))
        form = index % 3
        block = 0
        if form == 0:
            scale_shape = ()
        elif form == 1:
            scale_shape = (shape[axis],)
        else:
            block = int(random.integers(1, shape[axis] + 1))
            scale_shape = list(shape)
            scale_shape[axis] = -(-shape[axis] // block)
        scale = random.uniform(0.5, 2, scale_shape).astype(np.float32)
        zero = draw(random, dtype, scale_shape)
        x = (random.standard_normal(shape) * 300).astype(np.float32)
        x.flat[::7] = np.round(x.flat[::7]) + 0.5
        attributes = {"axis": axis} | ({"block_size": block} if block else {})
        (expected,), (actual,) = run_both("QuantizeLinear", [x, scale, zero], **attributes)
        np.testing.assert_array_equal(actual, expected)
        (back,), (ours,) = run_both("DequantizeLinear", [expected, scale, zero], **attributes)
        np.testing.assert_array_equal(ours, back)


def test_dynamic_quantize():
    random = np.random.default_rng(6)
    for index in range(60):
        x = random.standard_normal(tuple(random.integers(1, 90, 2))) * 10 + [0, 30, -30][index % 3]
        expected, actual = run_both(
            "DynamicQuantizeLinear", [x.astype(np.float32)], ("y", "scale", "zero")
        )
        for ours, theirs in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    expected, actual = run_both(
        "DynamicQuantizeLinear", [np.zeros((3, 4), np.float32)], ("y", "scale", "zero")
    )
    np.testing.assert_array_equal(actual[0], expected[0])
    assert actual[1] == expected[1]


def test_smart_turn(fetched_models):
    """A transformer quantised by others, in QDQ form: the probability that a turn has ended."""
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
    import real_inputs

    try:
        path = real_inputs.model_path("smart_turn")
    except FileNotFoundError:
        pytest.skip(f"smart_turn could not be fetched: {fetched_models[1].splitlines()[-1]}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # The graph as it is written: fused, ONNX Runtime's own results move more.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    reference = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    model = martlet.load(path)
    random = np.random.default_rng(7)
    for batch in (1, 2):
        features = random.standard_normal((batch, 80, 800)).astype(np.float32)
        name = reference.get_inputs()[0].name
        (expected,) = reference.run(None, {name: features})
        actual = np.asarray(model(features))
        assert actual.shape == expected.shape
        np.testing.assert_allclose(actual, expected, atol=0.02)
