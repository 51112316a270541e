"""ONNX's own runner over martlet.onnx_backend, as the score board's test_backend.py has it."""

from onnx.backend.test import BackendTest

from martlet import onnx_backend

tests = BackendTest(onnx_backend, __name__)
tests.exclude("_cuda")
globals().update(tests.test_cases)
