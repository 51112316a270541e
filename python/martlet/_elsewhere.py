"""What other libraries call what is here, for those who come from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

#: What models and sessions of ONNX Runtime, OpenVINO, Keras and torch have.
OF_MODELS = {
    "get_inputs": "model.inputs",
    "get_outputs": "model.outputs",
    "input_names": "[value.name for value in model.inputs]",
    "output_names": "[value.name for value in model.outputs]",
    "get_overridable_initializers": "model.replaceable",
    "get_modelmeta": "model.metadata",
    "io_binding": "model.run(feed, out={name: array})",
    "run_with_iobinding": "model.run(feed, out={name: array})",
    "end_profiling": "model.profile(...)",
    "predict": "model(...)",
    "forward": "model(...)",
    "infer": "model(...)",
    "infer_new_request": "model.run(feed)",
    "start_async": "model.run_async(feed)",
}

#: What modules have.
OF_THE_MODULE = {
    "InferenceSession": "martlet.load(path), or martlet.onnxruntime.InferenceSession",
    "load_model": "martlet.load(path)",
    "compile_model": "martlet.load(path)",
    "array": "martlet.tensor(data)",
    "asarray": "martlet.tensor(data)",
    "as_tensor": "martlet.tensor(data)",
    "from_numpy": "martlet.tensor(data)",
    "set_float32_matmul_precision": "martlet.set_float32_fast_math_mode(name)",
    "get_float32_matmul_precision": "martlet.get_float32_fast_math_mode()",
}


class Elsewhere:
    """An attribute that a model has not, whose error says what it is here."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise missing("martlet.Model has no", self.name, OF_MODELS)


def missing(what: str, name: str, table: Mapping[str, str]) -> AttributeError:
    """The error of a name that is not here, with what is here for it."""
    here = table.get(name)
    return AttributeError(f"{what} '{name}'" + ("" if here is None else f"; here it is {here}"))
