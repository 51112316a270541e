"""Modes, threads, and what the processor offers."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import NamedTuple

from martlet import _martlet


def set_float32_fast_math_mode(name: str) -> None:
    """Set what float32 matrix products may be computed in, for the process.

    Parameters
    ----------
    name : str
        FP32 (also float32, HIGHEST, STRICT, IEEE), BF16 (bfloat16, medium), TF32 (high), F16
        (float16, fp16) or ANY, in any case; torch's dtypes too. BF16 lets the inputs of products be
        rounded to bfloat16 where the processor has units for it; sums and results stay float32.
        Processors without them go on in float32. TF32 and F16 permit nothing on processors without
        such units.

    Raises
    ------
    ValueError
        For another name; the message lists the names.
    """
    _martlet.set_mode(name)


def get_float32_fast_math_mode() -> str:
    """The name of the mode in force for the calling thread."""
    return _martlet.get_mode()


class fast_math(contextlib.ContextDecorator):
    """A fast-math mode for the calling thread inside a ``with`` block or a decorated function.

    It goes before the process's mode, and after the mode that a call or a model was given.

    >>> with martlet.fast_math("BF16"):
    ...     y = model(x)
    """

    def __init__(self, name: str) -> None:
        if name is None:
            raise TypeError("fast_math() takes the name of a mode, not None")
        self.name = _martlet.mode_name(name)

    def __enter__(self) -> fast_math:
        _martlet.push_mode(self.name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _martlet.pop_mode()

    def __repr__(self) -> str:
        return f"martlet.fast_math({self.name!r})"


def set_num_threads(count: int) -> None:
    """Set how many threads a computation uses at most, the caller's included.

    1 to 1024; 0 for as many as affinity, cpuset and cgroup quota leave to the process. Results do
    not depend on it.
    """
    _martlet.set_threads(count)


def get_num_threads() -> int:
    """How many threads a computation uses at most."""
    return _martlet.get_threads()


def memory_in_use() -> int:
    """Bytes of tensor memory (weights, results, kept scratch) that the library holds now."""
    return _martlet.memory_in_use()


def trim() -> None:
    """`Model.trim` for all models, and what the C library's allocator keeps of freed memory."""
    _martlet.trim()


def set_isa(name: str) -> None:
    """Cap the instruction set ("avx2"), as the variable MARTLET_ISA does; before first use only."""
    _martlet.set_isa(name)


class InstructionSet(NamedTuple):
    """An instruction set that this build knows."""

    name: str
    is_available: bool
    is_chosen: bool
    reason: str


class Kernel(NamedTuple):
    """A family of inner loops in use."""

    name: str
    isa: str
    purpose: str
    reason: str


class CPUInfo(NamedTuple):
    """The processor and the kernels chosen for it."""

    name: str
    features: tuple[str, ...]
    isa: str
    instruction_sets: tuple[InstructionSet, ...]
    kernels: tuple[Kernel, ...]

    @property
    def has_bf16(self) -> bool:
        """Whether BF16 mode runs products on bfloat16 units here."""
        return any("bf16" in kernel.isa or "amx" in kernel.isa for kernel in self.kernels)


def cpu_info() -> CPUInfo:
    """The processor, what was found, what was chosen, and why. Settles the choice."""
    name, features, isa, sets, kernels = _martlet.cpu_info()
    return CPUInfo(
        name,
        tuple(features.split()),
        isa,
        tuple(InstructionSet(*entry) for entry in sets),
        tuple(Kernel(*entry) for entry in kernels),
    )
