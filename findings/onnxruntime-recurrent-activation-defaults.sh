#!/usr/bin/env bash
# ONNX: of LSTM, GRU and RNN, the parameters of activations that are left out are "the same as of
# corresponding ONNX operators"; ThresholdedRelu's alpha is 1 there. onnxruntime 1.32.0 (CPU) takes 0
# for it: without activation_alpha an LSTM computes what it computes with alpha = 0, and something else
# with alpha = 1. Affine without parameters is 0 for every x, so its gate, and here Y, is 0.
# Seen: left out == 0: True; left out == 1: False; Affine left out: all zeros: True.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q onnxruntime==1.32.0 onnx==1.23.2 numpy
"$work/env/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

rng = np.random.default_rng(0)
feeds = {
    "x": rng.standard_normal((2, 1, 3)).astype(np.float32),
    "w": rng.standard_normal((1, 8, 3)).astype(np.float32),
    "r": rng.standard_normal((1, 8, 2)).astype(np.float32),
}


def lstm(cell, **attributes):
    node = helper.make_node(
        "LSTM", list(feeds), ["y"], hidden_size=2, activations=["Sigmoid", cell, "Tanh"], **attributes
    )
    inputs = [helper.make_tensor_value_info(k, TensorProto.FLOAT, v.shape) for k, v in feeds.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 1, 1, 2])
    graph = helper.make_graph([node], "g", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)[0]


default = onnx.defs.get_schema("ThresholdedRelu").attributes["alpha"].default_value.f
text = onnx.defs.get_schema("LSTM").attributes["activation_alpha"].description
left_out = lstm("ThresholdedRelu")
seen = {
    "ONNX's default of ThresholdedRelu": default,
    "the text": "Default values are the same as of corresponding ONNX operators" in text,
    "left out == 0": bool((left_out == lstm("ThresholdedRelu", activation_alpha=[0.0])).all()),
    "left out == 1": bool((left_out == lstm("ThresholdedRelu", activation_alpha=[1.0])).all()),
    "Affine left out: all zeros": bool((lstm("Affine") == 0).all()),
}
print("onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__)
for what, value in seen.items():
    print(f"{what}: {value}")
raise SystemExit(list(seen.values()) != [1.0, True, True, False, True])
PYTHON
