"""ONNX Runtime's sessions and values, where its programs import them from."""

from martlet.onnxruntime._devices import OrtDevice
from martlet.onnxruntime._enums import OrtDeviceVendorId
from martlet.onnxruntime._iobinding import IOBinding
from martlet.onnxruntime._ortvalue import OrtValue, SparseTensor, copy_tensors
from martlet.onnxruntime._refused import AdapterFormat, ModelCompiler
from martlet.onnxruntime._session import InferenceSession, Session

__all__ = [
    "AdapterFormat",
    "IOBinding",
    "InferenceSession",
    "ModelCompiler",
    "OrtDevice",
    "OrtDeviceVendorId",
    "OrtValue",
    "Session",
    "SparseTensor",
    "copy_tensors",
]
