"""Tensors as text: what repr() and f-strings give."""

from __future__ import annotations

import math
import struct
from typing import Any

from martlet import _martlet
from martlet._indexing import element

Tensor = _martlet.Tensor

#: As NumPy: beyond so many elements, only so many at both ends of each axis.
_MOST_ELEMENTS = 1000
_ENDS = 3
_COLUMNS = 88
_DECIMALS = 6


def text(tensor: Tensor) -> str:
    """``Tensor([[1.5, 2.0]], shape=(1, 2), dtype=float32)``."""
    is_short = tensor.size <= _MOST_ELEMENTS
    values = _values(tensor, is_short)
    flat: list[Any] = []
    _flatten(values, flat)
    words = _words(flat, tensor.dtype)
    width = max(map(len, words), default=0)
    body = _nested(values, iter(word.rjust(width) for word in words), len("Tensor("))
    tail = f"shape={tensor.shape}, dtype={tensor.dtype})"
    last = body.rsplit("\n", 1)[-1]
    prefix = 0 if "\n" in body else len("Tensor(")
    gap = ", " if prefix + len(last) + len(tail) + 2 <= _COLUMNS else ",\n       "
    return f"Tensor({body}{gap}{tail}"


def formatted(tensor: Tensor, spec: str) -> str:
    """``format(tensor, spec)``: a spec is for the only element."""
    if not spec:
        return text(tensor)
    if tensor.size != 1:
        raise TypeError(
            f"the format {spec!r} needs a Tensor of one element, this one is of shape "
            f"{tensor.shape}; format what tolist() or numpy() gives"
        )
    return format(tensor.item(), spec)


_GAP = object()


def _values(tensor: Tensor, is_short: bool) -> Any:
    """The elements that are shown as nested lists, with _GAP for those between."""
    if is_short or tensor.ndim == 0:
        return tensor.tolist()
    extent = tensor.shape[0]
    if extent <= 2 * _ENDS:
        return [_values(element(tensor, index), is_short) for index in range(extent)]
    ends = [*range(_ENDS), *range(extent - _ENDS, extent)]
    if tensor.ndim == 1:
        heads = element(tensor, slice(_ENDS)).tolist()
        return [*heads, _GAP, *element(tensor, slice(-_ENDS, None)).tolist()]
    parts = [_values(element(tensor, index), is_short) for index in ends]
    return [*parts[:_ENDS], _GAP, *parts[_ENDS:]]


def _flatten(values: Any, flat: list[Any]) -> None:
    if isinstance(values, list):
        for value in values:
            _flatten(value, flat)
    elif values is not _GAP:
        flat.append(values)


def _words(flat: list[Any], dtype: str) -> list[str]:
    if not flat or not isinstance(flat[0], float):
        return [repr(value) for value in flat]
    finite = [abs(value) for value in flat if math.isfinite(value) and value != 0]
    digits = [_shortest(value, dtype) for value in flat]
    if finite and (max(finite) >= 1e8 or min(finite) < 1e-4 or max(finite) / min(finite) > 1e7):
        most = max(_mantissa(word) for word in digits)
        return [
            f"{value:.{most}e}" if math.isfinite(value) else word
            for value, word in zip(flat, digits, strict=True)
        ]
    decimals = max((_decimals(word) for word in digits), default=1)
    return [
        f"{value:.{decimals}f}" if math.isfinite(value) else word
        for value, word in zip(flat, digits, strict=True)
    ]


def _shortest(value: float, dtype: str) -> str:
    """The fewest digits that say which float32 (or narrower float) it is."""
    if dtype == "float64" or not math.isfinite(value):
        return repr(value)
    for digits in range(1, 9):
        word = f"{value:.{digits}g}"
        if abs(float(word)) < 3e38 and struct.pack("f", float(word)) == struct.pack("f", value):
            return repr(float(word))
    return repr(float(f"{value:.9g}"))


def _decimals(word: str) -> int:
    """How many digits behind the point, of which at most _DECIMALS are shown."""
    if "." not in word or "e" in word:
        return _DECIMALS if "e-" in word else 1
    return max(1, min(len(word) - word.index(".") - 1, _DECIMALS))


def _mantissa(word: str) -> int:
    """How many digits behind the point in powers of ten, of which at most _DECIMALS are shown."""
    if not math.isfinite(float(word)):
        return 1
    exact = (k for k in range(1, _DECIMALS) if float(f"{float(word):.{k}e}") == float(word))
    return next(exact, _DECIMALS)


def _nested(values: Any, words: Any, indent: int) -> str:
    if not isinstance(values, list):
        return "..." if values is _GAP else next(words)
    if not any(isinstance(value, list) for value in values):
        return _row([_nested(value, words, indent) for value in values], indent)
    parts = [_nested(value, words, indent + 1) for value in values]
    lines = "\n" * (_depth(values) - 1)
    return "[" + f",{lines}{' ' * (indent + 1)}".join(parts) + "]"


def _row(words: list[str], indent: int) -> str:
    lines, line = [], ""
    for word in words:
        if line and indent + 1 + len(line) + 2 + len(word) > _COLUMNS:
            lines.append(line)
            line = word
        else:
            line = f"{line}, {word}" if line else word
    lines.append(line)
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _depth(values: Any) -> int:
    depth = 0
    while isinstance(values, list):
        depth += 1
        values = next((value for value in values if isinstance(value, list)), None)
    return depth
