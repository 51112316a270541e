"""Tensors: what they are made of, what they become, and who owns the memory."""

import array
import gc
import pickle
import sys

import numpy as np
import pytest

import martlet

DTYPES = [
    "float32", "float64", "float16", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64", "bool",
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_every_dtype_share_their_memory(dtype):
    data = np.arange(24).reshape(2, 3, 4).astype(dtype)
    tensor = martlet.Tensor(data)
    assert tensor.dtype == dtype
    assert tensor.shape == (2, 3, 4)
    assert tensor.strides == data.strides
    assert tensor.ndim == 3 and tensor.size == 24 and tensor.nbytes == data.nbytes
    back = tensor.numpy()
    assert back.dtype == data.dtype
    np.testing.assert_array_equal(back, data)
    assert np.shares_memory(back, data)
    assert tensor.tolist() == data.tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack_goes_both_ways_without_a_copy(dtype):
    data = np.arange(6).reshape(2, 3).astype(dtype)
    tensor = martlet.from_dlpack(data)
    assert tensor.dtype == dtype
    back = np.from_dlpack(tensor)
    np.testing.assert_array_equal(back, data)
    assert np.shares_memory(back, data)


def test_bfloat16_arrays_of_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    data = np.array([[1, 2.5], [-3, np.inf]], ml_dtypes.bfloat16)
    tensor = martlet.Tensor(data)
    assert tensor.dtype == "bfloat16"
    assert tensor.tolist() == [[1, 2.5], [-3, float("inf")]]
    back = tensor.numpy()
    assert back.dtype == ml_dtypes.bfloat16 and np.shares_memory(back, data)
    np.testing.assert_array_equal(np.asarray(tensor), data)
    with pytest.raises(BufferError):
        memoryview(tensor)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-1],
        lambda a: a[:, ::2],
        lambda a: a.T,
        lambda a: a[::-2, ::-3],
        lambda a: np.broadcast_to(a[:1], (5, 6)),
        lambda a: a[2:2],
        lambda a: a[3, 4],
        lambda a: np.asfortranarray(a),
    ],
)
def test_strided_arrays_are_taken_as_they_are(view):
    data = view(np.arange(24, dtype=np.float32).reshape(4, 6))
    tensor = martlet.Tensor(data)
    np.testing.assert_array_equal(tensor.numpy(), data)
    np.testing.assert_array_equal(tensor.copy().numpy(), data)
    assert tensor.copy().numpy().flags.c_contiguous
    np.testing.assert_array_equal(np.from_dlpack(tensor), data)


def test_misaligned_and_odd_strides_are_copied():
    packed = np.zeros(4, [("a", "u1"), ("b", "<f4")])
    packed["b"] = [1, 2, 3, 4]
    tensor = martlet.Tensor(packed["b"])
    assert tensor.tolist() == [1, 2, 3, 4]


def test_read_only_stays_read_only():
    data = np.arange(4, dtype=np.float32)
    data.flags.writeable = False
    tensor = martlet.Tensor(data)
    assert tensor.is_read_only
    assert not tensor.numpy().flags.writeable
    assert not np.from_dlpack(tensor).flags.writeable
    with pytest.raises(BufferError):
        tensor.__dlpack__()  # an old consumer could not be told
    assert not tensor.copy().is_read_only


def test_numbers_bytes_arrays_and_lists():
    assert martlet.Tensor(2.5).item() == 2.5
    assert martlet.Tensor(7).dtype == "int64"
    assert martlet.Tensor(True).dtype == "bool"
    assert martlet.Tensor(b"abc").tolist() == [97, 98, 99]
    assert martlet.Tensor(array.array("d", [1, 2])).dtype == "float64"
    assert martlet.tensor([[1, 2], [3, 4]]).dtype == "int64"
    assert martlet.tensor([[1, 2.5]]).dtype == "float32"
    assert martlet.tensor([True, False]).dtype == "bool"
    assert martlet.tensor([]).shape == (0,)
    assert martlet.tensor([[1, 2]], "float64").tolist() == [[1.0, 2.0]]
    assert martlet.Tensor(np.float64(1.5)).dtype == "float64"
    with pytest.raises(ValueError, match="equal lengths"):
        martlet.tensor([[1, 2], [3]])
    with pytest.raises(TypeError, match="not both"):
        martlet.tensor(["a", 1])


@pytest.mark.parametrize(
    "bad", [None, object(), np.array([1j]), np.array([{}]),
            np.zeros(2, ">c8"), np.zeros(2, "datetime64[s]"), np.zeros(2, [("a", "f4")])],
    ids=repr,
)  # fmt: skip
def test_what_cannot_be_a_tensor_is_a_type_error(bad):
    with pytest.raises((TypeError, BufferError)):
        martlet.Tensor(bad)


def test_conversion_takes_any_name_of_a_dtype():
    tensor = martlet.tensor([1.5, -2.5, float("nan"), 1e10])
    assert tensor.astype("int32").tolist() == [1, -2, -(2**31), -(2**31)]
    assert tensor.astype(np.float64).dtype == "float64"
    assert tensor.astype(np.dtype("float16")).dtype == "float16"
    assert tensor.astype(bool).tolist() == [True, True, True, True]
    assert tensor.astype("bfloat16").dtype == "bfloat16"
    assert tensor.astype("float32") is tensor
    for bad in ("float31", "", 3, None, np.complex64):
        with pytest.raises(TypeError, match="dtype"):
            tensor.astype(bad)


def test_item_length_and_repr():
    assert martlet.tensor([[3]]).item() == 3
    with pytest.raises(ValueError):
        martlet.tensor([1, 2]).item()
    assert len(martlet.tensor([[1], [2], [3]])) == 3
    with pytest.raises(TypeError):
        len(martlet.Tensor(1.0))
    assert repr(martlet.tensor([[1.0]])) == "Tensor([[1.0]], shape=(1, 1), dtype=float32)"


def test_numpy_protocol_keywords():
    tensor = martlet.tensor([1.0, 2.0])
    assert np.asarray(tensor, np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(tensor, copy=True), tensor.numpy())
    with pytest.raises(ValueError):
        tensor.__array__(np.float64, copy=False)


def test_dlpack_keywords():
    tensor = martlet.tensor([1.0, 2.0])
    assert tensor.__dlpack_device__() == (1, 0)
    copied = np.from_dlpack(tensor, copy=True)
    copied[0] = 9
    assert tensor.tolist() == [1, 2]
    for bad in ({"dl_device": (2, 0)}, {"stream": 1}):
        with pytest.raises(BufferError):
            tensor.__dlpack__(**bad)
    capsule = tensor.__dlpack__()
    assert martlet.from_dlpack(capsule).tolist() == [1, 2] if hasattr(capsule, "__dlpack__") else 1
    with pytest.raises((TypeError, AttributeError)):
        martlet.from_dlpack(object())


def test_the_array_outlives_the_tensor_and_the_tensor_the_array():
    data = np.full(1000, 7, np.float32)
    references = sys.getrefcount(data)
    tensor = martlet.Tensor(data)
    assert sys.getrefcount(data) > references
    view = tensor.numpy()
    del tensor
    gc.collect()
    assert view.sum() == 7000
    del view
    gc.collect()
    martlet.memory_in_use()  # a call is enough to give everything back
    assert sys.getrefcount(data) == references
    kept = martlet.Tensor(np.full(1000, 3, np.float32))
    gc.collect()
    assert kept.numpy().sum() == 3000


def test_tensors_of_arrays_of_tensors():
    inner = martlet.tensor([1.0, 2.0, 3.0])
    for _ in range(50):
        inner = martlet.Tensor(inner.numpy())
        inner = martlet.from_dlpack(np.from_dlpack(inner))
    assert inner.tolist() == [1, 2, 3]
    del inner
    gc.collect()


@pytest.mark.parametrize("dtype", [*DTYPES, "bfloat16"])
def test_pickling(dtype):
    tensor = martlet.tensor([[0, 1], [1, 1]]).astype(dtype)
    back = pickle.loads(pickle.dumps(tensor))
    assert (back.dtype, back.shape, back.tolist()) == (dtype, (2, 2), tensor.tolist())
    transposed = martlet.Tensor(np.arange(6, dtype=np.int32).reshape(2, 3).T)
    assert pickle.loads(pickle.dumps(transposed)).tolist() == transposed.tolist()


def test_rank_limits():
    deep = np.zeros((1,) * 32, np.float32)
    assert martlet.Tensor(deep).ndim == 32
    with pytest.raises(ValueError):
        martlet.Tensor(np.zeros((1,) * 33, np.float32))


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    data = torch.arange(6, dtype=torch.bfloat16).reshape(2, 3)
    tensor = martlet.Tensor(data)
    assert tensor.dtype == "bfloat16"
    assert torch.from_dlpack(tensor).data_ptr() == data.data_ptr()
    assert tensor.astype(torch.float32).tolist() == data.tolist()
