"""If, Loop and Scan against ONNX Runtime, and what is wrong with them by name."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import martlet

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def info(name, kind=FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def serialised(nodes, inputs, outputs, constants=(), opset=18):
    weights = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def check(model, *feeds, tolerance=1e-6):
    """Several runs of one model, in which memory that was laid out for one meets the next."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    other = onnxruntime.InferenceSession(model, options)
    mine = martlet.load(model)
    for _ in range(3):
        for feed in feeds:
            expected = other.run(None, feed)
            for result, wanted in zip(mine.run(feed).values(), expected, strict=True):
                assert result.shape == wanted.shape
                np.testing.assert_allclose(result.numpy(), wanted, rtol=tolerance, atol=tolerance)


def branch(nodes, output):
    return helper.make_graph(nodes, "branch", [], [info(output)])


def test_branches_in_turn_with_nested_ones():
    inner = helper.make_node(
        "If",
        ["d"],
        ["r"],
        then_branch=branch([helper.make_node("Add", ["h", "x"], ["a"])], "a"),
        else_branch=branch([helper.make_node("Mul", ["h", "w"], ["b"])], "b"),
    )
    outer = helper.make_node(
        "If",
        ["c"],
        ["y"],
        then_branch=branch([helper.make_node("Neg", ["x"], ["h"]), inner], "r"),
        else_branch=branch([helper.make_node("Relu", ["x"], ["e"])], "e"),
    )
    model = serialised(
        [outer, helper.make_node("Exp", ["y"], ["z"])],
        [info("x", FLOAT, ["n", 4]), info("c", BOOL, []), info("d", BOOL, [])],
        [info("z"), info("y")],
        [("w", np.arange(4, dtype=np.float32))],
    )
    rng = np.random.default_rng(1)
    feeds = [
        {"x": rng.standard_normal((n, 4)).astype("f4"), "c": np.array(c), "d": np.array(d)}
        for n in (2, 3)
        for c in (True, False)
        for d in (True, False)
    ]
    check(model, *feeds)


def loop_model(carried_grows=False):
    nodes = [
        helper.make_node("Identity", ["go"], ["go_on"]),
        helper.make_node("Cast", ["i"], ["f"], to=FLOAT),
        helper.make_node("Mul", ["x", "f"], ["m"]),
        helper.make_node("Concat", ["s", "x"], ["t"], axis=0)
        if carried_grows
        else helper.make_node("Add", ["s", "m"], ["t"]),
        helper.make_node("ReduceSum", ["m"], ["q"], keepdims=0),
    ]
    body = helper.make_graph(
        nodes,
        "body",
        [info("i", INT64, []), info("go", BOOL, []), info("s")],
        [info("go_on", BOOL, []), info("t"), info("q")],
    )
    return serialised(
        [helper.make_node("Loop", ["trips", "", "x"], ["last", "all"], body=body)],
        [info("x", FLOAT, ["n"]), info("trips", INT64, [])],
        [info("last"), info("all")],
    )


@pytest.mark.parametrize("grows", [False, True])
def test_loops_that_carry_and_stack(grows):
    x = np.arange(1, 6, dtype=np.float32)
    feeds = [{"x": x[:n], "trips": np.array(k)} for n in (5, 2) for k in (0, 1, 4)]
    check(loop_model(grows), *feeds)


def test_a_count_beyond_reach_ends_by_the_condition():
    body = helper.make_graph(
        [helper.make_node("Less", ["i", "last"], ["on"]), helper.make_node("Neg", ["s"], ["t"])],
        "body",
        [info("i", INT64, []), info("go", BOOL, []), info("s")],
        [info("on", BOOL, []), info("t")],
    )
    model = serialised(
        [helper.make_node("Loop", ["trips", "go", "x"], ["y"], body=body)],
        [info("x", FLOAT, [2]), info("trips", INT64, []), info("go", BOOL, [])],
        [info("y")],
        [("last", np.array(6))],
    )
    feeds = [
        {"x": np.ones(2, np.float32), "trips": np.array(2**63 - 1), "go": np.array(go)}
        for go in (True, False)
    ]
    check(model, *feeds)
    assert martlet.load(model).run(feeds[0])["y"].tolist() == [-1, -1]


@pytest.mark.parametrize("opset", [8, 9, 18])
def test_scans_of_every_version(opset):
    nodes = [
        helper.make_node("Add", ["s", "a"], ["t"]),
        helper.make_node("Mul", ["t", "b"], ["p"]),
    ]
    body = helper.make_graph(
        nodes,
        "body",
        [info("s", FLOAT, [3]), info("a", FLOAT, [3]), info("b", FLOAT, [3])],
        [info("t", FLOAT, [3]), info("p", FLOAT, [3])],
    )
    attributes = {"num_scan_inputs": 2, "body": body}
    attributes["directions" if opset == 8 else "scan_input_directions"] = [0, 1]
    lead = ["batch"] if opset == 8 else []
    inputs = [info("s0", FLOAT, [*lead, 3])]
    inputs += [info(n, FLOAT, [*lead, "steps", 3]) for n in ("x", "z")]
    names = [*([""] if opset == 8 else []), "s0", "x", "z"]
    model = serialised(
        [helper.make_node("Scan", names, ["last", "all"], **attributes)],
        inputs,
        [info("last"), info("all")],
        opset=opset,
    )
    rng = np.random.default_rng(opset)
    feeds = []
    for steps in (4, 1):
        shape = [2] if opset == 8 else []
        feeds.append(
            {
                "s0": rng.standard_normal([*shape, 3]).astype("f4"),
                "x": rng.standard_normal([*shape, steps, 3]).astype("f4"),
                "z": rng.standard_normal([*shape, steps, 3]).astype("f4"),
            }
        )
    check(model, *feeds)


def test_contradictions_are_named():
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Cast", ["s"], ["t"], to=INT64),
        ],
        "body",
        [info("i", INT64, []), info("go", BOOL, []), info("s")],
        [info("on", BOOL, []), info("t", INT64)],
    )
    node = helper.make_node("Loop", ["", "", "x"], ["y"], body=body, name="turns")
    with pytest.raises(martlet.Error, match="carried value 0 is float32") as caught:
        martlet.load(serialised([node], [info("x", FLOAT, [2])], [info("y", INT64)]))
    assert caught.value.node == "turns"
    body.output.pop()
    node = helper.make_node("Loop", ["", "", "x"], ["y"], body=body, name="turns")
    with pytest.raises(martlet.Error, match="expected a condition, 1 carried values"):
        martlet.load(serialised([node], [info("x", FLOAT, [2])], [info("y", INT64)]))


def random_model(rng):
    """A graph of nodes that compute, view and branch, with some values read late."""
    nodes, values = [], ["x"]
    for index in range(int(rng.integers(5, 40))):
        a, b = (values[int(rng.integers(max(0, len(values) - 6), len(values)))] for _ in range(2))
        name = f"v{index}"
        kind = rng.integers(8)
        if kind == 0:
            nodes.append(helper.make_node("Relu", [a], [name]))
        elif kind == 1:
            nodes.append(helper.make_node("Neg", [a], [name]))
        elif kind == 2:
            nodes.append(helper.make_node("Add", [a, b], [name]))
        elif kind == 3:
            nodes.append(helper.make_node("Mul", [a, "half"], [name]))
        elif kind == 4:
            nodes.append(helper.make_node("Transpose", [a], [f"{name}t"], perm=[1, 0]))
            nodes.append(helper.make_node("Transpose", [f"{name}t"], [name], perm=[1, 0]))
        elif kind == 5:
            nodes.append(helper.make_node("Reshape", [a, "flat"], [f"{name}f"]))
            nodes.append(helper.make_node("Sigmoid", [f"{name}f"], [f"{name}g"]))
            nodes.append(helper.make_node("Reshape", [f"{name}g", "square"], [name]))
        elif kind == 6:
            nodes.append(helper.make_node("MatMul", [a, "w"], [name]))
        else:
            nodes.append(helper.make_node("Slice", [a, "zero", "four", "one"], [f"{name}s"]))
            nodes.append(helper.make_node("Concat", [f"{name}s", f"{name}s"], [name], axis=1))
        values.append(name)
    used = {i for n in nodes for i in n.input}
    outputs = [v for v in values[1:] if v not in used] + [values[len(values) // 2]]
    constants = [
        ("half", np.float32(0.5)),
        ("flat", np.array([-1])),
        ("square", np.array([-1, 8])),
        ("w", (rng.standard_normal((8, 8)) * 0.3).astype("f4")),
        ("zero", np.array([0])),
        ("four", np.array([4])),
        ("one", np.array([1])),
    ]
    outputs = [info(v) for v in dict.fromkeys(outputs) if v != "x"]
    return serialised(nodes, [info("x", FLOAT, ["n", 8])], outputs, constants)


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_values_keep_their_memory_as_long_as_they_are_read(seed, optimize):
    rng = np.random.default_rng(seed)
    model = random_model(rng)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    other = onnxruntime.InferenceSession(model, options)
    mine = martlet.load(model, optimize=optimize)
    for rows in (3, 3, 3, 5, 3, 5, 5, 3):
        x = rng.standard_normal((rows, 8)).astype("f4")
        expected = other.run(None, {"x": x})
        for result, wanted in zip(mine.run({"x": x}).values(), expected, strict=True):
            np.testing.assert_allclose(result.numpy(), wanted, rtol=2e-4, atol=2e-4)
