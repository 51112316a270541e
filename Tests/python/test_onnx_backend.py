"""ONNX's own node tests, through the hook that ONNX has for backends.

What needs an operator or a type that Martlet does not have yet is skipped, with the reason; what it
has must pass.
"""

import unittest

import numpy as np
import pytest

import martlet

base = pytest.importorskip("onnx.backend.base")
runner = pytest.importorskip("onnx.backend.test")

# Cases that cannot be held against their data, with the reason.
KNOWN = {
    "bernoulli": "random",
    "training_dropout_default": "random",
    "qlinearmatmul_[23]D_int8": "the data wrap around; the operator saturates, as its text says",
    "l2normalization_axis_0": "newer ONNX defines a slice of norm 0 as 0, not NaN",
}


class PreparedModel(base.BackendRep):
    """A loaded model with inputs in the model's order."""

    def __init__(self, model: martlet.Model) -> None:
        self.model = model

    def run(self, inputs, **kwargs):
        del kwargs
        if not all(isinstance(value, np.ndarray) for value in inputs):
            raise unittest.SkipTest("only tensors are supported")
        try:
            results = self.model(*inputs)
        except martlet.UnsupportedError as error:  # training, where an input asks for it
            raise unittest.SkipTest(str(error)) from error
        values = results if isinstance(results, tuple) else (results,)
        return [np.asarray(value) for value in values]


class MartletBackend(base.Backend):
    """Martlet as ONNX's tests see it."""

    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        del device, kwargs
        try:
            return PreparedModel(martlet.load(model.SerializeToString()))
        except martlet.UnsupportedError as error:
            raise unittest.SkipTest(str(error)) from error

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device == "CPU"


suite = runner.BackendTest(MartletBackend, __name__)
for name in KNOWN:
    suite.exclude(name)
globals().update(
    {name: case for name, case in suite.test_cases.items() if name == "OnnxBackendNodeModelTest"}
)
