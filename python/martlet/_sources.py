"""Where models come from, and what is logged of their loading."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from martlet import _martlet
from martlet._martlet import ThreadPool
from martlet._progress import Progress


def source(given: Any) -> tuple[str | None, Any]:
    """The absolute path of a file, or None and the bytes of a model."""
    if isinstance(given, (str, os.PathLike)):
        path = os.fsdecode(given)
        return os.path.abspath(path) if path else path, None
    if hasattr(given, "read"):
        if hasattr(given, "encoding"):
            raise TypeError("the file to load() from is open as text; open it with mode 'rb'")
        given = given.read()
    given = getattr(given, "model_proto", given)  # torch.onnx.export(..., dynamo=True)
    if hasattr(given, "SerializeToString"):
        return None, given.SerializeToString()
    try:
        return None, memoryview(given)
    except TypeError:
        raise TypeError(
            "load() takes a path, a model's bytes, a binary file or an onnx.ModelProto, not "
            f"{type(given).__name__}"
        ) from None


def load(
    data: Any,
    path: str | None,
    mode: str | None,
    options: dict[str, str],
    pool: ThreadPool | None,
    progress: Progress | None,
) -> _martlet.LoadedModel:
    """Loads the file or the bytes, and logs that."""
    log = _Log(path)
    if log.has_stages:
        progress = log.watching(progress)
    given = data if path is None else os.fsencode(path)
    try:
        model = _martlet.load(given, path is not None, mode, options, pool, progress)
    except _martlet.InvalidModelError as error:
        if path is None and len(data) < 4096 and bytes(data).endswith(b".onnx"):
            error.args = (f"{error} (bytes are a file's contents; a path is a str or a Path)",)
        raise
    log.loaded(mode)
    return model


class _Log:
    """What the logger "martlet" is told: INFO of each model, DEBUG of the stages of its loading.

    Where nothing has imported ``logging`` nobody listens, and it is not imported for that.
    """

    def __init__(self, path: str | None) -> None:
        logging = sys.modules.get("logging")
        self._logger = logging.getLogger("martlet") if logging is not None else None
        self._path = "a model from memory" if path is None else path
        self._begin = self._stage_begin = time.perf_counter()
        self._stage: str | None = None

    @property
    def has_stages(self) -> bool:
        return self._logger is not None and self._logger.isEnabledFor(10)

    def watching(self, progress: Progress | None) -> Progress:
        def told(fraction: float, stage: str) -> bool | None:
            if stage != self._stage:
                self._end_stage()
                self._stage = stage
            return None if progress is None else progress(fraction, stage)

        return told

    def _end_stage(self) -> None:
        now = time.perf_counter()
        if self._stage is not None and self._logger is not None:
            milliseconds = 1e3 * (now - self._stage_begin)
            self._logger.debug("%s: %s took %.1f ms", self._path, self._stage, milliseconds)
        self._stage_begin = now

    def loaded(self, mode: str | None) -> None:
        if self._logger is None:
            return
        self._end_stage()
        milliseconds = 1e3 * (time.perf_counter() - self._begin)
        of_mode = "" if mode is None else f", mode {mode}"
        self._logger.info("loaded %s in %.1f ms%s", self._path, milliseconds, of_mode)
