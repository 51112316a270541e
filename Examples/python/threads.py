"""Many Python threads share one model; each runs in a context of its own."""

import concurrent.futures
import pathlib

import numpy as np

import martlet

models = pathlib.Path(__file__).resolve().parents[1] / "models"
model = martlet.load(models / "digits.onnx")
images = np.load(models / "digits_images.npy")
with concurrent.futures.ThreadPoolExecutor(8) as executor:
    answers = list(executor.map(lambda image: model(image[None]).numpy().argmax(), images))
print("".join(map(str, answers[:40])))
