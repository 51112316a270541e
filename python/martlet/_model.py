"""Models loaded from ONNX files."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from martlet import _martlet
from martlet._martlet import ThreadPool
from martlet._values import State, from_value, to_value


class ValueInfo(NamedTuple):
    """An input or output of a model."""

    name: str
    #: None where the model does not say.
    dtype: str | None
    #: An extent is a number, the name of a symbol, or None; all is None when the rank is unknown.
    shape: tuple[int | str | None, ...] | None
    #: All that the model says: "float32[n, 3]", "sequence(int64)", "optional(float32)".
    type: str


class NodeInfo(NamedTuple):
    """What one node did in a run. The precision and what follows are None without products."""

    node: str
    #: As ONNX names it; Martlet's own, such as products that took over what follows them, with
    #: their domain: "ai.martlet.FusedMatMul".
    operator: str
    #: Of its matrix products: "fp32", "bf16", ....
    precision: str | None
    kernel: str | None
    backend: str | None
    #: Why not the mode's own precision; None when it is.
    reason: str | None
    #: Time taken; 0 unless the run was profiled.
    nanoseconds: int


class Report:
    """What the nodes of a run did: ``str(report)`` for people, ``report.nodes`` for programs."""

    def __init__(self, text: str, nodes: tuple[NodeInfo, ...]) -> None:
        self.text = text
        self.nodes = nodes

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


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
        pool: ThreadPool | None = None,
        progress: Callable[[float, str], bool | None] | None = None,
    ) -> None:
        if isinstance(source, (str, os.PathLike)):
            self.path = os.path.abspath(os.fspath(source))
            given: Any = os.fsencode(self.path)
        else:
            self.path = None
            given = source
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
        self._model = _martlet.load(
            given, self.path is not None, self.mode, _texts(self._options), pool, progress
        )
        self.inputs = tuple(ValueInfo(*value) for value in self._model.inputs())
        self.outputs = tuple(ValueInfo(*value) for value in self._model.outputs())
        self.replaceable = tuple(ValueInfo(*value) for value in self._model.replaceable())
        self.metadata = self._model.metadata()
        self._input_names = tuple(value.name for value in self.inputs)
        self._output_names = tuple(value.name for value in self.outputs)
        #: Every output in memory of its own.
        self._no_outs = (None,) * len(self._output_names)
        # A model may list an output twice; a dict has it once. None: memory of its own.
        every = tuple(dict.fromkeys(self._output_names))
        self._every_output = (every, (None,) * len(every))
        # Where all are tensors, runs go the short way.
        # (Extents in a type's text may have parentheses too.)
        compound = ("sequence(", "optional(", "map(")
        self._is_plain = not any(
            value.type.startswith(compound) for value in self.inputs + self.outputs
        )
        self._local = threading.local()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run on inputs in the model's order or by name.

        Returns
        -------
        Tensor, or a tuple of them where the model has several outputs
        """
        names, values = self._input_names, args
        if kwargs or len(args) != len(names):
            names, values = self._bind(args, kwargs)
        results = self._run_named(self._context, names, values, self._output_names, self._no_outs)
        return results[0] if len(results) == 1 else results

    def _run_named(
        self,
        context: _martlet.Context,
        names: tuple[str, ...],
        values: tuple[Any, ...],
        wanted: tuple[str, ...],
        slots: tuple[Any, ...],
    ) -> tuple[Any, ...]:
        if self._is_plain and not _has_state(values):
            # Positions serve where all names are the model's own, in its order.
            if names == self._input_names and wanted == self._output_names:
                return context.run(names, values, None, slots)
            return context.run(names, values, wanted, slots)
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
        return self._model.result_bytes(tuple(tuple(shapes[name]) for name in self._input_names))

    def run(
        self,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] | None = None,
        *,
        out: Mapping[str, Any] | None = None,
        max_loop_iterations: int | None = None,
        max_memory_bytes: int | None = None,
        max_milliseconds: int | None = None,
        pool: ThreadPool | None = None,
    ) -> dict[str, Any]:
        """Run on inputs by name.

        Parameters
        ----------
        inputs : name -> Tensor, NumPy array, or anything with a buffer or ``__dlpack__``; a list
            where the model wants a sequence, None or a value for an optional, a dict for a map, a
            `State` for a tensor that grows from run to run. Names of `replaceable` may be among
            them, where all inputs and outputs are tensors: the first run of a set of them takes as
            long as loading.
        outputs : names of the outputs that are wanted, all of them by default
        out : name -> writable array of the output's dtype and shape to write it into, optional;
            where its elements are misaligned or at odd distances, they are copied there in the end
        max_loop_iterations, max_memory_bytes, max_milliseconds, pool : of this run alone, in the
            place of the model's (see `load`)

        Returns
        -------
        dict of output name -> Tensor (or list, None, dict, State), in the order asked for

        Raises
        ------
        martlet.Error
            For a wrong name, dtype or shape; ``input``, ``expected`` and ``actual`` say which.
        martlet.LimitExceededError
            The run met one of its limits.
        """
        wanted, slots = self._every_output
        if outputs is not None:
            wanted = tuple(outputs)
            if len(set(wanted)) != len(wanted):
                raise ValueError("an output is asked for twice")
        if out or outputs is not None:
            given = out or {}
            for name in given:
                if name not in wanted:
                    raise ValueError(f"out has '{name}', which is not among the outputs asked for")
            slots = tuple(given.get(name) for name in wanted)
        names, values = tuple(inputs), tuple(inputs.values())
        limits = (max_loop_iterations, max_memory_bytes, max_milliseconds)
        if pool is None and limits == (None, None, None):
            results = self._run_named(self._context, names, values, wanted, slots)
        else:
            options = _texts(
                {
                    "max_loop_iterations": max_loop_iterations,
                    "max_memory_bytes": max_memory_bytes,
                    "max_milliseconds": max_milliseconds,
                }
            )
            with self._context_with(options, pool) as context:
                results = self._run_named(context, names, values, wanted, slots)
        return dict(zip(wanted, results, strict=True))

    def precision_report(self) -> Report:
        """What each node's products ran as in the calling thread's last run, and why."""
        context = self._context
        return Report(context.precision_report(), _nodes(context))

    def profile(self, *args: Any, **kwargs: Any) -> Report:
        """Time by operator and by node of one run on these inputs.

        Without inputs, of the calling thread's last profiled run.
        """
        context = self._context
        if args or kwargs or not self._input_names:
            names, values = self._bind(args, kwargs)
            context.set_profiling(True)
            try:
                self._run_named(context, names, values, self._output_names, self._no_outs)
                return Report(context.profile(), _nodes(context))
            finally:
                context.set_profiling(False)
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
        self, options: dict[str, str], pool: ThreadPool | None
    ) -> Iterator[_martlet.Context]:
        """The calling thread's run context, with these options and this pool for a while."""
        context = self._context
        own = {name: "0" for name in options} | _texts(self._options)
        try:
            for name, text in options.items():
                context.set_option(name, text)
            if pool is not None:
                context.set_pool(pool)
            yield context
        finally:
            for name in options:
                context.set_option(name, own[name])
            context.set_pool(self._pool)

    def _bind(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        if len(args) > len(self._input_names):
            expected = ", ".join(self._input_names)
            raise TypeError(
                f"the model takes {len(self._input_names)} inputs ({expected}), got {len(args)}"
            )
        names = self._input_names[: len(args)]
        for name in kwargs:
            if name in names:
                raise TypeError(f"input '{name}' is given twice")
        return names + tuple(kwargs), args + tuple(kwargs.values())

    def __reduce__(self) -> tuple[Any, ...]:
        if self.path is None:
            raise TypeError("a model loaded from memory has no path to be pickled by")
        return _reload, (self.path, self.mode, self._options)

    def __repr__(self) -> str:
        source = "from memory" if self.path is None else repr(self.path)
        inputs = ", ".join(self._input_names)
        return f"<martlet.Model {source}: {inputs} -> {', '.join(self._output_names)}>"


def _has_state(values: tuple[Any, ...]) -> bool:
    for value in values:  # noqa: SIM110 (a generator takes longer than the rest of a small call)
        if isinstance(value, State):
            return True
    return False


def _nodes(context: _martlet.Context) -> tuple[NodeInfo, ...]:
    return tuple(NodeInfo(*node) for node in context.nodes())


def _texts(options: Mapping[str, int | None]) -> dict[str, str]:
    """The options that are given, as the library takes them."""
    return {name: str(int(value)) for name, value in options.items() if value is not None}


def _reload(path: str, mode: str | None, options: dict[str, Any]) -> Model:
    return Model(path, mode, **options)


def load(
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
    pool: ThreadPool | None = None,
    progress: Callable[[float, str], bool | None] | None = None,
) -> Model:
    """Load an ONNX model.

    Parameters
    ----------
    source : path of the .onnx file, or its bytes
        Weights stay in the mapped file until they are packed: do not change it in place.
    mode : str, optional
        The model's own fast-math mode; by default the one in force on the thread that runs it.
    optimize : bool
        False runs the graph as it was written.
    prepare : bool
        True brings weights into the form that runs read now, for the mode in force; False leaves it
        to the first run that needs them, so that loading is quicker and that run slower.
    winograd : bool, optional
        Whether 3x3 convolutions may run by Winograd's algorithm where it is faster; by default as
        MARTLET_WINOGRAD in the environment says (0 or 1), and without it they may.
    strict_shapes : bool
        Whether extents of inputs that have one name in the file must be equal in a run, and an
        input that is declared without extents must be a scalar. By default neither, as exporters
        give all extents one name; the first such run takes as long as loading, and memory for
        another form of the weights.
    max_loop_iterations : int, optional
        The most iterations that all loops of a run may make together; 0 or none: any number.
    max_memory_bytes : int, optional
        The most bytes that a run may hold at once in results and scratch, strings, sequences and
        states included; 0 or none: as many as there are. Weights do not count, nor do results of
        earlier runs.
    max_milliseconds : int, optional
        How long a run may take; 0 or none: as long as it does. The time is looked at before each
        node and iteration of a loop, and within some nodes on strings and sequences.
    flush_denormals : bool, optional
        Whether denormal numbers are taken for zero on all threads of the runs; by default they are
        computed with, whatever the calling thread's own floating-point environment says.
    pool : ThreadPool, optional
        Whose threads run it; by default the process's. A pickled model takes none along.
    progress : callable, optional
        Called with a fraction from 0 to 1 and a stage; False cancels the loading.

    Raises
    ------
    FileNotFoundError, OSError
        The file is missing or cannot be read.
    martlet.InvalidModelError, martlet.UnsupportedError
        It is malformed, or uses what this build lacks.
    """
    return Model(
        source,
        mode,
        optimize=optimize,
        prepare=prepare,
        winograd=winograd,
        strict_shapes=strict_shapes,
        max_loop_iterations=max_loop_iterations,
        max_memory_bytes=max_memory_bytes,
        max_milliseconds=max_milliseconds,
        flush_denormals=flush_denormals,
        pool=pool,
        progress=progress,
    )
