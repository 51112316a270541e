"""Normalisations, activations and fused products of com.microsoft against ONNX Runtime."""

import numpy as np
import pytest
from microsoft_case import assert_close, draw, make_model

import martlet

FLOATS = [np.float32, np.float16]


def tolerance(dtype):
    return {"rtol": 2e-3, "atol": 2e-3} if dtype is np.float16 else {}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(2, 3, 8), (5, 16)])
def test_skip_layer_normalization(dtype, shape):
    random = np.random.default_rng(1)
    width = shape[-1]
    x, skip = draw(random, dtype, shape), draw(random, dtype, shape)
    gamma, beta, bias = (draw(random, dtype, (width,)) for _ in range(3))
    names = ("y", "mean", "inv", "sum") if dtype is np.float32 else ("y", "", "", "sum")
    for extra in ([], [beta], [beta, bias], [None, bias]):
        assert_close(
            "SkipLayerNormalization", [x, skip, gamma, *extra], names, epsilon=1e-5,
            **tolerance(dtype),
        )  # fmt: skip
    for extra in ([], [bias]):
        assert_close(
            "SkipSimplifiedLayerNormalization", [x, skip, gamma, *extra], ("y", "", "", "sum"),
            epsilon=1e-5, **tolerance(dtype),
        )  # fmt: skip


def test_skip_layer_normalization_broadcasts_skip():
    random = np.random.default_rng(2)
    x, gamma = draw(random, np.float32, (3, 4, 8)), draw(random, np.float32, (8,))
    for shape in [(1, 4, 8), (4, 8)]:
        skip = draw(random, np.float32, shape)
        assert_close("SkipLayerNormalization", [x, skip, gamma], ("y", "", "", "sum"))
    # A constant row is 0.
    ones = np.ones((1, 2, 8), np.float32)
    (y,) = assert_close("SkipLayerNormalization", [ones, ones, gamma])
    assert (y == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_simplified_layer_normalization(dtype):
    random = np.random.default_rng(3)
    x = draw(random, dtype, (2, 3, 8))
    for axis in (-1, 1, 2):
        scale = draw(random, dtype, (3, 8) if axis == 1 else (8,))
        assert_close(
            "SimplifiedLayerNormalization", [x, scale], domain="", axis=axis, epsilon=1e-6,
            **tolerance(dtype),
        )  # fmt: skip
    names = ("y", "inv")
    if dtype is np.float32:
        assert_close("SimplifiedLayerNormalization", [x, scale], names, domain="", axis=-1)


def test_embed_layer_normalization():
    random = np.random.default_rng(4)
    word, position, segment = (draw(random, np.float32, (n, 8)) for n in (20, 9, 2))
    gamma, beta = draw(random, np.float32, (8,)), draw(random, np.float32, (8,))
    ids = random.integers(0, 20, (2, 5)).astype(np.int32)
    segments = random.integers(0, 2, (2, 5)).astype(np.int32)
    mask = np.array([[1, 1, 1, 0, 0], [0, 1, 0, 0, 0]], np.int32)
    names = ("y", "mask_index", "sum")
    common = [word, position, segment, gamma, beta]
    assert_close("EmbedLayerNormalization", [ids, segments, *common], names, constants=range(2, 7))
    _, counts, _ = assert_close("EmbedLayerNormalization", [ids, segments, *common, mask], names)
    assert counts.tolist() == [3, 1]
    common[2] = None
    for places in (random.integers(0, 9, (2, 5)), random.integers(0, 9, (1, 5))):
        assert_close(
            "EmbedLayerNormalization", [ids, None, *common, None, places.astype(np.int32)], names
        )
    data, _ = make_model("EmbedLayerNormalization", [ids, None, *common], names, "com.microsoft")
    with pytest.raises(martlet.Error, match="Gather"):
        martlet.load(data)(np.full((2, 5), 20, np.int32), *common[:2], *common[3:])


@pytest.mark.parametrize("dtype", FLOATS)
def test_gelus(dtype):
    random = np.random.default_rng(5)
    x = (3 * random.standard_normal((4, 5, 32))).astype(dtype)
    bias = draw(random, dtype, (32,))
    near = tolerance(dtype)
    assert_close("FastGelu", [x], **near)
    assert_close("FastGelu", [x, bias], **near)
    assert_close("QuickGelu", [x], **near)
    assert_close("QuickGelu", [x], alpha=0.5, **near)
    if dtype is np.float32:
        assert_close("Gelu", [x])
        assert_close("BiasGelu", [x, bias])


def test_bias_split_gelu():
    from math import erf

    random = np.random.default_rng(6)
    x, bias = draw(random, np.float32, (2, 3, 8)), draw(random, np.float32, (8,))
    data, feeds = make_model("BiasSplitGelu", [x, bias], ("y",), "com.microsoft")
    left, right = np.split(x.astype(np.float64) + bias, 2, -1)
    expected = left * right / 2 * (1 + np.vectorize(erf)(right / np.sqrt(2)))
    np.testing.assert_allclose(martlet.load(data)(*feeds.values()), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_matmul(dtype):
    random = np.random.default_rng(7)
    for shapes in [((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((4,), (4, 5))]:
        a, b = (draw(random, dtype, shape) for shape in shapes)
        for swap_a in (0, 1):
            for swap_b in (0, 1):
                left = a.swapaxes(-1, -2) if swap_a and a.ndim > 1 else a
                right = b.swapaxes(-1, -2) if swap_b else b
                assert_close(
                    "FusedMatMul", [np.ascontiguousarray(left), np.ascontiguousarray(right)],
                    transA=swap_a, transB=swap_b, alpha=0.5,
                )  # fmt: skip
    a, b = draw(random, dtype, (3, 2, 4)), draw(random, dtype, (2, 4, 5))
    assert_close("FusedMatMul", [a, b], transBatchA=1)
    assert_close("FusedMatMul", [draw(random, dtype, (4, 2, 3)), b], transBatchA=1, transA=1)
    assert_close(
        "FusedMatMul", [draw(random, dtype, (2, 3, 4)), draw(random, dtype, (4, 2, 5))],
        transBatchB=1,
    )  # fmt: skip


def test_fused_conv():
    random = np.random.default_rng(8)
    x, w = draw(random, np.float32, (2, 4, 7, 7)), draw(random, np.float32, (6, 4, 3, 3))
    b, z = draw(random, np.float32, (6,)), draw(random, np.float32, (2, 6, 7, 7))
    for name, values in [
        ("Relu", []), ("Tanh", []), ("Sigmoid", []), ("LeakyRelu", [0.2]), ("Clip", [-0.5, 0.7]),
        ("HardSigmoid", [0.3, 0.4]), ("HardSwish", []),
    ]:  # fmt: skip
        more = {"activation": name} | ({"activation_params": values} if values else {})
        for inputs in ([x, w], [x, w, b], [x, w, b, z], [x, w, None, z]):
            assert_close("FusedConv", inputs, pads=[1] * 4, constants=(1,), atol=1e-4, **more)
    data, _ = make_model("FusedConv", [x, w], ("y",), "com.microsoft", activation="Gelu")
    with pytest.raises(martlet.UnsupportedError, match="activation 'Gelu'"):
        martlet.load(data)


def test_fused_gemm():
    random = np.random.default_rng(9)
    a, b = draw(random, np.float32, (5, 7)), draw(random, np.float32, (7, 6))
    c = draw(random, np.float32, (6,))
    for name, values in [
        ("Relu", {}), ("LeakyRelu", {"activation_alpha": 0.2}),
        ("Elu", {"activation_alpha": 0.7}),
        ("Selu", {"activation_alpha": 1.7, "activation_gamma": 1.1}),
        ("HardSigmoid", {"activation_alpha": 0.3, "activation_beta": 0.4}), ("Sigmoid", {}),
        ("Tanh", {}), ("Softplus", {}), ("Softsign", {}),
        ("ThresholdedRelu", {"activation_alpha": 0.5}),
        ("ScaledTanh", {"activation_alpha": 1.7, "activation_beta": 0.6}),
        ("ParametricSoftplus", {"activation_alpha": 1.2, "activation_beta": 0.8}),
    ]:  # fmt: skip
        for inputs in ([a, b], [a, b, c]):
            assert_close(
                "FusedGemm", inputs, alpha=0.5, beta=1.5, activation=name, atol=1e-4, **values
            )
    assert_close("FusedGemm", [a.T.copy(), b.T.copy(), c], transA=1, transB=1, activation="Relu")
