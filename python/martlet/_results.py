"""What a run gives: its outputs, by name and in order."""

from __future__ import annotations

from collections.abc import ItemsView, KeysView, ValuesView
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from martlet._martlet import Tensor


class Results(tuple[Any, ...]):
    """The outputs of a run, in order and by name: ``results[0]``, ``results["scores"]``.

    A tuple of the values, so that ``a, b = model.run(feed)`` unpacks them, and what a mapping has:
    ``dict(results)``, ``results.items()``, ``"scores" in results``. A value is a `Tensor`, or a
    list, dict, `State` or None where the model's output is no tensor.
    """

    _names: tuple[str, ...]

    def __new__(cls, names: tuple[str, ...], values: tuple[Any, ...]) -> Results:
        results = super().__new__(cls, values)
        results._names = names
        return results

    @overload
    def __getitem__(self, key: SupportsIndex, /) -> Tensor | Any: ...
    @overload
    def __getitem__(self, key: str, /) -> Tensor | Any: ...
    @overload
    def __getitem__(self, key: slice, /) -> tuple[Tensor | Any, ...]: ...
    def __getitem__(self, key: Any, /) -> Any:
        if not isinstance(key, str):
            return super().__getitem__(key)
        if key in self._names:
            return super().__getitem__(self._names.index(key))
        names = ", ".join(map(repr, self._names))
        raise KeyError(f"no output {key!r} among the results; there are {names}")

    def __contains__(self, key: object, /) -> bool:
        if isinstance(key, str):
            return key in self._names
        return any(value is key for value in self)

    def _by_name(self) -> dict[str, Any]:
        return dict(zip(self._names, self, strict=True))

    def keys(self) -> KeysView[str]:
        """The names of the outputs."""
        return self._by_name().keys()

    def values(self) -> ValuesView[Tensor | Any]:
        """The values, as iteration gives them."""
        return self._by_name().values()

    def items(self) -> ItemsView[str, Tensor | Any]:
        """Names with their values."""
        return self._by_name().items()

    def get(self, name: str, default: Any = None) -> Tensor | Any:
        """The value of this name, or the default."""
        return self[name] if name in self._names else default

    if not TYPE_CHECKING:  # type checkers know what there is

        def __getattr__(self, name: str) -> Any:
            names = ", ".join(map(repr, self.__dict__.get("_names", ())))
            raise AttributeError(
                f"Results have no attribute {name!r}; results[0] and results['NAME'] are outputs, "
                f"of the names {names}"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return Results, (self._names, tuple(self))

    def __repr__(self) -> str:
        lines = (f"{name!r}: {_indented(repr(value))}" for name, value in self.items())
        return "Results({" + ",\n         ".join(lines) + "})"


def _indented(text: str) -> str:
    return text.replace("\n", "\n" + " " * 9)
