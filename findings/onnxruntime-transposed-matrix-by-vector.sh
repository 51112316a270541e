#!/usr/bin/env bash
# A transposed matrix times a vector: Transpose of [16, 7] by [1, 0], then MatMul by [16] (PyTorch
# exports x.t() @ v so), or a batch of them. onnxruntime 1.32.0 (CPU) fuses the two into a FusedMatMul
# with transA at its default optimisation level, and that multiplies the matrix as if it had not been
# transposed, its elements read as [7, 16]: no error, other numbers. Without optimisations, or with a
# matrix [16, 1] in place of the vector, it is right.
# Seen: the vector, optimised: 67 and more from what NumPy computes; the other ways: at most 1e-5.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q onnxruntime==1.32.0 onnx==1.23.2 numpy
"$work/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

LEVELS = onnxruntime.GraphOptimizationLevel


def expected(x, vector):
    return x.swapaxes(-1, -2) @ vector


def product(x, vector, level):
    """onnxruntime's product of a transposed matrix, or of several, and a vector."""
    axes = [*range(x.ndim - 2), x.ndim - 1, x.ndim - 2]
    graph = helper.make_graph(
        [helper.make_node("Transpose", ["x"], ["t"], perm=axes),
         helper.make_node("MatMul", ["t", "v"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape),
         helper.make_tensor_value_info("v", TensorProto.FLOAT, vector.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, expected(x, vector).shape)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x, "v": vector})[0]


x = np.random.default_rng(0).standard_normal((4, 16, 7)).astype(np.float32)
v = np.arange(16, dtype=np.float32)
far = {}
for name, given, vector, level in [
    ("vector, optimised", x[0], v, LEVELS.ORT_ENABLE_ALL),
    ("batch by vector, optimised", x, v, LEVELS.ORT_ENABLE_ALL),
    ("vector, not optimised", x[0], v, LEVELS.ORT_DISABLE_ALL),
    ("batch by vector, not optimised", x, v, LEVELS.ORT_DISABLE_ALL),
    ("column, optimised", x[0], v[:, None], LEVELS.ORT_ENABLE_ALL),
    ("batch by column, optimised", x, v[:, None], LEVELS.ORT_ENABLE_ALL),
]:
    got, want = product(given, vector, level), expected(given, vector)
    far[name] = np.abs(got - want).max()
    print(f"{name}: {got.shape} {want.shape}, at most {far[name]:.1e} apart")
wrong = product(x[0], v, LEVELS.ORT_ENABLE_ALL)
untransposed = np.abs(wrong - x[0].reshape(7, 16) @ v).max()
print("onnxruntime", onnxruntime.__version__, "from the product without transposition:", untransposed)
one, batch, *others = far.values()
raise SystemExit(not (min(one, batch) > 1 and max(others) < 1e-4 and untransposed < 1e-4))
PYTHON
