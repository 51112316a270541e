#!/usr/bin/env bash
# x.split(2, -1) of [3, 6], exported by torch.onnx.export(dynamo=True, opset_version=17). torch 2.13.0
# with onnxscript 0.7.2 exports for opset 18 and converts the file down, and the Split of the file that
# says opset 17 still has num_outputs, which Split has from 18 on: ONNX's checker and onnxruntime refuse
# the file. The exporter reports success; GPT-2 of transformers is such a model.
# Seen: opset 18: valid. Opset 17: "Unrecognized attribute: num_outputs for operator Split", by both.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q \
  torch==2.13.0 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy
"$work/env/bin/python" -W ignore - "$work" <<'PYTHON'
import logging
import sys

import onnx
import onnxruntime
import torch

logging.disable(logging.CRITICAL)


class Parts(torch.nn.Module):
    def forward(self, x):
        return x.split(2, -1)


def refusals(opset):
    """What ONNX's checker and onnxruntime say against the exported file."""
    path = f"{sys.argv[1]}/{opset}.onnx"
    torch.onnx.export(
        Parts().eval(), (torch.ones(3, 6),), path, dynamo=True, opset_version=opset, verbose=False)
    model, said = onnx.load(path), []
    (written,) = [each.version for each in model.opset_import if not each.domain]
    assert written == opset, written
    for check in (lambda: onnx.checker.check_model(model),
                  lambda: onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])):
        try:
            check()
        except Exception as error:
            said.append(str(error).splitlines()[0])
    return said


print("torch", torch.__version__)
results = {opset: refusals(opset) for opset in (18, 17)}
for opset, said in results.items():
    print(f"opset {opset}:", said or "valid")
seen = not results[18] and len(results[17]) == 2
raise SystemExit(not (seen and all("num_outputs" in text for text in results[17])))
PYTHON
