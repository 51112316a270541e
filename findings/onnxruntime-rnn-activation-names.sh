#!/usr/bin/env bash
# ONNX names the activations of LSTM, GRU and RNN (Tanh, Sigmoid, ...) without a word on their case.
# onnxruntime 1.32.0 (CPU) takes "tanh" in an LSTM, with the results of "Tanh"; in an RNN it refuses to
# load the model, with a message that does not say which name it wants.
# Seen: LSTM in lower case: same results; RNN in lower case: Fail while the session is made.
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


def run(operator, gates, activations):
    rng = np.random.default_rng(0)
    feeds = {
        "x": rng.standard_normal((2, 1, 3)).astype(np.float32),
        "w": rng.standard_normal((1, gates * 2, 3)).astype(np.float32),
        "r": rng.standard_normal((1, gates * 2, 2)).astype(np.float32),
    }
    node = helper.make_node(operator, list(feeds), ["y"], hidden_size=2, activations=activations)
    inputs = [helper.make_tensor_value_info(k, TensorProto.FLOAT, v.shape) for k, v in feeds.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 1, 1, 2])
    graph = helper.make_graph([node], "g", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:160]}"
    return session.run(None, feeds)[0]


names = ["Sigmoid", "Tanh", "Tanh"]
same = np.array_equal(run("LSTM", 4, names), run("LSTM", 4, [name.lower() for name in names]))
works = isinstance(run("RNN", 1, ["Tanh"]), np.ndarray)
refusal = run("RNN", 1, ["tanh"])
print("onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__)
print("LSTM in lower case: same results:", same)
print("RNN with Tanh runs:", works)
print("RNN with tanh:", refusal)
raise SystemExit(not (same and works and isinstance(refusal, str) and refusal.startswith("Fail")))
PYTHON
