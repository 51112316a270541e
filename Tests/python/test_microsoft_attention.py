"""Attention, rotary embeddings and weights in blocks of com.microsoft against ONNX Runtime."""

import numpy as np
import pytest
from microsoft_case import assert_close, draw, make_model, run_both, run_martlet

import martlet

NEAR = {"rtol": 1e-4, "atol": 1e-5}


def floats(random, *shape):
    return draw(random, np.float32, shape)


def test_multi_head_attention():
    random = np.random.default_rng(1)
    batch, heads, width, new, keys = 2, 3, 8, 4, 5
    hidden = heads * width
    q = floats(random, batch, new, hidden)
    k, v = floats(random, batch, keys, hidden), floats(random, batch, keys, 2 * hidden)
    bias = floats(random, 4 * hidden)
    added = floats(random, 1, heads, new, keys)
    masks = [
        np.array([3, 5], np.int32),
        np.array([3, 5, 0, 3, 8, 0, 3, 8], np.int32),
        np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], np.int32),
        random.integers(0, 2, (batch, new, keys)).astype(np.int32),
    ]
    for more in ([], [bias], [None, masks[0]], [None, None, added], [bias, masks[2], added]):
        for flags in ({}, {"scale": 0.3}, {"scale": 0.0}):
            assert_close("MultiHeadAttention", [q, k, v, *more], num_heads=heads, **flags, **NEAR)
    # Not with fewer queries than keys, of which ONNX Runtime's last query sees all.
    for more in ([], [bias]):
        assert_close(
            "MultiHeadAttention", [q, k[:, :new], v[:, :new], *more], num_heads=heads,
            unidirectional=1, **NEAR,
        )  # fmt: skip
    for mask in masks:
        for filter_value in (-10000.0, -1.0):
            assert_close(
                "MultiHeadAttention", [q, k, v, None, mask], num_heads=heads,
                mask_filter_value=filter_value, **NEAR,
            )  # fmt: skip
    # A row of which all is hidden is the softmax of its scores.
    assert_close(
        "MultiHeadAttention", [q, k, v, None, np.zeros((batch, keys), np.int32)], num_heads=heads,
        rtol=1e-3, atol=2e-3,
    )  # fmt: skip


def test_multi_head_attention_with_a_past():
    random = np.random.default_rng(2)
    batch, heads, width, new, before = 2, 2, 8, 3, 4
    hidden = heads * width
    q, k, v = (floats(random, batch, new, hidden) for _ in range(3))
    past = [floats(random, batch, heads, before, width) for _ in range(2)]
    mask = np.array([[1] * 7, [1, 0, 1, 1, 1, 1, 0]], np.int32)
    names = ("y", "k", "v")
    for mask_input in (None, mask):
        for flags in ({}, {"unidirectional": 1}):
            assert_close(
                "MultiHeadAttention", [q, k, v, None, mask_input, None, *past], names,
                num_heads=heads, **flags, **NEAR,
            )  # fmt: skip
    split = [floats(random, batch, heads, 5, width) for _ in range(2)]
    assert_close("MultiHeadAttention", [q, *split], num_heads=heads, **NEAR)
    assert_close("MultiHeadAttention", [q, k, v], names, num_heads=heads, **NEAR)
    assert_close("MultiHeadAttention", [q, k, v], (*names, "qk"), num_heads=heads, **NEAR)
    packed, _ = make_model(
        "MultiHeadAttention", [floats(random, 1, 2, 2, 3, 8)], ("y",), "com.microsoft", num_heads=2
    )
    with pytest.raises(martlet.UnsupportedError, match="packed"):
        martlet.load(packed)


def test_attention():
    random = np.random.default_rng(3)
    batch, length, inner, heads = 2, 4, 12, 2
    x, w = floats(random, batch, length, inner), floats(random, inner, 48)
    bias = floats(random, 48)
    masks = [
        np.array([3, 4], np.int32), np.array([3, 4, 1, 0], np.int32),
        np.array([3, 4, 0, 3, 7, 0, 3, 7], np.int32),
        np.array([[1, 1, 0, 1], [0, 1, 1, 1]], np.int32),
        random.integers(0, 2, (batch, length, length)).astype(np.int32),
        np.array([[0], [0]], np.int32),
    ]  # fmt: skip
    for mask in [None, *masks]:
        for flags in ({}, {"unidirectional": 1}):
            assert_close(
                "Attention", [x, w, bias, mask], num_heads=heads, constants=(1, 2), **flags, **NEAR
            )
    assert_close("Attention", [x, w], ("y", "present"), num_heads=heads, **NEAR)
    added = floats(random, batch, heads, length, length)
    assert_close("Attention", [x, w, bias, masks[0], None, added], num_heads=heads, **NEAR)
    past = floats(random, 2, batch, heads, 3, 8)
    assert_close(
        "Attention", [x, w, bias, None, past], ("y", "present"), num_heads=heads,
        unidirectional=1, **NEAR,
    )  # fmt: skip
    assert_close(
        "Attention", [x, floats(random, inner, 64), None], num_heads=heads,
        qkv_hidden_sizes=[16, 16, 32], **NEAR,
    )  # fmt: skip


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
def test_quantised_attention(kind):
    random = np.random.default_rng(4)
    x = draw(random, np.uint8, (2, 4, 12))
    w = draw(random, kind, (12, 48)) // np.array(2, kind)
    bias = floats(random, 48)
    for scale in (np.array(0.01, np.float32), random.uniform(0.01, 0.02, 48).astype(np.float32)):
        zero = np.full(scale.shape, 3, kind)
        inputs = [x, w, bias, np.array(0.02, np.float32), scale]
        for more in ([], [np.array([3, 4], np.int32)], [None, np.array(100, np.uint8), zero]):
            assert_close("QAttention", [*inputs, *more], num_heads=2, rtol=1e-3, atol=1e-4)


def caches(random, rows, half):
    angles = random.uniform(-3, 3, (rows, half))
    return [np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)]


def test_rotary_embedding():
    random = np.random.default_rng(5)
    cos_sin = caches(random, 20, 4)
    x = floats(random, 2, 3, 32)
    rows = random.integers(0, 20, (2, 3))
    for positions in (rows, np.array([5])):
        for interleaved in (0, 1):
            more = {"interleaved": interleaved}
            assert_close("RotaryEmbedding", [x, positions, *cos_sin], **more)
            assert_close("RotaryEmbedding", [x, positions, *cos_sin], num_heads=4, **more)
            assert_close(
                "RotaryEmbedding", [floats(random, 2, 4, 3, 8), positions, *cos_sin], **more
            )
            assert_close(
                "RotaryEmbedding", [x, positions, *cos_sin], num_heads=2, rotary_embedding_dim=8,
                **more,
            )  # fmt: skip


def gqa(random, batch, new, before, buffer, heads=4, kv=2, width=16, packed=False):
    """Inputs 0 to 6 of GroupQueryAttention."""
    q = floats(random, batch, new, heads * width)
    k, v = (floats(random, batch, new, kv * width) for _ in range(2))
    past = [None, None]
    if buffer:
        past = [floats(random, batch, kv, buffer, width) for _ in range(2)]
        for tensor in past:
            for row, count in enumerate(before):
                tensor[row, :, count:] = 0
    lengths = np.array([count + new - 1 for count in before], np.int32)
    total = np.array(lengths.max() + 1, np.int32)
    parts = [np.concatenate([q, k, v], 2), None, None] if packed else [q, k, v]
    return [*parts, *past, lengths, total]


GQA = {"num_heads": 4, "kv_num_heads": 2}


@pytest.mark.parametrize("packed", [False, True])
def test_group_query_attention(packed):
    random = np.random.default_rng(6)
    names = ("y", "k", "v")
    for batch, new, before, buffer in [
        (2, 5, [0, 0], 0), (1, 1, [6], 6), (2, 1, [3, 6], 6), (2, 1, [3, 6], 12), (1, 3, [4], 4),
        (1, 4, [0], 9),
    ]:  # fmt: skip
        inputs = gqa(random, batch, new, before, buffer, packed=packed)
        total = int(inputs[6])
        rotary = caches(random, 20, 8)
        for flags in (
            {}, {"scale": 0.2}, {"softcap": 1.5}, {"local_window_size": 3},
            {"smooth_softmax": 1}, {"local_window_size": 2, "smooth_softmax": 1},
        ):  # fmt: skip
            assert_close("GroupQueryAttention", inputs, names, **GQA, **flags, **NEAR)
        for interleaved in (0, 1):
            assert_close(
                "GroupQueryAttention", [*inputs, *rotary], names, do_rotary=1,
                rotary_interleaved=interleaved, **GQA, **NEAR,
            )  # fmt: skip
        # One after another: of a prompt ONNX Runtime reads the first of a row alone.
        places = random.integers(0, 15, (batch, 1)) + np.arange(new)
        assert_close(
            "GroupQueryAttention", [*inputs, *rotary, places], names, do_rotary=1, **GQA, **NEAR
        )
        added = floats(random, 1, 4, new, total)
        assert_close(
            "GroupQueryAttention", [*inputs, None, None, None, added], names, softcap=2.0,
            **GQA, **NEAR,
        )  # fmt: skip
        sinks = floats(random, 4)
        assert_close(
            "GroupQueryAttention", [*inputs, None, None, None, None, sinks], names, **GQA, **NEAR
        )
        for stage in (1, 2):
            assert_close(
                "GroupQueryAttention", inputs, (*names, "qk"), qk_output=stage, **GQA, **NEAR
            )
        # Without the cache as an output, of which ONNX Runtime then does not read the past.
        whole, alone = (
            run_martlet(*make_model("GroupQueryAttention", inputs, out, "com.microsoft", **GQA))[0]
            for out in (names, ("y",))
        )
        np.testing.assert_array_equal(alone, whole)


def test_group_query_attention_of_normalised_heads():
    # ONNX Runtime's CPU has it not: it is given queries and keys that are normalised.
    random = np.random.default_rng(9)
    for before, new in (([0, 0], 5), ([3, 6], 1)):
        inputs = gqa(random, 2, new, before, max(before))
        weights = [np.abs(floats(random, 16)) + np.float32(0.5) for _ in range(2)]
        normalised = list(inputs)
        for index, weight in enumerate(weights):
            x = inputs[index].astype(np.float64).reshape(2, new, -1, 16)
            x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * weight
            normalised[index] = x.reshape(2, new, -1).astype(np.float32)
        rotary = caches(random, 20, 8)
        data, feeds = make_model(
            "GroupQueryAttention", [*inputs, *rotary, *[None] * 5, *weights], ("y", "k", "v"),
            "com.microsoft", do_rotary=1, **GQA,
        )  # fmt: skip
        expected, _ = run_both(
            "GroupQueryAttention", [*normalised, *rotary], ("y", "k", "v"), do_rotary=1, **GQA
        )
        for want, got in zip(expected, run_martlet(data, feeds), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_group_query_attention_in_16_bits():
    random = np.random.default_rng(7)
    inputs = gqa(random, 1, 1, [6], 6)
    inputs[:5] = [value.astype(np.float16) for value in inputs[:5]]
    assert_close("GroupQueryAttention", inputs, ("y", "k", "v"), rtol=2e-3, atol=2e-3, **GQA)


def test_padded_prompts():
    random = np.random.default_rng(8)
    inputs = gqa(random, 2, 5, [0, 0], 0)
    inputs[5] = np.array([2, 4], np.int32)
    (expected, *theirs), (actual, *ours) = run_both(
        "GroupQueryAttention", inputs, ("y", "k", "v"), **GQA
    )
    np.testing.assert_allclose(actual[0, :3], expected[0, :3], **NEAR)
    np.testing.assert_allclose(actual[1], expected[1], **NEAR)
    for got, want in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(got, want)


def test_group_query_attention_refuses():
    random = np.random.default_rng(9)
    for flags in ({"k_quant_type": "PER_TENSOR"}, {"sliding_window_cache": 1}):
        inputs = gqa(random, 1, 2, [0], 0)
        data, feeds = make_model(
            "GroupQueryAttention", inputs, ("y",), "com.microsoft", **GQA, **flags
        )
        with pytest.raises(martlet.UnsupportedError):
            martlet.load(data)
    inputs = gqa(random, 1, 1, [6], 6)
    for wrong in (-1, 7):
        inputs[5] = np.array([wrong], np.int32)
        data, feeds = make_model("GroupQueryAttention", inputs, ("y",), "com.microsoft", **GQA)
        with pytest.raises(martlet.Error, match="seqlens_k"):
            martlet.load(data)(*feeds.values())


def blocks(random, bits, n, k, block, kind=np.float32):
    count = -(-k // block)
    b = random.integers(0, 256, (n, count, block * bits // 8)).astype(np.uint8)
    scales = random.uniform(0.01, 0.02, (n, count)).astype(kind)
    packed = random.integers(0, 256, (n, -(-count * bits // 8))).astype(np.uint8)
    return b, scales, packed


def unpacked(values, bits):
    """The elements of rows of bytes, as float64."""
    rows = values.reshape(len(values), -1)
    parts = [(rows >> shift) & (2**bits - 1) for shift in range(0, 8, bits)]
    return np.stack(parts, -1).reshape(len(values), -1).astype(np.float64)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_matmul_n_bits(bits):
    random = np.random.default_rng(10)
    for n, k, block in [(7, 64, 16), (20, 96, 32), (5, 50, 16), (33, 300, 128), (3, 16, 16)]:
        b, scales, packed = blocks(random, bits, n, k, block)
        sizes = {"bits": bits, "N": n, "K": k, "block_size": block}
        bias = floats(random, n)
        zeros = [None, packed]
        if bits < 8:
            zeros.append(random.uniform(0, 4, scales.shape).astype(np.float32))
        for shape in [(k,), (1, k), (5, k), (2, 3, k)]:
            a = floats(random, *shape)
            for zero in zeros:
                for constants in ((), (1, 2)):
                    assert_close(
                        "MatMulNBits", [a, b, scales, zero], constants=constants, rtol=1e-4,
                        atol=2e-4, **sizes,
                    )  # fmt: skip
            assert_close(
                "MatMulNBits", [a, b, scales, packed, None, bias], rtol=1e-4, atol=2e-4, **sizes
            )
        # With g_idx ONNX Runtime differs from one call to the next: NumPy is the oracle.
        groups = random.integers(0, scales.shape[1], k).astype(np.int32)
        a = floats(random, 4, k)
        data, feeds = make_model(
            "MatMulNBits", [a, b, scales, packed, groups, bias], ("y",), "com.microsoft",
            constants=(1, 2, 3, 4), **sizes,
        )  # fmt: skip
        codes, zero = unpacked(b, bits)[:, :k], unpacked(packed, bits)
        w = (codes - zero[:, groups]) * scales[:, groups]
        (y,) = run_martlet(data, feeds)
        np.testing.assert_allclose(y, a @ w.T + bias, rtol=1e-4, atol=2e-4)
        # What ONNX Runtime rounds to 8 bits is a float32 product here.
        data, feeds = make_model(
            "MatMulNBits", [a, b, scales], ("y",), "com.microsoft", accuracy_level=4, **sizes
        )
        exact, _ = make_model("MatMulNBits", [a, b, scales], ("y",), "com.microsoft", **sizes)
        np.testing.assert_array_equal(run_martlet(data, feeds), run_martlet(exact, feeds))


def test_matmul_n_bits_in_16_bits():
    random = np.random.default_rng(11)
    b, scales, packed = blocks(random, 4, 20, 96, 32, np.float16)
    a = draw(random, np.float16, (3, 96))
    for constants in ((), (1, 2)):
        assert_close(
            "MatMulNBits", [a, b, scales, packed], constants=constants, N=20, K=96, block_size=32,
            rtol=2e-3, atol=2e-2,
        )  # fmt: skip


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_gather_block_quantized(bits):
    random = np.random.default_rng(12)
    data = random.integers(0, 256, (9, 64 * bits // 8)).astype(np.uint8)
    indices = random.integers(-9, 9, (2, 3))
    scales = random.uniform(0.01, 0.02, (9, 4)).astype(np.float32)
    zeros = random.integers(0, 256, (9, -(-4 * bits // 8))).astype(np.uint8)
    for more in ([], [zeros]):
        for kind in (np.int64, np.int32):
            assert_close(
                "GatherBlockQuantized", [data, indices.astype(kind), scales, *more], bits=bits,
                block_size=16, constants=(0, 2),
            )  # fmt: skip


def test_gather_block_quantized_of_4_bits():
    import ml_dtypes

    random = np.random.default_rng(13)
    for kind, least in [(ml_dtypes.int4, -8), (ml_dtypes.uint4, 0)]:
        data = random.integers(least, least + 16, (3, 5, 40)).astype(kind)
        for gather, quantize in [(0, 2), (1, 2), (2, 1), (0, 1), (1, 0)]:
            shape = list(data.shape)
            shape[quantize] = -(-shape[quantize] // 16)
            scales = random.uniform(0.01, 0.02, shape).astype(np.float32)
            zeros = random.integers(least, least + 16, shape).astype(kind)
            indices = random.integers(-data.shape[gather], data.shape[gather], (4,))
            for more in ([], [zeros]):
                assert_close(
                    "GatherBlockQuantized", [data, indices, scales, *more], gather_axis=gather,
                    quantize_axis=quantize, block_size=16, version=21,
                    constants=(0, 2, 3)[: 2 + len(more)],
                )  # fmt: skip
