"""Making `import onnxruntime` mean this package."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.metadata
import importlib.util
import os
import pathlib
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from martlet.onnxruntime._environment import __version__
from martlet.onnxruntime._refused import MODULES, refusal

_OWN = "martlet.onnxruntime"
_SUBMODULES = (
    "capi",
    "capi._pybind_state",
    "capi.onnxruntime_inference_collection",
    "capi.onnxruntime_pybind11_state",
    "capi.onnxruntime_validation",
)


def install() -> None:
    """Makes `import onnxruntime` mean martlet.onnxruntime in this process, from now on.

    RuntimeError where another onnxruntime was imported before: whoever did holds on to that one.
    """
    own = sys.modules[_OWN]
    present = sys.modules.get("onnxruntime")
    if present is own:
        return
    if present is not None:
        where = getattr(present, "__file__", None)
        raise RuntimeError(
            f"onnxruntime was imported before, from {where}; call martlet.onnxruntime.install() "
            "before anything imports it"
        )
    sys.modules["onnxruntime"] = own
    for name in _SUBMODULES:
        sys.modules[f"onnxruntime.{name}"] = importlib.import_module(f"{_OWN}.{name}")
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Says why a submodule is missing, and that the distribution `onnxruntime` is there."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top, _, rest = name.partition(".")
        if top != "onnxruntime" or rest.partition(".")[0] not in MODULES:
            return None
        raise ModuleNotFoundError(refusal(rest), name=name)

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterable[importlib.metadata.Distribution]:
        """The distribution, for programs that ask importlib.metadata for its version."""
        if context is None or context.name in (None, "onnxruntime"):
            yield _Distribution()


class _Distribution(importlib.metadata.Distribution):
    def read_text(self, filename: str) -> str | None:
        if filename != "METADATA":
            return None
        return (
            f"Metadata-Version: 2.1\nName: onnxruntime\nVersion: {__version__}\n"
            "Summary: martlet.onnxruntime, in the place of ONNX Runtime\n"
        )

    def locate_file(self, path: str | os.PathLike[str]) -> pathlib.Path:
        return pathlib.Path(__file__).parent / path
