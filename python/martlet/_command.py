"""The command of the Python package: `martlet`, or `python -m martlet`.

It has what a Python installation can use without anything else; the command that `make install`
installs has the same options, and more subcommands.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import martlet

_EPILOG = """\
Results go to standard output, errors to standard error. Exit codes: 0 done, 1 failed,
64 wrong usage or input, 65 malformed model or .npy file, 66 no such file, 69 not supported,
71 out of memory, 74 reading or writing failed.
"""

_USAGE, _MALFORMED, _NO_FILE, _UNSUPPORTED, _MEMORY, _IO = 64, 65, 66, 69, 71, 74


class _Failure(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(_USAGE, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the command line says; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.action(options)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has enough
        _discard_output()
        return 0
    except _Failure as failure:
        return _fail(failure.code, failure)
    except FileNotFoundError as error:
        return _fail(_NO_FILE, error)
    except martlet.Error as error:
        return _fail(_code_of(error), error)
    except OSError as error:
        if error.filename is None:
            _discard_output()
            return _fail(_IO, f"cannot write standard output: {error.strerror}")
        return _fail(_IO, error)
    except (TypeError, ValueError, OverflowError) as error:
        return _fail(_USAGE, error)
    except KeyboardInterrupt:
        return 130
    return 0


def _code_of(error: martlet.Error) -> int:
    for kind, code in (
        (martlet.InvalidModelError, _MALFORMED),
        (martlet.UnsupportedError, _UNSUPPORTED),
        (martlet.OutOfMemoryError, _MEMORY),
        (martlet.FileError, _IO),
        ((martlet.LimitExceededError, martlet.CancelledError), 1),
        ((ValueError, TypeError), _USAGE),
    ):
        if isinstance(error, kind):
            return code
    return 1


def _fail(code: int, message: object) -> int:
    with contextlib.suppress(OSError):
        print(f"martlet: {message}", file=sys.stderr)
    return code


def _discard_output() -> None:
    """Lets the interpreter end without another error of standard output."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> _Parser:
    parser = _Parser(
        prog="martlet",
        description="Runs neural networks on CPUs, in float32 or on the bfloat16 units.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=martlet.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    both = _Parser(add_help=False)
    both.add_argument("--json", action="store_true", help="print JSON")

    info = commands.add_parser(
        "info", parents=[both], help="print the processor, the chosen kernels and why"
    )
    info.set_defaults(action=_info)

    inspect = commands.add_parser(
        "inspect", parents=[both], help="print a model's inputs, outputs, metadata and size"
    )
    inspect.add_argument("model", help="the .onnx file")
    inspect.set_defaults(action=_inspect)

    run = commands.add_parser("run", parents=[both], help="run a model on .npy files")
    run.add_argument("model", help="the .onnx file")
    run.add_argument(
        "--input", action="append", default=[], metavar="NAME=FILE",
        help="an input, name=file.npy; once for each. One input needs no name",
    )  # fmt: skip
    run.add_argument("--output-dir", help="where the outputs go, as NAME.npy; made if need be")
    run.add_argument("--mode", help="float32 fast-math mode: FP32, BF16, TF32, F16 or ANY")
    run.add_argument("--threads", type=int, help="threads at most")
    run.add_argument("--report", action="store_true", help="print what products ran as, and why")
    run.add_argument("--profile", action="store_true", help="print the time of each node")
    run.set_defaults(action=_run)
    return parser


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())


# info


def _info(options: argparse.Namespace) -> None:
    info = martlet.cpu_info()
    mode, threads = martlet.get_float32_fast_math_mode(), martlet.get_num_threads()
    if options.json:
        value = info._asdict()
        value["instruction_sets"] = [entry._asdict() for entry in info.instruction_sets]
        value["kernels"] = [entry._asdict() for entry in info.kernels]
        value |= {"has_bf16": info.has_bf16, "mode": mode, "threads": threads}
        _print_json({"version": martlet.__version__, **value})
        return
    units = "has" if info.has_bf16 else "has no"
    _print_table(
        [
            ("martlet", martlet.__version__),
            ("processor", info.name),
            ("features", " ".join(info.features)),
            ("threads", str(threads)),
            ("mode", mode),
            ("BF16", f"this processor {units} bf16 units"),
            ("operators", str(len(martlet.operators()))),
        ]
    )
    print()
    _print_table(
        [
            ("instruction set", "verdict"),
            *((entry.name, entry.reason) for entry in info.instruction_sets),
        ]
    )
    print()
    _print_table(
        [
            ("kernel", "written for", "purpose"),
            *((kernel.name, kernel.isa, kernel.purpose) for kernel in info.kernels),
        ]
    )


# inspect


def _inspect(options: argparse.Namespace) -> None:
    model = martlet.load(options.model, prepare=False)
    memory = model.memory()
    groups = (
        ("input", model.inputs), ("output", model.outputs), ("replaceable", model.replaceable)
    )  # fmt: skip
    if options.json:
        described = {
            f"{kind}s" if kind != "replaceable" else kind: [value._asdict() for value in values]
            for kind, values in groups
        }
        constants = memory["constants"]
        _print_json({"metadata": model.metadata, **described, "constants_bytes": constants})
        return
    rows = [(f"{key}:", text.replace("\n", " ")) for key, text in model.metadata.items()]
    _print_table([*rows, ("constants:", f"{memory['constants'] / 1e6:.1f} MB")])
    print()
    _print_table(
        [
            ("", "name", "type"),
            *((kind, value.name, value.type) for kind, values in groups for value in values),
        ]
    )


# run


def _run(options: argparse.Namespace) -> None:
    model = martlet.load(options.model, mode=options.mode, threads=options.threads)
    feed = dict(_inputs(model, options.input))
    results = model.run(feed)
    texts = {}
    if options.report:
        texts["report"] = str(model.precision_report())
    if options.profile:
        texts["profile"] = str(model.profile(**feed))
    files = {}
    if options.output_dir is not None:
        os.makedirs(options.output_dir, exist_ok=True)
        files = dict(_saved(results, options.output_dir))
    if options.json:
        outputs = [
            {"name": name, "file": files.get(name), **_described(value)}
            for name, value in results.items()
        ]
        _print_json({"outputs": outputs, **texts})
        return
    for name, value in results.items():
        print(f"{name} = {value!r}" + (f" -> {files[name]}" if name in files else ""))
    for text in texts.values():
        print(text.rstrip())


def _described(value: Any) -> dict[str, Any]:
    if isinstance(value, martlet.Tensor):
        return {"dtype": value.dtype, "shape": value.shape}
    return {"kind": type(value).__name__}


def _inputs(model: martlet.Model, given: list[str]) -> Iterator[tuple[str, Any]]:
    names = [value.name for value in model.inputs + model.replaceable]
    for text in given:
        name, _, file = text.partition("=")
        if name not in names:
            if len(model.inputs) != 1 or (file and not os.path.exists(text)):
                known = ", ".join(f"'{known}'" for known in names)
                raise _Failure(
                    _USAGE, f"--input {text}: expected name=file.npy; the inputs are {known}"
                )
            name, file = model.inputs[0].name, text
        yield name, _read(file)


def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        raise _Failure(
            _UNSUPPORTED, "reading and writing .npy files needs NumPy: pip install numpy"
        ) from None
    return numpy


def _read(file: str) -> Any:
    numpy = _numpy()
    try:
        return numpy.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise _Failure(_MALFORMED, f"{file} is no .npy file of numbers or texts: {error}") from None


def _saved(results: martlet.Results, folder: str) -> Iterator[tuple[str, str]]:
    """Writes each output to a file of its name, all of it or nothing."""
    numpy = _numpy()
    for name, value in results.items():
        if not isinstance(value, martlet.Tensor):
            raise _Failure(_UNSUPPORTED, f"output '{name}' is no tensor, and .npy files hold those")
        path = os.path.join(folder, re.sub(r"[^\w.-]", "_", name) + ".npy")
        array = value.numpy()
        if array.dtype == object:
            array = array.astype(str)
        part = f"{path}.part{os.getpid()}"
        try:
            with open(part, "wb") as stream:
                numpy.save(stream, array, allow_pickle=False)
            os.replace(part, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise _Failure(_IO, f"cannot write {path}: {error.strerror or error}") from None
        yield name, path
