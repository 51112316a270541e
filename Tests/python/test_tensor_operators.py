"""What Python's operators, brackets and built-in functions do with tensors."""

import copy
import gc
import itertools
import operator

import numpy as np
import pytest

import martlet
from martlet import _martlet

DATA = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
FLOATS = ["float16", "bfloat16", "float32", "float64"]
SIGNED = ["int8", "int16", "int32", "int64"]
UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]


def of(values, dtype="float32"):
    return martlet.tensor(values, dtype)


# ---- parts

KEYS = [
    0, -1, (0, 1), (0, 1, 2), (1, -3, -4), slice(None), slice(1, None), slice(None, None, -1),
    slice(5, 9), (slice(None), slice(None, None, 2)), (slice(None), slice(2, 0, -1), slice(1, -1)),
    ..., (..., 0), (0, ...), (0, ..., 1), (..., slice(None, None, -3)), None, (None, 0, None),
    (slice(None), None, 1), (0, 1, 2, ...), (0, 1, 2, None), np.int64(1), (), (slice(2, 2), 1),
    (..., slice(None, None, 1000)), slice(-1000, 1000, 7),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_parts_are_numpys_and_over_the_same_memory(key):
    for data in (DATA, DATA[::-1, :, ::-1], DATA.T.copy().T):
        part = martlet.Tensor(data)[key]
        expected = data[key]
        assert part.shape == np.shape(expected) and part.dtype == "float32"
        np.testing.assert_array_equal(part.numpy(), expected)
        if expected.size:
            assert np.shares_memory(part.numpy(), data)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8e4m3fn", "int4", "uint2", "float4e2m1"])
def test_parts_of_narrow_dtypes(dtype):
    values = [[0, 1, 2], [1, 0, 1]]
    tensor = of(values, dtype)
    assert tensor[1].dtype == dtype
    assert tensor[1].tolist() == values[1]
    assert tensor[:, ::-1].tolist() == [row[::-1] for row in values]
    assert tensor.T.tolist() == np.array(values).T.tolist()
    assert tensor.reshape(-1, 2).tolist() == [[0, 1], [2, 1], [0, 1]]
    assert repr(tensor).endswith(f"shape=(2, 3), dtype={dtype})")


def test_parts_of_strings():
    data = np.array([["a", "b", "ü"], ["", "e", "f" * 30]], object)
    tensor = martlet.Tensor(data)
    for key in (0, (1, 2), (slice(None), 1), (..., slice(None, None, -1)), None, slice(2, 2)):
        np.testing.assert_array_equal(tensor[key].numpy(), data[key])
    assert tensor[0, 1].item() == "b"
    assert tensor.T.tolist() == data.T.tolist()
    assert [row.tolist() for row in tensor] == data.tolist()
    assert (tensor == "e").tolist() == [[False] * 3, [False, True, False]]
    assert (tensor[0] != ["a", "x", "ü"]).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (2, "index 2 is out of range for axis 0, which has 2"),
        (-3, "index -3 is out of range for axis 0"),
        ((0, 0, 4), "axis 2, which has 4"),
        ((0, 0, 0, 0), "4 indices for a Tensor of 3 axes"),
        ((..., ...), "more than one"),
        (1.0, "not by float; numpy()"),
        (True, "not by bool"),
        ([0, 1], "not by list"),
        (np.array([0, 1]), "not by ndarray"),
        (np.ones((2, 3, 4), bool), "not by ndarray"),
        (martlet.Tensor(np.ones(2, np.int64)), "not by Tensor"),
        ("probabilities", "model.run"),
    ],
    ids=str,
)
def test_what_is_no_index_says_so(key, message):
    with pytest.raises(IndexError) as info:
        martlet.Tensor(DATA)[key]
    assert message in str(info.value)


def test_elements_are_written_through_numpy():
    tensor = martlet.Tensor(DATA.copy())
    with pytest.raises(TypeError, match=r"numpy\(\)\[...\] = value"):
        tensor[0] = 1
    with pytest.raises(TypeError, match="cannot be deleted"):
        del tensor[0]
    tensor[1, ::-1].numpy()[0, 3] = 99
    assert tensor[1, 2, 3].item() == 99
    read_only = DATA.copy()
    read_only.flags.writeable = False
    assert martlet.Tensor(read_only)[0].is_read_only
    assert not tensor[0].is_read_only


def test_parts_outlive_what_they_are_of():
    data = np.arange(12, dtype=np.int32).reshape(3, 4)
    part = martlet.Tensor(data)[1][1:]
    row = (martlet.tensor([[1.0, 2.0], [3.0, 4.0]]) + 0)[1]
    gc.collect()
    assert part.tolist() == [5, 6, 7] and row.tolist() == [3, 4]
    before = martlet.memory_in_use()
    whole = martlet.tensor([0.0] * 4096) + 1
    part = whole[:1]
    del whole
    assert martlet.memory_in_use() >= before + 4096 * 4
    del part
    gc.collect()
    assert martlet.memory_in_use() == before


def test_a_view_never_leaves_the_tensors_memory():
    tensor = martlet.Tensor(DATA)
    for offset, shape, strides in (
        (-4, (1,), (4,)), (96, (1,), (4,)), (0, (25,), (4,)), (0, (2,), (-4,)), (92, (2,), (4,)),
        (2, (1,), (4,)), (0, (2,), (2,)), (0, (1 << 62,), (1 << 62,)), (0, (-1,), (4,)),
        (0, (2, 2), (4,)), (1 << 62, (1,), (4,)), (0, (2, 2), (96, 0)),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            _martlet.view(tensor, offset, shape, strides)
    with pytest.raises(ValueError):
        tensor[(None,) * 30]
    assert _martlet.view(tensor, 92, (3,), (0,)).tolist() == [23, 23, 23]


def test_iteration_length_and_membership():
    tensor = martlet.Tensor(DATA)
    assert [part.shape for part in tensor] == [(3, 4)] * 2
    assert [float(value) for value in tensor[0, 0]] == [0, 1, 2, 3]
    first, second = tensor
    assert second.tolist() == DATA[1].tolist() and len(first) == 3
    assert 3 in tensor[0, 0] and 3.5 not in tensor[0, 0]
    with pytest.raises(TypeError, match=r"item\(\)"):
        iter(martlet.Tensor(1.0))


# ---- other shapes


def test_transposes_and_other_shapes():
    tensor = martlet.Tensor(DATA)
    np.testing.assert_array_equal(tensor.T.numpy(), DATA.T)
    assert np.shares_memory(tensor.T.numpy(), DATA)
    for shape in ((24,), (-1,), (4, 6), (2, -1, 2), (1, 24, 1), (24, -1)):
        np.testing.assert_array_equal(tensor.reshape(*shape).numpy(), DATA.reshape(shape))
        np.testing.assert_array_equal(tensor.reshape(shape).numpy(), DATA.reshape(shape))
        np.testing.assert_array_equal(tensor.T.reshape(shape).numpy(), DATA.T.reshape(shape))
    assert np.shares_memory(tensor.reshape(-1).numpy(), DATA)
    assert martlet.tensor([]).reshape(0, 3).shape == (0, 3)
    assert martlet.tensor([5]).reshape().item() == 5
    assert tensor.reshape(np.int64(24)).shape == (24,)
    for bad in ((5, 5), (-1, -1), (-2, -12), (0, -1), (25,), (7, -1)):
        with pytest.raises(ValueError, match=r"of shape \(2, 3, 4\) cannot be reshaped"):
            tensor.reshape(bad)
    for bad in ("abc", 2.0, None, (2, "x")):
        with pytest.raises(TypeError, match=r"reshape\(\) takes"):
            tensor.reshape(bad)


def test_argmax():
    data = np.random.default_rng(3).integers(0, 9, (4, 5, 6)).astype(np.float32)
    tensor = martlet.Tensor(data)
    assert tensor.argmax().item() == data.argmax()
    for axis in (0, 1, -1):
        np.testing.assert_array_equal(tensor.argmax(axis).numpy(), data.argmax(axis))
    assert ["a", "b"][martlet.tensor([0.1, 0.9]).argmax()] == "b"
    with pytest.raises(ValueError, match="axis"):
        tensor.argmax(axis=3)
    with pytest.raises(ValueError, match="without elements"):
        martlet.tensor([]).argmax()


# ---- arithmetic

BINARY = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    "//": operator.floordiv, "%": operator.mod, "**": operator.pow, "&": operator.and_,
    "|": operator.or_, "^": operator.xor, "<<": operator.lshift, ">>": operator.rshift,
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip


@pytest.mark.parametrize("symbol", BINARY)
@pytest.mark.parametrize("dtype", ["float32", "float64", *SIGNED, *UNSIGNED, "bool"])
def test_operators_are_numpys_where_there_is_one(symbol, dtype):
    rng = np.random.default_rng(5)
    a = rng.integers(0, 2 if dtype == "bool" else 6, (3, 1, 4)).astype(dtype)
    b = rng.integers(1, 2 if dtype == "bool" else 5, (2, 4)).astype(dtype)
    if dtype in SIGNED and symbol != "**":
        a, b = a - 3, b * np.array([1, -1, 1, -1], dtype)
    works = {
        "bool": {"&", "|", "^", "==", "!="},
        "f": set(BINARY) - {"//", "%", "&", "|", "^", "<<", ">>"},
        "i": set(BINARY) - {"/", "<<", ">>"},
        "u": set(BINARY) - {"/"},
    }["bool" if dtype == "bool" else dtype[0]]
    function = BINARY[symbol]
    left, right = martlet.Tensor(a), martlet.Tensor(b)
    if symbol not in works:
        with pytest.raises(TypeError, match=r"is not for Tensors of"):
            function(left, right)
        return
    expected = function(a, b)
    for result in (function(left, right), function(left, b)):
        assert isinstance(result, martlet.Tensor)
        assert result.dtype == expected.dtype.name and result.shape == expected.shape
        np.testing.assert_allclose(result.numpy(), expected, rtol=2e-7)
    assert isinstance(function(a, right), np.ndarray)  # NumPy's own, by __array__


@pytest.mark.parametrize("symbol", BINARY)
def test_python_numbers_take_the_tensors_dtype(symbol):
    function = BINARY[symbol]
    for dtype in (*SIGNED, *UNSIGNED, "float32", "float64"):
        data = np.array([1, 2, 3], dtype)
        try:
            results = function(of([1, 2, 3], dtype), 2), function(2, of([1, 2, 3], dtype))
        except TypeError:
            continue
        for result, expected in zip(results, (function(data, 2), function(2, data)), strict=True):
            assert result.dtype == expected.dtype.name
            np.testing.assert_allclose(result.numpy(), expected, rtol=2e-7)
    assert (of([1], "float64") + 0.1).item() == 1.1
    assert (of([1], "float16") + 0.5).dtype == "float16"
    assert (of([1], "bfloat16") * 1.5).dtype == "bfloat16"
    assert (of([2**64 - 1], "uint64") == 2**64 - 1).item() is True
    assert (of([True, False], "bool") & True).tolist() == [True, False]


def test_dtypes_are_those_of_the_array_api():
    for kind in (FLOATS, SIGNED, UNSIGNED):
        for one, other in itertools.product(kind, kind):
            result = (of([1], one) + of([1], other)).dtype
            if {one, other} == {"float16", "bfloat16"}:
                assert result == "float32"
            elif "bfloat16" in (one, other):
                assert result == (one if one != "bfloat16" else other)
            else:
                assert result == np.promote_types(one, other).name
    for signed, unsigned in itertools.product(SIGNED, UNSIGNED):
        if unsigned == "uint64":
            with pytest.raises(TypeError, match="uint64"):
                of([1], signed) + of([1], unsigned)
        else:
            expected = np.promote_types(signed, unsigned).name
            assert (of([1], signed) * of([1], unsigned)).dtype == expected


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: of([1], "int64") + of([1.0]), TypeError, "int64 and float32; convert one"),
        (lambda: of([1], "int64") + 1.5, TypeError, "int64 and a Python float"),
        (lambda: of([1], "int64") / 2, TypeError, r"astype\('float32'\)"),
        (lambda: of([1.0]) // 2, TypeError, r"numpy\(\)"),
        (lambda: of([True], "bool") + 1, TypeError, "bool and a Python int"),
        (lambda: of([1], "uint8") + 256, OverflowError, "256 is no uint8"),
        (lambda: of([1], "int8") + -129, OverflowError, "-129 is no int8"),
        (lambda: of([1], "uint8") - (-1), OverflowError, "-1 is no uint8"),
        (lambda: of([1, 2], "int32") // 0, ZeroDivisionError, "by zero"),
        (lambda: of([1, 2], "int32") % of([1, 0], "int32"), ZeroDivisionError, "by zero"),
        (lambda: of([2], "int32") ** -1, ValueError, "negative powers"),
        (lambda: of([1, 2]) + of([1, 2, 3]), ValueError, "broadcast"),
        (lambda: of([1, 2]) == of([1, 2, 3]), ValueError, "broadcast"),
        (lambda: of([1.0]) @ 2, ValueError, "scalar"),
        (lambda: martlet.tensor(["a"]) + "b", TypeError, "string"),
        (lambda: martlet.tensor(["a"]) < "b", TypeError, "string"),
        (lambda: of([1.0]) + "a", TypeError, "unsupported operand"),
        (lambda: of([1.0]) + None, TypeError, "unsupported operand"),
        (lambda: of([1.0]) + 1j, TypeError, "unsupported operand"),
        (lambda: pow(of([1.0]), 2, 3), TypeError, "unsupported operand"),
        (lambda: -of([1], "uint8"), TypeError, "uint8"),
        (lambda: ~of([1.0]), TypeError, "float32"),
        (lambda: abs(of([True], "bool")), TypeError, "bool"),
        (lambda: of([1], "int4") + 1, TypeError, "int4"),
        (lambda: of([1.0]) * [1, [2]], ValueError, r"the list beside \*"),
    ],
)  # fmt: skip
def test_what_operators_do_not_do(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_unary_operators():
    for dtype in ("float32", "float64", *SIGNED):
        data = np.array([[-1, 0, 2]], dtype)
        tensor = martlet.Tensor(data)
        for function in (operator.neg, operator.pos, abs):
            np.testing.assert_array_equal(function(tensor).numpy(), function(data))
    assert (~of([True, False], "bool")).tolist() == [False, True]
    assert (~of([0, 5], "int16")).tolist() == [-1, -6]
    assert abs(of([3], "uint8")).tolist() == [3]
    least = of([-128], "int8")
    assert (-least).tolist() == [-128] and (least // -1).tolist() == [-128]  # as NumPy wraps
    assert (least % -1).tolist() == [0]


def test_products():
    a, b = np.float32([[1, 2], [3, 4]]), np.float32([[5], [6]])
    for result in (martlet.Tensor(a) @ martlet.Tensor(b), martlet.Tensor(a) @ b,
                   martlet.Tensor(a) @ [[5.0], [6.0]]):  # fmt: skip
        np.testing.assert_array_equal(result.numpy(), a @ b)
    assert ([1.0, 1.0] @ martlet.Tensor(a)).tolist() == [4, 6]
    wide = martlet.Tensor(a) @ martlet.Tensor(a.astype(np.float64))
    assert wide.dtype == "float64"


def test_lists_and_strings_beside_tensors():
    tensor = of([0.1, 0.25, 3])
    assert (tensor == [0.1, 0.25, 3]).tolist() == [True] * 3
    assert (tensor * [1, 2, 3]).dtype == "float32"
    assert (of([1, 2], "int64") == [1, 3]).tolist() == [True, False]
    assert (of([1, 2], "uint8") + np.uint8([1, 1])).tolist() == [2, 3]


# ---- comparisons do not lie


def test_equality_is_by_element():
    a, b = martlet.tensor([1.0, 2.0]), martlet.tensor([1.0, 2.0])
    assert (a == b).tolist() == [True, True]
    assert (a != b).tolist() == [False, False]
    assert (a == a.copy() + 1).tolist() == [False, False]
    nan = martlet.tensor([float("nan")])
    assert (nan == nan).tolist() == [False] and (nan != nan).tolist() == [True]
    assert (a == 1).tolist() == [True, False]
    assert (a == None) is False  # noqa: E711 (what Python says of things of no kind)
    assert (a != "text") is True
    with pytest.raises(ValueError, match="2 elements is neither true nor false"):
        assert a == b
    with pytest.raises(TypeError, match="unhashable"):
        hash(a)
    with pytest.raises(TypeError, match="unhashable"):
        {a}  # noqa: B018


def test_truth_and_numbers():
    assert bool(martlet.Tensor(2.5)) and not bool(martlet.tensor([[0]]))
    assert bool(martlet.tensor(["x"])) and not bool(martlet.tensor([""]))
    for tensor in (martlet.tensor([0, 0]), martlet.tensor([])):
        with pytest.raises(ValueError, match="neither true nor false"):
            bool(tensor)
    assert int(martlet.tensor([2.75])) == 2 and float(martlet.tensor([[3]])) == 3.0
    assert complex(martlet.Tensor(1.5)) == 1.5 + 0j
    assert [10, 20, 30][martlet.Tensor(np.uint8(1))] == 20 and range(martlet.tensor(3)) == range(3)
    for function in (int, float, complex):
        with pytest.raises(TypeError, match=r"of one element, this one is of shape \(2,\)"):
            function(martlet.tensor([1, 2]))
        with pytest.raises(TypeError, match="of strings"):
            function(martlet.tensor(["1"]))
    for tensor in (martlet.Tensor(1.0), martlet.Tensor(True)):
        with pytest.raises(TypeError, match="is no index"):
            operator.index(tensor)


def test_attributes_of_numpy_that_are_not_here_say_where_they_are():
    tensor = martlet.tensor([1.0])
    with pytest.raises(AttributeError, match=r"no 'mean'; over the same memory numpy\(\)"):
        tensor.mean()
    with pytest.raises(AttributeError) as info:
        tensor.__cuda_array_interface__  # noqa: B018
    assert "numpy()" not in str(info.value)
    assert not hasattr(tensor, "detach") and hasattr(tensor, "numpy")


def test_copies():
    tensor = martlet.Tensor(DATA)[:, 1]
    for same in (copy.copy(tensor), copy.deepcopy(tensor)):
        assert same.tolist() == tensor.tolist()


# ---- text


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (of([[1.5, 2]]), "Tensor([[1.5, 2.0]], shape=(1, 2), dtype=float32)"),
        (of([0.1, 0.25]), "Tensor([0.10, 0.25], shape=(2,), dtype=float32)"),
        (of([1 / 3]), "Tensor([0.333333], shape=(1,), dtype=float32)"),
        (of([1e-9, 1]), "Tensor([1.0e-09, 1.0e+00], shape=(2,), dtype=float32)"),
        (of([0.0696489, 1e-5]), "Tensor([6.96489e-02, 1.00000e-05], shape=(2,), dtype=float32)"),
        (of([1e20, float("nan"), float("-inf")]),
         "Tensor([1.0e+20,     nan,    -inf], shape=(3,), dtype=float32)"),
        (of([7, -12], "int8"), "Tensor([  7, -12], shape=(2,), dtype=int8)"),
        (of([True, False], "bool"), "Tensor([ True, False], shape=(2,), dtype=bool)"),
        (martlet.tensor(["a"]), "Tensor(['a'], shape=(1,), dtype=string)"),
        (martlet.tensor([]), "Tensor([], shape=(0,), dtype=float32)"),
        (martlet.Tensor(np.zeros((2, 0))),
         "Tensor([[],\n        []], shape=(2, 0), dtype=float64)"),
        (martlet.Tensor(2.5), "Tensor(2.5, shape=(), dtype=float32)"),
        (of([[1, 2], [3, 40]], "int64"),
         "Tensor([[ 1,  2],\n        [ 3, 40]], shape=(2, 2), dtype=int64)"),
        (of([1.5], "bfloat16"), "Tensor([1.5], shape=(1,), dtype=bfloat16)"),
    ],
)  # fmt: skip
def test_text_has_values_shape_and_dtype(tensor, text):
    assert repr(tensor) == str(tensor) == f"{tensor}" == text


def test_text_of_many_elements_is_short():
    data = np.arange(2_000_000, dtype=np.int64).reshape(2, 1000, 1000)
    text = repr(martlet.Tensor(data))
    assert text.count("...") > 5 and len(text) < 1500
    assert "1999999]]], shape=(2, 1000, 1000), dtype=int64)" in text.replace("\n       ", " ")
    row = repr(martlet.Tensor(np.arange(999, dtype=np.float32)))
    assert "..." not in row and "998.0" in row and max(map(len, row.splitlines())) <= 90
    assert "..." in repr(martlet.Tensor(np.arange(1001)))


def test_formats():
    assert f"{martlet.Tensor(2.5):.3f}" == "2.500"
    assert f"{martlet.tensor([[7]]):>4}" == "   7"
    with pytest.raises(TypeError, match=r"'\.2f' needs a Tensor of one element"):
        f"{martlet.tensor([1.0, 2.0]):.2f}"


# ---- NumPy's protocol


def test_arrays_with_and_without_copies():
    tensor = martlet.Tensor(DATA)
    assert np.shares_memory(np.asarray(tensor, copy=False), DATA)
    assert np.shares_memory(tensor.__array__(np.float32, copy=False), DATA)
    assert not np.shares_memory(tensor.__array__(copy=True), DATA)
    for call in (
        lambda: tensor.__array__(np.float64, copy=False),
        lambda: of([1], "int4").__array__(copy=False),
        lambda: martlet.tensor(["a"]).__array__(copy=False),
        lambda: np.asarray(martlet.tensor(["a"]), copy=False),
    ):
        with pytest.raises(ValueError, match="copy"):
            call()
    assert of([1.5], "bfloat16").__array__(np.float64).tolist() == [1.5]


def test_lists_of_arrays_are_stacked():
    rows = [np.float32([1, 2]), np.float32([3, 4])]
    for given in (rows, [martlet.Tensor(row) for row in rows], [rows[0], martlet.Tensor(rows[1])]):
        tensor = martlet.tensor(given)
        assert tensor.dtype == "float32" and tensor.tolist() == [[1, 2], [3, 4]]
    assert martlet.tensor([rows, rows]).shape == (2, 2, 2)
    assert martlet.tensor([np.int16(1), np.int16(2)]).dtype == "int16"
    with pytest.raises(ValueError, match=r"must be alike.*\(2,\).*\(1,\)"):
        martlet.tensor([rows[0], rows[0][:1]])
    with pytest.raises(TypeError, match="not int"):
        martlet.tensor([rows[0], 1])
    with pytest.raises(OverflowError, match="64 bits"):
        martlet.tensor([2**64])
    assert martlet.tensor([0.1], "float64").item() == 0.1
