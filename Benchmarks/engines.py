"""Martlet and its peers behind one interface, and turns for them, for the benchmarks of models.

An engine is a function without parameters that runs an ONNX model once on given inputs. Peers that
are not installed are left out; scripts/bench installs them all.
"""

from __future__ import annotations

import pathlib
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

import martlet

Engine = Callable[[], object]
Feeds = dict[str, np.ndarray]


def onnxruntime_engine(model: bytes, feeds: Feeds, threads: int) -> Engine | None:
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # A spinning pool of one engine would take the processors from the next engine's turn.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feeds)


def openvino_engine(model: bytes, feeds: Feeds, threads: int, precision: str) -> Engine | None:
    """`precision` is f32 or bf16; what OpenVINO does without being asked depends on the chip."""
    try:
        import openvino
    except ImportError:
        return None
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(model), "CPU",
        {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision,
         "PERFORMANCE_HINT": "LATENCY"})  # fmt: skip
    request = compiled.create_infer_request()
    inputs = [feeds[value.get_any_name()] for value in compiled.inputs]
    return lambda: request.infer(inputs, share_inputs=True, share_outputs=True)


def engines_for(model: bytes | pathlib.Path, feeds: Feeds, threads: int) -> dict[str, Engine]:
    """Every engine that is there, by name: "martlet fp32", "onnxruntime fp32", ... BF16 mode, and
    the peers' own bf16, only where the processor has bf16 units: elsewhere they run FP32."""
    data = model.read_bytes() if isinstance(model, pathlib.Path) else model
    martlet.set_num_threads(threads)
    engines: dict[str, Engine | None] = {}
    modes = ["FP32", "BF16"] if martlet.cpu_info().has_bf16 else ["FP32"]
    for mode in modes:
        loaded = martlet.load(data, mode=mode)
        engines[f"martlet {mode.lower()}"] = lambda loaded=loaded: loaded.run(feeds)
    engines["onnxruntime fp32"] = onnxruntime_engine(data, feeds, threads)
    for mode in modes:
        precision = {"FP32": "f32", "BF16": "bf16"}[mode]
        engines[f"openvino {mode.lower()}"] = openvino_engine(data, feeds, threads, precision)
    return {name: run for name, run in engines.items() if run is not None}


def milliseconds(
    cases: list[dict[str, Engine]], rounds: int, turn: float = 0.0
) -> list[dict[str, list[float]]]:
    """For each case the time of one run of each of its engines, round by round. In a round all
    cases have a turn, so that what disturbs the machine for seconds meets none alone, and a case's
    engines follow each other, so that drift of its speed meets all alike. An engine's turn is one
    run that wakes its threads, then runs that are timed together: one, or as many as fill `turn`
    seconds."""
    repeats = []
    for engines in cases:
        counts = {}
        for name, run in engines.items():
            run()
            start = time.perf_counter()
            run()
            counts[name] = 1 + int(turn / (time.perf_counter() - start + 1e-9))
        repeats.append(counts)
    times: list[dict[str, list[float]]] = [{name: [] for name in engines} for engines in cases]
    for index in range(rounds):
        print(f"round {index + 1} of {rounds} …", file=sys.stderr)
        for engines, counts, row in zip(cases, repeats, times, strict=True):
            for name, run in engines.items():
                run()
                start = time.perf_counter()
                for _ in range(counts[name]):
                    run()
                row[name].append((time.perf_counter() - start) / counts[name] * 1e3)
    return times


def compared(times: dict[str, list[float]]) -> dict[str, object]:
    """The median time of each engine in ms and, for each mode of Martlet, how many times as fast
    it is as the best peer of that precision (above 1: ahead), the median of the rounds' own."""
    ms = {name: round(statistics.median(values), 4) for name, values in times.items()}
    rows: dict[str, object] = {"ms": ms}
    for mode in ("fp32", "bf16"):
        own = times.get(f"martlet {mode}")
        peers = {
            name: statistics.median(b / a for a, b in zip(own, values, strict=True))
            for name, values in times.items()
            if own and not name.startswith("martlet") and name.endswith(mode)
        }
        if peers:
            best = min(peers, key=peers.__getitem__)
            rows[mode] = {"best peer": best, "ratio": round(peers[best], 3), "ratios": peers}
    return rows
