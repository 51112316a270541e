"""ConvTranspose against ONNX Runtime on random configurations; operators that draw numbers."""

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_onnx_reference import onnxruntime_ran, ran

import martlet


def model_of(inputs, opset=11, constants=(), op="ConvTranspose", kind=None, **attributes):
    """The serialised model and its feeds; inputs in order, None left out."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    arrays = {name: x for name, x in zip(names, inputs, strict=True) if name}
    kinds = {name: helper.np_dtype_to_tensor_dtype(x.dtype) for name, x in arrays.items()}
    held = {f"x{i}" for i in constants}
    infos = [
        helper.make_tensor_value_info(n, kinds[n], [None] * x.ndim)
        for n, x in arrays.items()
        if n not in held
    ]
    kind = kind or kinds.get("x0", TensorProto.FLOAT)
    result = helper.make_tensor_value_info("y", kind, None)
    node = helper.make_node(op, names, ["y"], **attributes)
    weights = [numpy_helper.from_array(x, n) for n, x in arrays.items() if n in held]
    graph = helper.make_graph([node], "g", infos, [result], weights)
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return model, {n: x for n, x in arrays.items() if n not in held}


def configuration(seed):
    """Inputs and attributes that ONNX Runtime runs too."""
    rng = np.random.default_rng(seed)
    axes = int(rng.integers(1, 4))

    def several(low, high):
        return [int(n) for n in rng.integers(low, high, axes)]

    group = [1, 1, 2, 4][rng.integers(4)]
    channels = group * (1 if rng.random() < 0.2 else int(rng.integers(1, 20)))
    image, kernel = several(1, [200, 14, 7][axes - 1]), several(1, 6)
    strides, dilations = several(1, 4), several(1, 3)
    x = rng.uniform(-1, 1, (rng.integers(1, 4), channels, *image)).astype(np.float32)
    w = rng.uniform(-1, 1, (channels, rng.integers(1, 12), *kernel)).astype(np.float32)
    b = rng.uniform(-1, 1, w.shape[1] * group).astype(np.float32)
    attributes = {"group": group, "strides": strides, "dilations": dilations}
    if rng.random() < 0.5:
        attributes["kernel_shape"] = kernel
    if rng.random() < 0.3:
        # ONNX Runtime refuses what a larger dilation would permit.
        attributes["output_padding"] = [int(rng.integers(0, s)) for s in strides]
    added = attributes.get("output_padding", [0] * axes)
    whole = [
        (i - 1) * s + (k - 1) * d + 1 + a
        for i, k, s, d, a in zip(image, kernel, strides, dilations, added, strict=True)
    ]
    choice = rng.random()
    if choice < 0.4:
        begin = [int(rng.integers(0, min(4, n))) for n in whole]
        end = [int(rng.integers(0, min(4, n - a))) for n, a in zip(whole, begin, strict=True)]
        attributes["pads"] = begin + end
    elif choice < 0.6:
        attributes["output_shape"] = [max(1, n - int(rng.integers(0, 4))) for n in whole]
        attributes["auto_pad"] = ["NOTSET", "SAME_UPPER", "SAME_LOWER"][rng.integers(3)]
    elif choice < 0.8:
        # Where strides reach beyond the kernel, ONNX Runtime's extents are not the operator's.
        reach = all(n >= i * s for n, i, s in zip(whole, image, strides, strict=True))
        attributes["auto_pad"] = ["SAME_UPPER", "SAME_LOWER"][rng.integers(2)] if reach else "VALID"
    return [x, w, b if rng.random() < 0.5 else None], attributes


@pytest.mark.parametrize("seed", range(150))
def test_random_configurations(seed):
    inputs, attributes = configuration(seed)
    opset = [1, 11, 22][seed % 3]
    model, feeds = model_of(inputs, opset, (1, 2) if seed % 2 else (), **attributes)
    (got,) = ran(model, feeds)
    if opset == 22:  # not in every ONNX Runtime
        model, feeds = model_of(inputs, 11, **attributes)
    (want,) = onnxruntime_ran(model, feeds)
    assert got.shape == want.shape, attributes
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float64, 1e-5), (np.float16, 2e-3), (ml_dtypes.bfloat16, 1e-2)]
)
def test_other_types_are_near_float32(dtype, tolerance):
    for seed in range(20):
        inputs, attributes = configuration(1000 + seed)
        inputs = [x if x is None else x.astype(dtype) for x in inputs]
        (got,) = ran(*model_of(inputs, 22, (1,), **attributes))
        wide = [x if x is None else x.astype(np.float32) for x in inputs]
        (want,) = ran(*model_of(wide, 22, **attributes))
        assert got.dtype == dtype
        np.testing.assert_allclose(
            got.astype(np.float64), want.astype(np.float64), rtol=tolerance, atol=tolerance
        )


def test_bf16_mode_is_near_float32():
    for seed in range(20):
        inputs, attributes = configuration(2000 + seed)
        model, feeds = model_of(inputs, 11, (1,), **attributes)
        want = ran(model, feeds)[0]
        with martlet.fast_math("BF16"):
            got = ran(model, feeds)[0]
        np.testing.assert_allclose(got, want, rtol=0.02, atol=0.02 * max(1, np.abs(want).max()))


def test_images_do_not_depend_on_the_batch_or_threads():
    rng = np.random.default_rng(8)
    x = rng.standard_normal((3, 32, 400)).astype(np.float32)
    w = rng.standard_normal((32, 16, 16)).astype(np.float32)
    martlet.set_num_threads(1)
    (whole,) = ran(*model_of([x, w, None], constants=(1,), strides=[8]))
    martlet.set_num_threads(2)
    np.testing.assert_array_equal(ran(*model_of([x, w, None], strides=[8]))[0], whole)
    np.testing.assert_array_equal(
        ran(*model_of([x[2:], w, None], constants=(1,), strides=[8]))[0], whole[2:]
    )


def test_one_model_takes_images_of_any_length():
    rng = np.random.default_rng(9)
    w = rng.standard_normal((4, 3, 8)).astype(np.float32)
    attributes = {"strides": [4], "pads": [2, 2]}
    model = martlet.load(
        model_of([np.zeros((1, 4, 1), "f"), w, None], 11, (1,), **attributes)[0].SerializeToString()
    )
    for length in [3, 3, 50, 50, 7, 3]:
        x = rng.standard_normal((1, 4, length)).astype(np.float32)
        want = onnxruntime_ran(*model_of([x, w, None], **attributes))[0]
        np.testing.assert_allclose(model.run({"x0": x})["y"].numpy(), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        ({"group": 3}, "group"),
        ({"pads": [9, 9]}, "pads"),
        ({"output_padding": [1, 1]}, "output_padding"),
        ({"output_shape": [1, 1, 1]}, "output_shape"),
        ({"kernel_shape": [2]}, "kernel_shape"),
        ({"strides": [0]}, "strides"),
        ({"auto_pad": "SAME"}, "auto_pad"),
    ],
)
def test_contradictions_are_refused_by_name(attributes, word):
    x, w = np.zeros((1, 4, 5), "f"), np.zeros((4, 2, 3), "f")
    with pytest.raises(martlet.Error, match=word):
        ran(*model_of([x, w, None], **attributes))


# ------------------------------------------------------------------------ Random numbers


def source_of(op, kind=TensorProto.FLOAT, **attributes):
    model, _ = model_of([], 22, op=op, kind=kind, dtype=kind, **attributes)
    return martlet.load(model.SerializeToString())


def drawn(model, feeds=None):
    return model.run(feeds or {})["y"].numpy()


@pytest.mark.parametrize("op", ["RandomNormal", "RandomUniform"])
def test_a_seed_gives_the_same_runs_again(op):
    first = source_of(op, shape=[3, 50], seed=4.0)
    runs = [drawn(first) for _ in range(3)]
    again = source_of(op, shape=[3, 50], seed=4.0)
    for run in runs:
        np.testing.assert_array_equal(drawn(again), run)
    assert len({run.tobytes() for run in runs}) == 3
    unseeded = source_of(op, shape=[3, 50])
    assert len({drawn(unseeded).tobytes(), drawn(unseeded).tobytes()}) == 2


def test_equal_unseeded_nodes_draw_numbers_of_their_own():
    node = helper.make_node
    nodes = [
        node("RandomUniformLike", ["x"], ["a"]),
        node("RandomUniformLike", ["x"], ["b"]),
        node("Sub", ["a", "b"], ["y"]),
    ]
    info = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in [("x", [100]), ("y", None)]
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", info[:1], info[1:]),
        opset_imports=[helper.make_opsetid("", 14)], ir_version=8,
    )  # fmt: skip
    (y,) = ran(model, {"x": np.zeros(100, np.float32)})
    assert np.all(y != 0)


def test_normal_and_uniform_numbers():
    attributes = {"shape": [100_000], "mean": 1.0, "seed": 1.0}
    normal = drawn(source_of("RandomNormal", TensorProto.DOUBLE, **attributes))
    assert abs(normal.mean() - 1) < 0.02 and abs(normal.std() - 1) < 0.02
    uniform = drawn(source_of("RandomUniform", TensorProto.FLOAT16, shape=[100_000], low=-1.0))
    assert uniform.dtype == np.float16 and uniform.min() >= -1 and uniform.max() <= 1
    assert abs(uniform.astype(np.float64).mean()) < 0.02


def test_bernoulli_and_multinomial():
    p = np.full(20_000, 0.3, np.float64)
    model, feeds = model_of([p], 15, op="Bernoulli", kind=TensorProto.BOOL, dtype=TensorProto.BOOL)
    (ones,) = ran(model, feeds)
    assert ones.dtype == np.bool_ and abs(ones.mean() - 0.3) < 0.02
    logits = np.log(np.array([[1, 2, 5]], np.float32))
    model, feeds = model_of(
        [logits], 7, op="Multinomial", kind=TensorProto.INT64, dtype=TensorProto.INT64,
        sample_size=20_000,
    )  # fmt: skip
    (classes,) = ran(model, feeds)
    assert classes.shape == (1, 20_000)
    shares = np.bincount(classes[0], minlength=3) / 20_000
    np.testing.assert_allclose(shares, [0.125, 0.25, 0.625], atol=0.015)
    with pytest.raises(martlet.Error, match="input"):
        ran(*model_of([p + 1], 15, op="Bernoulli"))
