#!/usr/bin/env bash
# A torch tensor that is lazily negated (the imaginary part of a conjugate), handed to NumPy by DLPack.
# torch 2.13.0 refuses to export conjugated tensors and those that need a gradient, but exports the
# memory behind a lazy negation as it lies, so that whoever reads it has the other sign. Only
# resolve_neg() before, or .numpy(force=True), helps.
# Seen: torch -2.0, NumPy by DLPack 2.0, after resolve_neg() -2.0; of the conjugate itself a BufferError.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$work/env/bin/python" -W ignore - <<'PYTHON'
import numpy
import torch

conjugate = torch.tensor([1 + 2j]).conj()
negated = conjugate.imag
assert negated.is_neg()
here = negated.item()
there = float(numpy.from_dlpack(negated)[0])
resolved = float(numpy.from_dlpack(negated.resolve_neg())[0])
try:
    numpy.from_dlpack(conjugate)
    refusal = "none"
except Exception as error:
    refusal = type(error).__name__
print("torch", torch.__version__, "numpy", numpy.__version__)
print("torch:", here, "\nby DLPack:", there, "\nresolved:", resolved, "\nthe conjugate:", refusal)
raise SystemExit(not ((here, there, resolved, refusal) == (-2.0, 2.0, -2.0, "BufferError")))
PYTHON
