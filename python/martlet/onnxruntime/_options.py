"""SessionOptions and RunOptions: ONNX Runtime's names and defaults."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from martlet.onnxruntime._enums import ExecutionMode, ExecutionOrder, GraphOptimizationLevel
from martlet.onnxruntime._errors import InvalidArgument, NotImplemented, failure

T = TypeVar("T")


class _Setting(Generic[T]):
    """A property with a default, which refuses values of other types as pybind11 does."""

    def __init__(self, default: T, check: Callable[[Any], T]) -> None:
        self.default = default
        self.check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> _Setting[T]: ...
    @overload
    def __get__(self, instance: _Settings, owner: type) -> T: ...
    def __get__(self, instance: _Settings | None, owner: type) -> T | _Setting[T]:
        if instance is None:
            return self
        value: T = instance._values.get(self.name, self.default)
        return value

    def __set__(self, instance: _Settings, value: Any) -> None:
        try:
            instance._values[self.name] = self.check(value)
        except TypeError:
            raise TypeError(
                f"{self.name}: incompatible value {value!r}; expected a "
                f"{type(self.default).__name__}"
            ) from None


class _Settings:
    """What was set, by name; unknown names are AttributeErrors."""

    __slots__ = ("__weakref__", "_entries", "_values")

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._entries: dict[str, str] = {}

    def _add_entry(self, function: str, key: str, value: str) -> None:
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"{function}(): keys and values must be str, not {key!r}: {value!r}")
        self._entries[key] = value

    def _entry(self, key: str) -> str:
        try:
            return self._entries[key]
        except KeyError:
            raise RuntimeError(
                f"{type(self).__name__} does not have configuration with key: {key}"
            ) from None


def _exactly(kind: type[T]) -> Callable[[Any], T]:
    def check(value: Any) -> T:
        if not isinstance(value, kind):
            raise TypeError
        return value

    return check


def _path(value: Any) -> str:
    return str(os.fspath(value))


def _flag(default: bool) -> _Setting[bool]:
    return _Setting(default, _exactly(bool))


def _number(default: int) -> _Setting[int]:
    return _Setting(default, operator.index)


class SessionOptions(_Settings):
    """How a session is made.

    What has no counterpart in Martlet is kept and read back; `InferenceSession` says which of it is
    not honoured.
    """

    __slots__ = ("_free_denotations", "_free_dimensions", "_initializers")

    enable_cpu_mem_arena = _flag(True)
    enable_mem_pattern = _flag(True)
    enable_mem_reuse = _flag(True)
    enable_profiling = _flag(False)
    execution_mode = _Setting(ExecutionMode.ORT_SEQUENTIAL, _exactly(ExecutionMode))
    execution_order = _Setting(ExecutionOrder.DEFAULT, _exactly(ExecutionOrder))
    graph_optimization_level = _Setting(
        GraphOptimizationLevel.ORT_ENABLE_ALL, _exactly(GraphOptimizationLevel)
    )
    inter_op_num_threads = _number(0)
    intra_op_num_threads = _number(0)
    log_severity_level = _number(-1)
    log_verbosity_level = _number(0)
    logid = _Setting("", _exactly(str))
    optimized_model_filepath = _Setting("", _path)
    profile_file_prefix = _Setting("onnxruntime_profile_", _path)
    use_deterministic_compute = _flag(False)
    use_per_session_threads = _flag(True)

    def __init__(self) -> None:
        super().__init__()
        self._free_dimensions: dict[str, int] = {}
        self._free_denotations: dict[str, int] = {}
        self._initializers: dict[str, Any] = {}

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Sets an entry; unknown keys are taken, as ONNX Runtime takes them.

        ``session.martlet.float32_fast_math_mode`` is Martlet's own: "BF16" runs the session's
        matrix products on bfloat16 units where there are such.
        """
        self._add_entry("add_session_config_entry", key, value)

    def get_session_config_entry(self, key: str) -> str:
        """An entry that was set; RuntimeError where it was not."""
        return self._entry(key)

    def add_free_dimension_override_by_name(self, name: str, value: int) -> None:
        """Fixes the extent that inputs call by this name."""
        self._free_dimensions[name] = operator.index(value)

    def add_free_dimension_override_by_denotation(self, denotation: str, value: int) -> None:
        """Kept; `InferenceSession` says that Martlet does not read denotations."""
        self._free_denotations[denotation] = operator.index(value)

    def add_initializer(self, name: str, value: Any) -> None:
        """Gives an initialiser that is also an input another value."""
        self._initializers[name] = value

    def add_external_initializers(self, names: list[str], values: list[Any]) -> None:
        """Refused: external data is read from the model's folder."""
        raise failure(
            NotImplemented,
            "add_external_initializers: Martlet reads external data from the model's folder only",
        )

    def add_external_initializers_from_files_in_memory(self, *given: Any) -> None:
        """Refused, as `add_external_initializers`."""
        self.add_external_initializers([], [])

    def register_custom_ops_library(self, path: str) -> None:
        """Refused: a library of custom operators calls ONNX Runtime's own C interface."""
        raise failure(
            NotImplemented,
            f"register_custom_ops_library: Martlet cannot load {path}, whose operators are written "
            "against ONNX Runtime's C interface",
        )

    def add_provider(self, name: str, options: dict[str, str]) -> None:
        """Takes the CPU's provider alone."""
        if name != "CPUExecutionProvider":
            raise failure(InvalidArgument, f"Unknown Provider Type: {name}")

    def add_provider_for_devices(self, devices: list[Any], options: dict[str, str]) -> None:
        """Refused where there are devices: Martlet has none."""
        if devices:
            raise failure(NotImplemented, "add_provider_for_devices: Martlet runs on the CPU alone")

    def set_provider_selection_policy(self, policy: Any) -> None:
        """Taken: there is one provider to choose."""

    def has_providers(self) -> bool:
        """Whether providers were added."""
        return False


class RunOptions(_Settings):
    """How one run is done."""

    __slots__ = ()

    log_severity_level = _number(-1)
    log_verbosity_level = _number(0)
    logid = _Setting("", _exactly(str))
    only_execute_path_to_fetches = _flag(False)
    terminate = _flag(False)
    training_mode = _flag(False)

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Sets an entry; ``memory.enable_memory_arena_shrinkage`` gives memory back at the end."""
        self._add_entry("add_run_config_entry", key, value)

    def get_run_config_entry(self, key: str) -> str:
        """An entry that was set; RuntimeError where it was not."""
        return self._entry(key)

    def add_active_adapter(self, adapter: Any) -> None:
        """Refused: Martlet has no LoRA adapters."""
        raise failure(NotImplemented, "add_active_adapter: Martlet has no LoRA adapters")
