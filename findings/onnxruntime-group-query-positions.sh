#!/usr/bin/env bash
# com.microsoft GroupQueryAttention takes `position_ids` [batch, tokens], a position for each token's
# rotary embedding. onnxruntime 1.32.0 (CPU) reads, of a prompt (tokens without a past), the first of
# each row alone and counts on from there; of tokens behind a past it reads every one. Positions that
# skip or repeat, as packed or padded prompts have them, are silently others.
# Seen: positions 3 9 1 give the keys of 3 4 5 in a prompt, and their own behind a past.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q onnxruntime==1.32.0 onnx==1.23.2 numpy
"$work/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper

TOKENS, WIDTH = 3, 16
RNG = np.random.default_rng(0)
Q, K, V = (RNG.standard_normal((1, TOKENS, WIDTH)).astype(np.float32) for _ in range(3))
ANGLES = np.arange(16)[:, None] / 10 ** np.arange(8)
PAST = np.zeros((1, 1, 2, WIDTH), np.float32)


def keys(positions, past):
    """The keys of the tokens as the cache has them afterwards."""
    before = 2 if past else 0
    inputs = {
        "q": Q, "k": K, "v": V, **({"pk": PAST, "pv": PAST} if past else {}),
        "lengths": np.array([before + TOKENS - 1], np.int32),
        "total": np.array(before + TOKENS, np.int32),
        "cos": np.cos(ANGLES).astype(np.float32), "sin": np.sin(ANGLES).astype(np.float32),
        "positions": np.array([positions]),
    }
    names = ["q", "k", "v", *(("pk", "pv") if past else ("", "")), "lengths", "total", "cos", "sin",
             "positions"]
    node = helper.make_node(
        "GroupQueryAttention", names, ["y", "keys", "values"], domain="com.microsoft", num_heads=1,
        kv_num_heads=1, do_rotary=1)
    graph = helper.make_graph(
        [node], "g",
        [helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
         for name, value in inputs.items()],
        [helper.make_tensor_value_info("keys", TensorProto.FLOAT, None)])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["keys"], inputs)[0][0, 0, before:]


def turned(positions):
    """The keys turned as the operator's text says, pairs half a width apart."""
    rows = []
    for token, position in enumerate(positions):
        a, b = np.split(K[0, token].astype(np.float64), 2)
        c, s = np.cos(ANGLES[position]), np.sin(ANGLES[position])
        rows.append(np.concatenate([a * c - b * s, b * c + a * s]))
    return np.array(rows)


print("onnxruntime", onnxruntime.__version__)
given, counted = [3, 9, 1], [3, 4, 5]
seen = []
for past in (False, True):
    got = keys(given, past)
    own, others = (np.allclose(got, turned(p), atol=1e-5) for p in (given, counted))
    print("behind a past" if past else "a prompt", f"positions {given}: own {own}, {counted} {others}")
    seen.append((own, others))
raise SystemExit(seen != [(False, True), (True, False)])
PYTHON
