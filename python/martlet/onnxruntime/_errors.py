"""ONNX Runtime's exceptions, and what Martlet's errors become of them."""

from __future__ import annotations

from martlet import _martlet


class EPFail(Exception):
    """An execution provider failed; never raised here."""


class EngineError(Exception):
    """The engine failed."""


class Fail(Exception):
    """Something went wrong, mostly in a node."""


class InvalidArgument(Exception):
    """An input, output or model does not fit."""


class InvalidGraph(Exception):
    """The model's graph is wrong."""


class InvalidProtobuf(Exception):
    """The bytes are no ONNX model."""


class ModelLoaded(Exception):
    """The session has a model; never raised here."""


class ModelLoadCanceled(Exception):
    """Loading was cancelled; never raised here."""


class ModelRequiresCompilation(Exception):
    """The model must be compiled first; never raised here."""


class NoModel(Exception):
    """The session has no model; never raised here."""


class NoSuchFile(Exception):
    """There is no such file."""


class NotFound(Exception):
    """Something that was named does not exist."""


class NotImplemented(Exception):
    """Martlet lacks something that the model or the caller asks for."""


class RuntimeException(Exception):
    """The run was ended: out of memory, or past a limit."""


class DeviceReset(Exception):
    """The device was reset; never raised here."""


# What ONNX Runtime writes before the message of each.
_CODES: dict[type[Exception], tuple[int, str]] = {
    Fail: (1, "FAIL"),
    InvalidArgument: (2, "INVALID_ARGUMENT"),
    NoSuchFile: (3, "NO_SUCHFILE"),
    NoModel: (4, "NO_MODEL"),
    EngineError: (5, "ENGINE_ERROR"),
    RuntimeException: (6, "RUNTIME_EXCEPTION"),
    InvalidProtobuf: (7, "INVALID_PROTOBUF"),
    ModelLoaded: (8, "MODEL_LOADED"),
    NotImplemented: (9, "NOT_IMPLEMENTED"),
    InvalidGraph: (10, "INVALID_GRAPH"),
    EPFail: (11, "EP_FAIL"),
}


def failure(kind: type[Exception], message: str) -> Exception:
    """An exception whose text begins as ONNX Runtime's does."""
    number, name = _CODES[kind]
    return kind(f"[ONNXRuntimeError] : {number} : {name} : {message}")


def bare(error: Exception) -> str:
    """The message of an exception without ONNX Runtime's beginning."""
    text = str(error)
    return text.split(" : ", 3)[3] if text.startswith("[ONNXRuntimeError] : ") else text


def of_loading(error: _martlet.Error, path: str | None) -> Exception:
    """What a session raises where Martlet refused to load a model."""
    source = "" if path is None else f"Load model from {path} failed:"
    text = str(error)
    if isinstance(error, _martlet.ModelNotFoundError):
        return failure(NoSuchFile, f"{source}Load model {path} failed. File doesn't exist")
    if isinstance(error, _martlet.FileError):
        return failure(InvalidProtobuf, f"{source}Protobuf parsing failed. {text}")
    if isinstance(error, _martlet.UnsupportedError):
        return _of_unsupported(error, source)
    if error.node is not None:
        what = ""
        if error.input is not None and f"unknown attribute '{error.input}'" in text:
            name = (error.operator or "").rpartition(".")[2]
            what = f"Unrecognized attribute: {error.input} for operator {name}. "
        return failure(InvalidGraph, f"{source}This is an invalid model. {what}{text}")
    if error.actual == "0 bytes":
        return failure(InvalidArgument, f"{source}No graph was found in the protobuf. {text}")
    if isinstance(error, _martlet.InvalidModelError):
        if path is None:
            source = "Failed to load model because protobuf parsing failed. "
        else:
            source += "Protobuf parsing failed. "
        is_model = "(at byte" not in text and error.expected != "an ONNX model"
        return failure(InvalidGraph if is_model else InvalidProtobuf, source + text)
    return failure(Fail, source + text)


def _of_unsupported(error: _martlet.UnsupportedError, source: str) -> Exception:
    text = str(error)
    operator = error.operator
    if operator is None or error.actual != operator:
        return failure(Fail if error.node is None else NotImplemented, source + text)
    domain, _, name = operator.rpartition(".")
    if domain and not domain.startswith("ai.onnx"):
        unknown = f"Fatal error: {domain}:{name}(-1) is not a registered function/op"
        return failure(Fail, f"{source}{unknown}. {text}")
    if _is_of_onnx(name, domain):
        return failure(
            NotImplemented, f"{source}Could not find an implementation for {name}. {text}"
        )
    return failure(
        InvalidGraph, f"{source}This is an invalid model. Error No Op registered for {name}. {text}"
    )


def _is_of_onnx(name: str, domain: str) -> bool:
    """Whether ONNX has such an operator; where `onnx` is not installed, it is taken to have it."""
    try:
        from onnx import defs
    except ImportError:
        return True
    return bool(defs.has(name, domain if domain == "ai.onnx.ml" else ""))


def of_run(error: _martlet.Error) -> Exception:
    """What a run raises where Martlet's own failed in a node or met a limit."""
    if isinstance(error, (_martlet.OutOfMemoryError, _martlet.LimitExceededError)):
        return failure(RuntimeException, str(error))
    if isinstance(error, _martlet.CancelledError):
        return failure(Fail, "Exiting due to terminate flag being set to true.")
    if error.node is not None:
        return failure(
            Fail,
            f"Non-zero status code returned while running {error.operator} node. "
            f"Name:'{error.node}' Status Message: {error}",
        )
    return failure(InvalidArgument, str(error))
