"""Floats and integers of 8 bits and less, against ml_dtypes and onnx's reference evaluator."""

import contextlib
import itertools
import pickle

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import martlet

NAMES = {
    "float8e4m3fn": "float8_e4m3fn",
    "float8e4m3fnuz": "float8_e4m3fnuz",
    "float8e5m2": "float8_e5m2",
    "float8e5m2fnuz": "float8_e5m2fnuz",
    "float8e8m0": "float8_e8m0fnu",
    "float6e2m3": "float6_e2m3fn",
    "float6e3m2": "float6_e3m2fn",
    "float4e2m1": "float4_e2m1fn",
    "int4": "int4",
    "uint4": "uint4",
    "int2": "int2",
    "uint2": "uint2",
}
BITS = {name: int(name.lstrip("uintfloa").split("e")[0]) for name in NAMES}
FLOATS = [name for name in NAMES if name.startswith("float")]
INTEGERS = [name for name in NAMES if "int" in name]
FLOAT8 = FLOATS[:4]
KINDS = {name: getattr(ml_dtypes, kind) for name, kind in NAMES.items()}
CODES = {name: getattr(TensorProto, name.upper()) for name in NAMES}


def codes(array):
    """The codes of an array of ml_dtypes', without what stands above them in the byte."""
    name = next(name for name, kind in NAMES.items() if kind == array.dtype.name)
    return np.asarray(array).view(np.uint8) & (2 ** BITS[name] - 1)


def every_code(name):
    return np.arange(2 ** BITS[name], dtype=np.uint8).view(KINDS[name])


def same(result, expected):
    """Of narrow types the codes are the same, of others the values."""
    assert result.dtype == expected.dtype and result.shape == expected.shape
    if result.dtype.name in NAMES.values():
        np.testing.assert_array_equal(codes(result), codes(expected))
    else:
        np.testing.assert_array_equal(result.astype(np.float64), expected.astype(np.float64))


def spread():
    """All float16 values, ties of the narrow types and beside them, and float32 of all sizes."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    ties = []
    for name in FLOATS:
        values = np.sort(every_code(name).astype(np.float32))
        values = values[np.isfinite(values)]
        with np.errstate(over="ignore"):
            ties.append((values[:-1] / 2 + values[1:] / 2).astype(np.float32))
    ties = np.concatenate(ties)
    near = [np.nextafter(ties, np.float32(np.inf)), np.nextafter(ties, np.float32(-np.inf))]
    random = np.random.default_rng(11).integers(0, 2**32, 200_000, np.uint32).view(np.float32)
    odd = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 3e38], np.float32)
    return np.concatenate([halves, ties, *near, random, odd])


def model_of(node, inputs, output, opset=25, initializers=()):
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(x.dtype), list(x.shape)
            )
            for name, x in inputs.items()
        ],
        [helper.make_tensor_value_info("y", output, None)],
        list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=13)


def both(op, inputs, output, opset=25, **attributes):
    """The result of one node, and that of onnx's reference."""
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None}
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    model = model_of(helper.make_node(op, names, ["y"], **attributes), feeds, output, opset)
    result = martlet.load(model.SerializeToString()).run(feeds)["y"].numpy()
    with np.errstate(all="ignore"):
        return result, ReferenceEvaluator(model).run(None, feeds)[0]


# ---- tensors


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (0, 2), (2, 3), (5, 7, 3)])
def test_arrays_of_ml_dtypes_go_in_and_come_back(name, shape):
    data = np.resize(every_code(name), shape)
    tensor = martlet.Tensor(data)
    assert tensor.dtype == name and tensor.shape == shape
    assert tensor.nbytes == (data.size * BITS[name] + 7) // 8
    back = tensor.numpy()
    same(back, data)
    assert BITS[name] < 8 or data.size == 0 or np.shares_memory(back, data)
    same(tensor.copy().numpy(), data)
    same(pickle.loads(pickle.dumps(tensor)).numpy(), data)
    same(martlet.from_bytes(tensor.tobytes(), name, shape).numpy(), data)
    same(martlet.from_dlpack(tensor).numpy(), data)
    proto = numpy_helper.from_array(data)
    assert tensor.tobytes() == proto.raw_data
    with pytest.raises(BufferError):
        memoryview(tensor)


@pytest.mark.parametrize("name", NAMES)
def test_strided_arrays_are_taken(name):
    data = np.resize(every_code(name), (4, 6))
    for view in (data.T, data[::-1], data[:, ::2], np.asfortranarray(data)):
        same(martlet.Tensor(view).numpy(), np.ascontiguousarray(view))


@pytest.mark.parametrize("name", NAMES)
def test_conversion_by_the_names_of_ml_dtypes(name):
    ones = martlet.tensor([1.0, 1.0])
    for kind in (name, NAMES[name], KINDS[name], np.dtype(KINDS[name])):
        assert ones.astype(kind).dtype == name
    assert ones.astype(name).tolist() == [1, 1]
    assert ones.astype(name).astype("float32").tolist() == [1, 1]


def test_bytes_must_be_as_many_as_the_elements_take():
    with pytest.raises(martlet.InvalidShapeError, match="takes 2"):
        martlet.from_bytes(b"\0", "int4", (3,))
    assert martlet.from_bytes(b"\x4f\x0a", "uint4", [3]).tolist() == [15, 4, 10]
    assert martlet.from_bytes(b"\x4f\x0a", "int4", [3]).tolist() == [-1, 4, -6]


def test_an_array_with_an_element_to_a_byte_is_no_place_for_packed_results():
    feeds = {"x": np.ones(4, np.float32)}
    node = helper.make_node("Cast", ["x"], ["y"], to=CODES["int4"])
    model = martlet.load(model_of(node, feeds, CODES["int4"]).SerializeToString())
    with pytest.raises(martlet.UnsupportedError, match="int4"):
        model.run(feeds, out={"y": np.ones(4, ml_dtypes.int4)})
    place = martlet.from_bytes(b"\0\0", "int4", (4,))
    assert model.run(feeds, out={"y": place})["y"].tolist() == [1, 1, 1, 1]


# ---- conversion


@pytest.mark.parametrize("name", [name for name in FLOATS if name != "float8e8m0"])
@pytest.mark.parametrize("saturate", [0, 1])
def test_floats_of_all_sizes_are_cast_as_the_reference_casts(name, saturate):
    x = spread()
    result, expected = both("Cast", [x], CODES[name], to=CODES[name], saturate=saturate)
    same(result, expected)
    with np.errstate(over="ignore"):
        halves = x.astype(np.float16)
    result, expected = both("Cast", [halves], CODES[name], to=CODES[name], saturate=saturate)
    same(result, expected)


@pytest.mark.parametrize("mode", ["up", "down", "nearest"])
@pytest.mark.parametrize("saturate", [0, 1])
def test_powers_of_two_are_rounded_as_the_reference_rounds(mode, saturate):
    x = spread()
    # The reference and the specification's table part at both ends; see docs/numerics.md.
    x = x[np.isnan(x) | ((np.abs(x) >= 2.0**-126) & np.isfinite(x))]
    code = CODES["float8e8m0"]
    result, expected = both("Cast", [x], code, to=code, saturate=saturate, round_mode=mode)
    same(result, expected)


def test_the_ends_of_powers_of_two_are_as_the_table_of_the_specification():
    x = np.array([0, 2.0**-130, 2.0**-127, np.inf, 3e38, np.nan], np.float32)
    code = CODES["float8e8m0"]
    saturated, _ = both("Cast", [x], code, to=code)
    assert codes(saturated).tolist() == [0, 0, 0, 254, 254, 255]
    open_ended, _ = both("Cast", [x], code, to=code, saturate=0, round_mode="nearest")
    assert codes(open_ended).tolist() == [255, 255, 0, 255, 255, 255]


WIDE = [np.float32, np.float16, ml_dtypes.bfloat16, np.int8, np.uint8, np.int16, np.uint16,
        np.int32, np.uint32, np.int64, np.uint64, np.bool_]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", WIDE, ids=lambda kind: np.dtype(kind).name)
def test_every_code_is_cast_to_every_wide_type(name, kind):
    x = every_code(name)
    if np.dtype(kind).kind in "iu":
        # What is beyond the type is left open by the specification, and its reference by C.
        values = x.astype(np.float64)
        info = np.iinfo(kind)
        x = x[np.isfinite(values) & (values > info.min - 1.0) & (values < info.max)]
    to = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    result, expected = both("Cast", [x], to, to=to)
    same(result, expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [*WIDE, np.float64], ids=lambda kind: np.dtype(kind).name)
def test_small_numbers_of_every_wide_type_are_cast(name, kind):
    x = np.arange(-40, 41) / (1 if np.dtype(kind).kind in "iu" else 4)
    if np.dtype(kind).kind in "ub":
        x = x[x >= 0]
    if name == "float8e8m0":
        x = x[x > 0]
    x = x.astype(kind)
    result, expected = both("Cast", [x], CODES[name], to=CODES[name])
    same(result, expected)


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(NAMES, 2)))
def test_every_code_is_cast_to_every_narrow_type(source, target):
    x = every_code(source)
    values = x.astype(np.float32)
    if target == "float8e8m0":
        x = x[values > 0]
    elif target in INTEGERS:
        x = x[np.isfinite(values) & (np.abs(values) < 100)]
    values = martlet.Tensor(x).astype("float32")
    result = martlet.Tensor(x).astype(target)
    same(result.numpy(), values.astype(target).numpy())
    if source in INTEGERS or target in INTEGERS:
        return
    with np.errstate(all="ignore"):
        limits = ml_dtypes.finfo(KINDS[target])
        floats = values.numpy()
        expected = np.clip(floats, float(limits.min), float(limits.max))
        if target != "float8e8m0":
            same(result.numpy(), expected.astype(KINDS[target]))


# ---- quantisation


@pytest.mark.parametrize("name", [name for name in NAMES if name != "float8e8m0"])
@pytest.mark.parametrize("scale", [np.float32(0.75), np.array([0.5, 2, 3], np.float32)], ids=str)
def test_quantising_is_as_the_reference_does_it(name, scale):
    x = np.random.default_rng(3).normal(0, 20, (4, 3, 5)).astype(np.float32)
    zeros = np.zeros(np.shape(scale), KINDS[name])
    scale = np.asarray(scale)
    opset = 28 if name.startswith("float6") else 25
    result, expected = both("QuantizeLinear", [x, scale, zeros], CODES[name], opset, axis=1)
    same(result, expected)
    result, expected = both(
        "QuantizeLinear", [x, scale], CODES[name], opset, axis=1, output_dtype=CODES[name]
    )
    same(result, expected)
    back, expected = both("DequantizeLinear", [result, scale, zeros], 1, opset, axis=1)
    same(back, expected)


@pytest.mark.parametrize("name", INTEGERS)
def test_zero_points_and_blocks(name):
    random = np.random.default_rng(5)
    info = ml_dtypes.iinfo(KINDS[name])
    x = random.normal(0, 4, (3, 10)).astype(np.float32)
    scale = random.uniform(0.5, 2, (3, 4)).astype(np.float32)
    zeros = random.integers(int(info.min), int(info.max) + 1, (3, 4)).astype(KINDS[name])
    attributes = {"axis": 1, "block_size": 3}
    result, expected = both("QuantizeLinear", [x, scale, zeros], CODES[name], **attributes)
    same(result, expected)
    back, expected = both("DequantizeLinear", [result, scale, zeros], 1, **attributes)
    same(back, expected)


@pytest.mark.parametrize("name", ["float4e2m1", "float8e4m3fn", "int4"])
def test_scales_of_powers_of_two(name):
    q = np.resize(every_code(name), (2, 8))
    q = np.where(np.isfinite(q.astype(np.float32)), q, np.ones_like(q))
    scale = np.array([[0.25, 2], [1, 64]], ml_dtypes.float8_e8m0fnu)
    expected = q.astype(np.float32) * np.repeat(scale.astype(np.float32), 4, 1)
    for kind, output in ((np.float32, 1), (np.float16, 10), (ml_dtypes.bfloat16, 16)):
        node = helper.make_node(
            "DequantizeLinear", ["q", "s"], ["y"], axis=1, block_size=4, output_dtype=output
        )
        feeds = {"q": q, "s": scale}
        model = martlet.load(model_of(node, feeds, output, 28).SerializeToString())
        same(model.run(feeds)["y"].numpy(), expected.astype(kind))


# ---- movement


@pytest.mark.parametrize("name", NAMES)
def test_movement_is_as_the_reference_does_it(name):
    x = np.resize(every_code(name), (3, 1, 5))
    fill = np.array(1, KINDS[name])
    ints = lambda *values: np.array(values, np.int64)  # noqa: E731
    for op, inputs, attributes in [
        ("Transpose", [x], {"perm": [2, 0, 1]}),
        ("Transpose", [x], {}),
        ("Reshape", [x, ints(5, 3)], {}),
        ("Flatten", [x], {"axis": 2}),
        ("Squeeze", [x, ints(1)], {}),
        ("Unsqueeze", [x, ints(0, 2)], {}),
        ("Identity", [x], {}),
        ("Pad", [x, ints(1, 0, 2, 0, 1, 1), fill], {}),
        ("Pad", [x, ints(0, 0, 2, 0, 0, 1)], {"mode": "reflect"}),
    ]:
        result, expected = both(op, inputs, CODES[name], **attributes)
        same(result, np.asarray(expected))


@pytest.mark.parametrize("name", NAMES)
def test_loops_and_scans_cut_and_stack(name):
    x = np.resize(every_code(name), (3, 5))
    code = CODES[name]
    body = helper.make_graph(
        [helper.make_node("Identity", ["slice"], ["same"])],
        "body",
        [helper.make_tensor_value_info("slice", code, [3])],
        [helper.make_tensor_value_info("same", code, [3])],
    )
    node = helper.make_node(
        "Scan", ["x"], ["y"], body=body, num_scan_inputs=1, scan_input_axes=[1],
        scan_input_directions=[1], scan_output_axes=[1],
    )  # fmt: skip
    model = martlet.load(model_of(node, {"x": x}, code).SerializeToString())
    same(model.run({"x": x})["y"].numpy(), x[:, ::-1])
    body = helper.make_graph(
        [helper.make_node("Identity", [a], [b]) for a, b in (("go", "on"), ("v", "w"), ("v", "s"))],
        "body",
        [
            helper.make_tensor_value_info("i", 7, []),
            helper.make_tensor_value_info("go", 9, []),
            helper.make_tensor_value_info("v", code, [3, 5]),
        ],
        [
            helper.make_tensor_value_info("on", 9, []),
            helper.make_tensor_value_info("w", code, [3, 5]),
            helper.make_tensor_value_info("s", code, [3, 5]),
        ],
    )
    node = helper.make_node("Loop", ["n", "", "x"], ["last", "y"], body=body)
    feeds = {"n": np.array(3), "x": x}
    model = martlet.load(model_of(node, feeds, code).SerializeToString())
    same(model.run(feeds)["y"].numpy(), np.stack([x, x, x]))


@pytest.mark.parametrize("name", NAMES)
def test_constants_are_read_from_every_field_and_folded(name):
    data = np.resize(every_code(name), (3, 5))
    packed = numpy_helper.from_array(data, "w")
    kinds = [packed]
    with contextlib.suppress(TypeError):
        kinds.append(helper.make_tensor("w", CODES[name], [3, 5], data.astype(np.float32).ravel()))
    for proto in kinds:
        node = helper.make_node("Transpose", ["w"], ["y"])
        model = martlet.load(
            model_of(node, {}, CODES[name], initializers=[proto]).SerializeToString()
        )
        same(model.run({})["y"].numpy(), numpy_helper.to_array(proto).T)
    shape = numpy_helper.from_array(np.array([2, 7], np.int64), "w")
    value = numpy_helper.from_array(data[:1, 1], "v")
    node = helper.make_node("ConstantOfShape", ["w"], ["y"], value=value)
    model = martlet.load(model_of(node, {}, CODES[name], initializers=[shape]).SerializeToString())
    same(model.run({})["y"].numpy(), np.full((2, 7), data[0, 1], data.dtype))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("op", ["Add", "Relu", "Concat", "Gather", "MatMul"])
def test_operators_that_are_not_defined_for_them_say_so(op, name):
    x = np.ones((2, 2), KINDS[name])
    inputs = {"a": x} if op == "Relu" else {"a": x, "b": x}
    attributes = {"axis": 0} if op == "Concat" else {}
    node = helper.make_node(op, list(inputs), ["y"], "here", **attributes)
    with pytest.raises(martlet.InvalidDTypeError, match=name):
        martlet.load(model_of(node, inputs, CODES[name]).SerializeToString()).run(inputs)


# ---- exchange


@pytest.mark.parametrize("name", NAMES)
def test_dlpack_carries_codes_and_bits(name):
    import ctypes

    class Managed(ctypes.Structure):
        _fields_ = [
            ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
            ("deleter", ctypes.c_void_p), ("flags", ctypes.c_uint64), ("data", ctypes.c_void_p),
            ("device", ctypes.c_int32 * 2), ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8),
            ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
        ]  # fmt: skip

    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    tensor = martlet.tensor([1, 1, 1]).astype(name)
    capsule = tensor.__dlpack__(max_version=(1, 1))
    managed = Managed.from_address(get(capsule, b"dltensor_versioned"))
    # dlpack.h 1.1
    code = {
        "float8e4m3fn": 10, "float8e4m3fnuz": 11, "float8e5m2": 12, "float8e5m2fnuz": 13,
        "float8e8m0": 14, "float6e2m3": 15, "float6e3m2": 16, "float4e2m1": 17,
        "int4": 0, "int2": 0, "uint4": 1, "uint2": 1,
    }[name]  # fmt: skip
    assert (managed.code, managed.bits, managed.lanes) == (code, BITS[name], 1)
    assert (managed.major, managed.minor) == (1, 1)
    if BITS[name] < 8:
        managed.flags |= 4  # DLPACK_FLAG_BITMASK_IS_SUBBYTE_TYPE_PADDED
        with pytest.raises(martlet.UnsupportedError, match="an element to a byte"):
            martlet.from_dlpack(capsule)
