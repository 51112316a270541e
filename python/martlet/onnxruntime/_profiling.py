"""Traces of a session's runs in the form of ONNX Runtime's: a JSON list for chrome://tracing."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

from martlet._reports import NodeInfo


class Profiler:
    """Events since it was made, until `end` writes them to a file."""

    def __init__(self, prefix: str) -> None:
        self.start_ns = time.time_ns()
        self._start = time.perf_counter_ns()
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(self.start_ns / 1e9))
        self._path = f"{prefix}_{stamp}_{self.start_ns // 1_000_000 % 1000}.json"
        self._events: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def now(self) -> int:
        """Nanoseconds since the start."""
        return time.perf_counter_ns() - self._start

    def add(self, name: str, begin: int, end: int, category: str = "Session", **args: Any) -> None:
        """An event from `begin` to `end`, in nanoseconds since the start."""
        event = {
            "cat": category,
            "pid": os.getpid(),
            "tid": threading.get_native_id(),
            "dur": (end - begin) // 1000,
            "ts": begin // 1000,
            "ph": "X",
            "name": name,
            "args": args,
        }
        with self._lock:
            self._events.append(event)

    def add_run(self, begin: int, end: int, nodes: tuple[NodeInfo, ...]) -> None:
        """A run with its nodes, one after another as Martlet runs them."""
        at = begin
        for index, node in enumerate(nodes):
            domain, _, operator = node.operator.rpartition(".")
            self.add(
                f"{node.node}_kernel_time",
                at,
                at + node.nanoseconds,
                "Node",
                op_name=operator,
                domain=domain,
                provider="CPUExecutionProvider",
                node_index=str(index),
                precision=node.precision or "",
                kernel=node.kernel or "",
            )
            at += node.nanoseconds
        self.add("SequentialExecutor::Execute", begin, end)
        self.add("model_run", begin, end)

    def end(self) -> str:
        """Writes the file, and gives its name."""
        with self._lock, open(self._path, "w", encoding="utf-8") as file:
            file.write("[\n" + ",\n".join(map(json.dumps, self._events)) + "\n]\n")
        return self._path
