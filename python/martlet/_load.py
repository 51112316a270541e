"""The way to a model: `load`."""

from __future__ import annotations

import os
from typing import Any

from martlet._martlet import ThreadPool
from martlet._model import Model
from martlet._progress import Progress


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
    threads: int | None = None,
    pool: ThreadPool | None = None,
    progress: bool | Progress | None = None,
) -> Model:
    """Load an ONNX model.

    Parameters
    ----------
    source : path of the .onnx file, its bytes, a binary file to read them from (``BytesIO``), or an
        ``onnx.ModelProto``
        Of a path, weights stay in the mapped file until they are packed: do not change it in place.
    mode : str, optional
        The model's own fast-math mode (see `set_float32_fast_math_mode`); by default the one in
        force on the thread that runs it.
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
    threads : int, optional
        How many threads of its own run the model, the caller's included; by default those of the
        process (`set_num_threads`).
    pool : ThreadPool, optional
        Whose threads run it, to share them between models. A pickled model takes none along.
    progress : True or callable, optional
        True: a bar on stderr, tqdm's where that is installed. A function is called with a fraction
        from 0 to 1 and a stage; where it returns False the loading is cancelled.

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
        threads=threads,
        pool=pool,
        progress=progress,
    )
