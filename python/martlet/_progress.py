"""How far a long call has come: for a function of the caller's, or as a bar."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

#: Told a fraction from 0 to 1 and a stage; False cancels the call.
Progress = Callable[[float, str], bool | None]


@contextlib.contextmanager
def reporting(progress: bool | Progress | None, what: str) -> Iterator[Progress | None]:
    """What to tell of the progress: the function that was given, or for True a bar on stderr."""
    if progress is None or progress is False:
        yield None
    elif progress is True:
        bar = _tqdm(what) or _Line(what)
        try:
            yield bar.show
            bar.show(1.0, "done")
        finally:
            bar.close()
    elif callable(progress):
        yield progress
    else:
        kind = type(progress).__name__
        raise TypeError(f"progress is True, or a function of a fraction and a stage; not {kind}")


class _Line:
    """A line on stderr, written over where that is a terminal, else once in the end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._last = ""
        self._is_terminal = sys.stderr is not None and sys.stderr.isatty()

    def show(self, fraction: float, stage: str) -> None:
        self._last = f"{self._what}: {fraction:4.0%} {stage}"
        if self._is_terminal:
            print(f"\r{self._last:60}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if sys.stderr is not None and self._last:
            print("" if self._is_terminal else self._last, file=sys.stderr, flush=True)


class _Bar:
    """A bar of tqdm's, in per cent."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def show(self, fraction: float, stage: str) -> None:
        self._bar.set_postfix_str(stage, refresh=False)
        self._bar.update(max(0, round(100 * fraction) - self._bar.n))

    def close(self) -> None:
        self._bar.close()


def _tqdm(what: str) -> _Bar | None:
    try:
        tqdm = importlib.import_module("tqdm.auto").tqdm
    except ImportError:
        return None
    return _Bar(tqdm(total=100, desc=what, unit="%"))
