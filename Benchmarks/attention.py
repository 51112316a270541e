"""Time attention in Martlet (FP32 and BF16) and in ONNX Runtime, interleaved in one run.

Usage: python Benchmarks/attention.py [--threads N ...] [--rounds N] [--json FILE]

ONNX Runtime runs each case twice: as the nodes that exporters write (MatMul, Mul, Softmax, MatMul
on [batch, heads, sequence, width]) and as its own fused com.microsoft.MultiHeadAttention (on
[batch, sequence, heads * width]). See engines.py for how they take turns. Times and GFLOP/s are of
the fastest round, which a busy machine disturbs least; the ratios are medians of the rounds'
ratios of the faster of ONNX Runtime's two to Martlet (above 1: Martlet is ahead, which is the bar).
"peak" is the multiply-add peak of as many cores, which Benchmarks/kernels measures in the same run.
BF16 stands where the processor has bf16 units.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

import numpy as np
import onnxruntime
from engines import Engine, milliseconds
from onnx import TensorProto, helper

import martlet

ROOT = pathlib.Path(__file__).resolve().parent.parent
# batch, heads, key heads, queries, keys, width, causal
CASES = {
    "BERT-base 128": (1, 12, 12, 128, 128, 64, False),
    "BERT-base 512": (1, 12, 12, 512, 512, 64, False),
    "BERT-base 128, batch 8": (8, 12, 12, 128, 128, 64, False),
    "MiniLM 128": (1, 12, 12, 128, 128, 32, False),
    "causal 1024": (1, 12, 12, 1024, 1024, 64, True),
    "grouped 4 to 1, 512": (1, 8, 2, 512, 512, 128, False),
    "one query, 2048 keys": (1, 12, 12, 1, 2048, 64, False),
}


def nodes_model(case: tuple) -> bytes:
    """The scores' matrix in memory, as exporters write it (keys come transposed for nothing)."""
    batch, heads, _, queries, keys, width, _ = case

    def value(name: str, *shape: int):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    scale = helper.make_tensor("scale", TensorProto.FLOAT, [], [width**-0.5])
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]),
            helper.make_node("MatMul", ["q", "kt"], ["qk"]),
            helper.make_node("Mul", ["qk", "scale"], ["scaled"]),
            helper.make_node("Softmax", ["scaled"], ["p"], axis=-1),
            helper.make_node("MatMul", ["p", "v"], ["y"]),
        ],
        "attention",
        [
            value("q", batch, heads, queries, width),
            value("k", batch, heads, keys, width),
            value("v", batch, heads, keys, width),
        ],
        [value("y", batch, heads, queries, width)],
        [scale],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()


def fused_model(case: tuple) -> bytes:
    batch, heads, _, queries, keys, width, causal = case

    def value(name: str, length: int):
        return helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [batch, length, heads * width])

    node = helper.make_node(
        "MultiHeadAttention", ["q", "k", "v"], ["y"], domain="com.microsoft", num_heads=heads,
        unidirectional=int(causal))
    graph = helper.make_graph(
        [node], "attention", [value("q", queries), value("k", keys), value("v", keys)],
        [value("y", queries)])
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    model.ir_version = 8
    return model.SerializeToString()


def session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # A spinning pool of one engine would take the processors from the next engine's turn.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def peak(threads: int) -> float:
    """GFLOP/s of multiply-adds on float32 registers, all threads together."""
    folder = ROOT / "Benchmarks" / "kernels"
    subprocess.run(["make", "-s", "-C", folder, ".build/limits"], check=True)
    text = subprocess.run([folder / ".build" / "limits"], check=True, capture_output=True).stdout
    return json.loads(text)["fma_gflops"] * threads


def engines_for(name: str, case: tuple, threads: int) -> dict[str, Engine]:
    batch, heads, key_heads, queries, keys, width, causal = case
    rng = np.random.default_rng(3)
    q = rng.standard_normal((batch, heads, queries, width), np.float32)
    k = rng.standard_normal((batch, key_heads, keys, width), np.float32)
    v = rng.standard_normal((batch, key_heads, keys, width), np.float32)
    # ONNX Runtime's CPU provider has no grouped form: it gets every head's own keys.
    wide_k, wide_v = (np.repeat(x, heads // key_heads, axis=1) for x in (k, v))

    def inside(x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x.transpose(0, 2, 1, 3)).reshape(x.shape[0], x.shape[2], -1)

    martlet.set_num_threads(threads)
    engines: dict[str, Engine] = {
        f"martlet {mode.lower()}": lambda mode=mode: martlet.scaled_dot_product_attention(
            q, k, v, is_causal=causal, mode=mode)
        for mode in (["FP32", "BF16"] if martlet.cpu_info().has_bf16 else ["FP32"])
    }
    if not causal:
        nodes = session(nodes_model(case), threads)
        nodes_feed = {"q": q, "k": wide_k, "v": wide_v}
        engines["onnxruntime nodes"] = lambda: nodes.run(None, nodes_feed)[0]
    fused = session(fused_model(case), threads)
    fused_feed = {"q": inside(q), "k": inside(wide_k), "v": inside(wide_v)}
    engines["onnxruntime fused"] = lambda: fused.run(None, fused_feed)[0]
    ours, theirs = np.asarray(engines["martlet fp32"]()), engines["onnxruntime fused"]()
    difference = float(np.abs(inside(ours) - theirs).max())
    assert difference < 1e-4, f"{name}: the results differ by {difference}"
    return engines


def row_of(name: str, case: tuple, threads: int, times: dict[str, list[float]]) -> dict:
    batch, heads, _, queries, keys, width, causal = case
    operations = 4.0 * batch * heads * queries * keys * width
    if causal:
        operations *= (keys + 1) / (2 * keys)
    fastest = {engine: min(t) for engine, t in times.items()}
    theirs_best = [min(row) for row in zip(
        *(t for engine, t in times.items() if engine.startswith("onnx")), strict=True)]
    return {
        "case": name,
        "threads": threads,
        "us": {engine: round(1e3 * t, 1) for engine, t in fastest.items()},
        "gflops": {engine: round(operations / t / 1e6, 1) for engine, t in fastest.items()},
        "ratio": {
            engine.split()[1]: round(statistics.median(
                a / b for a, b in zip(theirs_best, own, strict=True)), 3)
            for engine, own in times.items() if engine.startswith("martlet")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    rows = []
    print("| case | threads | mode | us | GFLOP/s | of peak | ONNX Runtime us | ratio | |")
    print("|---|---|---|---|---|---|---|---|---|")
    for threads in arguments.threads:
        engines = [engines_for(name, case, threads) for name, case in CASES.items()]
        measured = milliseconds(engines, arguments.rounds)
        limit = round(peak(threads), 1)
        for (name, case), times in zip(CASES.items(), measured, strict=True):
            row = row_of(name, case, threads, times) | {"peak_gflops": limit}
            rows.append(row)
            ort = min(t for engine, t in row["us"].items() if engine.startswith("onnx"))
            for mode, ratio in row["ratio"].items():
                rate = row["gflops"][f"martlet {mode}"]
                print(f"| {name} | {threads} | {mode} | {row['us'][f'martlet {mode}']:.1f} "
                      f"| {rate:.1f} | {rate / row['peak_gflops']:.1%} | {ort:.1f} | {ratio:.2f} "
                      f"| {'ahead' if ratio >= 1 else 'behind'} |", flush=True)  # fmt: skip
    ratios = [ratio for row in rows for ratio in row["ratio"].values()]
    print(f"\nahead in {sum(ratio >= 1 for ratio in ratios)} of {len(ratios)}")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
