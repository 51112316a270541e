"""Export models from torch by both of its exporters and for several opsets, and run the files in
Martlet and in ONNX Runtime: how near the results of each are to torch's own.

Usage: make exports, or scripts/exports [--opsets N,...] [--exporters NAME,...] [--keep FOLDER]
[NAME...]   (the names: Benchmarks/exports_models.py)

A model is exported with axes that may differ and runs at three shapes; where the exporter wants
axes fixed it runs at one. Weights are drawn from a seed; nothing is downloaded. Distances are the
largest over outputs and shapes of norm(difference) / norm(torch's), "inf" where integers or shapes
are not the same or an engine does not run the file. The bar is 1e-5. A row ends with one of

  agree         Martlet is within the bar
  differ, fail  it is not, or does not run the file, and ONNX Runtime is within the bar
  neither       not ONNX Runtime either: the file is not what torch computes, or is not valid
  not exported  the exporter refuses, or writes another opset than was asked for

and below the table stands why. Exit status: 0 if nothing differs or fails, 1 otherwise.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import logging
import multiprocessing
import os
import pathlib
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import onnx
import onnxruntime
import torch
from exports_models import MODELS, Case, provide_nms, write_out_attention

import martlet

OPSETS = (11, 17, 20, 23)
BAR = 1e-5
INFINITE = float("inf")
#: Below, no exporter has torch's fused attention, and models compute it in parts.
FUSED_OPSET = 14
Feeds = dict[str, np.ndarray]
Arrays = list[np.ndarray]


def dynamo(case: Case, path: pathlib.Path, opset: int, is_dynamic: bool) -> None:
    torch.onnx.export(
        case.module, tuple(case.feeds[0]), path, dynamo=True, opset_version=opset,
        input_names=list(case.inputs), output_names=case.outputs, external_data=False,
        dynamic_shapes=tuple(case.inputs.values()) if is_dynamic else None, verbose=False,
    )  # fmt: skip


def legacy(case: Case, path: pathlib.Path, opset: int, is_dynamic: bool) -> None:
    torch.onnx.export(
        case.module, tuple(case.feeds[0]), path, dynamo=False, opset_version=opset,
        input_names=list(case.inputs), output_names=case.outputs,
        dynamic_axes=case.inputs if is_dynamic else None,
    )  # fmt: skip


EXPORTERS = {"dynamo": dynamo, "legacy": legacy}


def first_line(error: Exception) -> str:
    """The reason that an error tells: its first line, or what torch.export says at its end."""
    _, _, end = str(error).rpartition("## Exception summary")
    text = next((line for line in map(str.strip, end.splitlines()) if line), type(error).__name__)
    return text if len(text) <= 300 else f"{text[:300]} ..."


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Without what exporters print, some of it in C++, and warn of."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    logging.disable(logging.CRITICAL)
    with open(os.devnull, "w") as nowhere, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in kept:
            os.dup2(nowhere.fileno(), number)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in kept.items():
                os.dup2(copy, number)
                os.close(copy)
            logging.disable(logging.NOTSET)


def export(case: Case, exporter: str, opset: int, path: pathlib.Path) -> tuple[bool, str]:
    """Writes the file: whether its axes may differ, and what the exporter says against that."""
    refusal = ""
    for is_dynamic in (True, False):
        try:
            with silence():
                EXPORTERS[exporter](case, path, opset, is_dynamic)
        except Exception as error:
            refusal = refusal or first_line(error)
            continue
        written = {each.domain: each.version for each in onnx.load(path).opset_import}[""]
        if written != opset:
            raise NotExportedError(f"the file is of opset {written}")
        return is_dynamic, refusal
    raise NotExportedError(refusal)


class NotExportedError(Exception):
    pass


def expected(case: Case, feed: list[torch.Tensor]) -> tuple[Feeds, Arrays]:
    """The inputs by name, and torch's results."""
    with torch.no_grad():
        given = case.module(*feed)
    results = given if isinstance(given, tuple) else (given,)
    feeds = dict(zip(case.inputs, (value.numpy() for value in feed), strict=True))
    return feeds, [value.numpy() for value in results]


def distance(actual: Arrays, wanted: Arrays) -> float:
    """The largest over the outputs; infinite for integers or shapes that differ."""
    worst = 0.0
    for got, want in zip(actual, wanted, strict=True):
        if got.shape != want.shape or got.dtype != want.dtype:
            return INFINITE
        if want.dtype.kind != "f":
            worst = worst if np.array_equal(got, want) else INFINITE
            continue
        apart = np.linalg.norm((got.astype(np.float64) - want).ravel())
        apart /= max(float(np.linalg.norm(want.ravel())), 1e-30)
        # NaN is as far as can be.
        worst = max(worst, float(apart)) if apart <= INFINITE else INFINITE
    return worst


def in_martlet(path: pathlib.Path) -> Callable[[Feeds], Arrays]:
    martlet.set_num_threads(1)
    model = martlet.load(path, mode="FP32")
    return lambda feeds: [np.asarray(value) for value in model.run(feeds).values()]


def in_onnxruntime(path: pathlib.Path) -> Callable[[Feeds], Arrays]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda feeds: session.run(None, feeds)


ENGINES = {"Martlet": in_martlet, "ONNX Runtime": in_onnxruntime}


def tried(engine: str, path: pathlib.Path, pairs: list[tuple[Feeds, Arrays]]) -> float | str:
    """How far an engine is from torch, or what it says where it does not run the file."""
    try:
        run = ENGINES[engine](path)
        return max(distance(run(feeds), wanted) for feeds, wanted in pairs)
    except Exception as error:
        return f"{type(error).__name__}: {first_line(error)}"


@dataclasses.dataclass
class Row:
    verdict: str
    shapes: int = 0
    #: By engine: how far from torch; infinite where it does not run the file.
    far: dict[str, float] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)


def judged(case: Case, exporter: str, opset: int, path: pathlib.Path) -> Row:
    pairs = [expected(case, feed) for feed in case.feeds]
    if opset < FUSED_OPSET:
        write_out_attention(case.module)
    try:
        is_dynamic, refusal = export(case, exporter, opset, path)
    except NotExportedError as error:
        return Row("not exported", notes=[f"not exported: {error}"])
    notes = [] if is_dynamic else [f"axes are fixed: {refusal}"]
    pairs = pairs if is_dynamic else pairs[:1]
    said = {engine: tried(engine, path, pairs) for engine in ENGINES}
    far = {key: value if isinstance(value, float) else INFINITE for key, value in said.items()}
    notes += [f"{key}: {value}" for key, value in said.items() if isinstance(value, str)]
    ours, theirs = far.values()
    if ours <= BAR:
        verdict = "agree"
    elif theirs > BAR:
        verdict = "neither"
    else:
        verdict = "differ" if isinstance(said["Martlet"], float) else "fail"
    return Row(verdict, len(pairs), far, notes)


def in_child(case: Case, exporter: str, opset: int, path: pathlib.Path) -> Row:
    """Judges in a process of its own: an exporter may leave the model and torch in another state (a
    process's second export fixes axes that the first left free), and an engine may end it."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(judged(case, exporter, opset, path)))
    child.start()
    sender.close()
    try:
        row = receiver.recv()
    except EOFError:
        row = None
    child.join()
    return row or Row("fail", notes=[f"the process ended with {child.exitcode}"])


def warm(folder: pathlib.Path) -> None:
    """Loads what the exporters load at their first call, for all children."""
    case = Case(torch.nn.Linear(2, 2).eval(), {"x": {0: "batch"}}, ["y"], [[torch.ones(3, 2)]])
    for exporter in EXPORTERS:
        export(case, exporter, 20, folder / "warm.onnx")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--opsets", default=",".join(map(str, OPSETS)))
    parser.add_argument("--exporters", default=",".join(EXPORTERS))
    parser.add_argument("--keep", metavar="FOLDER", help="where the files stay")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - MODELS.keys()
    if unknown:
        parser.error(f"no models {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    provide_nms()
    print("| model | exporter | opset | shapes | Martlet | ONNX Runtime | |")
    print("|" + "---|" * 7)
    counts: collections.Counter[str] = collections.Counter()
    notes = []
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        warm(pathlib.Path(temporary))
        folder = pathlib.Path(arguments.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in arguments.names or MODELS:
            torch.manual_seed(7)
            case = MODELS[name]()
            for exporter in arguments.exporters.split(","):
                for opset in map(int, arguments.opsets.split(",")):
                    path = folder / f"{name}-{exporter}-{opset}.onnx"
                    row = in_child(case, exporter, opset, path)
                    counts[row.verdict] += 1
                    notes += [f"{name}, {exporter}, {opset}: {note}" for note in row.notes]
                    columns = [name, exporter, opset, row.shapes or ""]
                    columns += [f"{row.far[key]:.1e}" if row.far else "" for key in ENGINES]
                    print(f"| {' | '.join(map(str, columns))} | {row.verdict} |", flush=True)
    print("\n" + "\n".join(notes))
    summary = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS)
    print(f"\n{summary}; {time.perf_counter() - begin:.0f} s")
    return 1 if counts["differ"] or counts["fail"] else 0


KINDS = ("agree", "differ", "fail", "neither", "not exported")

if __name__ == "__main__":
    sys.exit(main())
