"""Exporters whose buffers and DLPack structs have one field wrong, or two: errors, never a death.

Run as a program, with a seed and a number of cases, it tries these; the tests do so in processes of
their own.
"""

import contextlib
import ctypes
import random
import subprocess
import sys

import numpy as np
import pytest

import martlet

CASES = 4000
EXPECTED = (martlet.Error, BufferError, TypeError, ValueError, OverflowError)


class View(ctypes.Structure):
    """Py_buffer."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


class Slot(ctypes.Structure):
    _fields_ = (("slot", ctypes.c_int), ("function", ctypes.c_void_p))


class Spec(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(Slot)),
    )


@ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(View), ctypes.c_int)
def get_buffer(exporter, view, _):
    for name, value in exporter.fields.items():
        setattr(view.contents, name, value)
    if view.contents.obj:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(exporter))
    return 0


GET_BUFFER, BASE_TYPE = 1, 1 << 10
slots = (Slot * 2)(Slot(GET_BUFFER, ctypes.cast(get_buffer, ctypes.c_void_p)), Slot(0, None))
make_type = ctypes.pythonapi.PyType_FromSpec
make_type.restype = ctypes.py_object
make_type.argtypes = [ctypes.POINTER(Spec)]
Base = make_type(ctypes.byref(Spec(b"hostile.Base", 0, 0, BASE_TYPE, slots)))

FORMATS = {"f": 4, "d": 8, "e": 2, "?": 1, "b": 1, "B": 1, "h": 2, "i": 4, "q": 8, "Q": 8}
HALF = 1 << 15  # of the memory, in whose middle the first element lies


class Hostile(Base):
    """A sound buffer of float32 or others, until `damage` changes it."""

    def __init__(self, r):
        self.memory = (ctypes.c_char * (2 * HALF + 64))()
        code = r.choice(list(FORMATS))
        size = FORMATS[code]
        extents = [r.randint(0, 3) for _ in range(r.randint(0, 4))]
        strides, step = [], size
        for extent in reversed(extents):
            strides.insert(0, step)
            step *= extent
        self.shape = (ctypes.c_ssize_t * 70)(*extents, *[1] * (70 - len(extents)))
        self.strides = (ctypes.c_ssize_t * 70)(*strides, *[size] * (70 - len(strides)))
        self.suboffsets = (ctypes.c_ssize_t * 70)(*[-1] * 70)
        self.middle = (ctypes.addressof(self.memory) + HALF + 63) // 64 * 64
        self.fields = {
            "buf": self.middle,
            "obj": id(self),
            "len": size * int(np.prod(extents, dtype=int)),
            "itemsize": size,
            "readonly": 0,
            "ndim": len(extents),
            "format": code.encode(),
            "shape": ctypes.addressof(self.shape),
            "strides": ctypes.addressof(self.strides),
            "suboffsets": None,
            "internal": None,
        }

    def damage(self, r):
        huge = [-1, -(2**63), 2**31, 2**40, 2**62, 2**63 - 1]
        choices = {
            "buf": [None, self.middle + 1, self.middle + 2],
            "obj": [None],
            # Less than there is, or more than anybody has: the rest is believed without extents.
            "len": [0, 1, 3, -1, -(2**63), 2**62, 2**63 - 1],
            "itemsize": [0, 1, 2, 3, 4, 8, 16, *huge],
            "readonly": [1, -1, 7],
            "ndim": [-1, 0, 1, 2, 5, 33, 64, 65, 70, 2**31 - 1, -(2**31)],
            "format": [None, b"", b"@f", b"<f", b">f", b"=q", b"Zf", b"T{f:a:}", b"ff", b"O", b"s",
                       *[code.encode() for code in FORMATS]],
            "shape": [None],
            "strides": [None],
            "suboffsets": [ctypes.addressof(self.suboffsets)],
            "extent": [0, 1, 2, 5, *huge],
            # Strides that stay in the memory, and such as no memory has.
            "stride": [0, 1, 3, -1, -4, -8, 6, 2**62, 2**63 - 1, -(2**63), -(2**62)],
            "suboffset": [0, 8],
        }
        name = r.choice(list(choices))
        value = r.choice(choices[name])
        place = r.randrange(4)
        if name == "extent":
            self.shape[place] = value
        elif name == "stride":
            self.strides[place] = value
        elif name == "suboffset":
            self.suboffsets[place] = value
            self.fields["suboffsets"] = ctypes.addressof(self.suboffsets)
        else:
            self.fields[name] = value


def fuzz_buffers(seed, count):
    """How many of so many damaged buffers are taken all the same."""
    from onnx import TensorProto
    from test_exchange import identity

    r = random.Random(seed)
    model = identity(TensorProto.FLOAT, 4)
    taken = 0
    for _ in range(count):
        exporter = Hostile(r)
        for _ in range(r.choice([1, 1, 2, 3])):
            exporter.damage(r)
        with contextlib.suppress(EXPECTED):
            tensor = martlet.tensor(exporter)
            taken += 1
            tensor.copy().tobytes()
        with contextlib.suppress(EXPECTED):
            martlet.op("Neg", exporter)
        with contextlib.suppress(EXPECTED):
            model.run({"x": np.ones(4, np.float32)}, out={"y": exporter})
    return taken


def fuzz_dlpack(seed, count):
    """How many of so many damaged structs are taken all the same."""
    from test_exchange import Exporter, Legacy, Versioned

    r = random.Random(seed)
    huge = [-1, -(2**63), 2**40, 2**62, 2**63 - 1]
    taken = 0
    for _ in range(count):
        rank = r.randint(0, 3)
        shape = [r.randint(0, 2) for _ in range(rank)]
        strides = None if r.random() < 0.5 else [r.choice([0, 1, 2, 4]) for _ in range(rank)]
        fields, flags = {}, 0
        for _ in range(r.choice([1, 1, 2])):
            name = r.choice(["data", "device_type", "ndim", "code", "bits", "lanes", "byte_offset",
                             "extent", "stride", "shape", "strides", "flags"])
            if name == "extent" and shape:
                shape[r.randrange(rank)] = r.choice(huge)
            elif name == "stride" and strides:
                # As no memory has: an exporter's strides are believed where they can be addressed.
                strides[r.randrange(rank)] = r.choice([2**62, 2**63 - 1, -(2**63)])
            elif name == "flags":
                flags = r.choice([1, 2, 3, 4, 2**63])
            elif name in ("data", "shape", "strides"):
                fields[name] = None
            elif name == "ndim":
                fields[name] = r.choice([-1, -(2**31), 33, 64, 65, 2**31 - 1])
            elif name in ("code", "bits", "lanes"):
                fields[name] = r.randrange(256)
            elif name in ("device_type", "byte_offset"):
                fields[name] = r.choice([0, 1, 2, 3, 4, 8, 2**31 - 1])
        if fields.get("byte_offset") == 2**31 - 1:
            fields["byte_offset"] = 2**64 - 4
        # Wider elements than the memory was made for.
        if fields.get("bits", 32) > 32 or r.random() < 0.01:
            shape = [min(extent, 1) for extent in shape]
        exporter = Exporter(r.choice([Legacy, Versioned]), shape, strides, flags=flags, **fields)
        with contextlib.suppress(EXPECTED):
            tensor = martlet.tensor(exporter)
            taken += 1
            if tensor.size < 64:
                tensor.copy().tobytes()
            del tensor
        martlet.tensor(1)  # deleters run at the next call
    return taken


@pytest.mark.parametrize("what", ["buffers", "dlpack"])
@pytest.mark.parametrize("seed", [1, 2])
def test_no_exporter_ends_the_process(what, seed):
    run = subprocess.run(
        [sys.executable, __file__, what, str(seed), str(CASES)], capture_output=True, text=True
    )
    assert run.returncode == 0, f"seed {seed}: exit {run.returncode}: {run.stderr[-2000:]}"
    # Some damage is none: what is tried gets as far as the elements.
    assert int(run.stdout) > CASES // 100


def test_a_buffer_without_owner_is_refused():
    exporter = Hostile(random.Random(3))
    exporter.fields["obj"] = None
    with pytest.raises(BufferError, match="no owner"):
        martlet.tensor(exporter)


def test_strides_that_cannot_be_addressed_are_refused():
    exporter = Hostile(random.Random(3))
    exporter.shape[0], exporter.shape[1] = 2, 2
    exporter.fields.update(ndim=2, len=4 * exporter.fields["itemsize"])
    for stride in (2**62, 2**63 - 1, -(2**63), -(2**62)):
        exporter.strides[0] = stride
        with pytest.raises(BufferError, match="can be addressed"):
            martlet.tensor(exporter)


def test_lists_that_contain_themselves_are_refused():
    one, two = [], []
    one.append(one)
    two += [two, two]
    for given in (one, two, (one,), [[two]]):
        with pytest.raises(ValueError, match="contains itself"):
            martlet.tensor(given)
    deep = 1.0
    for _ in range(32):
        deep = [deep]
    assert martlet.tensor(deep).ndim == 32
    with pytest.raises(ValueError, match="deeper than 32"):
        martlet.tensor([deep])


if __name__ == "__main__":
    fuzz = {"buffers": fuzz_buffers, "dlpack": fuzz_dlpack}[sys.argv[1]]
    print(fuzz(int(sys.argv[2]), int(sys.argv[3])))
