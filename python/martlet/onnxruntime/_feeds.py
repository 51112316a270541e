"""What runs are given and give, and what is wrong with it in ONNX Runtime's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import martlet
from martlet._reports import ValueInfo
from martlet.onnxruntime._errors import Fail, InvalidArgument, failure
from martlet.onnxruntime._ortvalue import OrtValue
from martlet.onnxruntime._types import element_of, numpy_dtype, tensor_type

_FIX = " Please fix either the inputs/outputs or the model."


def feed(given: Any, info: ValueInfo) -> Any:
    """What Martlet runs on for an input."""
    if isinstance(given, OrtValue):
        given = given._value
    outer, bracket, inner = info.type.partition("(")
    if bracket and outer == "optional":
        if given is None:
            return None
        return feed(given, info._replace(type=inner[:-1]))
    if bracket and outer == "sequence":
        return _sequence(given, info, inner[:-1])
    if bracket:
        return given
    return _tensor(given, info)


def _tensor(given: Any, info: ValueInfo) -> Any:
    if isinstance(given, martlet.Tensor):
        return given
    wanted = info.type.partition("[")[0]
    if isinstance(given, list):
        given = _array_of_list(given, wanted)
    if isinstance(given, np.ndarray):
        actual = element_of(given.dtype)
        if actual is None:
            raise RuntimeError(f"Numpy_type {given.dtype.num} can't be converted to MLDataType.")
        if actual != wanted and wanted != "?":
            raise _wrong_type(actual, wanted)
        if actual == "string":
            return _texts(given)
        if given.dtype.byteorder == ">":
            return given.astype(given.dtype.newbyteorder("="))
        return given
    if given is None:
        raise failure(Fail, f"Missing Input: {info.name}")
    if isinstance(given, (tuple, set, frozenset)):
        raise RuntimeError(
            f"Input must be a list of dictionaries or a single numpy array for input '{info.name}'."
        )
    raise RuntimeError(f"Unable to handle object of type {type(given)}")


def _wrong_type(actual: str, wanted: str) -> Exception:
    return failure(
        InvalidArgument,
        f"Unexpected input data type. Actual: ({tensor_type(actual)}) , "
        f"expected: ({tensor_type(wanted)})",
    )


def _array_of_list(given: list[Any], wanted: str) -> np.ndarray[Any, Any]:
    try:
        if wanted != "string":
            return np.array(given, numpy_dtype(wanted))
        return np.array(given, object)
    except (ValueError, TypeError, OverflowError) as error:
        raise RuntimeError(f"Could not create tensor from given input list: {error}") from None


def _texts(given: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Objects that are no strings as their str(), as ONNX Runtime has it."""
    if given.dtype.kind != "O" or all(isinstance(item, (str, bytes)) for item in given.flat):
        return given
    texts = np.empty(given.size, object)
    texts[:] = [item if isinstance(item, (str, bytes)) else str(item) for item in given.flat]
    return texts.reshape(given.shape)


def _sequence(given: Any, info: ValueInfo, inner: str) -> list[Any]:
    if isinstance(given, np.ndarray):
        raise failure(
            InvalidArgument,
            f"input with name: '{info.name}' expected to be of type: 3 but received a tensor",
        )
    if not isinstance(given, list):
        raise RuntimeError(
            f"Iterable of {type(given)} should be given as a list for input '{info.name}'."
        )
    element = info._replace(type=inner)
    return [feed(item, element) for item in given]


def check_shape(
    name: str, shape: Sequence[int], wanted: Sequence[int | str | None] | None
) -> Exception | None:
    """What ONNX Runtime says of a shape that does not fit; None where it does."""
    if not wanted:  # neither a scalar nor an unknown rank is held against what comes
        return None
    if len(shape) != len(wanted):
        return failure(
            InvalidArgument,
            f"Invalid rank for input: {name} Got: {len(shape)} Expected: {len(wanted)}{_FIX}",
        )
    wrong = [
        f" index: {axis} Got: {got} Expected: {expected}\n"
        for axis, (got, expected) in enumerate(zip(shape, wanted, strict=True))
        if isinstance(expected, int) and got != expected
    ]
    if not wrong:
        return None
    return failure(
        InvalidArgument,
        f"Got invalid dimensions for input: {name} for the following indices\n"
        f"{''.join(wrong)}{_FIX}",
    )


def wrong_shapes(feeds: Mapping[str, Any], shapes: Mapping[str, Any]) -> Exception | None:
    """The first feed whose shape is wrong, in ONNX Runtime's words."""
    for name, given in feeds.items():
        shape = getattr(given, "shape", None)
        if shape is None or name not in shapes:
            continue
        error = check_shape(name, shape, shapes[name])
        if error is not None:
            return error
    return None


def wrong_output(error: martlet.Error, out: Mapping[str, Any] | None) -> Exception | None:
    """What ONNX Runtime says of memory for an output that does not fit."""
    if not out or error.input not in out or error.node is not None:
        return None
    return failure(
        InvalidArgument,
        f"Got invalid dimensions for output: {error.input}: expected {error.expected}, "
        f"got {error.actual}{_FIX}",
    )


def result(value: Any) -> Any:
    """A run's result as ONNX Runtime gives it: arrays, lists, dicts of numbers, None."""
    if isinstance(value, martlet.Tensor):
        array = value.numpy()
        return array if array.flags.writeable else array.copy()
    if isinstance(value, list):
        return [result(item) for item in value]
    if isinstance(value, dict):
        return {key: _number(result(item)) for key, item in value.items()}
    return value


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
