"""Devices and their memory: the CPU, and errors for the rest."""

from __future__ import annotations

from typing import Any

from martlet.onnxruntime._enums import (
    OrtAllocatorType,
    OrtDeviceMemoryType,
    OrtDeviceVendorId,
    OrtMemType,
)

_KNOWN = ("cuda", "cann", "dml", "webgpu", "gpu", "npu")


def require_cpu(device_type: str) -> None:
    """Refuses all devices but the CPU."""
    if device_type.lower() == "cpu":
        return
    if device_type.lower() not in _KNOWN:
        raise Exception("Unsupported device type: " + device_type)
    raise RuntimeError(
        "Can't allocate memory on the device using this package of OnnxRuntime: Martlet runs on "
        f"the CPU alone, not on '{device_type}'"
    )


class OrtDevice:
    """Where memory is; the CPU."""

    def __init__(
        self, device_type: int = 0, memory: int = 0, vendor_id: int = 0, device_id: int = 0
    ) -> None:
        self._numbers = (device_type, memory, vendor_id, device_id)

    @staticmethod
    def make(
        ort_device_name: str, device_id: int, vendor_id: int | OrtDeviceVendorId = -1
    ) -> OrtDevice:
        """The device of a name: "cpu"."""
        require_cpu(ort_device_name)
        return OrtDevice(device_id=device_id)

    @staticmethod
    def cpu() -> int:
        """The number of CPUs' kind."""
        return 0

    @staticmethod
    def default_memory() -> int:
        """The number of plain memory."""
        return 0

    def device_id(self) -> int:
        """Which of its kind it is."""
        return self._numbers[3]

    def device_type(self) -> int:
        """0: a CPU."""
        return self._numbers[0]

    def device_vendor_id(self) -> int:
        """0: none."""
        return self._numbers[2]

    vendor_id = device_vendor_id

    def device_mem_type(self) -> int:
        """0: plain memory."""
        return self._numbers[1]

    mem_type = device_mem_type


class OrtMemoryInfo:
    """Where an input or output is expected."""

    def __init__(
        self,
        name: str,
        allocator_type: OrtAllocatorType,
        device_id: int,
        mem_type: OrtMemType,
    ) -> None:
        require_cpu(name)
        self.name = name
        self.allocator_type = allocator_type
        self.device_id = device_id
        self.mem_type = mem_type
        self.device_mem_type = OrtDeviceMemoryType.DEFAULT
        self.device_vendor_id = 0


class OrtArenaCfg:
    """How ONNX Runtime's arena grows; Martlet lays a run's memory out before it begins."""

    def __init__(self, *given: Any) -> None:
        names = (
            "max_mem",
            "arena_extend_strategy",
            "initial_chunk_size_bytes",
            "max_dead_bytes_per_chunk",
            "initial_growth_chunk_size_bytes",
            "max_power_of_two_extend_bytes",
        )
        by_name = given and isinstance(given[0], dict)
        numbers = given[0] if by_name else dict(zip(names, given, strict=False))
        for name in names:
            setattr(self, name, numbers.get(name, -1))


def cpu_memory() -> OrtMemoryInfo:
    """The memory that all inputs and outputs are in."""
    return OrtMemoryInfo("Cpu", OrtAllocatorType.ORT_DEVICE_ALLOCATOR, 0, OrtMemType.DEFAULT)
