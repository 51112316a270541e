#!/usr/bin/env bash
# com.microsoft MultiHeadAttention with `unidirectional` = 1 and more keys than queries, as in attention
# over an encoder's states. onnxruntime 1.32.0 (CPU) lets query i see the keys 0 ... i, but the last
# query all of them: a query's result depends on whether another follows it. With as many keys as
# queries there is nothing to see of it.
# Seen (4 queries, 6 keys): keys seen 1, 2, 3 and 6; the first three queries alone see 1, 2 and 6.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q onnxruntime==1.32.0 onnx==1.23.2 numpy
"$work/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper

KEYS, WIDTH = 6, 8


def keys_seen(queries):
    """How many keys each query sees: equal scores, and values that are a row of the unit matrix each."""
    inputs = {
        "q": np.zeros((1, queries, WIDTH), np.float32),
        "k": np.zeros((1, KEYS, WIDTH), np.float32),
        "v": np.eye(KEYS, WIDTH, dtype=np.float32)[None],
    }
    node = helper.make_node(
        "MultiHeadAttention", list(inputs), ["y"], domain="com.microsoft", num_heads=1,
        unidirectional=1)
    graph = helper.make_graph(
        [node], "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape)
         for name, value in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"])
    weights = session.run(None, inputs)[0][0]
    return (weights > 0).sum(axis=1).tolist()


print("onnxruntime", onnxruntime.__version__)
seen = {queries: keys_seen(queries) for queries in (3, 4)}
for queries, keys in seen.items():
    print(f"{queries} queries, {KEYS} keys: keys seen {keys}")
raise SystemExit(seen != {3: [1, 2, 6], 4: [1, 2, 3, 6]})
PYTHON
