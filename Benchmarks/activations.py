"""Memory that a run takes for results and scratch: Martlet's peak against ONNX Runtime's arena.

Usage: $(scripts/peers-env) Benchmarks/activations.py [--threads N] [--extent N] [MODEL.onnx ...]

Without a model: MiniLM (batch 1, 128 tokens) and opennsfw, fetched by scripts/fetch-models. ONNX
Runtime's figure is the sum of what its log says that its arena was extended by, weights not
counted, in a process of its own; Martlet's is Model.memory()["peak"] once the shapes are known,
outputs included. The bar is 0.8 of ONNX Runtime's.
"""

import argparse
import pathlib
import re
import subprocess
import sys

import models
import onnxruntime

import martlet

BAR = 0.8


def arena(path: pathlib.Path, extents: dict[str, int], threads: int) -> None:
    """Runs the model once with a log on stderr; the parent reads it."""
    onnxruntime.set_default_logger_severity(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"])
    session.run(None, models.make_feeds(session, extents))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--extent", type=int, default=128, help="of a sequence's symbol (128)")
    parser.add_argument("--arena", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    extents = {"batch_size": 1, "sequence_length": arguments.extent}
    if arguments.arena:
        arena(arguments.models[0], extents, arguments.threads)
        return 0
    martlet.set_num_threads(arguments.threads)
    missed = False
    print("model                          Martlet's peak MB  ONNX Runtime's arena MB  ratio  bar")
    for path in arguments.models or [path for path, _ in models.default_cases()]:
        command = [sys.executable, __file__, "--arena", "--extent", str(arguments.extent),
                   "--threads", str(arguments.threads), path]  # fmt: skip
        log = subprocess.run(command, check=True, capture_output=True, text=True).stderr
        theirs = sum(map(int, re.findall(r"Extended allocation by (\d+) bytes", log)))
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        model = martlet.load(path)
        for _ in range(3):
            model.run(models.make_feeds(session, extents))
        ours = model.memory()["peak"]
        missed |= ours > BAR * theirs
        verdict = "pass" if ours <= BAR * theirs else "fall short"
        print(f"{path.name[:28]:28}  {ours / 1e6:18.2f}  {theirs / 1e6:23.2f}"
              f"  {ours / max(theirs, 1):5.2f}  {BAR}  {verdict}")  # fmt: skip
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
