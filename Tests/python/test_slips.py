"""What people get wrong, or bring along from elsewhere, and what they are told: one line each."""

import copy
import io
import re

import numpy as np
import pytest

import martlet

#: For the lines below: m, the digits; x, two images; mb, the model's bytes; t, a vector.
GIVEN = {"np": np, "martlet": martlet, "io": io, "copy": copy}

MODES = (
    "choose FP32 (float32, HIGHEST, STRICT, IEEE), BF16 (bfloat16, medium), TF32 (high), "
    "F16 (float16, fp16) or ANY"
)
CONVERTIBLE = (
    "expected a number, a list of them, a Tensor, a NumPy array, or anything with a buffer, "
    "__dlpack__ or __array__"
)

#: What now works: an expression that is true.
WORKS = [
    # From ONNX Runtime.
    "m.run(None, {'image': x})[0].shape == (2, 10)",
    "m.run(['probabilities'], {'image': x})['probabilities'].shape == (2, 10)",
    "m.run({'image': x})['probabilities'].shape == m.run({'image': x})[0].shape",
    "[tuple(y.shape) for y in m.run(None, {'image': x})] == [(2, 10)]",
    "m.run(x)[0].shape == (2, 10)",
    "m.run({'image': x}, 'probabilities')[0].shape == (2, 10)",
    "dict(m.run({'image': x}))['probabilities'].shape == (2, 10)",
    "m(x.tolist()).shape == (2, 10)",
    "(m(x.astype('>f4')) == m(x)).numpy().all()",
    "m(memoryview(x)).shape == (2, 10)",
    "m([x[0], x[1]]).shape == (2, 10)",
    "martlet.load(io.BytesIO(mb))(x).shape == (2, 10)",
    "m.inputs[0].name == 'image' and m.outputs[0].shape == ('batch', 10)",
    # From NumPy.
    "(t == t).numpy().all() and (t == t).dtype == 'bool'",
    "t[0].item() == 1.5 and t[-1].item() == 3 and t[1:].tolist() == [2, 3]",
    "[float(value) for value in t] == [1.5, 2, 3]",
    "(t + 1).tolist() == [2.5, 3, 4] and (1 - t).tolist() == [-0.5, -1, -2]",
    "(t @ t).item() == 15.25",
    "t.reshape(3, 1).T.shape == (1, 3)",
    "m(x).argmax(-1).shape == (2,)",
    "f'{t[0]:.2f}' == '1.50'",
    "repr(t) == 'Tensor([1.5, 2.0, 3.0], shape=(3,), dtype=float32)'",
    "np.array(t, dtype=np.float64).dtype == np.float64",
    "np.asarray(t, copy=False).tolist() == [1.5, 2, 3]",
    "np.maximum(t, 2).tolist() == [2, 2, 3]",
    "copy.deepcopy(t).tolist() == t.tolist()",
    "martlet.matmul([[1.0, 2.0]], [[3.0], [4.0]]).item() == 11",
    "martlet.Tensor([[1, 2], [3, 4]]).dtype == 'int64'",
    "martlet.State([1.0], 0, 4).shape == (1,)",
    "martlet.tensor([1], 'bf16').dtype == 'bfloat16' and t.astype('f8').dtype == 'float64'",
    # From torch.
    "martlet.set_float32_fast_math_mode('medium') is None",
    "martlet.load(mb, mode='bfloat16').mode == 'BF16'",
    "martlet.load(mb, mode='highest').mode == 'FP32'",
    "bool(t[0]) and int(t[0]) == 1 and float(t[0]) == 1.5",
    "['a', 'b', 'c'][t.argmax()] == 'c'",
]

#: What does not: the exception, and all of its text.
FAILS = [
    # Models that do not load.
    ("martlet.load(3)", TypeError,
     "load() takes a path, a model's bytes, a binary file or an onnx.ModelProto, not int"),
    ("martlet.load(io.StringIO('x'))", TypeError,
     "the file to load() from is open as text; open it with mode 'rb'"),
    ("martlet.load(b'')", ValueError,
     "model in memory is empty (expected a model, got 0 bytes)"),
    ("martlet.load(io.BytesIO())", ValueError,
     "model in memory is empty (expected a model, got 0 bytes)"),
    ("martlet.load(mb, mode='BF17')", ValueError, f"unknown fast-math mode 'BF17'; {MODES}"),
    ("martlet.load(mb, mode=16)", TypeError, "a fast-math mode is a str or None, not 16"),
    ("martlet.load(mb, threads=-1)", ValueError,
     "thread count -1 is out of range (input threads, expected 0...1024)"),
    ("martlet.load(mb, threads=1, pool=martlet.ThreadPool(1))", ValueError,
     "threads and pool are both given; a pool has its own threads"),
    ("martlet.load(mb, max_milliseconds='soon')", TypeError,
     "max_milliseconds is 'soon'; expected an int or a bool"),
    ("martlet.load(mb, max_memory_bytes=-1)", ValueError,
     "option 'max_memory_bytes' is '-1', expected a whole number, 0 or more"),
    ("martlet.load(mb, progress=1)", TypeError,
     "progress is True, or a function of a fraction and a stage; not int"),
    # Runs.
    ("m.run()", TypeError, "run() takes inputs by name, {'image': array}, not None"),
    ("m.run(['probabilities'])", TypeError,
     "run(['probabilities']) lacks the inputs: run(['probabilities'], {'image': array})"),
    ("m.run(3, 4)", TypeError, "run() takes inputs by name and names of outputs, "
     "run(feed, ['y']), or the other way round; got int and int (model(a, b, ...) takes inputs in "
     "order)"),
    ("m.run({'image': x}, '461')", ValueError,
     "the model has no output '461'; its outputs are 'probabilities'"),
    ("m.run(['scores'], {'image': x})", ValueError,
     "the model has no output 'scores'; its outputs are 'probabilities'"),
    ("m.run({'image': x}, ['probabilities'] * 2)", ValueError, "an output is asked for twice"),
    ("m.run({'img': x})", ValueError, "the model has no input 'img'; its inputs are 'image'"),
    ("m.run({'image': x, 'more': x})", ValueError,
     "the model has no input 'more'; its inputs are 'image'"),
    ("m.run({})", ValueError,
     "missing input 'image'; the model's inputs are 'image' (got none)"),
    ("m.run({3: x})", TypeError, "names of inputs are str, not 3"),
    ("m()", ValueError, "missing input 'image'; the model's inputs are 'image' (got none)"),
    ("m(x, x)", TypeError, "the model takes 1 input, 'image'; got 2"),
    ("m(x, image=x)", TypeError, "input 'image' is given twice"),
    ("m(None)", TypeError, f"input 'image' is None; {CONVERTIBLE}"),
    ("m(object())", TypeError, f"input 'image' is of type object; {CONVERTIBLE}"),
    ("m(1j)", TypeError, f"input 'image' is of type complex; {CONVERTIBLE}"),
    ("m({'image': x})", TypeError, "input 'image' is a dict; model.run(feed) takes one of all "
     "inputs, and model(**feed)"),
    ("m.run(x, out=np.zeros((2, 10), 'f4'))", TypeError,
     "out is a dict, {'probabilities': array}, not ndarray"),
    ("m.run(x).numpy()", AttributeError, "Results have no attribute 'numpy'; results[0] and "
     "results['NAME'] are outputs, of the names 'probabilities'"),
    ("m.get_inputs()", AttributeError,
     "martlet.Model has no 'get_inputs'; here it is model.inputs"),
    ("m.predict(x)", AttributeError, "martlet.Model has no 'predict'; here it is model(...)"),
    ("m.close()", AttributeError, "'Model' object has no attribute 'close'"),
    ("martlet.InferenceSession('model.onnx')", AttributeError,
     "module 'martlet' has no attribute 'InferenceSession'; here it is martlet.load(path), "
     "or martlet.onnxruntime.InferenceSession"),
    ("martlet.from_numpy(x)", AttributeError,
     "module 'martlet' has no attribute 'from_numpy'; here it is martlet.tensor(data)"),
    ("m('image')", TypeError,
     "input 'image': expected float32[batch, 1, 8, 8], got string[]"),
    ("m(x.astype('f8'))", TypeError, "input 'image': expected float32[batch, 1, 8, 8], got "
     "float64[2, 1, 8, 8]; astype('float32') converts"),
    ("m(x.astype('i8'))", TypeError, "input 'image': expected float32[batch, 1, 8, 8], got "
     "int64[2, 1, 8, 8]; astype('float32') converts"),
    ("m(x.astype('c8'))", TypeError,
     "input 'image' has elements of format 'Zf' (8 bytes), which no tensor has"),
    ("m(x[0])", ValueError,
     "input 'image': expected float32[batch, 1, 8, 8] of 4 dimensions, got float32[1, 8, 8]"),
    ("m(x[:, :, :7])", ValueError, "input 'image': expected float32[batch, 1, 8, 8], got "
     "float32[2, 1, 7, 8] (axis 2: 7 instead of 8)"),
    ("m([1, [2]])", ValueError, "input 'image': nested lists must be of one depth"),
    ("m([[1], [2, 3]])", ValueError,
     "input 'image': nested lists must be of equal lengths; expected 1 items"),
    ("m([1, 'a'])", TypeError, "input 'image': a tensor has numbers or strings, not both"),
    ("m([x[0], x[0, 0]])", ValueError, "input 'image': arrays in a list must be alike; there are "
     "float32 of shape (1, 8, 8) and float32 of shape (8, 8)"),
    ("m.run({'image': x}, out={'y': x})", ValueError,
     "out has 'y', which is not among the outputs asked for"),
    ("m.run({'image': x}, out={'probabilities': np.zeros((3, 3), 'f4')})", ValueError,
     "output 'probabilities' is float32[batch, 10], but its destination is float32[3, 3]"),
    ("m.run({'image': x}, out={'probabilities': [0.0]})", TypeError,
     "output 'probabilities' is of type list; expected what can be written into: a Tensor, a "
     "NumPy array, or anything with a buffer or __dlpack__"),
    ("m.run({'image': x})['scores']", KeyError,
     "no output 'scores' among the results; there are 'probabilities'"),
    ("m(x)['probabilities']", IndexError, "a Tensor has no part 'probabilities'; model.run(...) "
     "gives outputs by name, and model(...) the only output itself"),
    ("m.run({'image': x}, max_milliseconds='1')", TypeError,
     "max_milliseconds is '1'; expected an int or a bool"),
    ("m.precision_report()", RuntimeError,
     "this thread has not run the model yet; run it, then ask"),
    ("m.profile()", RuntimeError,
     "this thread has no profiled run; give profile() the inputs of one"),
    ("m.result_bytes({})", KeyError, "no shape of input 'image'; give those of 'image'"),
    # Settings.
    ("martlet.set_float32_fast_math_mode('float64')", ValueError,
     f"unknown fast-math mode 'float64'; {MODES}"),
    ("martlet.set_float32_fast_math_mode(None)", TypeError,
     "the process's fast-math mode is a str, not None"),
    ("martlet.fast_math('low')", ValueError, f"unknown fast-math mode 'low'; {MODES}"),
    ("martlet.fast_math(None)", TypeError, "fast_math() takes the name of a mode, not None"),
    ("martlet.matmul(x, x, mode='nope')", ValueError, f"unknown fast-math mode 'nope'; {MODES}"),
    ("martlet.set_num_threads(-1)", ValueError,
     "thread count -1 is out of range (expected 0...1024)"),
    # Tensors.
    ("bool(t)", ValueError, "a Tensor of 3 elements is neither true nor false; use numpy().any() "
     "or .all(), or size for whether there are any"),
    ("hash(t)", TypeError, "unhashable type: 'martlet.Tensor'"),
    ("float(t)", TypeError, "float() needs a Tensor of one element, this one is of shape (3,); "
     "numpy() and tolist() give all of them"),
    ("t[3]", IndexError, "index 3 is out of range for axis 0, which has 3"),
    ("t[[0, 1]]", IndexError, "a Tensor is indexed by integers, slices, None and ..., not by "
     "list; numpy() takes lists, arrays and masks too: tensor.numpy()[...]"),
    ("t[t > 2]", IndexError, "a Tensor is indexed by integers, slices, None and ..., not by "
     "Tensor; numpy() takes lists, arrays and masks too: tensor.numpy()[...]"),
    ("t.__setitem__(0, 1)", TypeError, "a Tensor's elements are not assigned; numpy() is over the "
     "same memory and may be written: tensor.numpy()[...] = value"),
    ("t.mean()", AttributeError, "martlet.Tensor has no 'mean'; over the same memory numpy() gives "
     "an array, and torch.from_dlpack(tensor) a tensor of torch"),
    ("t.astype('float31')", TypeError, "'float31' is no dtype of a tensor; known: float32, "
     "float64, float16, bfloat16, int8 to int64, uint8 to uint64, bool, int4, uint4, int2, uint2 "
     "and the floats of 4, 6 and 8 bits"),
    ("t + 'a'", TypeError, "unsupported operand type(s) for +: 'martlet.Tensor' and 'str'"),
    ("t + martlet.tensor([1, 2, 3])", TypeError, "+ is not for Tensors of float32 and int64; "
     "convert one with astype(), or use numpy(), which mixes them"),
    ("martlet.tensor([1]) / 2", TypeError, "/ is not for Tensors of int64; astype('float32') "
     "makes floats of them, and // divides integers"),
    ("t + t[:2]", ValueError,
     "Add: B does not broadcast: expected a shape that broadcasts with [3], got [2]"),
    ("f'{t:.2f}'", TypeError, "the format '.2f' needs a Tensor of one element, this one is of "
     "shape (3,); format what tolist() or numpy() gives"),
    ("t.reshape(2, 2)", ValueError, "a Tensor of shape (3,) cannot be reshaped to (2, 2)"),
    ("martlet.tensor([2**64])", OverflowError, "data: an int beyond 64 bits"),
    ("martlet.Tensor(2**63)", OverflowError, "data is 9223372036854775808, which is no int64"),
    ("martlet.Tensor(None)", TypeError, f"data is None; {CONVERTIBLE}"),
    ("martlet.from_dlpack(3)", TypeError, "data is 3, which has no __dlpack__()"),
    ("martlet.from_bytes(b'abc', 'float32', (1,))", ValueError,
     "data has 3 bytes, a float32 tensor of shape [1] takes 4 (input data_bytes)"),
    # Functions.
    ("martlet.op('Softmx', x)", ValueError,
     "unknown operator 'Softmx'; did you mean Softmax or LogSoftmax?"),
    ("martlet.op('add', x, x)", ValueError, "unknown operator 'add'; did you mean Add?"),
    ("martlet.op('QQQ', x)", ValueError,
     "unknown operator 'QQQ'; martlet.operators() lists those that there are"),
    ("martlet.load('')", FileNotFoundError, "[Errno 2] No such file or directory: ''"),
    ("martlet.load(b'models/digits.onnx')", ValueError, None),
    ("t.item()", ValueError,
     "item() needs a tensor of one element, this one has 3; tolist() gives all"),
    ("martlet.op('Add', x)", ValueError, "Add: expected 2 inputs, got 1"),
    ("martlet.op('Add', x, x, axis=1)", ValueError, "Add: unknown attribute 'axis'"),
    ("martlet.matmul(x, x[:, :, :3])", ValueError,
     "MatMul: lhs has K=8, rhs has K=3 (shapes [2, 1, 8, 8] and [2, 1, 3, 8])"),
    ("martlet.gelu(x, approximate='t')", ValueError,
     "approximate must be 'none' or 'tanh', not 't'"),
]  # fmt: skip


@pytest.fixture
def given(digits, digits_path, images):
    with open(digits_path, "rb") as file:
        content = file.read()
    t = martlet.tensor([1.5, 2.0, 3.0])
    return GIVEN | {"m": digits, "x": images[:2].copy(), "mb": content, "t": t}


@pytest.mark.parametrize("line", WORKS)
def test_habits_from_elsewhere_work(given, line):
    assert eval(line, given)


@pytest.mark.parametrize(("line", "kind", "text"), FAILS, ids=[line for line, *_ in FAILS])
def test_slips_are_told_in_pythons_words(given, line, kind, text):
    with pytest.raises(kind) as info:
        eval(line, given)
    said = info.value.args[0] if isinstance(info.value, KeyError) else str(info.value)
    assert text is None or said == text
    assert not re.search(r"martlet_[a-z]", said)
    # And the next call is right again.
    assert given["m"](given["x"]).shape == (2, 10)


def test_bytes_that_are_a_path_are_told_so():
    with pytest.raises(ValueError, match=r"bytes are a file's contents; a path is a str or a Path"):
        martlet.load(b"models/digits.onnx")


def test_messages_name_the_file(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: not an ONNX model"):
        martlet.load(path)
    with pytest.raises(OSError, match=rf"^cannot read '{re.escape(str(tmp_path))}': it is a dir"):
        martlet.load(tmp_path)
    missing = str(tmp_path / "no.onnx")
    with pytest.raises(FileNotFoundError) as info:
        martlet.load(missing)
    assert str(info.value) == f"[Errno 2] No such file or directory: '{missing}'"
