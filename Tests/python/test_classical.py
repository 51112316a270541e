"""ONNX's operators of classical machine learning, the losses and Unique against ONNX Runtime."""

import itertools

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import martlet

DTYPES = {
    np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float64): TensorProto.DOUBLE,
    np.dtype(np.int32): TensorProto.INT32, np.dtype(np.int64): TensorProto.INT64,
    np.dtype(object): TensorProto.STRING, np.dtype(bool): TensorProto.BOOL,
}  # fmt: skip
FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


def model(op, feeds, results, version=3, domain="ai.onnx.ml", **attributes):
    """One node; `results`: the data types of its outputs."""
    outputs = [f"y{i}" for i in range(len(results))]
    node = helper.make_node(op, list(feeds), outputs, domain=domain, **attributes)
    inputs = [
        helper.make_tensor_value_info(name, DTYPES[x.dtype], [None] * x.ndim)
        for name, x in feeds.items()
    ]
    infos = [
        helper.make_tensor_value_info(n, t, None) for n, t in zip(outputs, results, strict=True)
    ]
    graph = helper.make_graph([node], "g", inputs, infos)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def both(data, feeds):
    """What Martlet and ONNX Runtime give."""
    expected = onnxruntime.InferenceSession(data).run(None, feeds)
    results = martlet.load(data).run(feeds)
    return [results[f"y{i}"].numpy() for i in range(len(expected))], expected


def agree(data, feeds, tolerance=1e-5):
    for actual, expected in zip(*both(data, feeds), strict=True):
        assert actual.shape == expected.shape
        if expected.dtype.kind in "fc":
            np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(actual, expected)


def forest(rng, trees, depth, features, modes=("BRANCH_LEQ",), tracks=False):
    """The nodes of random trees, and the numbers of their leaves, tree by tree."""
    names = ["treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids"]
    nodes = {f"nodes_{name}": [] for name in names}
    missing, leaves = [], []
    for tree in range(trees):
        pending, following = [(0, 0)], 1
        while pending:
            node, level = pending.pop()
            is_branch = level == 0 or (level < depth and rng.random() < 0.8)
            row = (tree, node, 0, 0.0, "LEAF", 0, 0)
            if is_branch:
                row = (
                    tree, node, int(rng.integers(features)), float(rng.integers(-4, 5)) / 2,
                    str(rng.choice(modes)), following, following + 1,
                )  # fmt: skip
                pending += [(following, level + 1), (following + 1, level + 1)]
                following += 2
            else:
                leaves.append((tree, node))
            for name, value in zip(names, row, strict=True):
                nodes[f"nodes_{name}"].append(value)
            missing.append(int(is_branch and tracks and rng.random() < 0.5))
    if tracks:
        nodes["nodes_missing_value_tracks_true"] = missing
    return nodes, leaves


def votes(rng, role, leaves, targets, low=-1.0):
    rows = [
        (tree, node, target, float(np.float32(rng.uniform(low, 1))))
        for tree, node in leaves
        for target in targets
    ]
    names = [f"{role}_{part}" for part in ("treeids", "nodeids", "ids", "weights")]
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]


@pytest.mark.parametrize("rows", [1, 7, 150])
@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tree_regressor(rows, targets, aggregate, dtype):
    rng = np.random.default_rng(rows + targets)
    nodes, leaves = forest(rng, 40, 5, 4, MODES)
    x = (rng.integers(-6, 7, (rows, 4)) / 2).astype(dtype)
    attributes = nodes | votes(rng, "target", leaves, range(targets))
    attributes |= {"n_targets": targets, "aggregate_function": aggregate}
    attributes["base_values"] = [0.25] * targets
    data = model("TreeEnsembleRegressor", {"x": x}, [FLOAT], **attributes)
    if dtype == np.float64:  # ONNX Runtime wants its attributes of float64 too
        for name in ("nodes_values", "target_weights", "base_values"):
            values = np.array(attributes.pop(name), np.float64)
            attributes[f"{name}_as_tensor"] = numpy_helper.from_array(values)
        data = model("TreeEnsembleRegressor", {"x": x}, [FLOAT], **attributes)
    agree(data, {"x": x})


@pytest.mark.parametrize("mode", MODES[:5])
def test_missing_values_are_tracked(mode):
    rng = np.random.default_rng(5)
    nodes, leaves = forest(rng, 20, 4, 3, [mode], tracks=True)
    x = np.where(rng.random((90, 3)) < 0.3, np.nan, rng.integers(-6, 7, (90, 3)) / 2)
    attributes = nodes | votes(rng, "target", leaves, [0]) | {"n_targets": 1}
    x = x.astype(np.float32)
    agree(model("TreeEnsembleRegressor", {"x": x}, [FLOAT], **attributes), {"x": x})


TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_post_transforms_of_several_targets(transform):
    rng = np.random.default_rng(6)
    nodes, leaves = forest(rng, 5, 3, 3)
    x = rng.standard_normal((20, 3)).astype(np.float32)
    attributes = nodes | votes(rng, "target", leaves, range(3), low=0.0)
    attributes |= {"n_targets": 3, "post_transform": transform, "aggregate_function": "AVERAGE"}
    data = model("TreeEnsembleRegressor", {"x": x}, [FLOAT], **attributes)
    agree(data, {"x": x}, 2e-4 if transform == "PROBIT" else 1e-5)


@pytest.mark.parametrize("labels", ["integers", "strings"])
@pytest.mark.parametrize(
    "case", ["three", "shares", "margins", "logistic", "base", "three logistic"]
)
def test_tree_classifier(labels, case):
    rng = np.random.default_rng(7)
    nodes, leaves = forest(rng, 9, 4, 3)
    x = rng.standard_normal((50, 3)).astype(np.float32)
    classes = range(3) if "three" in case else [0]
    names = ["b", "a", "c"][: 3 if "three" in case else 2]
    attributes = nodes | votes(rng, "class", leaves, classes, 0.0 if case == "shares" else -1.0)
    if case == "shares":
        attributes["class_weights"] = [w / 9 for w in attributes["class_weights"]]
    if "logistic" in case:
        attributes["post_transform"] = "LOGISTIC"
    if case == "base":
        attributes["base_values"] = [0.25]
    if labels == "strings":
        attributes["classlabels_strings"] = names
    else:
        attributes["classlabels_int64s"] = [7, 5, 9][: len(names)]
    kinds = [STRING if labels == "strings" else INT64, FLOAT]
    agree(model("TreeEnsembleClassifier", {"x": x}, kinds, **attributes), {"x": x})


def test_the_top_class_of_two_is_that_with_more_votes():
    """ONNX Runtime says 1 here, which is no label, where the second class has any votes."""
    rng = np.random.default_rng(8)
    nodes, leaves = forest(rng, 9, 4, 3)
    x = rng.standard_normal((50, 3)).astype(np.float32)
    attributes = nodes | votes(rng, "class", leaves, [0, 1], 0.0)
    attributes["classlabels_int64s"] = [5, 7]
    (labels, scores), (_, expected) = both(
        model("TreeEnsembleClassifier", {"x": x}, [INT64, FLOAT], **attributes), {"x": x}
    )
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    np.testing.assert_array_equal(labels, np.array([5, 7])[scores.argmax(axis=1)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("aggregate", range(4))
def test_tree_ensemble_of_version_5(dtype, aggregate):
    rng = np.random.default_rng(aggregate)
    nodes, leaves = forest(rng, 12, 4, 3, MODES)
    places, roots, children = {}, [], {"true": [], "false": []}
    kinds = nodes["nodes_modes"]
    keys = list(zip(nodes["nodes_treeids"], nodes["nodes_nodeids"], strict=True))
    for key, kind in zip(keys, kinds, strict=True):
        if kind != "LEAF":
            places[key] = len(places)
            if key[1] == 0:
                roots.append(places[key])
    for index, (tree, _) in enumerate(keys):
        if kinds[index] == "LEAF":
            continue
        for side in children:
            key = (tree, nodes[f"nodes_{side}nodeids"][index])
            is_leaf = key not in places
            children[side].append((leaves.index(key) if is_leaf else places[key], int(is_leaf)))
    inner = [i for i, kind in enumerate(kinds) if kind != "LEAF"]

    def tensor(values, dtype):
        return numpy_helper.from_array(np.array(values, dtype))

    attributes = {
        "tree_roots": roots, "n_targets": 2, "aggregate_function": aggregate,
        "nodes_featureids": [nodes["nodes_featureids"][i] for i in inner],
        "nodes_splits": tensor([nodes["nodes_values"][i] for i in inner], dtype),
        "nodes_modes": tensor([MODES.index(kinds[i]) for i in inner], np.uint8),
        "nodes_truenodeids": [c[0] for c in children["true"]],
        "nodes_trueleafs": [c[1] for c in children["true"]],
        "nodes_falsenodeids": [c[0] for c in children["false"]],
        "nodes_falseleafs": [c[1] for c in children["false"]],
        "leaf_targetids": [i % 2 for i in range(len(leaves))],
        "leaf_weights": tensor(rng.standard_normal(len(leaves)), dtype),
    }  # fmt: skip
    x = (rng.integers(-6, 7, (70, 3)) / 2).astype(dtype)
    data = model("TreeEnsemble", {"x": x}, [DTYPES[x.dtype]], version=5, **attributes)
    agree(data, {"x": x})


X = np.array([[1, -4, 2], [0, 0, 0], [-1, -2, -3]], np.float32)
SIMPLE = [
    ("Scaler", {"offset": [1.0, 2, 3], "scale": [2.0, 0.5, 3]}),
    ("Scaler", {"offset": [1.0], "scale": [2.0]}),
    ("Normalizer", {"norm": "MAX"}), ("Normalizer", {"norm": "L1"}), ("Normalizer", {"norm": "L2"}),
    ("Binarizer", {"threshold": 0.5}),
    ("Imputer", {"imputed_value_floats": [9.0, 8, 7], "replaced_value_float": 0.0}),
    ("OneHotEncoder", {"cats_int64s": [1, -4, 0]}),
    ("LinearRegressor", {"coefficients": [0.1, 0.2, 0.3], "intercepts": [0.4]}),
    ("LinearRegressor", {"coefficients": [0.1, 0.2, 0.3] * 2, "targets": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("op", "attributes"), SIMPLE)
def test_simple_operators(op, attributes):
    agree(model(op, {"x": X}, [FLOAT], version=1, **attributes), {"x": X})


@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("classes", [2, 3])
def test_linear_classifier(transform, classes):
    rng = np.random.default_rng(classes)
    x = rng.standard_normal((30, 5)).astype(np.float32)
    attributes = {
        "coefficients": rng.standard_normal(5 * classes).astype(np.float32).tolist(),
        "intercepts": rng.standard_normal(classes).astype(np.float32).tolist(),
        "classlabels_ints": [4, 2, 9][:classes], "post_transform": transform,
    }  # fmt: skip
    data = model("LinearClassifier", {"x": x}, [INT64, FLOAT], version=1, **attributes)
    agree(data, {"x": x})
    if transform in ("NONE", "LOGISTIC"):
        attributes["coefficients"] = attributes["coefficients"][:5]
        attributes["intercepts"] = attributes["intercepts"][:1]
        attributes["classlabels_ints"] = [4, 2]
        data = model("LinearClassifier", {"x": x}, [INT64, FLOAT], version=1, **attributes)
        agree(data, {"x": x})


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
def test_support_vector_machines(kernel):
    rng = np.random.default_rng(11)
    x = rng.standard_normal((300, 4)).astype(np.float32)

    def numbers(count):
        return rng.standard_normal(count).astype(np.float32).tolist()

    common = {"kernel_type": kernel, "kernel_params": [0.3, 0.5, 3.0]}
    regressor = common | {
        "support_vectors": numbers(24), "coefficients": numbers(6), "rho": [0.3], "n_supports": 6,
    }  # fmt: skip
    agree(model("SVMRegressor", {"x": x}, [FLOAT], version=1, **regressor), {"x": x}, 2e-4)
    for probabilities, counts in itertools.product([False, True], [[2, 3, 4], [4, 5]]):
        classes = len(counts)
        pairs = classes * (classes - 1) // 2
        attributes = common | {
            "support_vectors": numbers(36), "coefficients": numbers(9 * (classes - 1)),
            "rho": numbers(pairs), "vectors_per_class": counts,
            "classlabels_ints": [7, 3, 5][:classes],
        }  # fmt: skip
        if probabilities:
            attributes |= {"prob_a": [-1.0] * pairs, "prob_b": [0.1] * pairs}
        data = model("SVMClassifier", {"x": x}, [INT64, FLOAT], version=1, **attributes)
        agree(data, {"x": x}, 5e-4)


def test_label_encoder_and_its_kin():
    texts = np.array([["a", "d"], ["c", "a"]], object)
    numbers = np.array([1, 7, 2])
    agree(
        model(
            "LabelEncoder", {"x": texts}, [INT64], version=2,
            keys_strings=["a", "b", "c"], values_int64s=[4, 5, 6], default_int64=-7,
        ), {"x": texts},
    )  # fmt: skip
    agree(
        model(
            "LabelEncoder", {"x": numbers}, [STRING], version=2,
            keys_int64s=[1, 2], values_strings=["one", "two"],
        ), {"x": numbers},
    )  # fmt: skip
    agree(
        model("LabelEncoder", {"x": numbers}, [STRING], version=1, classes_strings=["p", "q", "r"]),
        {"x": numbers},
    )
    agree(
        model(
            "CategoryMapper", {"x": texts}, [INT64], version=1,
            cats_strings=["a", "c"], cats_int64s=[1, 2],
        ), {"x": texts},
    )  # fmt: skip
    indices = np.array([[2, 0]])
    agree(
        model("ArrayFeatureExtractor", {"x": X, "i": indices}, [FLOAT], version=1),
        {"x": X, "i": indices},
    )
    agree(
        model("FeatureVectorizer", {"x": X, "z": X[:, :2]}, [FLOAT], version=1,
              inputdimensions=[2, 3]),
        {"x": X, "z": X[:, :2]},
    )  # fmt: skip


@pytest.mark.parametrize("labels", [{"classlabels_int64s": [4, 5, 6]},
                                    {"classlabels_strings": ["x", "y", ""]}])  # fmt: skip
def test_zip_map(labels):
    node = helper.make_node("ZipMap", ["x"], ["z"], domain="ai.onnx.ml", **labels)
    key = STRING if "classlabels_strings" in labels else INT64
    kind = helper.make_sequence_type_proto(
        helper.make_map_type_proto(key, helper.make_tensor_type_proto(FLOAT, None))
    )
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", FLOAT, [None, 3])],
        [helper.make_value_info("z", kind)],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 1)]
    data = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    expected = onnxruntime.InferenceSession(data).run(None, {"x": X})[0]
    rows = martlet.load(data).run({"x": X})["z"]
    assert [{k: float(v.numpy()) for k, v in row.items()} for row in rows] == expected


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("ignored", [None, 1, -1])
@pytest.mark.parametrize("weighs", [False, True])
def test_cross_entropy(reduction, ignored, weighs):
    rng = np.random.default_rng(3)
    feeds = {
        "scores": rng.standard_normal((40, 5, 3)).astype(np.float32),
        "labels": rng.integers(0, 5, (40, 3)),
    }
    if weighs:
        feeds["weights"] = rng.random(5).astype(np.float32)
    attributes = {"reduction": reduction}
    if ignored is not None:
        attributes["ignore_index"] = ignored
        feeds["labels"][::7] = ignored
    agree(
        model("SoftmaxCrossEntropyLoss", feeds, [FLOAT, FLOAT], domain="", **attributes),
        feeds,
        1e-4,
    )


@pytest.mark.parametrize("is_sorted", [0, 1])
@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, object])
def test_unique(is_sorted, axis, dtype):
    rng = np.random.default_rng(4)
    x = rng.integers(0, 3, (30, 3))
    x = np.array(["", "é", "b"], object)[x] if dtype is object else x.astype(dtype)
    attributes = {"sorted": is_sorted} | ({} if axis is None else {"axis": axis})
    data = model("Unique", {"x": x}, [DTYPES[x.dtype], *[INT64] * 3], domain="", **attributes)
    agree(data, {"x": x})
