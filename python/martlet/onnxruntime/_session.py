"""InferenceSession: a model that is loaded and run by Martlet."""

from __future__ import annotations

import concurrent.futures
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import martlet
from martlet import _martlet
from martlet.onnxruntime import _errors, _feeds, _setup
from martlet.onnxruntime._devices import OrtMemoryInfo, cpu_memory
from martlet.onnxruntime._environment import get_available_providers
from martlet.onnxruntime._errors import Fail, InvalidArgument, failure
from martlet.onnxruntime._iobinding import IOBinding
from martlet.onnxruntime._options import RunOptions, SessionOptions
from martlet.onnxruntime._ortvalue import OrtValue, array_dtype
from martlet.onnxruntime._profiling import Profiler
from martlet.onnxruntime._types import ModelMetadata, NodeArg


class InferenceSession:
    """Runs an ONNX model.

    Parameters
    ----------
    path_or_bytes : path, or the model's bytes in any buffer, or an onnx.ModelProto
    sess_options : SessionOptions, optional
    providers, provider_options : ONNX Runtime's; all but the CPU's warn and are left out
    """

    def __init__(
        self,
        path_or_bytes: Any,
        sess_options: SessionOptions | None = None,
        providers: Sequence[str | tuple[str, dict[Any, Any]]] | None = None,
        provider_options: Sequence[dict[Any, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        self._options = SessionOptions() if sess_options is None else sess_options
        _choose_providers(providers, provider_options)
        _setup.say_what_is_not_honoured(self._options)
        self._profiler: Profiler | None = None
        if self._options.enable_profiling:
            self._profiler = Profiler(self._options.profile_file_prefix)
        self._model_path: str | None = None
        source = path_or_bytes
        if isinstance(source, (str, os.PathLike)):
            self._model_path = os.fspath(source)
        elif not isinstance(source, (bytes, bytearray, memoryview)):
            if not hasattr(source, "SerializeToString"):
                raise TypeError(f"Unable to load from type '{type(source)}'")
            source = source.SerializeToString()
        self._load(source)
        self._async: concurrent.futures.ThreadPoolExecutor | None = None

    def _load(self, source: Any) -> None:
        begin = self._profiler.now() if self._profiler else 0
        try:
            self._model = martlet.load(source, **_setup.load_arguments(self._options))
        except _martlet.Error as error:
            raise _errors.of_loading(error, self._model_path) from error
        if self._profiler:
            kind = "array" if self._model_path is None else "uri"
            self._profiler.add(f"model_loading_{kind}", begin, self._profiler.now())
            self._profiler.add("session_initialization", begin, self._profiler.now())
        fixed = self._options._free_dimensions
        self._inputs = [NodeArg(info, fixed) for info in self._model.inputs]
        self._outputs = [NodeArg(info, fixed) for info in self._model.outputs]
        self._overridable = [NodeArg(info, fixed) for info in self._model.replaceable]
        self._infos = {info.name: info for info in self._model.inputs}
        self._replaceable = {info.name: info for info in self._model.replaceable}
        self._output_names = [info.name for info in self._model.outputs]
        self._shapes = {arg.name: arg.shape for arg in self._inputs + self._overridable}
        self._is_fixed = any(arg.shape != self._shape(arg.name) for arg in self._inputs)
        self._names_to_feed = self._infos.keys() | self._replaceable.keys()
        self._required = [arg.name for arg in self._inputs if not arg.type.startswith("optional")]

    def _shape(self, name: str) -> list[int | str | None]:
        return list(self._infos[name].shape or ())

    # What it says of the model

    def get_inputs(self) -> list[NodeArg]:
        """The inputs that a run must be given."""
        return list(self._inputs)

    def get_outputs(self) -> list[NodeArg]:
        """The outputs."""
        return list(self._outputs)

    def get_overridable_initializers(self) -> list[NodeArg]:
        """Initialisers that are inputs too, which a run may be given."""
        return list(self._overridable)

    def get_modelmeta(self) -> ModelMetadata:
        """What the file says of itself."""
        return ModelMetadata(self._model.metadata)

    def get_session_options(self) -> SessionOptions:
        """The options that it was made with."""
        return self._options

    def get_providers(self) -> list[str]:
        """The CPU's alone."""
        return ["CPUExecutionProvider"]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        """The CPU's provider has none."""
        return {"CPUExecutionProvider": {}}

    def set_providers(
        self,
        providers: Sequence[str | tuple[str, dict[Any, Any]]] | None = None,
        provider_options: Sequence[dict[Any, Any]] | None = None,
    ) -> None:
        """Takes the CPU's provider; RuntimeError for a name that there is not."""
        for name in _choose_providers(providers, provider_options):
            if name not in get_available_providers():
                raise RuntimeError(f"Unknown Provider Type: {name}")

    def disable_fallback(self) -> None:
        """Taken: there is nothing to fall back from."""

    def enable_fallback(self) -> None:
        """Taken: there is nothing to fall back from."""

    def get_input_memory_infos(self) -> list[OrtMemoryInfo]:
        """CPU memory, for each input."""
        return [cpu_memory() for _ in self._inputs]

    def get_output_memory_infos(self) -> list[OrtMemoryInfo]:
        """CPU memory, for each output."""
        return [cpu_memory() for _ in self._outputs]

    def get_tuning_results(self) -> list[Any]:
        """None: Martlet tunes nothing at run time."""
        return []

    # Runs

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: RunOptions | None = None,
    ) -> list[Any]:
        """The outputs of these names, or all of them for None or none."""
        return [_feeds.result(v) for v in self._run(output_names, input_feed, run_options)]

    def run_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: Mapping[str, OrtValue],
        run_options: RunOptions | None = None,
    ) -> list[OrtValue]:
        """`run` from OrtValues to OrtValues."""
        values = {name: value._get_c_value() for name, value in input_dict_ort_values.items()}
        return [OrtValue(value) for value in self.run(output_names, values, run_options)]

    def run_async(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        callback: Callable[[list[Any], Any, str], None],
        user_data: Any,
        run_options: RunOptions | None = None,
    ) -> None:
        """`run` on another thread, which gives callback results, user_data and an error's text."""
        self._missing(input_feed)
        if self._async is None:
            self._async = concurrent.futures.ThreadPoolExecutor(2, "martlet-run-async")

        def work() -> None:
            results: list[Any] = []
            text = ""
            try:
                results = self.run(output_names, input_feed, run_options)
            except Exception as error:
                text = _errors.bare(error) or type(error).__name__
            callback(results, user_data, text)

        self._async.submit(work)

    def io_binding(self) -> IOBinding:
        """A binding of inputs and outputs for `run_with_iobinding`."""
        return IOBinding(self)

    def run_with_iobinding(
        self, iobinding: IOBinding, run_options: RunOptions | None = None
    ) -> None:
        """`run` on what is bound, into what is bound."""
        iobinding._run(run_options)

    def run_with_ortvaluevector(self, *given: Any) -> None:
        """Refused: it is for training on other devices."""
        raise failure(_errors.NotImplemented, "run_with_ortvaluevector: use run_with_ort_values")

    def create_ortvalue_from_shape_and_type(
        self, shape: Sequence[int], element_type: Any, *device: Any, **wishes: Any
    ) -> OrtValue:
        """Memory of its own, zeroed."""
        array_dtype(element_type)
        return OrtValue.ortvalue_from_shape_and_type(shape, element_type, *device, **wishes)

    def end_profiling(self) -> str:
        """Writes the trace that SessionOptions.enable_profiling began; its file's name, or ""."""
        profiler, self._profiler = self._profiler, None
        return "" if profiler is None else profiler.end()

    def get_profiling_start_time_ns(self) -> int:
        """When the trace began, in nanoseconds since 1970; 0 without one."""
        return 0 if self._profiler is None else self._profiler.start_ns

    def _missing(self, given: Mapping[str, Any]) -> None:
        names = given.keys()
        missing = [name for name in self._required if name not in names]
        if missing:
            raise ValueError(
                f"Required inputs ({missing}) are missing from input feed ({list(names)})."
            )

    def _run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: RunOptions | None,
        out: dict[str, Any] | None = None,
    ) -> list[Any]:
        """The results of a run as Martlet has them."""
        self._missing(input_feed)
        if isinstance(output_names, str):
            raise TypeError(f"run(): output_names must be a list of str, not {output_names!r}")
        if run_options is not None and run_options.terminate:
            raise failure(Fail, "Exiting due to terminate flag being set to true.")
        names = list(output_names) if output_names else self._output_names
        for name in names:
            if name not in self._output_names:
                raise failure(InvalidArgument, f"Invalid output name:{name}")
        for name in input_feed:
            if name not in self._names_to_feed:
                raise failure(InvalidArgument, f"Invalid input name: {name}")
        feeds = {
            name: _feeds.feed(input_feed.get(name), info) for name, info in self._infos.items()
        }
        for name, info in self._replaceable.items():
            if name in input_feed:
                feeds[name] = _feeds.feed(input_feed[name], info)
        if self._is_fixed:
            error = _feeds.wrong_shapes(feeds, self._shapes)
            if error is not None:
                raise error
        wanted = None if names is self._output_names else tuple(dict.fromkeys(names))
        try:
            results = self._compute(feeds, wanted, out)
        except _martlet.Error as error:
            wrong = _feeds.wrong_shapes(feeds, self._shapes) or _feeds.wrong_output(error, out)
            raise (wrong or _errors.of_run(error)) from error
        _setup.after_run(self._model, run_options)
        return _in_order(names, results)

    def _compute(
        self, feeds: dict[str, Any], wanted: tuple[str, ...] | None, out: dict[str, Any] | None
    ) -> martlet.Results:
        profiler = self._profiler
        if profiler is None:
            return self._model.run(feeds, wanted, out=out)
        context = self._model._context
        context.set_profiling(True)
        begin = profiler.now()
        try:
            results = self._model.run(feeds, wanted, out=out)
            nodes = tuple(martlet.NodeInfo(*node) for node in context.nodes())
            profiler.add_run(begin, profiler.now(), nodes)
            return results
        finally:
            context.set_profiling(False)


def _in_order(names: Sequence[str], results: martlet.Results) -> list[Any]:
    """The results by name; one that is asked for again is a value of its own."""
    if len(names) == len(results):
        return list(results)
    seen: set[str] = set()
    ordered = []
    for name in names:
        value = results[name]
        ordered.append(value.copy() if name in seen and hasattr(value, "copy") else value)
        seen.add(name)
    return ordered


def _choose_providers(
    providers: Sequence[str | tuple[str, dict[Any, Any]]] | None,
    provider_options: Sequence[dict[Any, Any]] | None,
) -> list[str]:
    """The names asked for; those that Martlet lacks with ONNX Runtime's warning."""
    if isinstance(providers, str):
        providers = [providers]
    if providers is not None and not isinstance(providers, Sequence):
        raise ValueError("'providers' should be a sequence.")
    if provider_options is not None and len(providers or ()) != len(provider_options):
        raise ValueError(
            "'providers' and 'provider_options' should be the same length if both are given."
        )
    names = [name if isinstance(name, str) else name[0] for name in providers or ()]
    available = get_available_providers()
    for name in names:
        if name not in available:
            warnings.warn(
                f"Specified provider '{name}' is not in available provider names."
                f"Available providers: '{', '.join(available)}'",
                UserWarning,
                stacklevel=3,
            )
    return names


Session = InferenceSession
