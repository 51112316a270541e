"""Ensembles of 500 trees: Martlet against ONNX Runtime, interleaved, medians, and their loading.

Usage: $(scripts/peers-env) Benchmarks/trees.py [--threads N ...] [--rows N ...]

The trees are random, as deep as boosted and as bagged ones are, their thresholds where the normal
features lie. The bar is 0.7 of ONNX Runtime's time. Exits with 1 where it is not reached.
"""

import argparse
import statistics
import sys
import time

import numpy as np
import onnxruntime
from onnx import helper

import martlet

BAR = 0.7
FEATURES = 20
# Name, depth, how often a node below the third level is a branch, and classes (1: a regressor).
FORESTS = [
    ("boosted, depth 6", 6, 1.0, 1),
    ("boosted, depth 8", 8, 0.8, 1),
    ("bagged, depth 12", 12, 0.85, 1),
    ("bagged, 3 classes", 10, 0.8, 3),
]


def forest(depth, share, classes, trees=500):
    """A model of random trees, as bytes."""
    rng = np.random.default_rng(depth)
    names = ["treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids"]
    rows, votes = [], []
    for tree in range(trees):
        pending, following, own = [(0, 0)], 1, {}
        while pending:
            node, level = pending.pop()
            if level < depth and (level < 3 or rng.random() < share):
                feature, value = int(rng.integers(FEATURES)), float(rng.standard_normal())
                own[node] = (tree, node, feature, value, "BRANCH_LEQ", following, following + 1)
                pending += [(following, level + 1), (following + 1, level + 1)]
                following += 2
            else:
                own[node] = (tree, node, 0, 0.0, "LEAF", 0, 0)
                weights = rng.standard_normal(classes).tolist()
                votes += [(tree, node, target, weight) for target, weight in enumerate(weights)]
        rows += [own[node] for node in sorted(own)]
    columns = zip(*rows, strict=True)
    attributes = {f"nodes_{n}": list(c) for n, c in zip(names, columns, strict=True)}
    role = "class" if classes > 1 else "target"
    for name, column in zip(
        ["treeids", "nodeids", "ids", "weights"], zip(*votes, strict=True), strict=True
    ):
        attributes[f"{role}_{name}"] = list(column)
    outputs = [helper.make_tensor_value_info("scores", 1, None)]
    if classes > 1:
        attributes["classlabels_int64s"] = list(range(classes))
        outputs.insert(0, helper.make_tensor_value_info("labels", 7, None))
    else:
        attributes["n_targets"] = 1
    op = "TreeEnsembleClassifier" if classes > 1 else "TreeEnsembleRegressor"
    names = [output.name for output in outputs]
    node = helper.make_node(op, ["x"], names, domain="ai.onnx.ml", **attributes)
    inputs = [helper.make_tensor_value_info("x", 1, [None, FEATURES])]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph([node], "forest", inputs, outputs)
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 10, 100, 1000, 10000])
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    missed = False
    print("forest              threads    rows  Martlet us  ONNX Runtime us  ratio  bar")
    for name, depth, share, classes in FORESTS:
        data = forest(depth, share, classes)
        for threads in arguments.threads:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            start = time.perf_counter()
            session = onnxruntime.InferenceSession(data, options)
            middle = time.perf_counter()
            martlet.set_num_threads(threads)
            model = martlet.load(data)
            load = (time.perf_counter() - middle, middle - start)
            for rows in arguments.rows:
                feeds = {"x": rng.standard_normal((rows, FEATURES)).astype(np.float32)}
                expected = session.run(["scores"], feeds)[0]
                actual = model.run(feeds)["scores"].numpy()
                np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3)
                ours, theirs = [], []
                for _ in range(max(5, min(300, 20000 // rows))):
                    theirs.append(seconds(lambda: session.run(None, feeds)))  # noqa: B023
                    ours.append(seconds(lambda: model.run(feeds)))  # noqa: B023
                us, peer = (1e6 * statistics.median(times) for times in (ours, theirs))
                missed |= us > BAR * peer
                verdict = "pass" if us <= BAR * peer else "fall short"
                print(f"{name:18}  {threads:7}  {rows:6}  {us:10.1f}  {peer:15.1f}"
                      f"  {us / peer:5.2f}  {BAR}  {verdict}")  # fmt: skip
            print(f"{name:18}  {threads:7}  loaded in {1e3 * load[0]:.0f} ms, "
                  f"by ONNX Runtime in {1e3 * load[1]:.0f} ms")  # fmt: skip
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
