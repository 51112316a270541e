#!/usr/bin/env bash
# Resize by a scale whose float32 lies below the fraction that was meant, such as 0.7: ONNX's shape
# inference and its reference multiply in float64 and say floor(10 * 0.699999988) = 6. onnxruntime 1.32.0
# (CPU) says 6 too of the loaded model's output, by inference, but its kernel multiplies in float32, where
# the product is 7, and gives 7 elements with a warning in the log. What stands behind a Resize in a graph
# was made for one of the two.
# Seen: 10 by 0.7, 100 by 0.29, 1000 by 0.029: 6, 28, 28 by onnx and in get_outputs(); 7, 29, 29 computed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q onnxruntime==1.32.0 onnx==1.23.2 numpy
"$work/env/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
seen = []
for extent, scale in ((10, 0.7), (100, 0.29), (1000, 0.029)):
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="linear")
    graph = helper.make_graph(
        [node], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, extent])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([1, 1, 1, scale], np.float32), "scales")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=8)
    x = np.zeros((1, 1, 1, extent), np.float32)
    inferred = onnx.shape_inference.infer_shapes(model).graph.output[0]
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    row = (
        inferred.type.tensor_type.shape.dim[3].dim_value,
        ReferenceEvaluator(model).run(None, {"x": x})[0].shape[3],
        session.get_outputs()[0].shape[3],
        session.run(None, {"x": x})[0].shape[3],
    )
    print(f"{extent} by {scale}: inferred {row[0]}, reference {row[1]}, onnxruntime says {row[2]},"
          f" gives {row[3]}")
    seen.append(row)
raise SystemExit(seen != [(6, 6, 6, 7), (28, 28, 28, 29), (28, 28, 28, 29)])
PYTHON
