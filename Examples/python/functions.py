"""Functions on NumPy arrays, without a model."""

import numpy as np

import martlet

x = np.random.default_rng(0).standard_normal((4, 256)).astype(np.float32)
weight = martlet.pack(np.random.default_rng(1).standard_normal((128, 256)).astype(np.float32))
hidden = martlet.gelu(martlet.linear(x, weight))
with martlet.fast_math("BF16"):  # inside the block alone
    low = martlet.gelu(martlet.linear(x, weight))
print(martlet.softmax(hidden).numpy().sum(axis=1))
print("largest difference in BF16:", np.abs(hidden.numpy() - low.numpy()).max())
print(martlet.op("TopK", hidden, np.array([3]), outputs=2)[1].tolist())
