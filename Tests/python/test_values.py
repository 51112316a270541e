"""Inputs and outputs that are no tensors of numbers."""

import gc
import pickle

import numpy as np
import pytest
from onnx import TensorProto, helper

import martlet

FLOATS = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
SEQUENCE = helper.make_sequence_type_proto(FLOATS)


def load(nodes, inputs, outputs, opset=23):
    def infos(values):
        return [
            helper.make_value_info(name, kind)
            if isinstance(kind, type(FLOATS))
            else helper.make_tensor_value_info(name, *kind)
            for name, kind in values
        ]

    graph = helper.make_graph(nodes, "g", infos(inputs), infos(outputs))
    return martlet.load(
        helper.make_model(
            graph, ir_version=10, opset_imports=[helper.make_opsetid("", opset)]
        ).SerializeToString()
    )


def test_tensors_of_strings_come_from_lists_and_arrays_and_go_back():
    words = [["a", ""], ["h\u00e9", "\u0000b"]]
    for given in (martlet.tensor(words), martlet.Tensor(np.array(words, object))):
        assert (given.dtype, given.shape) == ("string", (2, 2))
        assert given.tolist() == words
        assert given.numpy().dtype == object and given.numpy().tolist() == words
        assert pickle.loads(pickle.dumps(given)).tolist() == words
        assert given.is_read_only
        with pytest.raises(BufferError, match="strings"):
            memoryview(given)
        with pytest.raises(martlet.InvalidDTypeError):
            given.__dlpack__(max_version=(1, 0))
    assert martlet.Tensor("text").item() == "text"
    assert martlet.Tensor(np.array(["ab", "c"])).tolist() == ["ab", "c"]
    assert martlet.Tensor(np.array([b"ab", b"c"])).tolist() == ["ab", "c"]
    with pytest.raises(martlet.InvalidArgumentError, match=r"strings\[1\].*UTF-8"):
        martlet.Tensor(np.array([b"a", b"\xff"], object))
    with pytest.raises(TypeError, match="of which that at 0 is of type dict"):
        martlet.Tensor(np.array([{}]))


def test_strings_move_through_a_model_and_outlive_it():
    nodes = [
        helper.make_node("Gather", ["x", "i"], ["g"], axis=0),
        helper.make_node("Concat", ["g", "x"], ["y"], axis=0),
    ]
    model = load(
        nodes,
        [("x", (TensorProto.STRING, ["n"])), ("i", (TensorProto.INT64, ["m"]))],
        [("y", (TensorProto.STRING, None))],
    )
    assert model.inputs[0].type == "string[n]"
    results = [
        model(np.array([f"a{run}", f"b{run}"], object), np.array([1, 0, 1])) for run in range(4)
    ]
    del model
    gc.collect()
    for run, result in enumerate(results):
        assert result.tolist() == [f"{c}{run}" for c in "babab"]


def test_a_list_is_a_sequence_and_comes_back_as_one():
    nodes = [
        helper.make_node("SequenceInsert", ["s", "x"], ["y"]),
        helper.make_node("SequenceLength", ["y"], ["n"]),
    ]
    model = load(
        nodes,
        [("s", SEQUENCE), ("x", (TensorProto.FLOAT, None))],
        [("y", SEQUENCE), ("n", (TensorProto.INT64, []))],
    )
    assert model.inputs[0].type == "sequence(float32)"
    for elements in ([], [np.ones((2, 3), np.float32)], [np.zeros(1, np.float32)] * 5):
        result = model.run({"s": elements, "x": np.full(2, 7, np.float32)})
        assert [t.tolist() for t in result["y"]] == [e.tolist() for e in elements] + [[7, 7]]
        assert result["n"].item() == len(elements) + 1
    only = model.run({"s": [], "x": np.ones(1, np.float32)}, ["n"])
    assert list(only.keys()) == ["n"] and only[0].item() == 1
    assert model.run({"s": [[1, 2], [3.5]], "x": 4})["y"][1].tolist() == [3.5]
    with pytest.raises(TypeError, match="input 's' is a ndarray; expected a list"):
        model.run({"s": np.ones(2), "x": np.ones(1, np.float32)})
    with pytest.raises(martlet.Error, match="float64"):
        model.run({"s": [np.ones(2)], "x": np.ones(1, np.float32)})
    with pytest.raises(ValueError, match="missing input 's'"):
        model.run({"x": np.ones(1, np.float32)})


def test_none_is_an_optional_without_a_value():
    optional = helper.make_optional_type_proto(FLOATS)
    model = load(
        [
            helper.make_node("OptionalHasElement", ["o"], ["has"]),
            helper.make_node("Identity", ["o"], ["same"]),
        ],
        [("o", optional)],
        [("has", (TensorProto.BOOL, [])), ("same", optional)],
    )
    has, same = model(None)
    assert has.item() is False and same is None
    has, same = model(np.ones(2, np.float32))
    assert has.item() is True and same.tolist() == [1, 1]


# Files from scikit-learn say [1] of values that are scalars.
@pytest.mark.parametrize("floats", [FLOATS, helper.make_tensor_type_proto(TensorProto.FLOAT, [1])])
def test_a_dict_is_a_map(floats):
    kinds = {
        "int64": helper.make_map_type_proto(TensorProto.INT64, floats),
        "string": helper.make_map_type_proto(TensorProto.STRING, floats),
    }
    for kind, given in [("int64", {3: 1.5, -1: 2.0}), ("string", {"a": 1.0, "": 2.0})]:
        model = load([helper.make_node("Identity", ["m"], ["y"])],
                     [("m", kinds[kind])], [("y", kinds[kind])])  # fmt: skip
        arrays = {key: np.float32(value) for key, value in given.items()}
        result = model({key: np.array(value) for key, value in arrays.items()})
        assert {key: value.item() for key, value in result.items()} == given


def test_names_are_refused_as_those_of_tensors_are():
    kinds = {"sequence": SEQUENCE, "tensor": (TensorProto.FLOAT, [None])}
    for what, kind in kinds.items():
        model = load([helper.make_node("Identity", ["s"], ["y"])], [("s", kind)], [("y", kind)])
        value = np.zeros(2, np.float32)
        given = [value] if what == "sequence" else value
        for run, error, name in [
            (lambda m, x: m.run({}), martlet.InvalidArgumentError, "s"),
            (lambda m, x: m.run({"s": x, "t": x}), martlet.NotFoundError, "t"),
            (lambda m, x: m.run({"s": x}, outputs=["z"]), martlet.NotFoundError, "z"),
        ]:
            with pytest.raises(error, match=f"'{name}'") as caught:
                run(model, given)
            assert caught.value.input == name
            assert caught.value.code == error.code


def test_an_empty_dict_is_a_map_of_the_declared_keys():
    for key in (TensorProto.INT64, TensorProto.STRING):
        kind = helper.make_map_type_proto(key, FLOATS)
        model = load([helper.make_node("Identity", ["m"], ["y"])], [("m", kind)], [("y", kind)])
        assert model({}) == {}


def test_extents_with_parentheses_leave_a_model_one_of_tensors():
    shape = ["floor(h/2)"]
    model = load(
        [helper.make_node("Relu", ["x"], ["y"])],
        [("x", (TensorProto.FLOAT, shape))],
        [("y", (TensorProto.FLOAT, shape))],
    )
    result = np.zeros(3, np.float32)
    model.run({"x": np.array([-1, 0, 2], np.float32)}, out={"y": result})
    assert result.tolist() == [0, 0, 2]


def test_numpy_reads_a_state():
    keys = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(np.asarray(martlet.State(keys, axis=1, capacity=8)), keys)


def test_a_state_grows_from_run_to_run_as_tensors_would():
    shape = [1, 2, None, 4]
    nodes = [helper.make_node("Attention", ["q", "k", "v", "", "pk", "pv"], ["y", "nk", "nv"])]
    names = ["q", "k", "v", "pk", "pv"]
    model = load(
        nodes,
        [(name, (TensorProto.FLOAT, shape)) for name in names],
        [(name, (TensorProto.FLOAT, None)) for name in ["y", "nk", "nv"]],
    )
    generator = np.random.default_rng(5)
    keys, values = (generator.standard_normal((1, 2, 3, 4), np.float32) for _ in range(2))
    states = [martlet.State(keys, axis=2, capacity=8), martlet.State(values, 2, 8)]
    before = states[0]
    for _ in range(9):
        token = generator.standard_normal((1, 2, 1, 4), np.float32)
        y, *states = model(token, token, token, *states)
        expected, keys, values = model(token, token, token, keys, values)
        assert all(isinstance(state, martlet.State) for state in states)
        assert np.array_equal(y.numpy(), expected.numpy())
        assert np.array_equal(states[0].tensor.numpy(), keys.numpy())
        assert np.array_equal(states[1].tensor.numpy(), values.numpy())
    assert before.shape == (1, 2, 3, 4) and states[0].shape == (1, 2, 12, 4)
    assert states[0].tensor.is_read_only
    for axis, capacity in [(4, 8), (-1, 8), (2, 1)]:
        with pytest.raises(martlet.InvalidArgumentError, match="cannot grow"):
            martlet.State(np.zeros((1, 2, 3, 4), np.float32), axis, capacity)


def test_a_state_that_is_scattered_to_is_used_up():
    model = load(
        [helper.make_node("TensorScatter", ["past", "new", "at"], ["present"], axis=1)],
        [
            ("past", (TensorProto.FLOAT, [2, 5, 3])),
            ("new", (TensorProto.FLOAT, [2, 1, 3])),
            ("at", (TensorProto.INT64, [2])),
        ],
        [("present", (TensorProto.FLOAT, [2, 5, 3]))],
        opset=24,
    )
    cache = np.zeros((2, 5, 3), np.float32)
    state = martlet.State(cache, axis=1, capacity=5)
    for step in range(5):
        new = np.full((2, 1, 3), step + 1, np.float32)
        at = np.array([step, 4 - step])
        before, state = state, model(state, new, at)
        cache = model(cache, new, at).numpy()
        assert np.array_equal(state.tensor.numpy(), cache)
        with pytest.raises(martlet.Error, match="used up") as caught:
            model(before, new, at)
        assert (caught.value.code, caught.value.input) == ("INVALID_STATE", "past")
        with pytest.raises(martlet.Error, match="used up"):
            _ = before.tensor
    assert cache[0, :, 0].tolist() == [1, 2, 3, 4, 5]
    assert cache[1, :, 0].tolist() == [5, 4, 3, 2, 1]
