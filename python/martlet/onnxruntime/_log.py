"""What is said of settings that Martlet does not honour, as loud as the caller wants to hear."""

from __future__ import annotations

import warnings

from martlet.onnxruntime._enums import LoggingSeverity

_default = LoggingSeverity.WARNING


def set_default_logger_severity(severity: int) -> None:
    """From which weight on messages are shown: 0 all, 2 warnings (the default), 4 next to none."""
    global _default
    if severity not in range(5):
        raise RuntimeError(
            "severity >= 0 && severity <= 4 was false. Invalid logging severity. "
            "0:Verbose, 1:Info, 2:Warning, 3:Error, 4:Fatal"
        )
    _default = LoggingSeverity(severity)


def set_default_logger_verbosity(level: int) -> None:
    """Taken, and without effect: Martlet has no verbose log."""


def say(message: str, severity: LoggingSeverity, session_severity: int = -1) -> None:
    """A Python warning, unless the session's severity or else the default one is higher."""
    least = _default if session_severity < 0 else session_severity
    if severity >= least:
        warnings.warn(f"martlet.onnxruntime: {message}", UserWarning, stacklevel=2)
