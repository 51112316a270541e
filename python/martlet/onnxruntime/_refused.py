"""Names of ONNX Runtime that have no meaning here: using one says so."""

from __future__ import annotations

from typing import Any, NoReturn

from martlet.onnxruntime._errors import NotImplemented, failure

#: Submodules that are refused, with what to do instead.
MODULES = {
    "quantization": "quantise models with the onnxruntime package; Martlet runs the results",
    "transformers": "rewrite models with the onnxruntime package; Martlet fuses as it loads",
    "tools": "they work on files by way of the onnxruntime package",
    "training": "Martlet does not train",
    "datasets": "they are files of the onnxruntime package",
}


def refusal(module: str) -> str:
    """What importing a refused submodule says."""
    top = module.split(".")[0]
    return f"onnxruntime.{module} is not in martlet.onnxruntime: {MODULES[top]}"


class AdapterFormat:
    """Refused: Martlet has no LoRA adapters."""

    def __init__(self, *given: Any) -> None:
        _refuse("AdapterFormat: Martlet has no LoRA adapters")

    @staticmethod
    def read_adapter(file_path: Any) -> NoReturn:
        """Refused."""
        _refuse("AdapterFormat: Martlet has no LoRA adapters")


class LoraAdapter:
    """Refused: Martlet has no LoRA adapters."""

    def __init__(self, *given: Any) -> None:
        _refuse("LoraAdapter: Martlet has no LoRA adapters")


class ModelCompiler:
    """Refused: Martlet compiles models as it loads them, and writes none."""

    def __init__(self, *given: Any, **named: Any) -> None:
        _refuse("ModelCompiler: Martlet compiles models as it loads them, and writes none")


def _refuse(text: str) -> NoReturn:
    raise failure(NotImplemented, text)
