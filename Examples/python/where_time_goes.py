"""Where the time goes, node by node, and what each product ran as."""

import pathlib

import numpy as np

import martlet

models = pathlib.Path(__file__).resolve().parents[1] / "models"
model = martlet.load(models / "digits.onnx", mode="BF16")
profile = model.profile(np.load(models / "digits_images.npy"))
print(profile)
slowest = max(profile.nodes, key=lambda node: node.nanoseconds)
print(f"slowest: {slowest.node}, {slowest.nanoseconds / 1e3:.0f} us, {slowest.precision}")
