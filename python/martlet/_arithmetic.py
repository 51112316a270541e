"""Operators between tensors, by the array API standard's rules of dtypes.

Both sides become the smallest dtype of their kind (signed and unsigned integers, floats) that holds
both. A Python number takes the dtype of the tensor beside it. What the standard leaves open (an
integer with a float, uint64 with a signed integer) is an error that says what to write instead.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from typing import Any

from martlet import _martlet
from martlet._interop import _EXPORTS, from_nested

Tensor = _martlet.Tensor

_SIGNED = ("int8", "int16", "int32", "int64")
_UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
_INTEGERS = frozenset(_SIGNED + _UNSIGNED)
_FLOATS = frozenset(("float16", "bfloat16", "float32", "float64"))


def _run(name: str, *inputs: Tensor, **attributes: Any) -> Tensor:
    return _martlet.op_run(name, inputs, attributes, 1, None)[0]


def binary(symbol: str, lhs: Any, rhs: Any) -> Any:
    """``lhs symbol rhs``, of which one is a Tensor; NotImplemented where the other cannot be."""
    left, right = _operands(symbol, lhs, rhs)
    if left is None or right is None:
        return NotImplemented
    return _BINARY[symbol](left, right)


def unary(symbol: str, tensor: Tensor) -> Tensor:
    """``symbol tensor``."""
    if symbol == "+" and tensor.dtype in _FLOATS | _INTEGERS:
        return tensor
    if symbol == "~":
        if tensor.dtype == "bool":
            return _run("Not", tensor)
        if tensor.dtype in _INTEGERS:
            return _run("BitwiseNot", tensor)
    elif tensor.dtype in _FLOATS or tensor.dtype in _SIGNED:
        return _run({"-": "Neg", "abs": "Abs"}[symbol], tensor)
    elif symbol == "abs" and tensor.dtype in _UNSIGNED:
        return tensor
    raise _no_way(symbol, tensor)


def _no_way(symbol: str, *operands: Tensor, hint: str = "") -> TypeError:
    kinds = " and ".join(dict.fromkeys(operand.dtype for operand in operands))
    hint = hint or "convert with astype(), or use numpy(), which has more"
    return TypeError(f"{symbol} is not for Tensors of {kinds}; {hint}")


# Operands


def _operands(symbol: str, lhs: Any, rhs: Any) -> tuple[Tensor | None, Tensor | None]:
    """Both as Tensors of one dtype; None for what cannot be one."""
    is_left = isinstance(lhs, Tensor)
    left = lhs if is_left else _beside(symbol, rhs, lhs)
    right = _beside(symbol, lhs, rhs) if is_left else rhs
    if left is None or right is None or left.dtype == right.dtype:
        return left, right
    dtype = _common(left.dtype, right.dtype)
    if dtype is None:
        raise _no_way(
            symbol, left, right, hint="convert one with astype(), or use numpy(), which mixes them"
        )
    return left.astype(dtype), right.astype(dtype)


def _beside(symbol: str, tensor: Tensor, other: Any) -> Tensor | None:
    if isinstance(other, Tensor):
        return other
    if type(other) in (bool, int, float, str):
        return _scalar(symbol, other, tensor)
    if isinstance(other, (list, tuple)):
        return _like(from_nested(other, what=f"the list beside {symbol}"), tensor)
    is_array = any(hasattr(other, name) for name in _EXPORTS)
    return Tensor(other) if is_array or isinstance(other, (memoryview, array)) else None


def _like(numbers: Tensor, tensor: Tensor) -> Tensor:
    """Numbers of a list in the dtype of the tensor beside them, where its kind holds them."""
    is_float = tensor.dtype in _FLOATS
    fits = numbers.dtype == "float32" and is_float
    fits = fits or (numbers.dtype == "int64" and (is_float or tensor.dtype == "int64"))
    return numbers.astype(tensor.dtype) if fits else numbers


def _scalar(symbol: str, value: bool | int | float | str, tensor: Tensor) -> Tensor | None:
    dtype = tensor.dtype
    if isinstance(value, str) or dtype == "string":
        both = isinstance(value, str) and dtype == "string"
        return _martlet.from_strings((str(value),), ()) if both else None
    is_mixed = dtype not in _FLOATS and not (isinstance(value, int) and dtype in _INTEGERS)
    if is_mixed and not (isinstance(value, bool) and dtype == "bool"):
        kind = type(value).__name__
        raise TypeError(
            f"{symbol} is not for a Tensor of {dtype} and a Python {kind}; convert the Tensor with "
            "astype(), or use numpy(), which mixes them"
        )
    if dtype in _INTEGERS:
        bits = int(dtype.removeprefix("u").removeprefix("int"))
        is_signed = dtype in _SIGNED
        most = 1 << (bits - is_signed)
        if not (-most if is_signed else 0) <= value < most:
            raise OverflowError(f"the Python int {value} is no {dtype}, as the Tensor beside it is")
        data = int(value).to_bytes(bits // 8, "little", signed=is_signed)
        return _martlet.from_bytes(data, dtype, ())
    if dtype == "bool":
        return Tensor(value)
    return _martlet.from_bytes(struct.pack("<d", float(value)), "float64", ()).astype(dtype)


def _common(one: str, other: str) -> str | None:
    """The smallest dtype that holds both, where they are of a kind."""
    if one in _FLOATS and other in _FLOATS:
        return "float64" if "float64" in (one, other) else "float32"
    for kind in (_SIGNED, _UNSIGNED):
        if one in kind and other in kind:
            return max(one, other, key=kind.index)
    if one in _INTEGERS and other in _INTEGERS:
        signed, unsigned = (one, other) if one in _SIGNED else (other, one)
        rank = max(_SIGNED.index(signed), _UNSIGNED.index(unsigned) + 1)
        return _SIGNED[rank] if rank < len(_SIGNED) else None
    return None


# Operations


def _of(kinds: frozenset[str], symbol: str, name: str) -> Callable[[Tensor, Tensor], Tensor]:
    def run(left: Tensor, right: Tensor) -> Tensor:
        if left.dtype not in kinds:
            raise _no_way(symbol, left)
        return _run(name, left, right)

    return run


def _divide(left: Tensor, right: Tensor) -> Tensor:
    if left.dtype not in _FLOATS:
        hint = "astype('float32') makes floats of them, and // divides integers"
        raise _no_way("/", left, hint=hint)
    return _run("Div", left, right)


def _modulo(left: Tensor, right: Tensor) -> Tensor:
    """With the divisor's sign, as Python has it."""
    if left.dtype not in _INTEGERS:
        raise _no_way("%", left)
    _check_divisor(right)
    return _run("Mod", left, right)


def _floor_divide(left: Tensor, right: Tensor) -> Tensor:
    if left.dtype not in _INTEGERS:
        raise _no_way("//", left)
    _check_divisor(right)
    return _run("Div", _run("Sub", left, _run("Mod", left, right)), right)


def _check_divisor(divisor: Tensor) -> None:
    if not _all(_run("Cast", divisor, to=9)):
        raise ZeroDivisionError("division of integers by zero")


def _all(flags: Tensor) -> bool:
    return b"\0" not in flags.tobytes()


def _power(base: Tensor, exponent: Tensor) -> Tensor:
    if base.dtype not in _FLOATS | _INTEGERS:
        raise _no_way("**", base)
    if exponent.dtype in _SIGNED and not _all(_run("GreaterOrEqual", exponent, _zero(exponent))):
        raise ValueError("integers to negative powers are no integers; astype('float32') first")
    return _run("Pow", base, exponent)


def _zero(tensor: Tensor) -> Tensor:
    return _martlet.from_bytes(bytes(8), "int64", ()).astype(tensor.dtype)


def _logic(symbol: str, of_bools: str, of_bits: str) -> Callable[[Tensor, Tensor], Tensor]:
    def run(left: Tensor, right: Tensor) -> Tensor:
        if left.dtype == "bool":
            return _run(of_bools, left, right)
        if left.dtype in _INTEGERS:
            return _run(of_bits, left, right)
        raise _no_way(symbol, left)

    return run


def _shift(symbol: str, direction: str) -> Callable[[Tensor, Tensor], Tensor]:
    def run(left: Tensor, right: Tensor) -> Tensor:
        if left.dtype not in _UNSIGNED:
            raise _no_way(symbol, left, hint="unsigned integers are shifted; numpy() has the rest")
        return _run("BitShift", left, right, direction=direction)

    return run


def _unequal(left: Tensor, right: Tensor) -> Tensor:
    return _run("Not", _run("Equal", left, right))


def _product(left: Tensor, right: Tensor) -> Tensor:
    return _martlet.matmul(left, right, None)


_NUMBERS = _FLOATS | _INTEGERS
_ORDERED = _NUMBERS
_EQUALS = _NUMBERS | {"bool", "string"}
_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "+": _of(_NUMBERS, "+", "Add"),
    "-": _of(_NUMBERS, "-", "Sub"),
    "*": _of(_NUMBERS, "*", "Mul"),
    "@": _product,
    "/": _divide,
    "//": _floor_divide,
    "%": _modulo,
    "**": _power,
    "&": _logic("&", "And", "BitwiseAnd"),
    "|": _logic("|", "Or", "BitwiseOr"),
    "^": _logic("^", "Xor", "BitwiseXor"),
    "<<": _shift("<<", "LEFT"),
    ">>": _shift(">>", "RIGHT"),
    "==": _of(_EQUALS, "==", "Equal"),
    "!=": _unequal,
    "<": _of(_ORDERED, "<", "Less"),
    "<=": _of(_ORDERED, "<=", "LessOrEqual"),
    ">": _of(_ORDERED, ">", "Greater"),
    ">=": _of(_ORDERED, ">=", "GreaterOrEqual"),
}
