"""Element types and the types of inputs and outputs, as ONNX Runtime writes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from martlet._reports import ValueInfo
from martlet.onnxruntime._errors import InvalidArgument, failure

#: By Martlet's name: ONNX Runtime's, and ONNX's number.
ELEMENTS: dict[str, tuple[str, int]] = {
    "float32": ("float", 1),
    "uint8": ("uint8", 2),
    "int8": ("int8", 3),
    "uint16": ("uint16", 4),
    "int16": ("int16", 5),
    "int32": ("int32", 6),
    "int64": ("int64", 7),
    "string": ("string", 8),
    "bool": ("bool", 9),
    "float16": ("float16", 10),
    "float64": ("double", 11),
    "uint32": ("uint32", 12),
    "uint64": ("uint64", 13),
    "bfloat16": ("bfloat16", 16),
    "float8e4m3fn": ("float8e4m3fn", 17),
    "float8e4m3fnuz": ("float8e4m3fnuz", 18),
    "float8e5m2": ("float8e5m2", 19),
    "float8e5m2fnuz": ("float8e5m2fnuz", 20),
    "uint4": ("uint4", 21),
    "int4": ("int4", 22),
    "float4e2m1": ("float4e2m1", 23),
    "float8e8m0": ("float8e8m0", 24),
    "uint2": ("uint2", 25),
    "int2": ("int2", 26),
    "float6e2m3": ("float6e2m3", 27),
    "float6e3m2": ("float6e3m2", 28),
}
_BY_NUMBER = {number: name for name, (_, number) in ELEMENTS.items()}

# What ml_dtypes calls the dtypes that NumPy does not have; ONNX's names for the rest are NumPy's.
_ML_NAMES = {
    "bfloat16": "bfloat16",
    "float8_e4m3fn": "float8e4m3fn",
    "float8_e4m3fnuz": "float8e4m3fnuz",
    "float8_e5m2": "float8e5m2",
    "float8_e5m2fnuz": "float8e5m2fnuz",
    "float8_e8m0fnu": "float8e8m0",
    "float6_e2m3fn": "float6e2m3",
    "float6_e3m2fn": "float6e3m2",
    "float4_e2m1fn": "float4e2m1",
    "int4": "int4",
    "uint4": "uint4",
    "int2": "int2",
    "uint2": "uint2",
}
_ML_DTYPES = {name: own for own, name in _ML_NAMES.items()}


def element_of(dtype: np.dtype[Any]) -> str | None:
    """Martlet's name of an array's elements; None where it has no such tensors."""
    if dtype.kind in "OSU":
        return "string"
    name = _ML_NAMES.get(dtype.name)
    if name is None and dtype.kind in _KINDS:
        name = "bool" if dtype.kind == "b" else f"{_KINDS[dtype.kind]}{dtype.itemsize * 8}"
    return name if name in ELEMENTS else None


_KINDS = {"i": "int", "u": "uint", "f": "float", "b": "bool"}


def numpy_dtype(element: str) -> np.dtype[Any]:
    """The dtype of arrays with such elements; of those that NumPy lacks, ml_dtypes'."""
    if element == "string":
        return np.dtype(object)
    own = _ML_DTYPES.get(element)
    if own is None:
        return np.dtype(element)
    try:
        import ml_dtypes
    except ImportError:
        raise RuntimeError(
            f"No corresponding Numpy type for Tensor Type. {element}: install ml_dtypes"
        ) from None
    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, own))
    return dtype


def element_from_onnx(number: int) -> str:
    """Martlet's name of ONNX's TensorProto.DataType."""
    try:
        return _BY_NUMBER[number]
    except KeyError:
        raise failure(InvalidArgument, f"{number} is no ONNX element type") from None


def tensor_type(element: str) -> str:
    """``tensor(double)`` for ``float64``."""
    return f"tensor({ELEMENTS[element][0]})"


def type_text(text: str) -> str:
    """ONNX Runtime's text for a type in Martlet's: ``seq(tensor(float))``."""
    outer, bracket, inner = text.partition("(")
    inner = inner[:-1]
    if bracket and outer == "sequence":
        return f"seq({type_text(inner)})"
    if bracket and outer == "optional":
        return f"optional({type_text(inner)})"
    if bracket and outer == "map":
        key, _, value = inner.partition(", ")
        return f"map({ELEMENTS[key][0]},{type_text(value)})"
    element = text.partition("[")[0]
    return tensor_type(element) if element in ELEMENTS else "tensor(undefined)"


class NodeArg:
    """An input or output: name, type and shape."""

    def __init__(self, info: ValueInfo, fixed: dict[str, int] | None = None) -> None:
        self._name = info.name
        self._type = type_text(info.type)
        extents = info.shape or ()
        self._shape = [fixed.get(e, e) if fixed and isinstance(e, str) else e for e in extents]

    @property
    def name(self) -> str:
        """The name, which `InferenceSession.run` takes."""
        return self._name

    @property
    def type(self) -> str:
        """``tensor(float)``, ``seq(tensor(int64))``, ``map(int64,tensor(float))``, ...."""
        return self._type

    @property
    def shape(self) -> list[int | str | None]:
        """Extents: a number, a symbol's name, or None; [] for a scalar and for an unknown rank."""
        return list(self._shape)

    def __str__(self) -> str:
        return f"NodeArg(name='{self._name}', type='{self._type}', shape={self._shape})"


# What files say of themselves besides their own entries.
_OWN_KEYS = frozenset(
    {
        "format",
        "producer",
        "producer_version",
        "domain",
        "model_version",
        "ir_version",
        "graph",
        "documentation",
    }
)
_NO_VERSION = 2**63 - 1


class ModelMetadata:
    """What a model says of itself."""

    def __init__(self, given: dict[str, str]) -> None:
        self.producer_name = given.get("producer", "")
        self.domain = given.get("domain", "")
        self.graph_name = given.get("graph", "")
        self.description = given.get("documentation", "")
        #: Not read by Martlet.
        self.graph_description = ""
        version = int(given.get("model_version", "0"))
        #: ONNX Runtime's number where the model has none, which Martlet does not tell from 0.
        self.version = version or _NO_VERSION
        self.custom_metadata_map = {
            key: value
            for key, value in given.items()
            if key not in _OWN_KEYS and key != "opset" and not key.startswith("opset ")
        }
