"""Martlet as a backend of ONNX's own tests and tools (`onnx.backend.base`). Needs onnx and NumPy.

>>> import martlet.onnx_backend as backend
>>> outputs = backend.prepare(model).run([x])

ONNX's score board takes this module's name: ``--onnx_backend=martlet.onnx_backend``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.backend.base import Backend, BackendRep

import martlet


class MartletBackendRep(BackendRep):
    """A loaded model."""

    def __init__(self, model: martlet.Model) -> None:
        self.model = model

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The outputs in the model's order: arrays, lists of them, dicts, or None.

        Parameters
        ----------
        inputs : values in the model's order, values by name, or one array
        """
        names = [value.name for value in self.model.inputs]
        if isinstance(inputs, Mapping):
            given = dict(inputs)
        elif isinstance(inputs, np.ndarray):
            given = {names[0]: inputs}
        else:
            if len(inputs) > len(names):
                raise ValueError(f"the model has {len(names)} inputs, {len(inputs)} were given")
            given = dict(zip(names, inputs, strict=False))
        for value in self.model.inputs:
            if value.type.startswith("optional("):
                given.setdefault(value.name, None)
        results = self.model.run(given)
        return tuple(_array(results[value.name]) for value in self.model.outputs)


class MartletBackend(Backend):
    """Prepares and runs ONNX models and nodes on the CPU."""

    @classmethod
    def is_compatible(cls, model: Any, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether Martlet loads the model."""
        if not cls.supports_device(device):
            return False
        try:
            _load(model, prepare=False)
        except martlet.UnsupportedError:
            return False
        return True

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> MartletBackendRep:
        """Loads a model: a ModelProto, its bytes, or a path.

        Parameters
        ----------
        kwargs : as `martlet.load` takes them: ``mode="BF16"``, ``strict_shapes=True``, ...
        """
        if not cls.supports_device(device):
            raise RuntimeError(f"Martlet runs on the CPU, not on {device}")
        return MartletBackendRep(_load(model, **kwargs))

    @classmethod
    def run_model(
        cls, model: Any, inputs: Any, device: str = "CPU", **kwargs: Any
    ) -> tuple[Any, ...]:
        """Loads a model and runs it once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Runs one node on arrays, as the opset ``opset_version`` or the newest has it."""
        version = kwargs.pop("opset_version", None) or onnx.defs.onnx_opset_version()
        names = [name for name in node.input if name]
        given = inputs if isinstance(inputs, Mapping) else dict(zip(names, inputs, strict=True))
        infos = [_info(name, np.asarray(given[name])) for name in dict.fromkeys(names)]
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        graph = helper.make_graph([node], "node", infos, outputs)
        opsets = [helper.make_opsetid(node.domain, version)]
        model = helper.make_model(graph, opset_imports=opsets)
        return cls.run_model(model, dict(given), device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether it is the CPU."""
        return device.partition(":")[0] == "CPU"


def _load(model: Any, **options: Any) -> martlet.Model:
    if isinstance(model, (str, os.PathLike, bytes, bytearray, memoryview)):
        return martlet.load(model, **options)
    return martlet.load(model.SerializeToString(), **options)


def _info(name: str, array: np.ndarray[Any, Any]) -> onnx.ValueInfoProto:
    if array.dtype.kind in "OSU":
        kind = onnx.TensorProto.STRING
    else:
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, array.shape)


def _array(value: Any) -> Any:
    """A result as ONNX's tests compare it."""
    if isinstance(value, (martlet.Tensor, martlet.State)):
        return np.asarray(value)
    if isinstance(value, list):
        return [_array(item) for item in value]
    if isinstance(value, dict):
        return {key: _array(item) for key, item in value.items()}
    return value


is_compatible = MartletBackend.is_compatible
prepare = MartletBackend.prepare
run_model = MartletBackend.run_model
run_node = MartletBackend.run_node
supports_device = MartletBackend.supports_device
