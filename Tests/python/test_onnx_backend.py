"""ONNX's own node cases: what Martlet has must pass, and what it has not is listed.

`onnx_unsupported.txt` names each case that is refused, after its operator, and each that runs but
cannot be held against its data, with the reason behind it. A case fails here when it is refused and
not listed, or listed and not refused; `scripts/onnx-suite --list 1.23.2` prints the list anew.
"""

import collections
import pathlib

import pytest

onnx_suite = pytest.importorskip("onnx_suite")

LIST = pathlib.Path(__file__).with_name("onnx_unsupported.txt")
CASES = {folder.name: folder for folder in onnx_suite.cases()}
LINES = [
    line.split(maxsplit=2)
    for line in LIST.read_text().splitlines()
    if line and not line.startswith("#")
]
# By case, its operator; and why those are excluded that run.
EXPECTED = {case: operator for operator, case, *_ in LINES}
REASONS = {case: reason[0] for _, case, *reason in LINES if reason}
COUNTS: collections.Counter[str] = collections.Counter()


@pytest.mark.parametrize("name", CASES)
def test_node_case(name):
    status, reason = onnx_suite.outcome(CASES[name])
    COUNTS[status] += 1
    assert status != onnx_suite.WRONG, reason
    if name in REASONS:
        assert (status, reason) == (onnx_suite.EXCLUDED, REASONS[name])
    elif name in EXPECTED:
        assert status == onnx_suite.UNSUPPORTED, f"{name} passes: take it out of {LIST.name}"
        assert EXPECTED[name] == onnx_suite.operator(CASES[name])
    elif "needs a library of the system that is missing" in reason:
        # Pictures are read by the system's libraries; martlet_platform.h says which.
        pytest.skip(reason)
    else:
        assert status == onnx_suite.PASSED, f"{name} is not in {LIST.name}: {reason}"


def test_the_list_names_cases_that_exist():
    assert not EXPECTED.keys() - CASES.keys()


def test_counts(capsys):
    operators = collections.Counter(
        operator for case, operator in EXPECTED.items() if case not in REASONS
    )
    with capsys.disabled():
        print("\n" + onnx_suite.count_line(f"onnx {onnx_suite.onnx.__version__} node", COUNTS))
        print("unsupported: " + ", ".join(f"{name} {n}" for name, n in sorted(operators.items())))
