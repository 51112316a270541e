"""The C extension. Use the names that the martlet package exports; the functions are its own."""

from collections.abc import Callable, Iterable
from typing import Any, final

from typing_extensions import CapsuleType

version: str

class Error(RuntimeError):
    """A call failed.

    ``code`` is the status's name (``"INVALID_SHAPE"``); the others say where and why, and are None
    where they do not apply.
    """

    code: str | None
    node: str | None
    operator: str | None
    input: str | None
    expected: str | None
    actual: str | None

class InvalidArgumentError(Error, ValueError): ...
class InvalidShapeError(Error, ValueError): ...
class InvalidDTypeError(Error, TypeError): ...
class NotFoundError(Error, ValueError): ...
class FileError(Error, OSError): ...
class InvalidModelError(Error, ValueError): ...
class UnsupportedError(Error, NotImplementedError): ...
class OutOfMemoryError(Error, MemoryError): ...
class CancelledError(Error): ...
class LimitExceededError(Error): ...
class ModelNotFoundError(Error, FileNotFoundError): ...

@final
class Tensor:
    """An n-dimensional array over the memory of ``data`` where its layout allows.

    ``data`` is a Tensor, a NumPy array, anything with a buffer or ``__dlpack__``, or a number;
    ``dtype`` converts the elements.
    """

    def __new__(cls, data: Any, dtype: Any = None) -> Tensor: ...
    @property
    def shape(self) -> tuple[int, ...]:
        """The extents, outermost first."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes between neighbours along each axis; 0 where elements are less than a byte."""

    @property
    def dtype(self) -> str:
        """The name of the element type, ``"float32"``, as ONNX calls it: ``"float8e4m3fn"``."""

    @property
    def ndim(self) -> int:
        """The number of axes."""

    @property
    def size(self) -> int:
        """The number of elements."""

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""

    @property
    def is_read_only(self) -> bool:
        """Whether the elements may not be written."""

    def numpy(self) -> Any:
        """A NumPy array over the same memory.

        bfloat16 and floats and integers of 8 bits and less need the package ml_dtypes; elements of
        less than a byte are copied, one to a byte.
        """

    def tolist(self) -> Any:
        """The elements as nested lists, or as a number for a scalar."""

    def item(self) -> float | int | bool:
        """The only element as a Python number."""

    def tobytes(self) -> bytes:
        """The elements' bytes in row-major order.

        Elements of less than a byte are packed, the first in the lowest bits.
        """

    def copy(self) -> Tensor:
        """A contiguous copy."""

    def astype(self, dtype: Any, /) -> Tensor:
        """The elements in another dtype: a name, or a NumPy, ml_dtypes, torch or Python type.

        Floating point is rounded to nearest even (to float8e8m0, up), and what is too large for 8
        bits or less becomes the largest value; to integers it is truncated towards zero; to bool,
        everything but 0 is true.
        """

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any: ...
    def __dlpack__(
        self,
        stream: Any = None,
        *,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> CapsuleType: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __len__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class ThreadPool:
    """Threads of one's own for `load` and `Model.run`.

    ``threads`` counts the caller's own; 0: one for each of ``cpus``, or as many as the process may
    use. ``cpus`` are the processors that the pool's threads may run on (the caller's stays where it
    is). Results are the same with every pool. A computation that finds the pool's threads at work
    for another is done by its own thread alone. The threads end once nothing uses the pool.
    """

    def __new__(cls, threads: int = 0, *, cpus: Iterable[int] | None = None) -> ThreadPool: ...
    @property
    def threads(self) -> int:
        """How many threads a computation uses at most, the caller's included."""

_Value = tuple[str, str | None, tuple[int | str | None, ...] | None, str]
_Node = tuple[str, str, str | None, str | None, str | None, str | None, int]

@final
class LoadedModel:
    def inputs(self) -> tuple[_Value, ...]: ...
    def outputs(self) -> tuple[_Value, ...]: ...
    def replaceable(self) -> tuple[_Value, ...]: ...
    def metadata(self) -> dict[str, str]: ...
    def memory(self) -> dict[str, int]: ...
    def trim(self) -> None: ...
    def result_bytes(self, shapes: tuple[tuple[int, ...], ...], /) -> int | None: ...
    def context(self) -> Context: ...

@final
class Value:
    def kind(self) -> int: ...
    def elements(self) -> tuple[Value, ...]: ...
    def keys(self) -> Tensor: ...
    def tensor(self) -> Tensor: ...

def value_from_tensor(tensor: Any, /) -> Value: ...
def value_sequence(elements: tuple[Value, ...], dtype: str | None, /) -> Value: ...
def value_optional(element: Value | None, /) -> Value: ...
def value_map(keys: Any, values: tuple[Value, ...], /) -> Value: ...
def value_state(initial: Any, axis: int, capacity: int, /) -> Value: ...
def from_strings(strings: tuple[str | bytes, ...], shape: tuple[int, ...], /) -> Tensor: ...
def string_list(tensor: Tensor, /) -> list[str]: ...

class Context:
    def run_values(self, inputs: tuple[Value, ...], output_count: int, /) -> tuple[Value, ...]: ...
    def run(
        self,
        input_names: tuple[str, ...],
        inputs: tuple[Any, ...],
        output_names: tuple[str, ...] | None,
        outs: tuple[Any, ...],
        /,
    ) -> tuple[Tensor, ...]: ...
    def set_option(self, name: str, value: str, /) -> None: ...
    def set_pool(self, pool: ThreadPool | None, /) -> None: ...
    def set_profiling(self, enabled: bool, /) -> None: ...
    def nodes(self) -> tuple[_Node, ...]: ...
    def precision_report(self) -> str: ...
    def profile(self) -> str: ...

def load(
    source: Any,
    is_path: bool,
    mode: str | None,
    options: dict[str, str],
    pool: ThreadPool | None,
    progress: Callable[[float, str], bool | None] | None,
    /,
) -> LoadedModel: ...
def matmul(lhs: Any, rhs: Any, mode: str | None, /) -> Tensor: ...
def linear(input: Any, weight: Any, bias: Any, mode: str | None, /) -> Tensor: ...
def conv(
    input: Any,
    weight: Any,
    bias: Any,
    axes: int,
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    pads: tuple[int, ...],
    groups: int,
    mode: str | None,
    /,
) -> Tensor: ...
def softmax(input: Any, axis: int, /) -> Tensor: ...
def layer_norm(
    input: Any, weight: Any, bias: Any, axis: int, epsilon: float, /
) -> Tensor: ...
def gelu(input: Any, use_tanh: bool, /) -> Tensor: ...
def attention(
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    scale: float,
    is_causal: bool,
    mode: str | None,
    /,
) -> Tensor: ...
def pack(weight: Any, /) -> Tensor: ...
def op_run(
    name: str,
    inputs: tuple[Any, ...],
    attributes: dict[str, Any],
    output_count: int,
    mode: str | None,
    /,
) -> tuple[Tensor, ...]: ...
def op_names() -> list[str]: ...
def from_dlpack(object: Any, /) -> Tensor: ...
def bits_of(tensor: Tensor, /) -> Tensor: ...
def from_bytes(data: bytes, dtype: Any, shape: tuple[int, ...], /) -> Tensor: ...
def set_mode(name: str, /) -> None: ...
def get_mode() -> str: ...
def mode_name(name: str | None, /) -> str: ...
def push_mode(name: str, /) -> None: ...
def pop_mode() -> None: ...
def set_threads(count: int, /) -> None: ...
def get_threads() -> int: ...
def memory_in_use() -> int: ...
def trim() -> None: ...
def set_isa(name: str, /) -> None: ...
def cpu_info() -> tuple[
    str, str, str, list[tuple[str, bool, bool, str]], list[tuple[str, str, str, str]]
]: ...
