"""Models loaded from ONNX files."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from martlet import _martlet, _sources
from martlet._elsewhere import OF_MODELS, Elsewhere
from martlet._inputs import fed, given, weak
from martlet._martlet import Tensor, ThreadPool
from martlet._progress import Progress, reporting
from martlet._reports import NodeInfo, Report, ValueInfo, table
from martlet._results import Results
from martlet._settings import fast_math, get_float32_fast_math_mode
from martlet._values import State, from_value, to_value

if TYPE_CHECKING:
    from martlet._background import RunFuture


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"


def _unknown(kind: str, name: str, names: tuple[str, ...]) -> _martlet.NotFoundError:
    error = _martlet.NotFoundError(
        f"the model has no {kind} '{name}'; its {kind}s are {_list(names)}"
    )
    error.input = name
    return error


class Model:
    """A loaded model; made by `load`. Any number of threads may run it at once.

    Each thread runs in a context of its own, made at its first run and freed with it.
    """

    #: The file's absolute path, or None for a model from memory.
    path: str | None
    #: The model's own fast-math mode, or None: the one in force on the thread that runs it.
    mode: str | None
    inputs: tuple[ValueInfo, ...]
    outputs: tuple[ValueInfo, ...]
    #: Initialisers that are inputs too: `run` takes other values for them.
    replaceable: tuple[ValueInfo, ...]
    #: What the file says of itself.
    metadata: dict[str, str]
    #: How many threads run it, where `load` was told.
    threads: int | None

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes | Any,
        mode: str | None = None,
        *,
        optimize: bool = True,
        prepare: bool = True,
        winograd: bool | None = None,
        strict_shapes: bool = False,
        max_loop_iterations: int | None = None,
        max_memory_bytes: int | None = None,
        max_milliseconds: int | None = None,
        flush_denormals: bool | None = None,
        threads: int | None = None,
        pool: ThreadPool | None = None,
        progress: bool | Progress | None = None,
    ) -> None:
        if threads is not None:
            if pool is not None:
                raise ValueError("threads and pool are both given; a pool has its own threads")
            pool = ThreadPool(threads)
        self.path, data = _sources.source(source)
        self.threads = threads
        #: What was asked for, as `load` takes it.
        self._options = {
            "optimize": optimize,
            "prepare": prepare,
            "winograd": winograd,
            "strict_shapes": strict_shapes,
            "max_loop_iterations": max_loop_iterations,
            "max_memory_bytes": max_memory_bytes,
            "max_milliseconds": max_milliseconds,
            "flush_denormals": flush_denormals,
        }
        self._pool = pool
        self.mode = None if mode is None else _martlet.mode_name(mode)
        with reporting(progress, f"loading {self._title}") as told:
            self._model = _sources.load(
                data, self.path, self.mode, _texts(self._options), pool, told
            )
        self.inputs = tuple(ValueInfo(*value) for value in self._model.inputs())
        self.outputs = tuple(ValueInfo(*value) for value in self._model.outputs())
        self.replaceable = tuple(ValueInfo(*value) for value in self._model.replaceable())
        self.metadata = self._model.metadata()
        self._input_names = tuple(value.name for value in self.inputs)
        self._output_names = tuple(value.name for value in self.outputs)
        self._dtypes = {value.name: value.dtype for value in self.inputs + self.replaceable}
        # None: memory of its own. A model may list an output twice; a dict has it once.
        self._no_outs = (None,) * len(self._output_names)
        every = tuple(dict.fromkeys(self._output_names))
        self._every_output = (every, (None,) * len(every))
        # Where all are tensors, runs go the short way (extents may have parentheses too).
        compound = ("sequence(", "optional(", "map(")
        self._is_plain = not any(
            value.type.startswith(compound) for value in self.inputs + self.outputs
        )
        self._local = threading.local()

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor | Any:
        """Run on inputs in the model's order or by name.

        Returns
        -------
        Tensor, or `Results` where the model has several outputs
        """
        names, values = self._input_names, args
        if kwargs or len(args) != len(names):
            names, values = self._bind(args, kwargs)
        wanted = self._output_names
        results = self._run_named(self._context, names, values, wanted, self._no_outs)
        return results[0] if len(results) == 1 else Results(wanted, results)

    def _run_named(
        self,
        context: _martlet.Context,
        names: tuple[str, ...],
        values: tuple[Any, ...],
        wanted: tuple[str, ...],
        slots: tuple[Any, ...],
    ) -> tuple[Any, ...]:
        try:
            if self._is_plain:
                for value in values:
                    if type(value) in _PYTHONS:
                        break
                else:
                    # Positions serve where all names are the model's own, in its order.
                    in_order = names == self._input_names and wanted == self._output_names
                    return context.run(names, values, wanted, slots, in_order)
                if not any(isinstance(value, State) for value in values):
                    return context.run(names, self._weak(names, values), wanted, slots, False)
            return self._run_compound(context, names, values, wanted, slots)
        except _martlet.InvalidDTypeError as error:
            self._hint(error)
            raise

    def _weak(self, names: tuple[str, ...], values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Python's numbers, and lists of them, in the dtypes of the inputs."""
        dtype = self._dtypes.get
        for name, value in zip(names, values, strict=True):
            if type(value) is dict:
                raise TypeError(
                    f"input '{name}' is a dict; model.run(feed) takes one of all inputs, and "
                    "model(**feed)"
                )
        return tuple(
            weak(value, dtype(name), f"input '{name}'") if type(value) in _PYTHONS else value
            for name, value in zip(names, values, strict=True)
        )

    def _hint(self, error: _martlet.InvalidDTypeError) -> None:
        """Adds to the error of an input of another dtype what converts it."""
        dtype = self._dtypes.get(error.input or "")
        is_text = dtype == "string" or (error.actual or "string").startswith("string")
        if dtype is not None and error.node is None and not is_text:
            error.args = (f"{error}; astype('{dtype}') converts", *error.args[1:])

    def _run_compound(
        self,
        context: _martlet.Context,
        names: tuple[str, ...],
        values: tuple[Any, ...],
        wanted: tuple[str, ...],
        slots: tuple[Any, ...],
    ) -> tuple[Any, ...]:
        if any(slot is not None for slot in slots):
            raise ValueError("out is for runs whose inputs and outputs are all tensors")
        for name in wanted:
            if name not in self._output_names:
                raise _unknown("output", name, self._output_names)
        results = self._run_values(context, dict(zip(names, values, strict=True)))
        every = dict(zip(self._output_names, results, strict=True))
        return tuple(every[name] for name in wanted)

    def _run_values(self, context: _martlet.Context, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
        """All outputs, of inputs that need not be tensors."""
        for name in inputs:
            if name not in self._input_names:
                raise _unknown("input", name, self._input_names)
        for name in self._input_names:
            if name not in inputs:
                missing = _martlet.InvalidArgumentError(
                    f"missing input '{name}'; the model's inputs are {_list(self._input_names)}"
                )
                missing.input = name
                raise missing
        values = tuple(
            to_value(inputs[value.name], value.type, f"input '{value.name}'")
            for value in self.inputs
        )
        return tuple(map(from_value, context.run_values(values, len(self.outputs))))

    def memory(self) -> dict[str, int]:
        """Bytes that the model takes.

        Returns
        -------
        dict
            ``constants``: of the constants that its nodes name; ``mapped``: of those of them in the
            mapped file, which take memory only while they are read; ``prepared``: of what was made
            of constants, shared by all contexts; ``arena``: of the block for results and scratch of
            the context that ran last; ``peak``: the most that its run had in use, outputs included.
        """
        return self._model.memory()

    def trim(self) -> None:
        """Gives back the memory that the threads' contexts keep for their next runs.

        Runs under way keep theirs; the next run of each context lays out its memory anew.
        """
        self._model.trim()

    def result_bytes(self, shapes: Mapping[str, Sequence[int]]) -> int | None:
        """Bytes that the results of a run will take at once, without the scratch of single nodes.

        Nothing is run.

        Parameters
        ----------
        shapes : input name -> shape, for every input

        Returns
        -------
        int, or None where that depends on the inputs' elements

        Raises
        ------
        KeyError
            The shape of an input is missing.
        martlet.Error
            A shape does not fit an input or a node.
        """
        for name in self._input_names:
            if name not in shapes:
                every = _list(self._input_names)
                raise KeyError(f"no shape of input '{name}'; give those of {every}")
        return self._model.result_bytes(tuple(tuple(shapes[name]) for name in self._input_names))

    def run(
        self,
        inputs: Any = None,
        outputs: Any = None,
        *,
        out: Mapping[str, Any] | None = None,
        max_loop_iterations: int | None = None,
        max_memory_bytes: int | None = None,
        max_milliseconds: int | None = None,
        pool: ThreadPool | None = None,
        progress: bool | Progress | None = None,
    ) -> Results:
        """Run on inputs by name: ``run(feed)``, ``run(feed, ["scores"])``.

        ``run(["scores"], feed)`` and ``run(None, feed)``, as ONNX Runtime has it, and
        ``run(array)`` for models of one input are taken too.

        Parameters
        ----------
        inputs : name -> Tensor, NumPy array, number, list of numbers, or anything with a buffer,
            ``__dlpack__`` or ``__array__``; a list where the model wants a sequence, None or a
            value for an optional, a dict for a map, a `State` for a tensor that grows from run to
            run. Python's numbers take the dtype of the input. Names of `replaceable` may be among
            them, where all inputs and outputs are tensors: the first run of a set of them takes as
            long as loading.
        outputs : name or names of the outputs that are wanted, all of them by default
        out : name -> writable array of the output's dtype and shape to write it into, optional;
            where its elements are misaligned or at odd distances, they are copied there in the end
        max_loop_iterations, max_memory_bytes, max_milliseconds, pool : of this run alone, in the
            place of the model's (see `load`)
        progress : True for a bar on stderr, or a function that is told a fraction from 0 to 1 and
            a stage some 20 times a second; where it returns False the run is cancelled

        Returns
        -------
        Results : values in the order asked for, and by name

        Raises
        ------
        martlet.Error
            For a wrong name, dtype or shape; ``input``, ``expected`` and ``actual`` say which.
        martlet.LimitExceededError
            The run met one of its limits.
        martlet.CancelledError
            ``progress`` returned False.
        """
        if outputs is not None or type(inputs) is not dict:
            inputs, outputs = given(inputs, outputs, self.inputs, self._output_names)
        wanted, slots = self._every_output
        if outputs is not None:
            wanted = outputs
            slots = (None,) * len(wanted)
        if out is not None:
            if type(out) is not dict and not isinstance(out, Mapping):
                say = f"{{{self._output_names[0]!r}: array}}"
                raise TypeError(f"out is a dict, {say}, not {type(out).__name__}")
            for name in out:
                if name not in wanted:
                    raise ValueError(f"out has '{name}', which is not among the outputs asked for")
            slots = tuple(out.get(name) for name in wanted)
        names, values = tuple(inputs), tuple(inputs.values())
        limits = (max_loop_iterations, max_memory_bytes, max_milliseconds)
        if limits == _NO_LIMITS and pool is None and progress is None:
            results = self._run_named(self._context, names, values, wanted, slots)
        else:
            options = _texts(
                {
                    "max_loop_iterations": max_loop_iterations,
                    "max_memory_bytes": max_memory_bytes,
                    "max_milliseconds": max_milliseconds,
                }
            )
            with (
                reporting(progress, f"running {self._title}") as told,
                self._context_with(options, pool, told) as context,
            ):
                results = self._run_named(context, names, values, wanted, slots)
        named: Results = _new_tuple(Results, results)
        named._names = wanted
        return named

    def run_async(
        self,
        inputs: Any = None,
        outputs: Any = None,
        *,
        progress: Progress | None = None,
        **options: Any,
    ) -> RunFuture:
        """`run` on another thread, in the fast-math mode in force here.

        Returns
        -------
        RunFuture : a ``concurrent.futures.Future`` of the `Results`, whose ``cancel()`` also ends a
            run that has begun. ``add_done_callback`` is for a function to call then.
        """
        from martlet import _background

        mode = get_float32_fast_math_mode()

        def run(told: Progress) -> Results:
            with fast_math(mode):
                return self.run(inputs, outputs, progress=told, **options)

        return _background.start(run, progress)

    async def arun(self, inputs: Any = None, outputs: Any = None, **options: Any) -> Results:
        """`run` for ``await``: other tasks go on meanwhile; cancelling the task ends the run."""
        import asyncio

        return await asyncio.wrap_future(self.run_async(inputs, outputs, **options))

    def precision_report(self) -> Report:
        """What each node's products ran as in the calling thread's last run, and why."""
        context = self._context
        with _after("this thread has not run the model yet; run it, then ask"):
            return Report(context.precision_report(), _nodes(context))

    def profile(self, *args: Any, **kwargs: Any) -> Report:
        """Time by operator and by node of one run on these inputs: as a call takes them, or a feed.

        Without inputs, of the calling thread's last profiled run.
        """
        context = self._context
        if args or kwargs or not self._input_names:
            names, values = self._bind(*fed(args, kwargs) if self._is_plain else (args, kwargs))
            context.set_profiling(True)
            try:
                self._run_named(context, names, values, self._output_names, self._no_outs)
                return Report(context.profile(), _nodes(context))
            finally:
                context.set_profiling(False)
        with _after("this thread has no profiled run; give profile() the inputs of one"):
            return Report(context.profile(), _nodes(context))

    @property
    def _context(self) -> _martlet.Context:
        """The calling thread's run context."""
        try:
            context: _martlet.Context = self._local.context
        except AttributeError:
            context = self._local.context = self._model.context()
        return context

    @contextlib.contextmanager
    def _context_with(
        self, options: dict[str, str], pool: ThreadPool | None, progress: Progress | None
    ) -> Iterator[_martlet.Context]:
        """The calling thread's run context, with these options and this pool for a while."""
        context = self._context
        own = {name: "0" for name in options} | _texts(self._options)
        try:
            for name, text in options.items():
                context.set_option(name, text)
            if pool is not None:
                context.set_pool(pool)
            context.set_progress(progress)
            yield context
        finally:
            context.set_progress(None)
            for name in options:
                context.set_option(name, own[name])
            context.set_pool(self._pool)

    def _bind(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        if len(args) > len(self._input_names):
            count = len(self._input_names)
            kind = "input" if count == 1 else "inputs"
            raise TypeError(
                f"the model takes {count} {kind}, {_list(self._input_names)}; got {len(args)}"
            )
        names = self._input_names[: len(args)]
        for name in kwargs:
            if name in names:
                raise TypeError(f"input '{name}' is given twice")
        return names + tuple(kwargs), args + tuple(kwargs.values())

    def __reduce__(self) -> tuple[Any, ...]:
        if self.path is None:
            raise TypeError("a model loaded from memory has no path to be pickled by")
        return _reload, (self.path, self.mode, self._options | {"threads": self.threads})

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in OF_MODELS]

    def __repr__(self) -> str:
        source = "from memory" if self.path is None else repr(self.path)
        inputs = ", ".join(self._input_names)
        return f"<martlet.Model {source}: {inputs} -> {', '.join(self._output_names)}>"

    @property
    def _title(self) -> str:
        return "a model" if self.path is None else os.path.basename(os.fsdecode(self.path))

    def _repr_html_(self) -> str:
        """Inputs and outputs as a table, for notebooks."""
        import html

        rows = [
            [kind, value.name, value.type]
            for kind, values in (("input", self.inputs), ("output", self.outputs))
            for value in values
        ]
        title = html.escape(self._title)
        return f"<div><p><b>{title}</b></p>{table(['', 'name', 'type'], rows)}</div>"


#: What takes its dtype from the model's input, or is no array at all.
_PYTHONS = frozenset((bool, int, float, list, tuple, dict, State))
_NO_LIMITS = (None, None, None)
_new_tuple = tuple.__new__


@contextlib.contextmanager
def _after(message: str) -> Iterator[None]:
    """Says in Python's words that something has not been done yet."""
    try:
        yield
    except _martlet.Error as error:
        if error.code != "INVALID_STATE":
            raise
        error.args = (message,)
        raise


# No __getattr__, with which every attribute of a call would take longer.
for _name in OF_MODELS:
    setattr(Model, _name, Elsewhere(_name))


def _nodes(context: _martlet.Context) -> tuple[NodeInfo, ...]:
    return tuple(NodeInfo(*node) for node in context.nodes())


def _texts(options: Mapping[str, int | None]) -> dict[str, str]:
    """The options that are given, as the library takes them."""
    for name, value in options.items():
        if value is not None and not hasattr(value, "__index__"):
            raise TypeError(f"{name} is {value!r}; expected an int or a bool")
    return {name: str(int(value)) for name, value in options.items() if value is not None}


def _reload(path: str, mode: str | None, options: dict[str, Any]) -> Model:
    return Model(path, mode, **options)
