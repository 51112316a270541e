"""Martlet in the form of ONNX Runtime's Python module, for programs that were written for that.

>>> import martlet.onnxruntime
>>> martlet.onnxruntime.install()
>>> import onnxruntime  # is this module from now on

``python -m martlet.onnxruntime script.py ...`` does so for a whole program. docs/onnxruntime.md
says what is the same and what differs.
"""

from martlet.onnxruntime import capi
from martlet.onnxruntime._devices import OrtArenaCfg, OrtDevice, OrtMemoryInfo
from martlet.onnxruntime._enums import (
    ExecutionMode,
    ExecutionOrder,
    GraphOptimizationLevel,
    LoggingSeverity,
    OrtAllocatorType,
    OrtDeviceMemoryType,
    OrtDeviceVendorId,
    OrtExecutionProviderDevicePolicy,
    OrtHardwareDeviceType,
    OrtMemType,
    OrtSparseFormat,
)
from martlet.onnxruntime._environment import (
    __version__,
    create_and_register_allocator,
    create_and_register_allocator_v2,
    disable_telemetry_events,
    enable_telemetry_events,
    get_all_providers,
    get_available_providers,
    get_build_info,
    get_device,
    get_ep_devices,
    get_version_string,
    has_collective_ops,
    preload_dlls,
    print_debug_info,
    register_execution_provider_library,
    set_default_logger_callback,
    set_global_thread_pool_sizes,
    set_seed,
    unregister_execution_provider_library,
)
from martlet.onnxruntime._install import install
from martlet.onnxruntime._iobinding import IOBinding, SessionIOBinding
from martlet.onnxruntime._log import set_default_logger_severity, set_default_logger_verbosity
from martlet.onnxruntime._options import RunOptions, SessionOptions
from martlet.onnxruntime._ortvalue import OrtValue, SparseTensor, copy_tensors
from martlet.onnxruntime._refused import AdapterFormat, LoraAdapter, ModelCompiler
from martlet.onnxruntime._session import InferenceSession
from martlet.onnxruntime._types import ModelMetadata, NodeArg

package_name = "onnxruntime"
version = __version__

__all__ = [
    "AdapterFormat",
    "ExecutionMode",
    "ExecutionOrder",
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "LoggingSeverity",
    "LoraAdapter",
    "ModelCompiler",
    "ModelMetadata",
    "NodeArg",
    "OrtAllocatorType",
    "OrtArenaCfg",
    "OrtDevice",
    "OrtDeviceMemoryType",
    "OrtDeviceVendorId",
    "OrtExecutionProviderDevicePolicy",
    "OrtHardwareDeviceType",
    "OrtMemType",
    "OrtMemoryInfo",
    "OrtSparseFormat",
    "OrtValue",
    "RunOptions",
    "SessionIOBinding",
    "SessionOptions",
    "SparseTensor",
    "__version__",
    "capi",
    "copy_tensors",
    "create_and_register_allocator",
    "create_and_register_allocator_v2",
    "disable_telemetry_events",
    "enable_telemetry_events",
    "get_all_providers",
    "get_available_providers",
    "get_build_info",
    "get_device",
    "get_ep_devices",
    "get_version_string",
    "has_collective_ops",
    "install",
    "preload_dlls",
    "print_debug_info",
    "register_execution_provider_library",
    "set_default_logger_callback",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "set_global_thread_pool_sizes",
    "set_seed",
    "unregister_execution_provider_library",
]
