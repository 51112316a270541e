"""Functions of the module: what there is, and settings for the whole process."""

from __future__ import annotations

from typing import Any

import martlet
from martlet.onnxruntime._enums import LoggingSeverity
from martlet.onnxruntime._errors import NotImplemented, failure
from martlet.onnxruntime._log import say

#: The version whose Python surface this follows.
__version__ = "1.32.0"


def get_available_providers() -> list[str]:
    """The CPU's alone."""
    return ["CPUExecutionProvider"]


def get_all_providers() -> list[str]:
    """The CPU's alone."""
    return ["CPUExecutionProvider"]


def get_device() -> str:
    """``CPU``."""
    return "CPU"


def get_build_info() -> str:
    """That it is Martlet, and which."""
    return f"Martlet {martlet.__version__}, in the form of ONNX Runtime {__version__}"


def get_version_string() -> str:
    """The version whose Python surface this follows."""
    return __version__


def get_ep_devices() -> list[Any]:
    """None besides the CPU."""
    return []


def has_collective_ops() -> bool:
    """False: Martlet runs in one process."""
    return False


def set_seed(seed: int) -> None:
    """Says that it is not honoured."""
    say(
        "set_seed: random operators take the seeds that the model has, or a fixed one",
        LoggingSeverity.WARNING,
    )


def set_default_logger_callback(callback: Any) -> None:
    """Says that it is not honoured: messages are Python warnings, which `warnings` directs."""
    say("set_default_logger_callback: messages are Python warnings", LoggingSeverity.WARNING)


def set_global_thread_pool_sizes(intra_op: int, inter_op: int = 0) -> None:
    """How many threads sessions share that have use_per_session_threads off."""
    martlet.set_num_threads(intra_op)


def enable_telemetry_events() -> None:
    """Nothing: Martlet sends nothing."""


def disable_telemetry_events() -> None:
    """Nothing: Martlet sends nothing."""


def create_and_register_allocator(*given: Any) -> None:
    """Taken: Martlet lays a run's memory out before it begins, and has no arena to configure."""


create_and_register_allocator_v2 = create_and_register_allocator


def register_execution_provider_library(name: str, path: str) -> None:
    """Refused: execution providers call ONNX Runtime's own interface."""
    raise failure(NotImplemented, f"Martlet has no execution providers to load from {path}")


def unregister_execution_provider_library(name: str) -> None:
    """Refused, as `register_execution_provider_library`."""
    raise failure(NotImplemented, f"Martlet has no execution provider '{name}'")


def preload_dlls(cuda: bool = True, cudnn: bool = True, msvc: bool = True, **given: Any) -> None:
    """Nothing: Martlet needs no libraries of other devices."""


def print_debug_info() -> None:
    """Prints version and processor."""
    print(get_build_info())
    print(martlet.cpu_info().name)
