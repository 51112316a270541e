"""Trains the digits classifier of the demo and writes Examples/models/digits.onnx.

A small convolutional network (2 convolutions, pooling, 2 dense layers) is trained with plain NumPy
on the handwritten digits that come with scikit-learn (8x8 grey values 0..16), and written as ONNX
together with the held-out images and labels, which training never sees.

    pip install numpy scikit-learn onnx
    python Examples/python/train_digits.py
"""

from __future__ import annotations

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

MODELS = pathlib.Path(__file__).resolve().parents[1] / "models"
TRAINING_IMAGES = 1500
EPOCHS = 40
BATCH = 50

Parameters = dict[str, np.ndarray]


def patches(x: np.ndarray) -> np.ndarray:
    """3x3 neighbourhoods of x [N, C, H, W], zero-padded: [N, H, W, C * 9]."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    n, c, h, w = x.shape
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(n, h, w, c * 9)


def initial_parameters(rng: np.random.Generator) -> Parameters:
    shapes = {
        "conv1.weight": (16, 1, 3, 3),
        "conv2.weight": (32, 16, 3, 3),
        "dense1.weight": (64, 512),
        "dense2.weight": (10, 64),
    }
    parameters: Parameters = {}
    for name, shape in shapes.items():
        scale = np.sqrt(2 / np.prod(shape[1:]))
        parameters[name] = rng.normal(0, scale, shape).astype(np.float32)
        parameters[name.replace("weight", "bias")] = np.zeros(shape[0], np.float32)
    return parameters


def forward(p: Parameters, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Logits [N, 10] of the images x [N, 1, 8, 8], and what the backward pass needs."""
    kept: dict[str, np.ndarray] = {}
    for name in ("conv1", "conv2"):
        columns = patches(x)
        weight = p[f"{name}.weight"].reshape(len(p[f"{name}.weight"]), -1)
        x = np.maximum(columns @ weight.T + p[f"{name}.bias"], 0).transpose(0, 3, 1, 2)
        kept[f"{name}.columns"], kept[f"{name}.out"] = columns, x
    n, c, h, w = x.shape
    tiles = x.reshape(n, c, h // 2, 2, w // 2, 2)
    pooled = tiles.max(axis=(3, 5), keepdims=True)
    kept["pool.mask"] = tiles == pooled
    kept["flat"] = pooled.reshape(n, -1)
    kept["hidden"] = np.maximum(kept["flat"] @ p["dense1.weight"].T + p["dense1.bias"], 0)
    return kept["hidden"] @ p["dense2.weight"].T + p["dense2.bias"], kept


def gradients(p: Parameters, x: np.ndarray, labels: np.ndarray) -> tuple[Parameters, float]:
    """Gradients of the mean cross-entropy, and the cross-entropy itself."""
    logits, kept = forward(p, x)
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = float(-np.log(probabilities[rows, labels] + 1e-12).mean())
    delta = probabilities
    delta[rows, labels] -= 1
    delta /= len(labels)
    grads: Parameters = {
        "dense2.weight": delta.T @ kept["hidden"],
        "dense2.bias": delta.sum(axis=0),
    }
    delta = (delta @ p["dense2.weight"]) * (kept["hidden"] > 0)
    grads["dense1.weight"], grads["dense1.bias"] = delta.T @ kept["flat"], delta.sum(axis=0)
    delta = (delta @ p["dense1.weight"]).reshape(len(labels), 32, 4, 1, 4, 1)
    delta = (delta * kept["pool.mask"]).reshape(len(labels), 32, 8, 8)
    for name in ("conv2", "conv1"):
        delta = (delta * (kept[f"{name}.out"] > 0)).transpose(0, 2, 3, 1)
        flat = delta.reshape(-1, delta.shape[-1])
        columns = kept[f"{name}.columns"].reshape(len(flat), -1)
        weight = p[f"{name}.weight"]
        grads[f"{name}.weight"] = (flat.T @ columns).reshape(weight.shape)
        grads[f"{name}.bias"] = flat.sum(axis=0)
        if name == "conv2":
            # The input's gradient is a convolution with the flipped, transposed weight.
            flipped = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3).reshape(weight.shape[1], -1)
            delta = (patches(delta.transpose(0, 3, 1, 2)) @ flipped.T).transpose(0, 3, 1, 2)
    return grads, loss


def train(images: np.ndarray, labels: np.ndarray) -> Parameters:
    rng = np.random.default_rng(2)
    p = initial_parameters(rng)
    first = {name: np.zeros_like(value) for name, value in p.items()}
    second = {name: np.zeros_like(value) for name, value in p.items()}
    step = 0
    for epoch in range(EPOCHS):
        rate = 2e-3 * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = rng.permutation(len(images))
        losses = []
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            # Shifts by up to one pixel keep so small a data set from being learnt by heart.
            shift = tuple(rng.integers(-1, 2, 2))
            batch = np.roll(images[chosen], shift, axis=(2, 3))
            grads, loss = gradients(p, batch, labels[chosen])
            losses.append(loss)
            step += 1
            for name in p:  # Adam
                first[name] += 0.1 * (grads[name] - first[name])
                second[name] += 0.001 * (grads[name] ** 2 - second[name])
                mean = first[name] / (1 - 0.9**step)
                variance = second[name] / (1 - 0.999**step)
                update = rate * mean / (np.sqrt(variance) + 1e-8)
                p[name] = (p[name] - update).astype(np.float32)
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1}: mean cross-entropy {np.mean(losses):.4f}", flush=True)
    return p


def to_onnx(p: Parameters) -> onnx.ModelProto:
    conv = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node(
            "Conv", ["image", "conv1.weight", "conv1.bias"], ["c1"], name="conv1", **conv
        ),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node(
            "Conv", ["r1", "conv2.weight", "conv2.bias"], ["c2"], name="conv2", **conv
        ),
        helper.make_node("Relu", ["c2"], ["r2"], name="relu2"),
        helper.make_node(
            "MaxPool", ["r2"], ["pooled"], name="pool", kernel_shape=[2, 2], strides=[2, 2]
        ),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten", axis=1),
        helper.make_node(
            "Gemm", ["flat", "dense1.weight", "dense1.bias"], ["d1"], name="dense1", transB=1
        ),
        helper.make_node("Relu", ["d1"], ["r3"], name="relu3"),
        helper.make_node(
            "Gemm", ["r3", "dense2.weight", "dense2.bias"], ["logits"], name="dense2", transB=1
        ),
        helper.make_node("Softmax", ["logits"], ["probabilities"], name="softmax", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(value, name) for name, value in p.items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 17)],
        producer_name="martlet train_digits.py",
        doc_string="Digits 0-9 from 8x8 grey images with values 0..1 (scikit-learn's digits / 16).",
    )
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]
    labels = digits.target.astype(np.int64)
    order = np.random.default_rng(1).permutation(len(images))
    seen, held_out = order[:TRAINING_IMAGES], order[TRAINING_IMAGES:]
    p = train(images[seen], labels[seen])
    accuracy = (forward(p, images[held_out])[0].argmax(axis=1) == labels[held_out]).mean()
    print(f"{len(held_out)} held-out images: {accuracy:.2%} right")
    MODELS.mkdir(parents=True, exist_ok=True)
    onnx.save(to_onnx(p), MODELS / "digits.onnx")
    np.save(MODELS / "digits_images.npy", images[held_out])
    np.save(MODELS / "digits_labels.npy", labels[held_out])
    print(f"wrote {MODELS / 'digits.onnx'}")


if __name__ == "__main__":
    main()
