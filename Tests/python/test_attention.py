"""Attention where a query sees no key: each way to hide keys, and each way through the code."""

import os
import subprocess
import sys

import numpy as np
import pytest
from onnx import helper

import martlet

SHAPE = (1, 2, 4, 8)
RNG = np.random.default_rng(11)
BLIND = np.ones((4, 4), bool)
BLIND[1] = False


def normal(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def ran(nodes, feeds, outputs=1, opset=23, mode=None, optimize=True):
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in feeds.items()
    ]
    kind = infos[0].type.tensor_type.elem_type
    results = [helper.make_tensor_value_info(f"y{i}", kind, None) for i in range(outputs)]
    graph = helper.make_graph(nodes, "g", infos, results)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10
    ).SerializeToString()
    return [y.numpy() for y in martlet.load(model, mode, optimize=optimize).run(feeds).values()]


def attended(q, k, v, shown):
    """Softmax over the keys that are shown, in float64; zero where there are none."""
    group = q.shape[1] // k.shape[1]
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    weights = np.where(shown, np.exp(scores), 0)
    total = weights.sum(-1, keepdims=True)
    return weights / np.where(total == 0, 1, total) @ v


def masks(shown, dtype):
    return shown, np.where(shown, 0, -np.inf).astype(dtype)


@pytest.mark.parametrize("opset", [23, 24])
@pytest.mark.parametrize("mode", ["FP32", "BF16"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("heads", [2, 4])
def test_a_query_that_sees_no_key_gives_zero(opset, mode, dtype, heads):
    q = normal(1, heads, 4, 8, dtype=dtype)
    k, v = normal(*SHAPE, dtype=dtype), normal(*SHAPE, dtype=dtype)
    past = normal(1, 2, 3, 8, dtype=dtype)
    lower = np.tril(np.ones((4, 4), bool))
    blind_past = np.concatenate([BLIND[:, :3], BLIND], 1)
    no_first = np.ones((4, 4), bool)
    no_first[:, 0] = False
    cases = [
        (["q", "k", "v", "m"], BLIND, BLIND, {}),
        (["q", "k", "v", "m"], no_first, no_first & lower, {"is_causal": 1}),
        (["q", "k", "v", "m", "p", "p"], blind_past, blind_past, {}),
        (["q", "k", "v", "m"], BLIND[:, :2], BLIND & [True, True, False, False], {}),
    ]
    for names, shown, expected_shown, attributes in cases:
        with_past = "p" in names
        keys, values = (np.concatenate([past, x], 2) if with_past else x for x in (k, v))
        expected = attended(q, keys, values, expected_shown)
        for mask in masks(shown, dtype):
            feeds = {"q": q, "k": k, "v": v, "m": mask} | ({"p": past} if with_past else {})
            node = helper.make_node("Attention", names, ["y0"], **attributes)
            result = ran([node], feeds, opset=opset, mode=mode)[0]
            tolerance = 3e-2 if mode == "BF16" or dtype == np.float16 else 1e-5
            np.testing.assert_allclose(result, expected, atol=tolerance)
            assert (result[expected == 0] == 0).all()


def test_no_key_that_counts_gives_zero():
    q, k, v = normal(2, 2, 4, 8), normal(2, 2, 4, 8), normal(2, 2, 4, 8)
    v[0] = np.nan  # nobody sees it
    counts = np.array([0, 4], np.int64)
    node = helper.make_node("Attention", ["q", "k", "v", "", "", "", "n"], ["y0"])
    result = ran([node], {"q": q, "k": k, "v": v, "n": counts}, opset=24)[0]
    assert (result[0] == 0).all()
    np.testing.assert_allclose(result[1], attended(q, k, v, True)[1], atol=1e-5)


def test_the_weights_are_zero_too_and_nan_stays_where_it_is_seen():
    q, k, v = normal(*SHAPE), normal(*SHAPE), normal(*SHAPE)
    q[0, 0, 1:3] = np.nan  # query 1 sees nothing, query 2 everything
    for mask in masks(BLIND, np.float32):
        node = helper.make_node(
            "Attention", ["q", "k", "v", "m"], ["y0", "", "", "y1"], qk_matmul_output_mode=3
        )
        result, weights = ran([node], {"q": q, "k": k, "v": v, "m": mask}, outputs=2)
        assert (result[:, :, 1] == 0).all() and (weights[:, :, 1] == 0).all()
        assert np.isnan(result[0, 0, 2]).all() and np.isnan(weights[0, 0, 2]).all()
        assert np.isfinite(result[:, :, [0, 3]]).all()
        assert (martlet.scaled_dot_product_attention(q, k, v, mask).numpy()[:, :, 1] == 0).all()


@pytest.mark.parametrize("optimize", [True, False])
def test_a_softmax_that_is_written_out_stays_nan(optimize):
    feeds = {"q": normal(*SHAPE), "k": normal(*SHAPE), "v": normal(*SHAPE)}
    feeds["m"] = masks(BLIND, np.float32)[1]
    nodes = [
        helper.make_node("Transpose", ["k"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["q", "t"], ["s"]),
        helper.make_node("Add", ["s", "m"], ["a"]),
        helper.make_node("Softmax", ["a"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "v"], ["y0"]),
    ]
    result = ran(nodes, feeds, optimize=optimize)[0]
    assert np.isnan(result[:, :, 1]).all() and np.isfinite(result[:, :, [0, 2, 3]]).all()
    alone = ran([helper.make_node("Softmax", ["m"], ["y0"])], {"m": feeds["m"]})[0]
    assert np.isnan(alone[1]).all() and (alone[0] == 0.25).all()


@pytest.mark.parametrize("variable", ["MARTLET_BACKEND=reference", "MARTLET_ISA=generic"])
def test_other_backends_and_kernels_agree(variable):
    name, value = variable.split("=")
    test = [sys.executable, "-m", "pytest", "-q", "-k", "not other_backends", __file__]
    done = subprocess.run(test, env={**os.environ, name: value}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
