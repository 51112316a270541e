"""What Tensor's methods do by way of NumPy or Python objects; called by the extension."""

from __future__ import annotations

from array import array
from typing import Any

from martlet import _martlet

Tensor = _martlet.Tensor


def to_numpy(tensor: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    """NumPy's ``__array__``: a view of the memory unless dtype or copy ask for more."""
    import numpy as np

    is_bfloat16 = tensor.dtype == "bfloat16"
    result = _bfloat16_view(tensor) if is_bfloat16 else np.asarray(memoryview(tensor))
    if dtype is not None and result.dtype != dtype:
        if copy is False:
            raise ValueError(f"a {tensor.dtype} tensor cannot become {dtype} without a copy")
        return result.astype(dtype)
    return result.copy() if copy else result


def _bfloat16_view(tensor: Tensor) -> Any:
    """NumPy has no bfloat16 of its own: ml_dtypes brings it; DLPack carries the memory."""
    try:
        import ml_dtypes
    except ImportError:
        raise TypeError(
            "NumPy has no bfloat16; install ml_dtypes, or convert with astype('float32')"
        ) from None
    import numpy as np

    return np.asarray(memoryview(_martlet.bits_of(tensor))).view(ml_dtypes.bfloat16)


def to_list(tensor: Tensor) -> Any:
    """The elements as nested lists, or as a number for a scalar."""
    if tensor.dtype in ("bfloat16", "float16"):
        tensor = tensor.astype("float32")  # exact; memoryview reads neither everywhere
    return memoryview(tensor).tolist()


def to_item(tensor: Tensor) -> Any:
    """The only element."""
    value = to_list(tensor)
    while isinstance(value, list):
        value = value[0]
    return value


def reduce_tensor(tensor: Tensor) -> tuple[Any, ...]:
    """Pickling: the elements' bytes, dtype and shape."""
    bits = _martlet.bits_of(tensor) if tensor.dtype == "bfloat16" else tensor
    return rebuild_tensor, (memoryview(bits).tobytes(), tensor.dtype, tensor.shape)


def rebuild_tensor(data: bytes, dtype: str, shape: tuple[int, ...]) -> Tensor:
    """What a pickled Tensor is made of again; the elements are copied."""
    return _martlet.from_bytes(data, dtype, shape)


_TYPE_CODES = {bool: ("B", "bool"), int: ("q", "int64"), float: ("f", "float32")}


def from_nested(data: Any, dtype: Any = None) -> Tensor:
    """A tensor of numbers in nested lists or tuples: float32, int64 or bool unless dtype says."""
    shape: list[int] = []
    level = data
    while isinstance(level, (list, tuple)):
        shape.append(len(level))
        if not level:
            break
        level = level[0]
    flat: list[Any] = []
    _flatten(data, shape, flat)
    kind = max(map(type, flat), key=[bool, int, float].index, default=float)
    code, name = _TYPE_CODES[kind]
    result = _martlet.from_bytes(array(code, flat).tobytes(), name, tuple(shape))
    return result if dtype is None else result.astype(dtype)


def _flatten(data: Any, shape: list[int], flat: list[Any]) -> None:
    if not shape:
        if type(data) not in _TYPE_CODES:
            raise TypeError(f"a tensor has numbers, not {type(data).__name__}")
        flat.append(data)
        return
    if not isinstance(data, (list, tuple)) or len(data) != shape[0]:
        raise ValueError(f"nested lists must be of equal lengths; expected {shape[0]} items")
    for item in data:
        _flatten(item, shape[1:], flat)
