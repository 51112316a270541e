"""Models of one node against onnx's reference evaluator and, where it runs them, ONNX Runtime."""

import itertools

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import martlet

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def model_of(op, inputs, outputs=1, opset=28, kind=None, **attributes):
    """The serialised model, and its feeds; an input that is None is left out."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    feeds = {name: x for name, x in zip(names, inputs, strict=True) if name}
    kinds = {name: helper.np_dtype_to_tensor_dtype(x.dtype) for name, x in feeds.items()}
    infos = [helper.make_tensor_value_info(n, kinds[n], x.shape) for n, x in feeds.items()]
    results = [
        helper.make_tensor_value_info(f"y{i}", kind or kinds[names[0]], None)
        for i in range(outputs)
    ]
    node = helper.make_node(op, names, [f"y{i}" for i in range(outputs)], **attributes)
    graph = helper.make_graph([node], "g", infos, results)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10), feeds


def ran(model, feeds):
    return [y.numpy() for y in martlet.load(model.SerializeToString()).run(feeds).values()]


def onnxruntime_ran(model, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, feeds)


def check(model, feeds, tolerance=0.0, with_onnxruntime=True):
    """All outputs agree with the reference's, and with ONNX Runtime's."""
    results = ran(model, feeds)
    others = [ReferenceEvaluator(model).run(None, feeds)]
    if with_onnxruntime:
        others.append(onnxruntime_ran(model, feeds))
    for other in others:
        for result, expected in zip(results, other, strict=True):
            assert result.dtype == expected.dtype and result.shape == expected.shape
            a, b = result.astype(np.float64), expected.astype(np.float64)
            # ONNX Runtime hides scores by the least number of a type.
            b = (
                np.where(b <= float(ml_dtypes.finfo(expected.dtype).min), -np.inf, b)
                if tolerance
                else b
            )
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# ------------------------------------------------------------------------------ Attention

FLOATS = [(np.float32, 1e-5), (np.float64, 1e-5), (np.float16, 1e-2), (ml_dtypes.bfloat16, 0.15)]


def attention(dtype, heads=4, queries=5, keys=9, batch=2, seed=3):
    rng = np.random.default_rng(seed)
    shapes = [(batch, heads, queries, 8), (batch, 2, keys, 8), (batch, 2, keys, 4)]
    return [(rng.standard_normal(shape) * 2).astype(dtype) for shape in shapes]


def mask_of(kind, shape, dtype):
    rng = np.random.default_rng(5)
    if kind is None:
        return None
    shown = rng.random(shape) < 0.7
    if kind == "bool":
        return shown
    return np.where(shown, rng.random(shape), -1e4 if kind == "low" else -np.inf).astype(dtype)


def runs_in_onnxruntime(dtype, **attributes):
    return dtype in (np.float32, np.float16) and not attributes.get("qk_matmul_output_mode")


@pytest.mark.parametrize("kind", [None, "bool", "low", "hidden"])
@pytest.mark.parametrize(("dtype", "tolerance"), FLOATS)
@pytest.mark.parametrize("queries", [1, 5, 60])
def test_softcap_comes_before_the_mask(queries, dtype, tolerance, kind):
    q, k, v = attention(dtype, queries=queries, keys=300 if queries == 60 else 9)
    mask = mask_of(kind, (queries, k.shape[2]), dtype)
    model, feeds = model_of("Attention", [q, k, v, mask], opset=23, softcap=2.0)
    check(model, feeds, tolerance, runs_in_onnxruntime(dtype))
    for mode in [1, 2, 3]:
        node = {"softcap": 2.0, "qk_matmul_output_mode": mode}
        model, feeds = model_of("Attention", [q, k, v, mask], 4, opset=23, **node)
        check(model, feeds, tolerance, with_onnxruntime=False)


def test_the_raw_product_has_no_softcap():
    # As the operator's text and ONNX Runtime have it; onnx 1.23.2's reference caps it.
    q, k, v = attention(np.float32)
    node = {"softcap": 2.0, "qk_matmul_output_mode": 0}
    model, feeds = model_of("Attention", [q, k, v], 4, opset=23, **node)
    product = q.reshape(2, 2, 2, 5, 8) @ k[:, :, None].swapaxes(-1, -2) / np.sqrt(8)
    for result in (ran(model, feeds), onnxruntime_ran(model, feeds)):
        np.testing.assert_allclose(result[3], product.reshape(2, 4, 5, 9), 1e-5, 1e-5)


@pytest.mark.parametrize("lengths", [[3, 9], [0, 1], [5, 4]])
@pytest.mark.parametrize("softcap", [0.0, 2.0])
@pytest.mark.parametrize(("dtype", "tolerance"), FLOATS)
@pytest.mark.parametrize("queries", [1, 3, 5])
def test_causal_queries_are_the_last_of_the_keys_that_count(
    queries, dtype, tolerance, softcap, lengths
):
    q, k, v = attention(dtype, queries=queries)
    inputs = [q, k, v, None, None, None, np.array(lengths)]
    model, feeds = model_of("Attention", inputs, opset=24, is_causal=1, softcap=softcap)
    check(model, feeds, tolerance, runs_in_onnxruntime(dtype))
    for mode in [2, 3]:
        node = {"is_causal": 1, "softcap": softcap, "qk_matmul_output_mode": mode}
        model, feeds = model_of("Attention", inputs, 4, opset=24, **node)
        check(model, feeds, tolerance, with_onnxruntime=False)


@pytest.mark.parametrize("window", [(1, 0), (0, -1), (-1, 2), (2, 1), (40, 3)])
@pytest.mark.parametrize(("dtype", "tolerance"), FLOATS)
@pytest.mark.parametrize(
    ("form", "causal"), list(itertools.product(["plain", "past", "lengths"], [0, 1]))
)
def test_windows(form, causal, dtype, tolerance, window):
    for queries, keys in [(1, 9), (5, 9), (60, 300)]:
        q, k, v = attention(dtype, queries=queries, keys=keys)
        past = attention(dtype, keys=4, seed=7)[1:] if form == "past" else [None, None]
        total = keys + 4 if form == "past" else keys
        lengths = np.array([min(7, keys), keys - 1]) if form == "lengths" else None
        for mask in [None, mask_of("bool", (queries, total), dtype)]:
            inputs = [q, k, v, mask, *past, lengths]
            node = {"left_window_size": window[0], "right_window_size": window[1]}
            node["is_causal"] = causal
            outputs = 3 if form == "past" else 1
            model, feeds = model_of("Attention", inputs, outputs, opset=25, **node)
            check(model, feeds, tolerance, runs_in_onnxruntime(dtype))


def test_a_window_below_minus_one_is_refused():
    q, k, v = attention(np.float32)
    with pytest.raises(martlet.InvalidArgumentError, match="left_window_size"):
        ran(*model_of("Attention", [q, k, v], opset=25, left_window_size=-2))


# ------------------------------------------------------------- integers and conversions


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_bit_shift_by_any_amount(dtype, direction):
    x = np.array([-1, 100, 1, -7, 77, -128, 127, 0]).astype(dtype)
    by = np.array([-1, -1, -128, 100, 3, 7, 1, -5]).astype(dtype)
    check(*model_of("BitShift", [x, by], direction=direction))


@pytest.mark.parametrize("target", INTEGERS)
@pytest.mark.parametrize("source", ["float32", "float64", "float16", "bfloat16"])
def test_cast_of_floats_beyond_an_integer(source, target):
    kind = ml_dtypes.bfloat16 if source == "bfloat16" else np.dtype(source)
    with np.errstate(over="ignore"):
        odd = np.array(
            [
                *(-1, 300.7, 3e9, -3e9, 1e20, -1e20, np.inf, -np.inf, np.nan, 2.0**31, 2.0**32),
                *(2.0**63, -(2.0**63), 2.0**64, -(2.0**31) - 1, -200.7),
            ]
        ).astype(kind)
    if target == "uint32" and source == "float16":
        odd = odd[np.isfinite(odd)]  # see docs/numerics.md
    with np.errstate(invalid="ignore"):
        to = getattr(TensorProto, target.upper())
        model, feeds = model_of("Cast", [odd], opset=21, kind=to, to=to)
        check(model, feeds, with_onnxruntime=source != "bfloat16")


@pytest.mark.parametrize("stash", [1, 11])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_range_of_16_bit_floats(dtype, stash):
    for start, limit, delta in [(0, 2, 0.1), (2040, 2064, 1), (5, -5, -0.75)]:
        inputs = [np.array(x, dtype) for x in (start, limit, delta)]
        model, feeds = model_of("Range", inputs, opset=27, stash_type=stash)
        check(model, feeds, with_onnxruntime=dtype == np.float16)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_space_to_depth(mode):
    x = np.arange(2 * 3 * 4 * 6, dtype=np.float32).reshape(2, 3, 4, 6)
    check(*model_of("SpaceToDepth", [x], blocksize=2, mode=mode))


# ------------------------------------------------------------------------------ tensors


def weights_model(tensor=None, sparse=None):
    graph = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["y"])], "g", [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [tensor] if tensor else [], sparse_initializer=[sparse] if sparse else [],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


@pytest.mark.parametrize("indices", [[1, 5], [[0, 1], [1, 2]]])
def test_a_sparse_initialiser_is_written_out(indices):
    values = helper.make_tensor("w", TensorProto.FLOAT, [2], [5.0, 7.0])
    places = np.array(indices)
    index = helper.make_tensor("i", TensorProto.INT64, places.shape, places.ravel())
    model = weights_model(sparse=helper.make_sparse_tensor(values, index, [2, 3]))
    assert ran(model, {})[0].tolist() == [[0, 5, 0], [0, 0, 7]]


def test_external_data_behind_a_link_out_of_the_folder_is_refused(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    values = np.arange(2, dtype=np.float32)
    for path in (tmp_path / "w.bin", folder / "w.bin"):
        path.write_bytes(values.tobytes())
    (folder / "inside.bin").symlink_to("w.bin")
    (folder / "outside.bin").symlink_to(tmp_path / "w.bin")
    (folder / "up").symlink_to("..")
    for location in ["w.bin", "inside.bin", "outside.bin", "up/w.bin"]:
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        file = folder / "m.onnx"
        file.write_bytes(weights_model(tensor).SerializeToString())
        if location in ("w.bin", "inside.bin"):
            assert martlet.load(file).run({})["y"].numpy().tolist() == [0, 1]
        else:
            with pytest.raises(martlet.InvalidModelError, match="leaves the model's directory"):
                martlet.load(file)


@pytest.mark.parametrize("name", ["COMPLEX64", "COMPLEX128"])
def test_a_type_that_is_not_there_is_named(name):
    node = helper.make_node("Cast", ["x"], ["y"], to=getattr(TensorProto, name))
    infos = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]),
        helper.make_tensor_value_info("y", getattr(TensorProto, name), [1]),
    ]
    graph = helper.make_graph([node], "g", infos[:1], infos[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)])
    with pytest.raises(martlet.UnsupportedError, match=name.lower()):
        martlet.load(model.SerializeToString())
