"""Time two builds of Martlet against each other, interleaved in one run.

Usage: scripts/bench-versions COMMIT [options], which builds that commit beside this tree
       python Benchmarks/versions.py BEFORE AFTER [--parts NAME ...] [--threads 1 2] [--rounds N]
                                                  [--json FILE]

BEFORE and AFTER are folders that hold an installed martlet package each. Every version lives in a
process of its own, and the two take turns case by case: products with packed weights (the shapes of
Benchmarks/peers/gemm.py and some small ones), the same with weights that are packed within the call
or read where they lie, products and a convolution of 8-bit integers, the layers of
Benchmarks/convolutions.py, Benchmarks/attention.py, and the models of Benchmarks/models.py with the
two-layer LSTM, the Loop and the chain of Benchmarks/overhead.py. The part "loading" loads and runs
Benchmarks/loading.py's models, each time in a process of its own. The ratio is the new version's
time over the old one's, the median of the rounds' own ratios; a case counts as slower where the
ratio is above 1.03 and three quarters of the rounds agree.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve()
PARTS = ["products", "unpacked", "integers", "convolutions", "attention", "models", "loading"]
PRODUCTS = ["17x33x65", "32x32x32", "64x64x64", "256x256x256", "512x512x512", "1024x1024x1024",
            "128x768x768",
            "128x3072x768", "128x768x3072", "197x768x768", "3136x64x576", "1x768x768",
            "1x4096x4096", "8x4096x4096"]  # fmt: skip
TURN = 0.02  # seconds that a turn takes at least
SLOWER = 1.03


def product_cases(packs: bool) -> dict:
    import numpy as np

    import martlet

    cases = {}
    rng = np.random.default_rng(5)
    for text in PRODUCTS:
        m, n, k = map(int, text.split("x"))
        a = rng.standard_normal((m, k), np.float32)
        weight = rng.standard_normal((k, n), np.float32)
        if packs:
            weight = martlet.pack(weight)
        cases[text] = lambda a=a, weight=weight: martlet.matmul(a, weight)
    return cases


def integer_cases() -> dict:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    import martlet

    cases = {}
    rng = np.random.default_rng(6)

    def add(name: str, operator: str, x: np.ndarray, weight: np.ndarray, constant: bool) -> None:
        inputs = {"x": x} if constant else {"x": x, "w": weight}
        types = {"x": TensorProto.UINT8, "w": TensorProto.INT8}
        graph = helper.make_graph(
            [helper.make_node(operator, ["x", "w"], ["y"])], name,
            [helper.make_tensor_value_info(key, types[key], value.shape)
             for key, value in inputs.items()],
            [helper.make_tensor_value_info("y", TensorProto.INT32, None)],
            [numpy_helper.from_array(weight, "w")] if constant else [])  # fmt: skip
        opsets = [helper.make_opsetid("", 17)]
        data = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
        model = martlet.load(data)
        cases[name] = lambda: model.run(inputs)

    for text in PRODUCTS:
        m, n, k = map(int, text.split("x"))
        a = rng.integers(0, 256, (m, k), np.uint8)
        b = rng.integers(-128, 128, (k, n), np.int8)
        for constant in (True, False):
            add(text + (" packed" if constant else ""), "MatMulInteger", a, b, constant)
    image = rng.integers(0, 256, (1, 64, 56, 56), np.uint8)
    filters = rng.integers(-128, 128, (64, 64, 3, 3), np.int8)
    add("64x56x56 by 3x3", "ConvInteger", image, filters, True)
    return cases


def convolution_cases() -> dict:
    import convolutions
    import numpy as np

    import martlet

    cases = {}
    for layer in convolutions.RESNET + convolutions.MOBILENET + convolutions.RESNEXT:
        x = np.random.default_rng(2).standard_normal((1, layer[0], layer[2], layer[2]))
        feeds = {"x": x.astype(np.float32)}
        model = martlet.load(convolutions.model(layer, 1))
        cases[convolutions.title(layer)] = lambda model=model, feeds=feeds: model.run(feeds)
    return cases


def attention_cases() -> dict:
    import attention
    import numpy as np

    import martlet

    cases = {}
    rng = np.random.default_rng(3)
    for name, (batch, heads, key_heads, queries, keys, width, causal) in attention.CASES.items():
        q = rng.standard_normal((batch, heads, queries, width), np.float32)
        k = rng.standard_normal((batch, key_heads, keys, width), np.float32)
        v = rng.standard_normal((batch, key_heads, keys, width), np.float32)
        cases[name] = lambda q=q, k=k, v=v, causal=causal: martlet.scaled_dot_product_attention(
            q, k, v, is_causal=causal)
    return cases


def model_cases() -> dict:
    import models
    import onnxruntime
    import overhead

    import martlet

    cases = {}
    for path, extents in models.default_cases():
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        feeds = models.make_feeds(session, extents)
        model = martlet.load(path)
        cases[path.name] = lambda model=model, feeds=feeds: model.run(feeds)
    for make in (overhead.chain, overhead.loop, overhead.lstm, overhead.call):
        data, feeds, _ = make()
        model = martlet.load(data)
        cases[make.__name__] = lambda model=model, feeds=feeds: model.run(feeds)
    return cases


MAKERS = {"products": lambda: product_cases(True), "unpacked": lambda: product_cases(False),
          "integers": integer_cases, "convolutions": convolution_cases,
          "attention": attention_cases, "models": model_cases}  # fmt: skip


def serve(part: str, threads: int) -> None:
    """A version's process: names its cases, then times the case whose name it is given."""
    import martlet

    martlet.set_num_threads(threads)
    cases = MAKERS[part]()
    repeats = {}
    for name, run in cases.items():
        run()
        start = time.perf_counter()
        run()
        repeats[name] = 1 + int(TURN / (time.perf_counter() - start + 1e-9))
    print(json.dumps(list(cases)), flush=True)
    for line in sys.stdin:
        name = json.loads(line)
        run, count = cases[name], repeats[name]
        run()
        start = time.perf_counter()
        for _ in range(count):
            run()
        print((time.perf_counter() - start) / count * 1e3, flush=True)


def environment(site: pathlib.Path) -> dict[str, str]:
    """That of a process which imports the martlet of this folder."""
    path = os.pathsep.join([str(site.resolve()), str(HERE.parent)])
    return os.environ | {"PYTHONPATH": path}


class Version:
    """A version's process, as one who asks it for times sees it."""

    def __init__(self, site: pathlib.Path, part: str, threads: int):
        self.process = subprocess.Popen(
            [sys.executable, HERE, "--serve", part, str(threads)], env=environment(site), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
        self.names: list[str] = json.loads(self.process.stdout.readline())

    def milliseconds(self, name: str) -> float:
        self.process.stdin.write(json.dumps(name) + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def row_of(part: str, name: str, threads: int, pairs: list[tuple[float, float]]) -> dict:
    """`pairs`: the milliseconds of both, before and after, round by round."""
    ratios = sorted(after / before for before, after in pairs)
    median = statistics.median(ratios)
    return {"part": part, "case": name, "threads": threads,
            "before": statistics.median(pair[0] for pair in pairs),
            "after": statistics.median(pair[1] for pair in pairs), "ratio": median,
            "slower": median > SLOWER and ratios[len(ratios) // 4] > 1}  # fmt: skip


def measure(sites: list[pathlib.Path], part: str, threads: int, rounds: int) -> list[dict]:
    versions = [Version(site, part, threads) for site in sites]
    names = [name for name in versions[0].names if name in versions[1].names]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for index in range(rounds):
        print(f"{part}, {threads} thread(s), round {index + 1} of {rounds} …", file=sys.stderr)
        for name in names:
            # Which of them goes first changes, so that being second is nobody's gain.
            order = versions if index % 2 == 0 else versions[::-1]
            taken = {id(version): version.milliseconds(name) for version in order}
            times[name].append((taken[id(versions[0])], taken[id(versions[1])]))
    for version in versions:
        version.close()
    return [row_of(part, name, threads, pairs) for name, pairs in times.items()]


def measure_loading(sites: list[pathlib.Path], threads: int, rounds: int) -> list[dict]:
    import loading

    rows = []
    for path in loading.default_models():
        command = [sys.executable, HERE.with_name("loading.py"), "--measure", path]
        rounds_of: list[list[list[float]]] = []
        for _ in range(rounds):
            both = []
            for site in sites:
                own = environment(site) | {"MARTLET_NUM_THREADS": str(threads)}
                output = subprocess.run(
                    command, env=own, check=True, capture_output=True, text=True).stdout
                load, first, resident = map(float, output.split())
                both.append([load, load + first, resident / 1e6])
            rounds_of.append(both)
        for index, what in enumerate(("load", "load and first run", "resident, MB")):
            pairs = [(both[0][index], both[1][index]) for both in rounds_of]
            rows.append(row_of("loading", f"{path.name}, {what}", threads, pairs))
    return rows


def main() -> int:
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], int(sys.argv[3]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=pathlib.Path)
    parser.add_argument("after", type=pathlib.Path)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    rows = []
    print("| part | case | threads | before ms | after ms | after / before | |")
    print("|---|---|---|---|---|---|---|")
    for threads in arguments.threads:
        for part in arguments.parts:
            sites = [arguments.before, arguments.after]
            measured = (
                measure_loading(sites, threads, arguments.rounds) if part == "loading"
                else measure(sites, part, threads, arguments.rounds))  # fmt: skip
            for row in measured:
                rows.append(row)
                print(f"| {part} | {row['case']} | {threads} | {row['before']:.4f} "
                      f"| {row['after']:.4f} | {row['ratio']:.3f} "
                      f"| {'slower' if row['slower'] else ''} |", flush=True)  # fmt: skip
    print("\n| part | threads | cases | slower | median of the ratios, after / before |")
    print("|---|---|---|---|---|")
    for part in arguments.parts:
        for threads in arguments.threads:
            own = [row for row in rows if (row["part"], row["threads"]) == (part, threads)]
            print(f"| {part} | {threads} | {len(own)} | {sum(row['slower'] for row in own)} "
                  f"| {statistics.median(row['ratio'] for row in own):.2f} |")  # fmt: skip
    slower = sum(row["slower"] for row in rows)
    print(f"\n{len(rows)} cases: {slower} slower, median ratio "
          f"{statistics.median(row['ratio'] for row in rows):.3f}")  # fmt: skip
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=2) + "\n")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
