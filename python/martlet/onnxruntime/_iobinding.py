"""IOBinding: a run from and into memory that was named before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from martlet.onnxruntime import _errors, _feeds
from martlet.onnxruntime._devices import require_cpu
from martlet.onnxruntime._options import RunOptions
from martlet.onnxruntime._ortvalue import OrtValue, array_over

if TYPE_CHECKING:
    from martlet.onnxruntime._session import InferenceSession


class IOBinding:
    """What the inputs and outputs of a session's runs are; runs read what is there then."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._inputs: dict[str, Any] = {}
        #: In the order bound: memory to write into, or None.
        self._outputs: dict[str, OrtValue | None] = {}
        self._results: list[OrtValue] = []

    def bind_cpu_input(self, name: str, arr_on_cpu: Any) -> None:
        """An array, which is not copied."""
        if not isinstance(arr_on_cpu, np.ndarray):
            raise RuntimeError("Unable to create OrtValue from the given python object")
        self._bind(name, arr_on_cpu)

    def bind_input(
        self,
        name: str,
        device_type: str,
        device_id: int,
        element_type: Any,
        shape: Sequence[int],
        buffer_ptr: int,
    ) -> None:
        """Memory at an address."""
        require_cpu(device_type)
        self._bind(name, array_over(buffer_ptr, element_type, shape))

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        """An OrtValue."""
        self._bind(name, ortvalue._get_c_value())

    def _bind(self, name: str, value: Any) -> None:
        if name not in self._session._infos:
            raise RuntimeError(f"Failed to find NodeArg with name: {name} in the def list")
        self._inputs[name] = value

    def synchronize_inputs(self) -> None:
        """Nothing: the CPU's memory needs no waiting."""

    def bind_output(
        self,
        name: str,
        device_type: str = "cpu",
        device_id: int = 0,
        element_type: Any = None,
        shape: Sequence[int] | None = None,
        buffer_ptr: int | None = None,
    ) -> None:
        """Memory at an address, or none: the run makes it."""
        require_cpu(device_type)
        if buffer_ptr is None:
            self._outputs[name] = None
            return
        if element_type is None or shape is None:
            raise ValueError(
                "`element_type` and `shape` are to be provided if pre-allocated memory is provided"
            )
        self._outputs[name] = OrtValue(array_over(buffer_ptr, element_type, shape))

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        """An OrtValue, whose memory is written."""
        self._outputs[name] = ortvalue._get_c_value()

    def synchronize_outputs(self) -> None:
        """Nothing: the CPU's memory needs no waiting."""

    def get_outputs(self) -> list[OrtValue]:
        """The outputs of the last run, in the order bound."""
        return list(self._results)

    get_outputs_as_ortvaluevector = get_outputs

    def copy_outputs_to_cpu(self) -> list[Any]:
        """The outputs of the last run as arrays."""
        return [_copied(value.numpy()) for value in self._results]

    def clear_binding_inputs(self) -> None:
        """Forgets the inputs."""
        self._inputs.clear()

    def clear_binding_outputs(self) -> None:
        """Forgets the outputs."""
        self._outputs.clear()
        self._results = []

    def _run(self, run_options: RunOptions | None) -> None:
        if not self._outputs:
            raise RuntimeError("Error in execution: At least one output should be requested.")
        missing = [name for name in self._session._required if name not in self._inputs]
        if missing:
            raise RuntimeError(f"Error in execution: Missing Input: {missing[0]}")
        try:
            self._results = self._compute(run_options)
        except RuntimeError as error:
            raise RuntimeError(f"Error in execution: {error}") from error
        except Exception as error:
            raise RuntimeError(f"Error in execution: {_errors.bare(error)}") from error

    def _compute(self, run_options: RunOptions | None) -> list[OrtValue]:
        given = {name: value for name, value in self._outputs.items() if value is not None}
        out = {name: value._array for name, value in given.items()}
        direct = self._session._model._is_plain
        values = self._session._run(
            list(self._outputs), self._inputs, run_options, out if out and direct else None
        )
        results = []
        for (name, place), value in zip(self._outputs.items(), values, strict=True):
            if place is None:
                results.append(OrtValue(_feeds.result(value)))
                continue
            if not direct:
                place.update_inplace(_feeds.result(value))
            results.append(self._outputs[name] or place)
        return results


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


SessionIOBinding = IOBinding
