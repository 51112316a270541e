"""What a run takes and gives: the ways to call, results by name and in order."""

import copy
import io
import pathlib
import pickle
import re

import numpy as np
import pytest
from onnx import TensorProto, helper

import martlet

ONE, TWO = np.float32([1, 2, 3]), np.float32([4, 5, 6])
FEED = {"a": ONE, "b": TWO}


def value(name, kind=TensorProto.FLOAT, shape=("n",)):
    return helper.make_tensor_value_info(name, kind, shape)


def model_of(nodes, inputs, outputs, **options):
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    opsets = [helper.make_opsetid("", 20)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    return martlet.load(proto, **options)


@pytest.fixture
def two():
    """sum = a + b, difference = a - b."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Sub", ["a", "b"], ["difference"]),
    ]
    return model_of(nodes, [value("a"), value("b")], [value("sum"), value("difference")])


@pytest.fixture
def one():
    """y = -x."""
    return model_of([helper.make_node("Neg", ["x"], ["y"])], [value("x")], [value("y")])


def test_results_are_in_order_and_by_name(two):
    results = two.run(FEED)
    assert isinstance(results, martlet.Results) and isinstance(results, tuple)
    total, difference = results
    assert total.tolist() == [5, 7, 9] and difference.tolist() == [-3, -3, -3]
    assert results["sum"] is results[0] is total and results[-1] is results["difference"]
    assert results[:1] == (total,) and len(results) == 2
    assert list(results.keys()) == ["sum", "difference"]
    assert [one.tolist() for one in results.values()] == [[5, 7, 9], [-3, -3, -3]]
    assert dict(results.items())["sum"] is total
    assert dict(results)["sum"] is total and {**results}["difference"] is difference
    assert "sum" in results and "a" not in results and total in results and ONE not in results
    assert results.get("sum") is total and results.get("a") is None and results.get("a", 3) == 3
    with pytest.raises(KeyError, match="no output 'a' among the results; there are 'sum', 'diff"):
        results["a"]
    with pytest.raises(IndexError):
        results[2]
    text = repr(results)
    assert text.startswith("Results({'sum': Tensor([5.0, 7.0, 9.0], shape=(3,), dtype=float32),\n")
    for same in (copy.copy(results), pickle.loads(pickle.dumps(results))):
        assert list(same.keys()) == ["sum", "difference"] and same["sum"].tolist() == [5, 7, 9]


def test_calls_give_the_same(two, one):
    results = two(ONE, b=TWO)
    assert isinstance(results, martlet.Results) and results["sum"].tolist() == [5, 7, 9]
    total, _ = two(ONE, TWO)
    assert total.tolist() == [5, 7, 9]
    assert isinstance(one(ONE), martlet.Tensor)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda model: model.run(FEED), ["sum", "difference"]),
        (lambda model: model.run(None, FEED), ["sum", "difference"]),
        (lambda model: model.run(FEED, None), ["sum", "difference"]),
        (lambda model: model.run(["difference"], FEED), ["difference"]),
        (lambda model: model.run(FEED, ["difference"]), ["difference"]),
        (lambda model: model.run("difference", FEED), ["difference"]),
        (lambda model: model.run(FEED, "difference"), ["difference"]),
        (lambda model: model.run(("difference", "sum"), FEED), ["difference", "sum"]),
        (lambda model: model.run(inputs=FEED, outputs=["sum"]), ["sum"]),
        (lambda model: model.run(["sum"], FEED, max_milliseconds=10_000), ["sum"]),
        (lambda model: model.run([], FEED), []),
    ],
)
def test_inputs_and_names_of_outputs_come_in_both_orders(two, call, names):
    if not names:
        with pytest.raises(ValueError, match="output"):
            call(two)
        return
    results = call(two)
    assert list(results.keys()) == names
    for name, expected in (("sum", [5, 7, 9]), ("difference", [-3, -3, -3])):
        assert name not in names or results[name].tolist() == expected


def test_a_model_of_one_input_takes_its_value(one):
    for given in (ONE, [1, 2, 3], (1.0, 2, 3), martlet.Tensor(ONE), memoryview(ONE)):
        assert one.run(given)["y"].tolist() == [-1, -2, -3]
        assert one.run(None, given)[0].tolist() == [-1, -2, -3]
        assert one.run(["y"], given)[0].tolist() == [-1, -2, -3]
        assert one.run(given, ["y"])[0].tolist() == [-1, -2, -3]
    text = model_of(
        [helper.make_node("Identity", ["s"], ["t"])],
        [value("s", TensorProto.STRING)],
        [value("t", TensorProto.STRING)],
    )
    assert text.run(["some", "words"])["t"].tolist() == ["some", "words"]
    assert text.run(None, ["t"])["t"].tolist() == ["t"]
    none = model_of(
        [helper.make_node("Constant", [], ["c"], value_float=1.5)],
        [],
        [value("c", TensorProto.FLOAT, [])],
    )
    assert none.run()["c"].item() == none.run({})[0].item() == none().item() == 1.5
    assert none.run(["c"])["c"].item() == none.run(None, ["c"])["c"].item() == 1.5


def test_python_numbers_take_the_dtype_of_the_input():
    kinds = {"float32": [1, 2.5, True], "float64": [0.1], "float16": [1.5], "int32": [3, True],
             "uint8": [255], "int64": [2**62], "bool": [True, False], "uint64": [2**64 - 1],
             "bfloat16": [1.5]}  # fmt: skip
    for dtype, numbers in kinds.items():
        name = {"float32": "FLOAT", "float64": "DOUBLE"}.get(dtype, dtype.upper())
        kind = getattr(TensorProto, name)
        node = helper.make_node("Identity", ["x"], ["y"])
        model = model_of([node], [value("x", kind, None)], [value("y", kind, None)])
        for given in (numbers, [numbers], numbers[0], tuple(numbers)):
            result = model(given)
            assert result.dtype == dtype
            assert result.tolist() == (list(given) if isinstance(given, tuple) else given)
        if dtype == "uint8":
            with pytest.raises(OverflowError, match="input 'x' is uint8, which does not hold 256"):
                model([1, 256])
            with pytest.raises(TypeError, match="input 'x': expected uint8, got float32"):
                model.run([1.5])
        if dtype == "bool":
            with pytest.raises(TypeError, match="expected bool, got int64"):
                model(1)
        if dtype == "float32":  # what has a dtype keeps it
            for typed in (np.float64(1), np.int64(1), [np.float64(1)], martlet.tensor([1])):
                with pytest.raises(TypeError, match=r"expected float32.*astype\('float32'\)"):
                    model(typed)
            with pytest.raises(TypeError, match="got string") as info:
                model("text")
            assert "astype" not in str(info.value)
        assert model([]).shape == (0,)


def test_models_come_from_files_and_protos(digits_path, images):
    import onnx

    expected = martlet.load(digits_path)(images[:2]).numpy()
    content = pathlib.Path(digits_path).read_bytes()
    with open(digits_path, "rb") as file:
        loaded = martlet.load(file)
    proto = onnx.load(digits_path)

    class Exported:  # as torch.onnx.export(..., dynamo=True) gives
        model_proto = proto

    for model in (loaded, martlet.load(io.BytesIO(content)), martlet.load(proto),
                  martlet.load(Exported())):  # fmt: skip
        assert model.path is None
        np.testing.assert_array_equal(model(images[:2]).numpy(), expected)


def test_other_outputs_than_tensors_are_results_too():
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
    node = helper.make_node("SplitToSequence", ["x"], ["s"])
    model = model_of([node], [value("x")], [sequence])
    results = model.run([1, 2])
    assert isinstance(results["s"], list) and [part.item() for part in results[0]] == [1, 2]
    assert model([1, 2])[1].item() == 2


def test_the_guides_snippets_run(monkeypatch):
    root = pathlib.Path(__file__).resolve().parents[2]
    monkeypatch.chdir(root)
    text = (root / "docs" / "python.md").read_text()
    snippets = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(snippets) >= 2
    names = {}
    for snippet in snippets:
        exec(snippet, names)
    assert names["results"][0].shape == (3, 10)
