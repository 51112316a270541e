"""The names of `onnxruntime_pybind11_state` again."""

from martlet.onnxruntime.capi.onnxruntime_pybind11_state import *  # noqa: F403
from martlet.onnxruntime.capi.onnxruntime_pybind11_state import __all__ as __all__
