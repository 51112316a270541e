#!/usr/bin/env bash
# The same LSTM exported twice in one process by torch.onnx.export(dynamo=True) with batch and sequence
# dynamic. torch 2.13.0 exports it the first time; the second time it refuses: the sequence's extent is
# said to be static, though model, input and arguments are the same. A process of its own for each
# export helps.
# Seen: first: batch and sequence are symbols. Second: "tracing inferred a static shape of 11".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q torch==2.13.0 onnxscript==0.7.2 onnx==1.23.2 numpy
"$work/env/bin/python" -W ignore - "$work/lstm.onnx" <<'PYTHON'
import logging
import sys

import onnx
import torch

logging.disable(logging.CRITICAL)


class Tagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.recurrent = torch.nn.LSTM(8, 16, batch_first=True)

    def forward(self, x):
        return self.recurrent(x)[0]


def exported():
    """The extents of the file's input, or what the exporter says."""
    try:
        torch.onnx.export(
            Tagger().eval(), (torch.ones(2, 11, 8),), sys.argv[1], dynamo=True, verbose=False,
            dynamic_shapes=({0: "batch", 1: "sequence"},))
    except Exception as error:
        return next(line for line in str(error).splitlines() if "static" in line)
    (value,) = onnx.load(sys.argv[1]).graph.input
    return [each.dim_param or each.dim_value for each in value.type.tensor_type.shape.dim]


print("torch", torch.__version__)
first, second = exported(), exported()
print("first:", first, "\nsecond:", second)
raise SystemExit(not (first == ["batch", "sequence", 8] and "static shape of 11" in second))
PYTHON
