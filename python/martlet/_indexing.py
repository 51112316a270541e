"""Parts of tensors and other shapes of them: what `Tensor`'s brackets, T and reshape give."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from itertools import product
from typing import Any

from martlet import _martlet

Tensor = _martlet.Tensor

#: What elements of less than a byte are copied as, exactly, to take some of them.
_WIDER = {"int4": "int8", "int2": "int8", "uint4": "uint8", "uint2": "uint8"}
_PACKED = frozenset(_WIDER) | {"float4e2m1", "float6e2m3", "float6e3m2"}


def element(tensor: Tensor, key: Any) -> Tensor:
    """``tensor[key]``: a view, and a copy of strings and of elements of less than a byte."""
    keys = key if isinstance(key, tuple) else (key,)
    if tensor.dtype == "string":
        return _of_strings(tensor, keys)
    if tensor.dtype in _PACKED:
        wide = tensor.astype(_WIDER.get(tensor.dtype, "float32"))
        return element(wide, key).astype(tensor.dtype)
    return _martlet.view(tensor, *_part(tensor.shape, tensor.strides, keys))


def iterate(tensor: Tensor) -> Iterator[Tensor]:
    """The parts along the first axis."""
    if tensor.ndim == 0:
        raise TypeError("a Tensor without axes is not iterable; item() gives its element")
    return (element(tensor, index) for index in range(tensor.shape[0]))


def _part(
    shape: tuple[int, ...], strides: tuple[int, ...], keys: tuple[Any, ...]
) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Where the part begins behind the first element, its extents, and its strides."""
    if not any(key is Ellipsis for key in keys):
        keys = (*keys, Ellipsis)
    named = sum(1 for key in keys if key is not None and key is not Ellipsis)
    if named > len(shape):
        raise IndexError(f"{named} indices for a Tensor of {len(shape)} axes, of shape {shape}")
    if sum(1 for key in keys if key is Ellipsis) > 1:
        raise IndexError("more than one ... among the indices")
    offset, axis = 0, 0
    extents: list[int] = []
    steps: list[int] = []
    for key in keys:
        if key is None:
            extents.append(1)
            steps.append(0)
        elif key is Ellipsis:
            behind = axis + len(shape) - named
            extents += shape[axis:behind]
            steps += strides[axis:behind]
            axis = behind
        elif isinstance(key, slice):
            first, last, step = key.indices(shape[axis])
            count = len(range(first, last, step))
            offset += first * strides[axis] if count else 0
            extents.append(count)
            steps.append(step * strides[axis])
            axis += 1
        else:
            offset += _number(key, shape[axis], axis) * strides[axis]
            axis += 1
    return (0 if 0 in extents else offset), tuple(extents), tuple(steps)


def _number(key: Any, extent: int, axis: int) -> int:
    if isinstance(key, str):
        raise IndexError(
            f"a Tensor has no part {key!r}; model.run(...) gives outputs by name, and model(...) "
            "the only output itself"
        )
    try:
        if isinstance(key, bool):
            raise TypeError
        index = operator.index(key)
    except TypeError:
        kind = type(key).__name__
        raise IndexError(
            "a Tensor is indexed by integers, slices, None and ..., not by "
            f"{kind}; numpy() takes lists, arrays and masks too: tensor.numpy()[...]"
        ) from None
    if not -extent <= index < extent:
        raise IndexError(f"index {index} is out of range for axis {axis}, which has {extent}")
    return index % extent


def _of_strings(tensor: Tensor, keys: tuple[Any, ...]) -> Tensor:
    offset, shape, strides = _part(tensor.shape, _row_major(tensor.shape), keys)
    texts = _martlet.string_list(tensor)
    ranges = [range(extent) for extent in shape]
    places = (offset + sum(map(operator.mul, at, strides)) for at in product(*ranges))
    return _martlet.from_strings(tuple(texts[place] for place in places), shape)


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def transpose(tensor: Tensor) -> Tensor:
    """``tensor.T``: the axes in the other order."""
    if tensor.dtype == "string" or tensor.dtype in _PACKED:
        return _martlet.op_run("Transpose", (tensor,), {}, 1, None)[0]
    return _martlet.view(tensor, 0, tensor.shape[::-1], tensor.strides[::-1])


def reshape(tensor: Tensor, *shape: Any) -> Tensor:
    """The elements in row-major order in another shape; a view where they lie so."""
    given = shape[0] if len(shape) == 1 and not hasattr(shape[0], "__index__") else shape
    try:
        extents = [operator.index(extent) for extent in given]
    except TypeError:
        raise TypeError(f"reshape() takes integers or a tuple of them, not {given!r}") from None
    unknown = [axis for axis, extent in enumerate(extents) if extent == -1]
    known = math.prod(extent for extent in extents if extent != -1)
    if len(unknown) == 1 and known > 0 and tensor.size % known == 0:
        extents[unknown[0]] = tensor.size // known
    if len(unknown) > 1 or min(extents, default=0) < 0 or math.prod(extents) != tensor.size:
        raise ValueError(f"a Tensor of shape {tensor.shape} cannot be reshaped to {tuple(given)}")
    target = _martlet.from_bytes(
        b"".join(extent.to_bytes(8, "little") for extent in extents), "int64", (len(extents),)
    )
    return _martlet.op_run("Reshape", (tensor, target), {"allowzero": 1}, 1, None)[0]


def argmax(tensor: Tensor, axis: int | None = None) -> Tensor:
    """The index of the first largest element along an axis, or in row-major order."""
    if tensor.size == 0:
        raise ValueError(f"argmax() of a Tensor without elements, of shape {tensor.shape}")
    flat = reshape(tensor, -1) if axis is None else tensor
    attributes = {"axis": 0 if axis is None else operator.index(axis), "keepdims": 0}
    return _martlet.op_run("ArgMax", (flat,), attributes, 1, None)[0]
