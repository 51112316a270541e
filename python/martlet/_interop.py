"""What Tensor's methods do by way of NumPy or Python objects; called by the extension."""

from __future__ import annotations

from array import array
from typing import Any

from martlet import _martlet
from martlet._format import formatted as formatted
from martlet._indexing import argmax as argmax
from martlet._indexing import reshape as reshape
from martlet._indexing import transpose as transpose

Tensor = _martlet.Tensor


def to_numpy(tensor: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    """NumPy's ``__array__``: a view of the memory unless dtype or copy ask for more."""
    import numpy as np

    is_copied = tensor.dtype == "string" or tensor.dtype in _PACKED_BITS
    if copy is False and is_copied:
        raise ValueError(f"elements of {tensor.dtype} become an array by a copy alone")
    if tensor.dtype == "string":
        strings = np.empty(tensor.size, dtype=object)
        strings[:] = _martlet.string_list(tensor)
        return strings.reshape(tensor.shape).astype(dtype or object, copy=False)
    kind = _ML_DTYPES.get(tensor.dtype)
    result = np.asarray(memoryview(tensor)) if kind is None else _ml_array(tensor, kind)
    if dtype is not None and result.dtype != dtype:
        if copy is False:
            raise ValueError(f"elements of {tensor.dtype} cannot become {dtype} without a copy")
        return result.astype(dtype)
    return result.copy() if copy and not is_copied else result


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
    """A tensor of strings: of a str, or of an array of str, bytes or objects that are such.

    Python's numbers among the objects are those of a list.
    """
    if isinstance(given, str):
        return _martlet.from_strings((given,), ())
    flat = given.ravel().tolist()
    if not all(isinstance(item, (str, bytes)) for item in flat):
        for index, item in enumerate(flat):
            if type(item) not in (bool, int, float, str):
                kind = type(item).__name__
                raise TypeError(
                    f"{what} is an array of objects, of which that at {index} is of type {kind}; a "
                    "tensor has numbers or strings"
                )
        return from_nested(flat, what=what).reshape(given.shape)
    return _martlet.from_strings(tuple(flat), given.shape)


def from_interface(given: Any, what: str) -> Tensor:
    """A tensor of what has NumPy's ``__array_interface__`` alone, as Pillow's images do."""
    try:
        import numpy as np
    except ImportError:
        kind = type(given).__name__
        raise TypeError(f"{what} is of type {kind}, which needs NumPy to be an array") from None
    return Tensor(np.asarray(given))


_TYPE_CODES = {bool: ("B", "bool"), int: ("q", "int64"), float: ("f", "float32")}
_MOST_AXES = 32

_INTEGERS = {f"{sign}int{bits}": bits for sign in ("", "u") for bits in (8, 16, 32, 64)}
#: The kinds of Python's numbers that a dtype holds.
_KINDS: dict[str | None, tuple[type, ...]] = {
    "bool": (bool,),
    **dict.fromkeys(_INTEGERS, (bool, int)),
    **dict.fromkeys(("float16", "bfloat16", "float32", "float64"), (bool, int, float)),
}


def _check_range(numbers: list[int], dtype: str, what: str) -> None:
    bits = _INTEGERS[dtype]
    least, most = (0, 1 << bits) if dtype[0] == "u" else (-1 << (bits - 1), 1 << (bits - 1))
    for number in numbers:
        if not least <= number < most:
            raise OverflowError(f"{what} is {dtype}, which does not hold {number}")


def from_list(data: Any, what: str) -> Tensor:
    """`from_nested`, for the extension."""
    return from_nested(data, what=what)


def from_nested(
    data: Any, dtype: Any = None, *, what: str = "data", weak: str | None = None
) -> Tensor:
    """A tensor of numbers or strings in nested lists or tuples, or of arrays of one shape in them.

    Python's numbers become float32, int64 or bool unless dtype says; of the dtype ``weak`` where
    that is for numbers of their kind.
    """
    shape: list[int] = []
    level = data
    while isinstance(level, (list, tuple)):
        if len(shape) == _MOST_AXES:
            raise ValueError(
                f"{what}: lists are nested deeper than {_MOST_AXES}, or one of them contains itself"
            )
        shape.append(len(level))
        if not level:
            break
        level = level[0]
    flat: list[Any] = []
    _flatten(data, shape, flat, what)
    kinds = set(map(type, flat))
    if not kinds <= {bool, int, float, str}:
        result = _stacked(flat, tuple(shape), what)
    elif str in kinds:
        if len(kinds) > 1:
            raise TypeError(f"{what}: a tensor has numbers or strings, not both")
        result = _martlet.from_strings(tuple(flat), tuple(shape))
    else:
        kind = max(kinds, key=[bool, int, float].index, default=float)
        code, name = _TYPE_CODES[kind]
        if weak in _KINDS and dtype is None and (not flat or kind in _KINDS[weak]):
            dtype = weak
            if flat and weak in _INTEGERS:
                _check_range(flat, weak, what)
        if code == "f" and dtype is not None:
            code, name = "d", "float64"  # rounded once, by astype
        elif code == "q" and min(flat) >= 0 and max(flat) >= 1 << 63:
            code, name = "Q", "uint64"
        try:
            numbers = array(code, flat).tobytes()
        except OverflowError:
            raise OverflowError(f"{what}: an int beyond 64 bits") from None
        result = _martlet.from_bytes(numbers, name, tuple(shape))
    return result if dtype is None else result.astype(dtype)


def _flatten(data: Any, shape: list[int], flat: list[Any], what: str) -> None:
    if not shape:
        if isinstance(data, (list, tuple)):
            raise ValueError(f"{what}: nested lists must be of one depth")
        flat.append(data)
        return
    if not isinstance(data, (list, tuple)) or len(data) != shape[0]:
        raise ValueError(
            f"{what}: nested lists must be of equal lengths; expected {shape[0]} items"
        )
    for item in data:
        _flatten(item, shape[1:], flat, what)


_EXPORTS = ("__dlpack__", "__array__", "__array_interface__")


def _stacked(flat: list[Any], shape: tuple[int, ...], what: str) -> Tensor:
    """Arrays, or NumPy's numbers, as one tensor of the lists' shape and then theirs."""
    tensors = []
    for item in flat:
        if not any(hasattr(item, name) for name in _EXPORTS):
            kind = type(item).__name__
            raise TypeError(f"{what}: a tensor has numbers or strings, not {kind}")
        tensors.append(Tensor(item))
    first = tensors[0]
    for other in tensors:
        if (other.dtype, other.shape) != (first.dtype, first.shape):
            raise ValueError(
                f"{what}: arrays in a list must be alike; there are {first.dtype} of shape "
                f"{first.shape} and {other.dtype} of shape {other.shape}"
            )
    rows = [tensor.reshape(1, *first.shape) for tensor in tensors]
    joined = _martlet.op_run("Concat", tuple(rows), {"axis": 0}, 1, None)[0]
    return joined.reshape(*shape, *first.shape)
