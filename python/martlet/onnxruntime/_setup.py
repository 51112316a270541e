"""What a session's options mean to Martlet, and what is said of those that mean nothing to it."""

from __future__ import annotations

from typing import Any

import martlet
from martlet.onnxruntime._enums import (
    ExecutionMode,
    ExecutionOrder,
    GraphOptimizationLevel,
    LoggingSeverity,
)
from martlet.onnxruntime._errors import Fail, InvalidArgument, NotImplemented, failure
from martlet.onnxruntime._log import say
from martlet.onnxruntime._options import RunOptions, SessionOptions

#: Martlet's own key: its fast-math mode, "FP32" or "BF16" ....
MODE_KEY = "session.martlet.float32_fast_math_mode"
_AFFINITIES = "session.intra_op_thread_affinities"
_SHRINK = "memory.enable_memory_arena_shrinkage"

# Entries that change results or where files are found, with the value that Martlet has anyway.
_NOT_HONOURED = {
    "session.model_external_initializers_file_folder_path": (
        "",
        "external data is read from the model's folder",
    ),
    "session.record_ep_graph_assignment_info": ("0", "nothing is recorded"),
    "ep.context_enable": ("0", "no compiled model is written"),
    "session.optimized_model_external_initializers_file_name": ("", "no model is written"),
}


def load_arguments(options: SessionOptions) -> dict[str, Any]:
    """The arguments of `martlet.load` that do what the options ask."""
    entries = options._entries
    if entries.get("session.load_model_format", "ONNX").upper() == "ORT":
        raise failure(NotImplemented, "Martlet reads ONNX models, not those in ORT format")
    arguments: dict[str, Any] = {}
    mode = entries.get(MODE_KEY)
    if mode is not None:
        try:
            arguments["mode"] = martlet.fast_math(mode).name
        except martlet.Error as error:
            raise failure(InvalidArgument, f"{MODE_KEY}: {error}") from error
    if options.graph_optimization_level == GraphOptimizationLevel.ORT_DISABLE_ALL:
        arguments["optimize"] = False
    if entries.get("session.set_denormal_as_zero") == "1":
        arguments["flush_denormals"] = True
    if options.use_per_session_threads:
        pool = _pool(options.intra_op_num_threads, entries.get(_AFFINITIES))
        if pool is not None:
            arguments["pool"] = pool
    return arguments


def _pool(threads: int, affinities: str | None) -> martlet.ThreadPool | None:
    """A pool of the session's own, where the options say how large or on which processors."""
    if threads < 0:
        raise failure(Fail, f"intra_op_num_threads is {threads}; expected 0 or more")
    if affinities is None:
        return martlet.ThreadPool(threads) if threads > 0 else None
    try:
        cpus = sorted({cpu for group in affinities.split(";") for cpu in _processors(group)})
        return martlet.ThreadPool(threads, cpus=cpus)
    except (ValueError, martlet.Error) as error:
        raise failure(InvalidArgument, f"{_AFFINITIES} is '{affinities}': {error}") from error


def _processors(group: str) -> list[int]:
    """Of "1,3-4", which counts from 1: 0, 2, 3."""
    cpus: list[int] = []
    for part in group.split(","):
        first, dash, last = part.partition("-")
        cpus += range(int(first) - 1, int(last if dash else first))
    return cpus


def say_what_is_not_honoured(options: SessionOptions) -> None:
    """Warnings for what changes what a session does, and notes (severity 1) for what does not."""

    def tell(text: str, severity: LoggingSeverity = LoggingSeverity.WARNING) -> None:
        say(text, severity, options.log_severity_level)

    if options.optimized_model_filepath:
        tell(f"optimized_model_filepath: '{options.optimized_model_filepath}' is not written")
    for denotation in options._free_denotations:
        tell(f"add_free_dimension_override_by_denotation: '{denotation}' is not looked for")
    for name in options._initializers:
        tell(f"add_initializer: '{name}' keeps the model's value; give it to run instead")
    for key, (own, text) in _NOT_HONOURED.items():
        if options._entries.get(key, own) != own:
            tell(f"{key}: {text}")
    note = LoggingSeverity.INFO
    if options.execution_mode != ExecutionMode.ORT_SEQUENTIAL:
        tell("execution_mode: nodes run one after another, each on all threads", note)
    if options.execution_order != ExecutionOrder.DEFAULT:
        tell("execution_order: nodes run in the order of the file as far as it goes", note)
    if options.inter_op_num_threads > 1:
        tell("inter_op_num_threads: nodes run one after another, each on all threads", note)
    for name in ("enable_cpu_mem_arena", "enable_mem_pattern", "enable_mem_reuse"):
        if not getattr(options, name):
            tell(f"{name}: a run's memory is laid out before it begins all the same", note)


def after_run(model: martlet.Model, options: RunOptions | None) -> None:
    """What a run's options ask for once it is over."""
    if options is not None and "cpu" in options._entries.get(_SHRINK, ""):
        model.trim()
