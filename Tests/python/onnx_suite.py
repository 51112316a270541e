"""Runs the cases that an installed `onnx` brings and counts the outcomes.

They are files (onnx/backend/test/data), but newer versions make those of single operators in
Python: these are written to .build-onnx/cases-VERSION once.

As a program: `python Tests/python/onnx_suite.py [--cases] [--list]`, best by `scripts/onnx-suite`,
which makes an environment with the wanted version. `test_onnx_backend.py` takes it as a module.
"""

import argparse
import collections
import functools
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import ml_dtypes
import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

import martlet
from martlet import onnx_backend

DATA = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data"
WRITTEN = pathlib.Path(__file__).parents[2] / ".build-onnx" / f"cases-{onnx.__version__}"
SUITES = ("node", "simple", "pytorch-converted", "pytorch-operator")
PASSED, WRONG, UNSUPPORTED, EXCLUDED = "passed", "wrong", "unsupported", "excluded"

# Cases that cannot be held against their data, with the reason; by the start of the name, or all of
# it where it ends in $.
UNDECIDABLE = {
    "test_bernoulli": "random",
    "test_dft_inverse": "a number of the data is the rounding error of a 0",
    "test_training_dropout$": "random",
    "test_training_dropout_default": "random",
    "test_training_dropout_mask": "random",
}
if tuple(map(int, onnx.__version__.split(".")[:2])) < (1, 20):
    # Data that later versions have mended.
    UNDECIDABLE |= {
        "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True": (
            "the data count pixels behind the padding"
        ),
        "test_l2normalization_axis_0": "a slice of norm 0 is NaN in the data, later 0",
        "test_qlinearmatmul_2D_int8": "the data wrap around, where the text says saturate",
        "test_qlinearmatmul_3D_int8": "the data wrap around, where the text says saturate",
    }
    # The text leaves open what becomes of numbers beyond the type; later data keep the low bits.
    UNDECIDABLE |= {
        f"test_cast_{source}_to_{target}": "the data saturate"
        for source in ("FLOAT", "FLOAT16")
        for target in ("INT4", "UINT4")
    }


def cases(suite: str = "node") -> list[pathlib.Path]:
    """The folders of a suite's cases."""
    folder = DATA / suite
    if suite == "node" and not folder.exists():
        folder = WRITTEN
        if not folder.exists():
            write_node_cases(folder)
    return sorted(path.parent for path in folder.glob("*/model.onnx"))


def write_node_cases(folder: pathlib.Path) -> None:
    """Writes the cases that onnx makes in Python in the form of those that it has as files."""
    folder.parent.mkdir(exist_ok=True)
    unfinished = pathlib.Path(tempfile.mkdtemp(dir=folder.parent))
    for case in load_model_tests(kind="node"):
        own = unfinished / case.name
        own.mkdir()
        (own / "model.onnx").write_bytes(case.model.SerializeToString())
        graph = case.model.graph
        for index, (inputs, outputs) in enumerate(case.data_sets):
            data = own / f"test_data_set_{index}"
            data.mkdir()
            for role, values, infos in [
                ("input", inputs, graph.input),
                ("output", outputs, graph.output),
            ]:
                for place, (value, info) in enumerate(zip(values, infos, strict=False)):
                    path = data / f"{role}_{place}.pb"
                    path.write_bytes(proto_of(value, info).SerializeToString())
    try:
        unfinished.rename(folder)
    except OSError:  # somebody else was quicker
        shutil.rmtree(unfinished)


def proto_of(value: object, info: onnx.ValueInfoProto) -> object:
    kind = info.type.WhichOneof("value")
    if isinstance(value, onnx.TensorProto):
        return value
    make = {
        "sequence_type": numpy_helper.from_list,
        "optional_type": numpy_helper.from_optional,
        "map_type": numpy_helper.from_dict,
    }.get(kind, numpy_helper.from_array)
    return make(value, info.name)


@functools.cache
def operator(folder: pathlib.Path) -> str:
    """The operator that a case is about: of an expanded function that of the function."""
    name, expanded, _ = folder.name.partition("_expanded")
    whole = folder.with_name(name)
    if expanded and (whole / "model.onnx").exists():
        return operator(whole)
    nodes = onnx.load(folder / "model.onnx", load_external_data=False).graph.node
    names = [node.op_type for node in nodes if node.op_type != "Constant"] or ["Constant"]
    return names[0]


# Floats and integers of 8 bits and less by their data type: the name in ml_dtypes, and the bits.
NARROW = {
    17: ("float8_e4m3fn", 8),
    18: ("float8_e4m3fnuz", 8),
    19: ("float8_e5m2", 8),
    20: ("float8_e5m2fnuz", 8),
    21: ("uint4", 4),
    22: ("int4", 4),
    23: ("float4_e2m1fn", 4),
    24: ("float8_e8m0fnu", 8),
    25: ("uint2", 2),
    26: ("int2", 2),
    27: ("float6_e2m3fn", 6),
    28: ("float6_e3m2fn", 6),
}


def narrow(proto: onnx.TensorProto) -> np.ndarray:
    """Like to_array() of newer versions: older ones have no such arrays."""
    name, bits = NARROW[proto.data_type]
    raw = np.frombuffer(proto.raw_data, np.uint8)
    if not proto.raw_data:
        raw = np.array(proto.int32_data, np.int64).astype(np.uint8)
    if bits < 8 and (proto.raw_data or bits != 6):
        count = int(np.prod(proto.dims))
        ones = np.unpackbits(raw, count=count * bits, bitorder="little").reshape(-1, bits)
        raw = np.packbits(np.pad(ones, ((0, 0), (0, 8 - bits))), axis=1, bitorder="little")
    return raw.view(getattr(ml_dtypes, name)).reshape(list(proto.dims))


def array(proto: onnx.TensorProto, type_proto: onnx.TypeProto) -> np.ndarray:
    """Like to_array(), for every version's protos."""
    if proto.data_type in NARROW:
        return narrow(proto)
    if proto.data_type == onnx.TensorProto.STRING:
        strings = [text.decode() for text in proto.string_data]
        return np.array(strings, object).reshape(list(proto.dims))
    # Older versions call the bits uint16.
    bfloat16 = onnx.TensorProto.BFLOAT16
    if bfloat16 not in (proto.data_type, type_proto.tensor_type.elem_type):
        return numpy_helper.to_array(proto)
    bits = np.frombuffer(proto.raw_data, "<u2") if proto.raw_data else proto.int32_data
    return np.array(bits, np.uint16).view(ml_dtypes.bfloat16).reshape(list(proto.dims))


def value(data: bytes, type_proto: onnx.TypeProto) -> object:
    """What a file holds: an array, a list of them for a sequence, None for an empty optional."""
    kind = type_proto.WhichOneof("value")
    if kind == "sequence_type":
        proto = onnx.SequenceProto.FromString(data)
        inner = type_proto.sequence_type.elem_type
        elements = [*proto.tensor_values, *proto.sequence_values, *proto.optional_values]
        return [value(element.SerializeToString(), inner) for element in elements]
    if kind == "optional_type":
        proto = onnx.OptionalProto.FromString(data)
        inner = type_proto.optional_type.elem_type
        for field in ("tensor_value", "sequence_value"):
            if proto.HasField(field):
                return value(getattr(proto, field).SerializeToString(), inner)
        return None
    if kind == "map_type":
        return numpy_helper.to_dict(onnx.MapProto.FromString(data))
    return array(onnx.TensorProto.FromString(data), type_proto)


def disagreement(actual: object, expected: object) -> str:
    """`difference` for values of every kind."""
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            return f"{actual!r} is no list of {len(expected)}"
        texts = (disagreement(a, b) for a, b in zip(actual, expected, strict=True))
        return next((f"element {i}: {text}" for i, text in enumerate(texts) if text), "")
    if expected is None or actual is None:
        return "" if actual is expected else f"{actual!r}, not {expected!r}"
    return difference(np.asarray(actual), expected)


def difference(actual: np.ndarray, expected: np.ndarray) -> str:
    """Empty where they agree within ONNX's own tolerances: 1e-3 relative, 1e-7 absolute.

    bfloat16 has two units in the last place, as ONNX gives it, and so has float16: the nodes of a
    function round one after another, Martlet's operator rounds once.
    """
    if actual.dtype != expected.dtype or actual.shape != expected.shape:
        return f"{actual.dtype}{actual.shape}, not {expected.dtype}{expected.shape}"
    if expected.dtype.kind in "biuO":
        return "" if np.array_equal(actual, expected) else "values differ"
    relative = {"bfloat16": 2.0**-6, "float16": 2.0**-9}.get(expected.dtype.name, 1e-3)
    a, b = (x.astype(np.float64) for x in (actual, expected))
    if np.allclose(a, b, rtol=relative, atol=1e-7, equal_nan=True):
        return ""
    with np.errstate(invalid="ignore"):
        return f"values differ by up to {np.nanmax(np.abs(a - b)):.3g}"


def outcome(folder: pathlib.Path) -> tuple[str, str]:
    """What a case comes to, with the reason where it does not pass."""
    for start, reason in UNDECIDABLE.items():
        if f"{folder.name}$".startswith(start):
            return EXCLUDED, reason
    try:
        prepared = onnx_backend.prepare(folder / "model.onnx")
        graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
        constants = {tensor.name for tensor in graph.initializer}
        given = [info for info in graph.input if info.name not in constants]
        for data in sorted(folder.glob("test_data_set_*")):
            feeds = {}
            for index, info in enumerate(given):
                path = data / f"input_{index}.pb"
                if not path.exists():
                    continue
                feeds[info.name] = value(path.read_bytes(), info.type)
            results = prepared.run(feeds)
            for index, info in enumerate(graph.output):
                path = data / f"output_{index}.pb"
                if not path.exists():
                    continue
                text = disagreement(results[index], value(path.read_bytes(), info.type))
                if text:
                    return WRONG, f"output '{info.name}': {text}"
    except martlet.UnsupportedError as error:
        return UNSUPPORTED, str(error).splitlines()[0]
    except Exception as error:  # any other failure is an outcome too
        return WRONG, f"{type(error).__name__}: {error}"
    return PASSED, ""


def outcomes(folders: list[pathlib.Path]) -> dict[pathlib.Path, tuple[str, str]]:
    """The outcomes in a process of their own, so that a crash is one of them."""
    results: dict[pathlib.Path, tuple[str, str]] = {}
    left = folders
    while left:
        worker = subprocess.run(
            [sys.executable, __file__, "--worker"], input="\n".join(map(str, left)),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        for line in worker.stdout.splitlines():
            folder, status, reason = json.loads(line)
            results[pathlib.Path(folder)] = (status, reason)
        left = [folder for folder in left if folder not in results]
        if left:
            results[left[0]] = (WRONG, f"the process ended with {worker.returncode}")
            left = left[1:]
    return results


def count_line(name: str, counts: collections.Counter[str]) -> str:
    return (
        f"{name}: {counts.total()} cases, {counts[PASSED]} passed, {counts[WRONG]} wrong, "
        f"{counts[UNSUPPORTED]} unsupported, {counts[EXCLUDED]} excluded"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", action="store_true", help="also print each case with its reason")
    parser.add_argument("--all", action="store_true", help="also print operators that all pass")
    parser.add_argument(
        "--list", action="store_true", help="print onnx_unsupported.txt for this version instead"
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        for line in sys.stdin.read().splitlines():
            print(json.dumps([line, *outcome(pathlib.Path(line))]), flush=True)
        return 0
    wrong = 0
    for suite in SUITES[:1] if options.list else SUITES:
        results = outcomes(cases(suite))
        by_operator = collections.defaultdict(list)
        for folder, (status, reason) in results.items():
            by_operator[operator(folder)].append((folder.name, status, reason))
        if options.list:
            for name, rows in sorted(by_operator.items()):
                for case, status, reason in rows:
                    if status == UNSUPPORTED:
                        print(name, case)
                    if status == EXCLUDED:
                        print(name, case, reason)
            continue
        counts = collections.Counter(status for status, _ in results.values())
        wrong += counts[WRONG]
        print(count_line(f"onnx {onnx.__version__} {suite}", counts))
        for name, rows in sorted(by_operator.items()):
            own = collections.Counter(status for _, status, _ in rows)
            if options.all or own.total() != own[PASSED]:
                print(count_line(f"  {name}", own))
            for case, status, reason in rows:
                if status == WRONG or (options.cases and status != PASSED):
                    print(f"    {status} {case}: {reason}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
