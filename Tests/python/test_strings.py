"""String operators: patterns against RE2 itself, and casts against what ONNX says."""

import random

import numpy as np
import pytest
import re2
from onnx import TensorProto, helper

import martlet

BOOL, STRING = TensorProto.BOOL, TensorProto.STRING
ALPHABET = [
    *"abcABkKsS_0 -\n\t.éÉß中あ😀İıẞΣςΩ",
    *"\u017f\u212a\u00b5\u03c3\u0301\U00010400",
]
ESCAPES = [
    *[rf"\{c}" for c in "dDsSwWbBAznt.-]_v0"],
    r"\pL", r"\PL", r"\p{Lu}", r"\p{^Ll}", r"\P{Greek}", r"\p{Greek}", r"\p{Han}", r"\pN", r"\p{M}",
    r"\p{Any}", r"\x41", r"\x{e9}", r"\x{1F600}", r"\101", r"\Qa.b*\E", r"\Q\E",
]  # fmt: skip
CLASS_PARTS = [
    *[f"[:{name}:]" for name in ("alpha", "^alpha", "digit", "space", "punct", "word", "xdigit")],
    *[f"[:{name}:]" for name in ("upper", "^upper", "lower", "ascii", "blank", "graph", "cntrl")],
    r"\d", r"\W", r"\pL", r"\PL", r"\p{Lu}", r"\n", r"\x41-\x5a", "-", "]", "^", "[", "&&",
]  # fmt: skip
FAULTS = [
    r"\Z", r"\1", r"\8", r"\p{Foo}", r"\é", r"\x{110000}", r"\xg", r"\p", r"\G", r"\x{}", "(?=a)",
    "(?!a)", "(?<=a)", "(?<!a)", "(?>a)", "(?#c)", "(?x)", "(?P=a)", "(?P<>a)", "(?P<a b>c)", "a**",
    "a{1001}", "a{3,2}", "*", "[z-a]", "[[:foo:]]", "[]", "(", ")", "[a", "(a{50}){21}",
]  # fmt: skip
GROUPS = ["", "?:", "?P<n>", "?<m>", "?i:", "?s:", "?m:", "?-i:", "?U:", "?i-s:", "?ims:"]
REPEATS = [
    "*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}", "{2,}", "{1,3}?", "{0}", "{,2}", "{1}",
    "{02}", "(?i)*", r"\Q\E?",
]  # fmt: skip


def character_class(rng):
    items = []
    for _ in range(rng.randint(1, 4)):
        kind = rng.random()
        if kind < 0.3:
            items.append(rng.choice(ALPHABET))
        elif kind < 0.5:
            items.append("-".join(sorted(rng.sample(ALPHABET, 2))))
        else:
            items.append(rng.choice(CLASS_PARTS))
    return f"[{rng.choice(['', '^'])}{''.join(items)}]"


def leaf(rng):
    kind = rng.random()
    if kind < 0.6:
        return rng.choice([*ALPHABET, "{"])
    if kind < 0.7:
        return "."
    if kind < 0.8:
        return character_class(rng)
    if kind < 0.99:
        return rng.choice([*ESCAPES, "^", "$", "()", "(|)"])
    return rng.choice(FAULTS)


def pattern(rng, depth):
    kind = rng.random()
    if depth <= 0 or kind < 0.35:
        return leaf(rng)
    if kind < 0.65:
        return "".join(pattern(rng, depth - 1) for _ in range(rng.randint(1, 4)))
    if kind < 0.75:
        return f"({rng.choice(GROUPS)}{pattern(rng, depth - 1)})"
    if kind < 0.8:
        flags = rng.choice(["(?i)", "(?s)", "(?m)", "(?-i)", "(?im-s)", "(?)"])
        return flags + pattern(rng, depth - 1)
    if kind < 0.88:
        parts = "|".join(pattern(rng, depth - 1) for _ in range(rng.randint(1, 4)))
        return f"(?:{parts})"
    inner = pattern(rng, depth - 1)
    return (inner if rng.random() < 0.3 else f"({inner})") + rng.choice(REPEATS)


def texts(rng, regex):
    own = [c for c in regex if c not in "()[]{}?*+|\\^$"] or ["a"]
    return [""] + [
        "".join(rng.choices(rng.choice([ALPHABET, own, [*"aAbB"], [*"aAkK\n"]]), k=length))
        for length in (1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9)
    ]


def model(node, strings, kind, **attributes):
    """A model of one node on strings that it holds itself, with an output of type `kind`."""
    constant = helper.make_tensor("x", STRING, [len(strings)], [s.encode() for s in strings])
    graph = helper.make_graph(
        [helper.make_node(node, ["x"], ["y"], **attributes)],
        "g",
        [],
        [helper.make_tensor_value_info("y", kind, None)],
        [constant],
    )
    opsets = [helper.make_opsetid("", 21)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return made.SerializeToString()


def run(node, strings, kind, **attributes):
    return martlet.load(model(node, strings, kind, **attributes)).run({})["y"].numpy()


def compiled(regex):
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(regex, options)
    except re2.error:
        return None


@pytest.mark.parametrize("seed", range(10))
def test_patterns_match_what_re2_matches(seed):
    rng = random.Random(seed)
    matches = refused = 0
    for _ in range(150):
        regex = pattern(rng, rng.randint(1, 5))
        strings = texts(rng, regex)
        expected = compiled(regex)
        if expected is None:
            refused += 1
            with pytest.raises(martlet.Error, match="regular expression"):
                run("RegexFullMatch", strings, BOOL, pattern=regex)
            continue
        wanted = [expected.fullmatch(s) is not None for s in strings]
        matches += sum(wanted)
        result = run("RegexFullMatch", strings, BOOL, pattern=regex)
        assert result.tolist() == wanted, (regex, strings)
    assert matches > 50
    assert refused > 0


@pytest.mark.parametrize("regex", FAULTS)
def test_what_re2_refuses_is_refused(regex):
    assert compiled(regex) is None
    with pytest.raises(martlet.Error, match="RegexFullMatch: attribute 'pattern'"):
        run("RegexFullMatch", ["a"], BOOL, pattern=regex)


@pytest.mark.parametrize("regex", ["[" + r"\pL" * 300_000 + "]", r"(?i)\pL" * 5000, "(" * 10**6])
def test_patterns_that_are_too_large_are_refused(regex):
    with pytest.raises(martlet.Error, match=r"regular expression: .*more than"):
        run("RegexFullMatch", ["a"], BOOL, pattern=regex)


def test_numbers_are_read_from_strings():
    strings = ["0.47892547", "1e-7", "NaN", "INF", "+INF", "-INF", "-0.0000001", " 5 "]
    for kind in (TensorProto.FLOAT, TensorProto.DOUBLE):
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        expected = np.array([dtype.type(s) for s in strings])
        np.testing.assert_array_equal(run("Cast", strings, kind, to=kind), expected)
    with pytest.raises(
        martlet.Error, match="element 1 of the input is 'Hello', which is no float32"
    ):
        run("Cast", ["1", "Hello"], TensorProto.FLOAT, to=TensorProto.FLOAT)


def test_floats_are_written_as_onnx_writes_them():
    values = np.random.default_rng(1).random(500, dtype=np.float32)
    nodes = [
        helper.make_node("Cast", ["x"], ["s"], to=STRING),
        helper.make_node("Equal", ["s", "wanted"], ["y"]),
    ]
    wanted = [str(v).encode() for v in values]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [len(values)])],
        [helper.make_tensor_value_info("y", BOOL, None)],
        [helper.make_tensor("wanted", STRING, [len(wanted)], wanted)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    assert martlet.load(made.SerializeToString()).run({"x": values})["y"].numpy().all()
