"""Writes what `models` (models.c) reads: real models, real inputs, and ONNX Runtime's results.

Usage: prepare.py FOLDER [MODEL...]    for each model a folder with model.onnx, inputs, expected
"""

import pathlib
import shutil
import sys

import numpy as np
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Examples" / "demo"))
import real_inputs  # noqa: E402

# ONNX TensorProto.DataType, which martlet_dtype shares.
DTYPES = {np.dtype(np.float32): 1, np.dtype(np.int32): 6, np.dtype(np.int64): 7}
SAMPLES = 2  # rows of a model's own real inputs


def write(path, arrays):
    with path.open("wb") as file:
        for name, array in arrays.items():
            fields = [name, DTYPES[array.dtype], array.ndim, *array.shape, array.nbytes]
            file.write((" ".join(map(str, fields)) + "\n").encode())
            file.write(np.ascontiguousarray(array).tobytes())


def prepare(name, folder):
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(real_inputs.model_path(name), folder / "model.onnx")
    feeds = real_inputs.minilm(32) if name == "minilm" else real_inputs.FEEDS[name]()
    if name == "ocr_rec":
        feeds = real_inputs.ocr_rec(320)
    feeds = {key: value[:SAMPLES] for key, value in feeds.items()}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    write(folder / "inputs", feeds)
    write(folder / "expected", dict(zip(names, session.run(None, feeds), strict=True)))


target = pathlib.Path(sys.argv[1])
for model in sys.argv[2:] or list(real_inputs.FEEDS):
    prepare(model, target / model)
    print(target / model)
