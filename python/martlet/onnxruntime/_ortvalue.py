"""OrtValue: a tensor or sequence in memory that runs share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import martlet
from martlet.onnxruntime._devices import OrtDevice, OrtMemoryInfo, require_cpu
from martlet.onnxruntime._enums import OrtDeviceVendorId
from martlet.onnxruntime._errors import NotImplemented, failure
from martlet.onnxruntime._types import (
    ELEMENTS,
    element_from_onnx,
    element_of,
    numpy_dtype,
    tensor_type,
)

_BITS_BELOW_BYTES = ("int4", "uint4", "int2", "uint2", "float4e2m1", "float6e2m3", "float6e3m2")


class OrtValue:
    """A value that is given to runs or was computed by one.

    It holds an array (of ml_dtypes where NumPy lacks the dtype), a list of arrays for a sequence, a
    dict for a map, or None for an optional without a value.
    """

    def __init__(self, ortvalue: Any, numpy_obj: Any = None, session: Any = None) -> None:
        self._value: Any = ortvalue._value if isinstance(ortvalue, OrtValue) else ortvalue

    @classmethod
    def ortvalue_from_numpy(
        cls,
        numpy_obj: np.ndarray[Any, Any],
        /,
        device_type: str = "cpu",
        device_id: int = 0,
        vendor_id: int | OrtDeviceVendorId = -1,
    ) -> OrtValue:
        """The memory of an array, or a copy of it where it is not contiguous."""
        require_cpu(device_type)
        if not isinstance(numpy_obj, np.ndarray) or numpy_obj.dtype.kind in "OSU":
            raise RuntimeError(
                "Creation of OrtValues is currently only supported from non-string numpy arrays"
            )
        dtype = numpy_obj.dtype
        if element_of(dtype) is None:
            raise RuntimeError(f"Numpy_type {dtype.num} can't be converted to MLDataType.")
        return cls(_contiguous(numpy_obj))

    @classmethod
    def ortvalue_from_numpy_with_onnx_type(
        cls, data: np.ndarray[Any, Any], /, onnx_element_type: int
    ) -> OrtValue:
        """The memory of an array read as elements of ONNX's type: 16 reads uint16 as bfloat16."""
        element = element_from_onnx(onnx_element_type)
        if element in _BITS_BELOW_BYTES or element == "string":
            raise failure(NotImplemented, f"an array cannot be read as {tensor_type(element)}")
        dtype = numpy_dtype(element)
        if data.dtype.itemsize != dtype.itemsize:
            raise RuntimeError(
                f"Items size in the incoming array: {data.dtype.itemsize} specified by onnxtype: "
                f"{dtype.itemsize}"
            )
        return cls(_contiguous(data).view(dtype))

    @classmethod
    def ortvalue_from_shape_and_type(
        cls,
        shape: Sequence[int],
        element_type: Any,
        device_type: str = "cpu",
        device_id: int = 0,
        vendor_id: int | OrtDeviceVendorId = -1,
        memory_info: OrtMemoryInfo | None = None,
    ) -> OrtValue:
        """Memory of its own, zeroed; the type is NumPy's or ONNX's number."""
        require_cpu(device_type)
        return cls(np.zeros(tuple(shape), array_dtype(element_type)))

    @classmethod
    def ort_value_from_sparse_tensor(cls, sparse_tensor: Any) -> OrtValue:
        """Refused: Martlet's tensors are dense."""
        raise failure(NotImplemented, "ort_value_from_sparse_tensor: Martlet's tensors are dense")

    def as_sparse_tensor(self) -> Any:
        """Refused: Martlet's tensors are dense."""
        raise RuntimeError("as_sparse_tensor: this OrtValue is no sparse tensor")

    @property
    def _array(self) -> np.ndarray[Any, Any]:
        if not isinstance(self._value, np.ndarray):
            raise RuntimeError("Only OrtValues that are Tensors are currently supported")
        return self._value

    @property
    def _element(self) -> str:
        element = element_of(self._array.dtype)
        return "string" if element is None else element

    def _get_c_value(self) -> OrtValue:
        return self

    @property
    def _ortvalue(self) -> OrtValue:
        return self

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self._array.ctypes.data

    def device_name(self) -> str:
        """``cpu``."""
        return "cpu"

    def shape(self) -> list[int]:
        """The extents."""
        return list(self._array.shape)

    def data_type(self) -> str:
        """``tensor(float)``; of a sequence ``seq(tensor(float))``."""
        if isinstance(self._value, list):
            inner = OrtValue(self._value[0]).data_type() if self._value else "tensor(undefined)"
            return f"seq({inner})"
        return tensor_type(self._element)

    def element_type(self) -> int:
        """ONNX's number of the elements' type."""
        return ELEMENTS[self._element][1]

    def tensor_size_in_bytes(self) -> int:
        """Bytes of the elements."""
        return self._array.nbytes

    def has_value(self) -> bool:
        """Whether it is no empty optional."""
        return self._value is not None

    def is_tensor(self) -> bool:
        """Whether it is a tensor."""
        return isinstance(self._value, np.ndarray)

    def is_sparse_tensor(self) -> bool:
        """Never: Martlet's tensors are dense."""
        return False

    def is_tensor_sequence(self) -> bool:
        """Whether it is a sequence."""
        return isinstance(self._value, list)

    def numpy(self) -> Any:
        """An array over the memory; of a sequence a list of them.

        Where ONNX Runtime refuses dtypes that NumPy lacks, this has ml_dtypes'.
        """
        if isinstance(self._value, np.ndarray):
            return self._value.view()
        return self._value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = self._array.view()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"an array of {array.dtype} becomes {dtype} by a copy only")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, *, stream: Any = None, **wishes: Any) -> Any:
        """A DLPack capsule over the memory; bool stays bool."""
        return martlet.Tensor(self._array).__dlpack__(stream, **wishes)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    @classmethod
    def from_dlpack(cls, data: Any, /) -> OrtValue:
        """The memory of an object with ``__dlpack__``, or of a capsule."""
        source = data if hasattr(data, "__dlpack__") else _Capsule(data)
        return cls(martlet.from_dlpack(source).numpy())

    def update_inplace(self, data: Any) -> None:
        """Copies an array's bytes, or another OrtValue's, over the elements."""
        source = data._array if isinstance(data, OrtValue) else data
        if not isinstance(source, np.ndarray):
            raise TypeError("data must be a numpy.ndarray or an OrtValue.")
        if source.size != self._array.size:
            raise RuntimeError(
                "The input size of numpy arrays does not match the size of the OrtValue."
            )
        if source.dtype != self._array.dtype:
            raise RuntimeError(
                f"the OrtValue has elements of {self._array.dtype}, the array of {source.dtype}"
            )
        self._array[...] = source.reshape(self._array.shape)


class _Capsule:
    """A raw DLPack capsule as an object with ``__dlpack__``."""

    def __init__(self, capsule: Any) -> None:
        if type(capsule).__name__ != "PyCapsule":
            raise TypeError(f"expected a DLPack capsule, not {type(capsule).__name__}")
        self._capsule = capsule

    def __dlpack__(self, **wishes: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


class SparseTensor:
    """Refused: Martlet's tensors are dense."""

    def __init__(self, *given: Any) -> None:
        raise failure(NotImplemented, "SparseTensor: Martlet's tensors are dense")

    @classmethod
    def sparse_coo_from_numpy(cls, *given: Any) -> SparseTensor:
        """Refused."""
        return cls(*given)

    @classmethod
    def sparse_csr_from_numpy(cls, *given: Any) -> SparseTensor:
        """Refused."""
        return cls(*given)


def array_dtype(element_type: Any) -> np.dtype[Any]:
    """The dtype of arrays for NumPy's type or ONNX's number."""
    if isinstance(element_type, int) and not isinstance(element_type, bool):
        return numpy_dtype(element_from_onnx(element_type))
    dtype: np.dtype[Any] = np.dtype(element_type)
    return dtype


def array_over(address: int, element_type: Any, shape: Sequence[int]) -> np.ndarray[Any, Any]:
    """An array over memory at an address, which the caller keeps."""
    import ctypes

    dtype = array_dtype(element_type)
    count = int(np.prod(shape, dtype=np.int64)) if len(shape) else 1
    if count < 0 or (count and not address):
        raise failure(NotImplemented, f"no array of {list(shape)} is at address {address}")
    if count == 0:
        return np.zeros(tuple(shape), dtype)
    raw = memoryview((ctypes.c_uint8 * (count * dtype.itemsize)).from_address(address))
    array: np.ndarray[Any, Any] = np.asarray(raw.cast("B")).view(dtype)
    return array.reshape(tuple(shape))


def copy_tensors(src: Sequence[OrtValue], dst: Sequence[OrtValue], stream: Any = None) -> None:
    """Copies each source over its destination."""
    if len(src) != len(dst):
        raise ValueError("copy_tensors: as many destinations as sources are needed")
    for source, target in zip(src, dst, strict=True):
        target.update_inplace(source)


def _contiguous(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("="))
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


__all__ = ["OrtDevice", "OrtValue", "SparseTensor", "array_over", "copy_tensors"]
