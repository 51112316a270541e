"""What Tensor's methods do by way of NumPy or Python objects; called by the extension."""

from __future__ import annotations

from array import array
from typing import Any

from martlet import _martlet

Tensor = _martlet.Tensor


def to_numpy(tensor: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    """NumPy's ``__array__``: a view of the memory unless dtype or copy ask for more."""
    import numpy as np

    if tensor.dtype == "string":
        strings = np.empty(tensor.size, dtype=object)
        strings[:] = _martlet.string_list(tensor)
        return strings.reshape(tensor.shape).astype(dtype or object, copy=False)
    kind = _ML_DTYPES.get(tensor.dtype)
    result = np.asarray(memoryview(tensor)) if kind is None else _ml_array(tensor, kind)
    if dtype is not None and result.dtype != dtype:
        if copy is False:
            raise ValueError(f"a {tensor.dtype} tensor cannot become {dtype} without a copy")
        return result.astype(dtype)
    return result.copy() if copy else result


# What ml_dtypes calls the dtypes that NumPy does not have.
_ML_DTYPES = {
    "bfloat16": "bfloat16",
    "float8e4m3fn": "float8_e4m3fn",
    "float8e4m3fnuz": "float8_e4m3fnuz",
    "float8e5m2": "float8_e5m2",
    "float8e5m2fnuz": "float8_e5m2fnuz",
    "float8e8m0": "float8_e8m0fnu",
    "float6e2m3": "float6_e2m3fn",
    "float6e3m2": "float6_e3m2fn",
    "float4e2m1": "float4_e2m1fn",
    "int4": "int4",
    "uint4": "uint4",
    "int2": "int2",
    "uint2": "uint2",
}
_PACKED_BITS = {
    "float6e2m3": 6,
    "float6e3m2": 6,
    "float4e2m1": 4,
    "int4": 4,
    "uint4": 4,
    "int2": 2,
    "uint2": 2,
}


def _ml_array(tensor: Tensor, kind: str) -> Any:
    """An array of ml_dtypes': a view of the memory; packed elements are copied, one to a byte."""
    try:
        import ml_dtypes
    except ImportError:
        raise TypeError(
            f"NumPy has no {tensor.dtype}; install ml_dtypes, convert with astype('float32'), "
            "or take the elements' bytes with tobytes()"
        ) from None
    import numpy as np

    raw = np.asarray(memoryview(_martlet.bits_of(tensor)))
    bits = _PACKED_BITS.get(tensor.dtype)
    if bits is not None:
        ones = np.unpackbits(raw, count=tensor.size * bits, bitorder="little")
        places = np.pad(ones.reshape(-1, bits), ((0, 0), (0, 8 - bits)))
        raw = np.packbits(places, axis=1, bitorder="little").reshape(-1)
        if tensor.dtype in ("int4", "int2"):
            raw = (raw << (8 - bits)).view(np.int8) >> (8 - bits)
        raw = raw.reshape(tensor.shape)
    return raw.view(getattr(ml_dtypes, kind))


def to_list(tensor: Tensor) -> Any:
    """The elements as nested lists, or as a number or str for a scalar."""
    if tensor.dtype == "string":
        return _nested(_martlet.string_list(tensor), tensor.shape)
    if tensor.dtype in ("int4", "uint4", "int2", "uint2"):
        tensor = tensor.astype("int8")
    elif tensor.dtype in _ML_DTYPES or tensor.dtype == "float16":
        tensor = tensor.astype("float32")  # exact; memoryview reads none of them everywhere
    return memoryview(tensor).tolist()


def to_item(tensor: Tensor) -> Any:
    """The only element."""
    value = to_list(tensor)
    while isinstance(value, list):
        value = value[0]
    return value


def reduce_tensor(tensor: Tensor) -> tuple[Any, ...]:
    """Pickling: the elements' bytes, dtype and shape."""
    if tensor.dtype == "string":
        return _martlet.from_strings, (tuple(_martlet.string_list(tensor)), tensor.shape)
    return rebuild_tensor, (tensor.tobytes(), tensor.dtype, tensor.shape)


def rebuild_tensor(data: bytes, dtype: str, shape: tuple[int, ...]) -> Tensor:
    """What a pickled Tensor is made of again; the elements are copied."""
    return _martlet.from_bytes(data, dtype, shape)


def _nested(flat: list[Any], shape: tuple[int, ...]) -> Any:
    """A flat list in row-major order as nested ones."""
    if not shape:
        return flat[0]
    step = len(flat) // shape[0] if shape[0] else 0
    return [_nested(flat[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]


def from_texts(given: Any, what: str) -> Tensor:
    """A tensor of strings: of a str, or of an array of str, bytes or objects that are such."""
    if isinstance(given, str):
        return _martlet.from_strings((given,), ())
    flat = given.ravel().tolist()
    for index, item in enumerate(flat):
        if not isinstance(item, (str, bytes)):
            raise TypeError(
                f"{what} holds a {type(item).__name__} at {index}; a tensor has numbers or strings"
            )
    return _martlet.from_strings(tuple(flat), given.shape)


_TYPE_CODES = {bool: ("B", "bool"), int: ("q", "int64"), float: ("f", "float32")}


_MOST_AXES = 32


def from_nested(data: Any, dtype: Any = None) -> Tensor:
    """A tensor of numbers in nested lists or tuples: float32, int64 or bool unless dtype says."""
    shape: list[int] = []
    level = data
    while isinstance(level, (list, tuple)):
        if len(shape) == _MOST_AXES:
            raise ValueError(
                f"lists are nested deeper than {_MOST_AXES}, or one of them contains itself"
            )
        shape.append(len(level))
        if not level:
            break
        level = level[0]
    flat: list[Any] = []
    _flatten(data, shape, flat)
    if flat and all(isinstance(item, str) for item in flat):
        return _martlet.from_strings(tuple(flat), tuple(shape))
    kind = max(map(type, flat), key=[bool, int, float].index, default=float)
    code, name = _TYPE_CODES[kind]
    result = _martlet.from_bytes(array(code, flat).tobytes(), name, tuple(shape))
    return result if dtype is None else result.astype(dtype)


def _flatten(data: Any, shape: list[int], flat: list[Any]) -> None:
    if not shape:
        if type(data) not in _TYPE_CODES and not isinstance(data, str):
            raise TypeError(f"a tensor has numbers or strings, not {type(data).__name__}")
        if flat and isinstance(data, str) != isinstance(flat[0], str):
            raise TypeError("a tensor has numbers or strings, not both")
        flat.append(data)
        return
    if not isinstance(data, (list, tuple)) or len(data) != shape[0]:
        raise ValueError(f"nested lists must be of equal lengths; expected {shape[0]} items")
    for item in data:
        _flatten(item, shape[1:], flat)
