"""Martlet runs neural networks on CPUs, in float32 or as fast as the chip's bf16 units allow.

>>> import martlet
>>> martlet.set_float32_fast_math_mode("BF16")
>>> model = martlet.load("model.onnx")
>>> y = model(x)
"""

from typing import TYPE_CHECKING, Any

from martlet._elsewhere import OF_THE_MODULE, missing
from martlet._functions import (
    TensorLike,
    conv1d,
    conv2d,
    conv3d,
    exp,
    from_bytes,
    from_dlpack,
    gelu,
    layer_norm,
    linear,
    matmul,
    op,
    operators,
    pack,
    relu,
    scaled_dot_product_attention,
    sigmoid,
    silu,
    softmax,
    tanh,
    tensor,
)
from martlet._load import load
from martlet._martlet import (
    CancelledError,
    Error,
    FileError,
    InvalidArgumentError,
    InvalidDTypeError,
    InvalidModelError,
    InvalidShapeError,
    LimitExceededError,
    ModelNotFoundError,
    NotFoundError,
    OutOfMemoryError,
    Tensor,
    ThreadPool,
    UnsupportedError,
)
from martlet._martlet import version as __version__
from martlet._model import Model
from martlet._reports import NodeInfo, Report, ValueInfo
from martlet._results import Results
from martlet._settings import (
    CPUInfo,
    InstructionSet,
    Kernel,
    cpu_info,
    fast_math,
    get_float32_fast_math_mode,
    get_num_threads,
    memory_in_use,
    set_float32_fast_math_mode,
    set_isa,
    set_num_threads,
    trim,
)
from martlet._values import State

if not TYPE_CHECKING:  # type checkers know what there is

    def __getattr__(name: str) -> Any:
        raise missing("module 'martlet' has no attribute", name, OF_THE_MODULE)


__all__ = [
    "CPUInfo",
    "CancelledError",
    "Error",
    "FileError",
    "InstructionSet",
    "InvalidArgumentError",
    "InvalidDTypeError",
    "InvalidModelError",
    "InvalidShapeError",
    "Kernel",
    "LimitExceededError",
    "Model",
    "ModelNotFoundError",
    "NodeInfo",
    "NotFoundError",
    "OutOfMemoryError",
    "Report",
    "Results",
    "State",
    "Tensor",
    "TensorLike",
    "ThreadPool",
    "UnsupportedError",
    "ValueInfo",
    "__version__",
    "conv1d",
    "conv2d",
    "conv3d",
    "cpu_info",
    "exp",
    "fast_math",
    "from_bytes",
    "from_dlpack",
    "gelu",
    "get_float32_fast_math_mode",
    "get_num_threads",
    "layer_norm",
    "linear",
    "load",
    "matmul",
    "memory_in_use",
    "op",
    "operators",
    "pack",
    "relu",
    "scaled_dot_product_attention",
    "set_float32_fast_math_mode",
    "set_isa",
    "set_num_threads",
    "sigmoid",
    "silu",
    "softmax",
    "tanh",
    "tensor",
    "trim",
]
