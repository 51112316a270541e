"""Memory of others: buffers and DLPack structs that leave out what they may, or are wrong."""

import ctypes
import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import martlet

# ---- buffers


@pytest.mark.parametrize(
    ("kind", "shape", "dtype"),
    [
        (ctypes.c_float * 4, (4,), "float32"),
        ((ctypes.c_float * 4) * 3, (3, 4), "float32"),
        (((ctypes.c_int16 * 2) * 3) * 5, (5, 3, 2), "int16"),
        (ctypes.c_double * 0, (0,), "float64"),
        ((ctypes.c_int64 * 0) * 5, (5, 0), "int64"),
        (ctypes.c_float, (), "float32"),
        (ctypes.c_bool * 3, (3,), "bool"),
    ],
)
def test_ctypes_arrays_give_no_strides(kind, shape, dtype):
    values = kind()
    flat = np.frombuffer(values, np.uint8)
    flat[...] = np.arange(flat.size) % 2
    tensor = martlet.tensor(values)
    assert tensor.shape == shape and tensor.dtype == dtype
    np.testing.assert_array_equal(tensor.numpy(), np.asarray(values).view(dtype).reshape(shape))


@pytest.mark.parametrize(
    "kind",
    [
        ctypes.c_char * 5,
        ctypes.c_wchar * 3,
        ctypes.c_longdouble * 2,
        type("Pair", (ctypes.Structure,), {"_fields_": [("a", ctypes.c_float)]}),
    ],
)
def test_ctypes_arrays_of_other_elements_are_refused(kind):
    with pytest.raises(martlet.Error, match="which no tensor has"):
        martlet.tensor(kind())


def test_elements_of_the_other_byte_order_are_converted(digits):
    kind = ctypes.c_float.__ctype_be__ * 3
    assert martlet.tensor(kind(1.5, -2, 2**40)).tolist() == [1.5, -2, 2**40]
    for dtype in ("f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8"):
        data = np.arange(-3, 21).astype(dtype).reshape(2, 3, 4)
        for swapped in (data.astype(">" + dtype), data.astype(">" + dtype)[:, ::-2].T):
            tensor = martlet.Tensor(swapped)
            assert tensor.dtype == data.dtype.name and tensor.shape == swapped.shape
            np.testing.assert_array_equal(tensor.numpy(), swapped)
    assert martlet.Tensor(np.array(3, ">i4")).item() == 3
    assert martlet.Tensor(np.zeros((0, 2), ">i4")).shape == (0, 2)
    out = np.zeros((1, 10), ">f4")
    with pytest.raises(ValueError, match=r"'probabilities'.*byte order"):
        digits.run(np.zeros((1, 1, 8, 8), ">f4"), out={"probabilities": out})
    assert digits.run(np.zeros((1, 1, 8, 8), ">f4"))[0].shape == (1, 10)


def test_arrays_that_claim_to_be_bfloat16_are_looked_at():
    class Fake(np.ndarray):
        class _DType:
            name = "bfloat16"

        dtype = _DType

        def view(self, *_):
            return np.ndarray((4096,), "f8", buffer=bytearray(8 * 4096 + 1), offset=1)

    with pytest.raises(BufferError, match="not uint16"):
        martlet.tensor(np.ndarray.__new__(Fake, (4,), "M8[s]"))


# ---- DLPack


class Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    )


DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Legacy(ctypes.Structure):
    _fields_ = (("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", DELETER))


class Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", DELETER),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    )


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype = ctypes.py_object
new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class Exporter:
    """An exporter over 24 float32 whose struct is what a test wants it to be."""

    def __init__(self, kind, shape, strides=None, /, flags=0, **fields):
        self.memory = np.arange(24, dtype=np.float32)
        self.deletions = 0
        self.managed = kind()
        self.arrays = [
            None if values is None else (ctypes.c_int64 * len(values))(*values)
            for values in (shape, strides)
        ]
        given = {
            "data": self.memory.ctypes.data,
            "device_type": 1,
            "ndim": len(shape or ()),
            "code": 2,
            "bits": 32,
            "lanes": 1,
            "shape": ctypes.cast(self.arrays[0], ctypes.c_void_p),
            "strides": ctypes.cast(self.arrays[1], ctypes.c_void_p),
        }
        for name, value in {**given, **fields}.items():
            setattr(self.managed.tensor, name, value)
        self.managed.deleter = DELETER(self.delete)
        if kind is Versioned:
            self.managed.major = 1
            self.managed.flags = flags
        name = b"dltensor" if kind is Legacy else b"dltensor_versioned"
        self.capsule = new_capsule(ctypes.addressof(self.managed), name, None)

    def delete(self, _):
        self.deletions += 1

    def __dlpack__(self, **_):
        return self.capsule

    def __dlpack_device__(self):
        return (1, 0)


kinds = pytest.mark.parametrize("kind", [Legacy, Versioned])


@kinds
@pytest.mark.parametrize(
    ("shape", "strides", "fields", "expected"),
    [
        ([2, 3], None, {}, np.arange(6).reshape(2, 3)),  # no strides: row-major without gaps
        ([24], None, {}, np.arange(24)),
        ([2, 3, 4], None, {}, np.arange(24).reshape(2, 3, 4)),
        (None, None, {}, np.float32(0)),  # a scalar has neither extents nor strides
        ([], [], {"byte_offset": 12}, np.float32(3)),
        ([2, 3], None, {"byte_offset": 20}, np.arange(5, 11).reshape(2, 3)),
        ([2, 3], [-3, 1], {"byte_offset": 12}, np.array([[3, 4, 5], [0, 1, 2]])),
        ([3, 2], [1, 3], {}, np.arange(6).reshape(2, 3).T),
        ([0], None, {"data": None}, np.zeros(0)),
        ([3, 0, 2], None, {"data": None, "byte_offset": 8}, np.zeros((3, 0, 2))),
        ([0, 5], [-(2**63), 2**63 - 1], {"data": None}, np.zeros((0, 5))),
        ([1, 2], [2**63 - 1, 1], {}, np.array([[0, 1]])),  # along an axis of one nobody steps
        ([2, 3], [0, 1], {}, np.array([[0, 1, 2]] * 2)),
    ],
)
def test_dlpack_structs_that_leave_out_what_they_may(kind, shape, strides, fields, expected):
    exporter = Exporter(kind, shape, strides, **fields)
    tensor = martlet.tensor(exporter)
    assert tensor.shape == np.shape(expected) and tensor.dtype == "float32"
    np.testing.assert_array_equal(tensor.copy().numpy(), expected)
    with pytest.raises(TypeError, match="unused DLPack capsule"):
        martlet.tensor(exporter)
    assert exporter.deletions == 0
    del tensor
    martlet.tensor(1)  # deleters run at the next call
    assert exporter.deletions == 1


@kinds
@pytest.mark.parametrize(
    ("shape", "strides", "fields"),
    [
        ([2, 3], None, {"data": None}),
        ([2, 3], None, {"data": None, "byte_offset": 64}),
        ([2, 3], None, {"shape": None}),
        ([2, -3], None, {}),
        ([-1], None, {"data": None}),
        ([2**62, 4], None, {}),
        ([2**63 - 1], None, {}),
        ([2, 3], [2**62, 2**62], {}),
        ([3, 3], [-(2**63), 2**63 - 1], {}),
        ([2, 3], None, {"ndim": -1}),
        ([2, 3], None, {"ndim": 2**31 - 1}),
        ([2, 3], None, {"byte_offset": 2}),
        ([2, 3], None, {"byte_offset": 2**64 - 4}),
        ([2, 3], None, {"lanes": 2}),
        ([2, 3], None, {"lanes": 0}),
        ([2, 3], None, {"bits": 33}),
        ([2, 3], None, {"bits": 0}),
        ([2, 3], None, {"code": 3}),
        ([2, 3], None, {"code": 255}),
        ([2, 3], None, {"device_type": 2}),
        ([2, 3], None, {"device_type": -1}),
    ],
)
def test_dlpack_structs_of_no_tensor_are_refused(kind, shape, strides, fields):
    exporter = Exporter(kind, shape, strides, **fields)
    with pytest.raises(martlet.Error):
        martlet.tensor(exporter)
    martlet.tensor(1)
    assert exporter.deletions == 1  # the capsule was consumed


def test_dlpack_capsules_of_no_use():
    exporter = Exporter(Versioned, [2])
    exporter.managed.major = 2
    with pytest.raises(BufferError, match="version 2"):
        martlet.tensor(exporter)
    assert exporter.deletions == 0
    for other in (None, 1, np.arange(3).__dlpack__):
        exporter.capsule = other
        with pytest.raises(TypeError, match="unused DLPack capsule"):
            martlet.tensor(exporter)


# ---- outputs


def identity(dtype: int, count: int) -> martlet.Model:
    value = [helper.make_tensor_value_info(name, dtype, [count]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", value[:1], value[1:])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=onnx.IR_VERSION - 2
    )
    return martlet.load(model.SerializeToString())


def misaligned(shape, dtype):
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return np.ndarray(shape, dtype, buffer=bytearray(size + 1), offset=1)


def field(shape, dtype):
    """Elements at odd distances."""
    return np.zeros(shape, np.dtype([("tag", "u1"), ("value", dtype)]))["value"]


@pytest.mark.parametrize("place", [misaligned, field])
def test_outputs_that_cannot_be_written_in_place_are_copied_there(digits, images, place):
    x = images[:3]
    expected = digits(x).numpy()
    for view in (lambda a: a, lambda a: a[::-1], lambda a: a.T.reshape(10, 3).T):
        out = place((3, 10), np.float32)
        given = view(out)
        result = digits.run({"image": x}, out={"probabilities": given})["probabilities"]
        np.testing.assert_array_equal(given, expected)
        np.testing.assert_array_equal(result.numpy(), expected)


@pytest.mark.parametrize("place", [misaligned, field])
def test_bfloat16_outputs_too(place):
    import ml_dtypes

    x = np.array([1, -2, 3], ml_dtypes.bfloat16)
    out = place((3,), np.uint16).view(ml_dtypes.bfloat16)
    identity(TensorProto.BFLOAT16, 3).run({"x": x}, out={"y": out})
    np.testing.assert_array_equal(out, -x)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((3, 9), np.float32), ((3, 10), np.float64), ((30,), np.float32)]
)
@pytest.mark.parametrize("place", [misaligned, field])
def test_a_run_that_fails_writes_nothing(digits, images, place, shape, dtype):
    out = place(shape, dtype)
    with pytest.raises(martlet.Error):
        digits.run({"image": images[:3]}, out={"probabilities": out})
    assert not out.any()


def test_outputs_that_nobody_would_see_are_refused(digits, images):
    read_only = misaligned((3, 10), np.float32)
    read_only.flags.writeable = False
    aligned = np.zeros((3, 10), np.float32)
    aligned.flags.writeable = False
    for out in (read_only, aligned):
        with pytest.raises(martlet.Error, match="read-only"):
            digits.run({"image": images[:3]}, out={"probabilities": out})

    class Copies:
        def __array__(self, *_, **__):
            return np.zeros((3, 10), np.float32)

    for out in (Copies(), 1.0, 3, [0.0] * 10):
        with pytest.raises(TypeError, match="what can be written into"):
            digits.run({"image": images[:3]}, out={"probabilities": out})
    with pytest.raises(BufferError, match="gave a copy"):
        digits.run({"image": images[:3]}, out={"probabilities": Exporter(Versioned, [24], flags=2)})
