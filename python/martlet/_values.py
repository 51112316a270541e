"""Inputs and outputs of models that are no tensors, as Python objects."""

from __future__ import annotations

from typing import Any

from martlet import _martlet
from martlet._inputs import weak
from martlet._martlet import Tensor

_SEQUENCE, _OPTIONAL, _MAP, _STATE = 2, 3, 4, 5


class State:
    """A tensor that operators append to in place, as a cache of keys and values.

    Give it to a model where a tensor is asked for: where an operator appends to it along its axis
    (``Concat`` to its first input; ``Attention`` to ``past_key`` and ``past_value``, axis 2), the
    output is a `State` too, for the next run. What is in it is not copied as long as there is room.
    The one that was given in stays as it was.

    ``TensorScatter`` writes over a state that nothing else in the run reads: its output is the
    state to go on with, and the one given is used up. Models and `tensor` refuse it from then on.

    Parameters
    ----------
    initial : Tensor, NumPy array, ...
        Its first elements, which are copied; of extent 0 along the axis for an empty state.
    axis : int
        The axis that grows.
    capacity : int
        The extent along the axis that there is room for; beyond it, the state moves.
    """

    def __init__(self, initial: Any, axis: int, capacity: int) -> None:
        self._value = _martlet.value_state(initial, axis, capacity)

    @property
    def tensor(self) -> Tensor:
        """The elements, read-only."""
        return self._value.tensor()

    @property
    def shape(self) -> tuple[int, ...]:
        """The extents, outermost first."""
        return self.tensor.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.tensor.__array__(dtype, copy)

    def __repr__(self) -> str:
        tensor = self.tensor
        return f"<martlet.State {tensor.dtype} {tensor.shape}>"


def to_value(given: Any, kind: str, what: str) -> _martlet.Value:
    """The value that a model's input of this type is given.

    A list or tuple is a sequence, None an optional without a value, a dict a map.
    """
    if isinstance(given, State):
        return given._value
    outer, _, inner = kind.partition("(")
    inner = inner[:-1]
    if outer == "sequence":
        if not isinstance(given, (list, tuple)):
            raise TypeError(f"{what} is a {type(given).__name__}; expected a list: {kind}")
        elements = tuple(
            to_value(item, inner, f"{what}[{index}]") for index, item in enumerate(given)
        )
        dtype = inner.partition("[")[0]
        return _martlet.value_sequence(elements, _dtype(dtype) if not elements else None)
    if outer == "optional":
        return _martlet.value_optional(None if given is None else to_value(given, inner, what))
    if outer == "map":
        if not isinstance(given, dict):
            raise TypeError(f"{what} is a {type(given).__name__}; expected a dict: {kind}")
        key_type, _, element = inner.partition(", ")
        values = tuple(to_value(item, element, f"{what}[{key!r}]") for key, item in given.items())
        keys = list(given)
        if key_type == "string":
            return _martlet.value_map(_martlet.from_strings(tuple(keys), (len(keys),)), values)
        from martlet._interop import from_nested

        return _martlet.value_map(from_nested(keys, "int64"), values)
    if type(given) in (bool, int, float, list, tuple):
        given = weak(given, _dtype(kind.partition("[")[0]), what)
    return _martlet.value_from_tensor(given)


def _dtype(name: str) -> str | None:
    """The dtype in a type's text; None where it does not say, or is no tensor's."""
    return name if name != "?" and "(" not in name else None


def from_value(value: _martlet.Value) -> Any:
    """A Tensor, list, dict, State, or None."""
    kind = value.kind()
    if kind == _SEQUENCE:
        return [from_value(element) for element in value.elements()]
    if kind == _OPTIONAL:
        elements = value.elements()
        return from_value(elements[0]) if elements else None
    if kind == _MAP:
        keys = value.keys().tolist()
        return dict(zip(keys, map(from_value, value.elements()), strict=True))
    if kind == _STATE:
        state = State.__new__(State)
        state._value = value
        return state
    return value.tensor()
