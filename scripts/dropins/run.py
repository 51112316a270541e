"""What scripts/dropin runs in a program's environment.

run.py ENGINE NAME FILE [MODELS...]   writes what the program's results() gives to FILE
run.py compare NAME                   compares onnxruntime.npz and martlet.npz of this folder

Texts and integers must be the same, and floats as near as 1e-4 by the norm of the difference over
the norm: results of a package are those of several models in a row. How near they are is printed.
"""

import importlib.util
import pathlib
import sys
import time

import numpy as np


def program_of(name):
    path = pathlib.Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"dropin_{name}", path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program


def run(engine, name, path, *models):
    # Programs are called like the packages that they import.
    here = pathlib.Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if pathlib.Path(entry).resolve() != here]
    import onnxruntime

    is_martlet = onnxruntime.get_build_info().startswith("Martlet")
    assert is_martlet == (engine == "martlet"), onnxruntime.get_build_info()
    begin = time.perf_counter()
    results = program_of(name).results(*map(pathlib.Path, models))
    seconds = time.perf_counter() - begin
    np.savez(path, seconds=seconds, **{f"of {key}": value for key, value in results.items()})


NEAR = 1e-4


def distance(got, want):
    """The norm of the difference of two arrays of floats over the norm."""
    norm = np.linalg.norm(want.ravel())
    return np.linalg.norm((got - want).ravel()) / (norm or 1)


def difference(got, want):
    """What differs, or an empty text."""
    if got.shape != want.shape or got.dtype.kind != want.dtype.kind:
        return f"{got.dtype}{got.shape} instead of {want.dtype}{want.shape}"
    if want.dtype.kind not in "fc":
        wrong = np.flatnonzero(got.ravel() != want.ravel())
        if not wrong.size:
            return ""
        first = wrong[0]
        return f"{wrong.size} differ, first {got.ravel()[first]!r} != {want.ravel()[first]!r}"
    apart = distance(got, want)
    return "" if apart <= NEAR else f"{apart:.1e} apart"


def compare(name):
    want, got = (dict(np.load(f"{engine}.npz")) for engine in ("onnxruntime", "martlet"))
    texts, apart = [], 0.0
    for key in sorted(want.keys() | got.keys()):
        if key == "seconds":
            continue
        if key not in want or key not in got:
            texts.append(f"{key[3:]} comes from one engine only")
            continue
        text = difference(got[key], want[key])
        if text:
            texts.append(f"{key[3:]}: {text}")
        elif want[key].dtype.kind == "f":
            apart = max(apart, distance(got[key], want[key]))
    times = f"{want['seconds']:.2f} s with ONNX Runtime, {got['seconds']:.2f} s with Martlet"
    verdict = "differ" if texts else "agree"
    print(f"{name}: {verdict}, {len(want) - 1} results at most {apart:.1e} apart; {times}")
    for text in texts:
        print(f"  {text}")
    return 1 if texts else 0


if __name__ == "__main__":
    if sys.argv[1] == "compare":
        sys.exit(compare(sys.argv[2]))
    run(*sys.argv[1:])
