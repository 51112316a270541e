"""One line makes the model bf16-fast: read handwritten digits."""

import pathlib

import numpy as np

import martlet

martlet.set_float32_fast_math_mode("BF16")  # the one line
models = pathlib.Path(__file__).resolve().parents[1] / "models"
model = martlet.load(models / "digits.onnx")
scores = model(np.load(models / "digits_images.npy")).numpy()
right = scores.argmax(axis=1) == np.load(models / "digits_labels.npy")
print(f"{right.sum()} of {len(right)} digits read right")
print(model.precision_report())
