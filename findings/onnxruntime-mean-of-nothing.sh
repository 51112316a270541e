#!/usr/bin/env bash
# Reductions over an axis of extent 0. ONNX says what nine of them give (a sum 0, a maximum -Inf, a
# logarithm of a sum -Inf ...) and leaves ReduceMean's value undefined. onnxruntime 1.32.0 (CPU) gives
# what ONNX says for the nine, and for the mean 0, where ONNX's own reference evaluator and NumPy give
# NaN: a mean over an empty batch looks like a measured zero.
# Seen: all others equal the reference evaluator; ReduceMean [0. 0.] against [nan nan].
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
from onnx.reference import ReferenceEvaluator

NAMES = ["Sum", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare", "Mean"]


def both(operator):
    """What onnxruntime and ONNX's reference evaluator give for [2, 0] reduced over its last axis."""
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "axes"], ["y"], keepdims=0)], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    feeds = {"x": np.zeros((2, 0), np.float32)}
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0], ReferenceEvaluator(model).run(None, feeds)[0]


print("onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__)
same = {}
for name in NAMES:
    ours, reference = both(f"Reduce{name}")
    same[name] = np.array_equal(ours, reference, equal_nan=True)
    print(f"Reduce{name}: {ours} reference {reference}")
mean, reference = both("ReduceMean")
seen = (
    all(same[name] for name in NAMES if name != "Mean")
    and np.array_equal(mean, [0, 0]) and np.isnan(reference).all()
    and np.isnan(np.zeros((2, 0), np.float32).mean(axis=1)).all())
raise SystemExit(not seen)
PYTHON
