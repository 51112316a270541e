"""What callers give to runs, as runs take it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from martlet._interop import from_nested
from martlet._reports import ValueInfo


def given(
    inputs: Any, outputs: Any, infos: tuple[ValueInfo, ...], output_names: tuple[str, ...]
) -> tuple[Mapping[str, Any], tuple[str, ...] | None]:
    """The feed by name and the names of outputs, None for all, of the arguments of `Model.run`.

    They may be in ONNX Runtime's order, and the feed of a model of one input its value.
    """
    is_feed_missing = inputs is None if infos else inputs is not None and _are_names(inputs)
    if not _are_names(outputs) or (is_feed_missing and not isinstance(inputs, Mapping)):
        inputs, outputs = outputs, inputs
        if not _are_names(outputs):
            raise TypeError(
                "run() takes inputs by name and names of outputs, run(feed, ['y']), or the other "
                f"way round; got {_kind(outputs)} and {_kind(inputs)} (model(a, b, ...) takes "
                "inputs in order)"
            )
    wanted = None if outputs is None else _names(outputs)
    if isinstance(inputs, Mapping):
        return inputs, wanted
    if inputs is None and not infos:
        return {}, wanted
    feed = "{" + ", ".join(f"{info.name!r}: array" for info in infos) + "}"
    if inputs is None or len(infos) != 1:
        in_order = "; model(a, b, ...) takes them in order" if len(infos) > 1 else ""
        raise TypeError(f"run() takes inputs by name, {feed}, not {_kind(inputs)}{in_order}")
    is_name = _are_names(inputs) and set(_names(inputs)) <= set(output_names)
    if wanted is None and is_name and infos[0].dtype != "string":
        raise TypeError(f"run({inputs!r}) lacks the inputs: run({inputs!r}, {feed})")
    return {infos[0].name: inputs}, wanted


def fed(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call, of which a feed alone stands for its inputs by name."""
    if len(args) == 1 and not kwargs and type(args[0]) is dict:
        return (), args[0]
    return args, kwargs


def _are_names(value: Any) -> bool:
    if value is None or isinstance(value, str):
        return True
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)


def _names(value: Any) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    if len(set(names)) != len(names):
        raise ValueError("an output is asked for twice")
    return names


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__


def weak(value: Any, dtype: str | None, what: str) -> Any:
    """Python's number, or a list of them, in the dtype of the input where that can hold it.

    Else as it is, for the library to refuse, which says what was expected.
    """
    if not isinstance(value, (bool, int, float)):
        return from_nested(value, what=what, weak=dtype)
    return from_nested([value], what=what, weak=dtype).reshape(())
