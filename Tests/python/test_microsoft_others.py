"""The rest of com.microsoft against ONNX Runtime."""

import numpy as np
import pytest
from microsoft_case import assert_close, draw, make_model, run_martlet

import martlet


def floats(random, *shape):
    return draw(random, np.float32, shape)


def test_conv_transpose_with_dynamic_pads():
    random = np.random.default_rng(1)
    x, w = floats(random, 1, 4, 5, 6), floats(random, 4, 3, 3, 3)
    b = floats(random, 6)
    pads = np.array([1, 0, 1, 2])
    for constants in ((), (2,)):
        for inputs in ([x, w, pads], [x, w, pads, b[:3]]):
            for more in ({}, {"strides": [2, 2], "output_padding": [1, 0]}, {"dilations": [2, 1]}):
                assert_close(
                    "ConvTransposeWithDynamicPads", inputs, constants=constants, atol=1e-4, **more
                )
        assert_close(
            "ConvTransposeWithDynamicPads", [x, w, pads, b], constants=constants, group=2, atol=1e-4
        )


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_crop_and_resize(mode):
    random = np.random.default_rng(2)
    x = floats(random, 2, 3, 7, 9)
    boxes = random.uniform(-0.2, 1.2, (6, 4)).astype(np.float32)
    boxes[0] = [0, 0, 1, 1]
    images = np.array([0, 1, 1, 0, 1, 0], np.int32)
    for size in ([4, 5], [1, 3], [1, 1]):
        assert_close(
            "CropAndResize", [x, boxes, images, np.array(size, np.int32)], mode=mode,
            extrapolation_value=7.0,
        )  # fmt: skip
    images[1] = 2
    data, feeds = make_model(
        "CropAndResize", [x, boxes, images, np.array([2, 2], np.int32)], ("y",), "com.microsoft"
    )
    with pytest.raises(martlet.Error, match="batch_indices"):
        run_martlet(data, feeds)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inverse(dtype):
    random = np.random.default_rng(3)
    for shape in [(3, 3), (2, 4, 5, 5), (1, 1), (12, 12)]:
        x = draw(random, dtype, shape) + 3 * np.eye(shape[-1], dtype=dtype)
        assert_close("Inverse", [x], rtol=1e-4, atol=1e-4)
    data, feeds = make_model("Inverse", [np.ones((2, 2), dtype)], ("y",), "com.microsoft")
    assert not np.isfinite(run_martlet(data, feeds)[0]).all()


def test_trilu_and_pad():
    random = np.random.default_rng(4)
    x = floats(random, 2, 4, 5)
    assert_close("Trilu", [x])
    for k in (-1, 0, 2):
        for upper in (0, 1):
            assert_close("Trilu", [x, np.array(k)], upper=upper)
    pads = np.array([0, 1, 2, 1, -1, 0])
    for widths in (pads, pads[None]):
        for constants in ((), (1,)):
            assert_close("Pad", [x, widths], constants=constants)
            assert_close("Pad", [x, widths, np.array(3, np.float32)], constants=constants)
    pads = np.abs(pads)
    for mode in ("reflect", "edge"):
        assert_close("Pad", [x, pads], mode=mode)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample(mode):
    random = np.random.default_rng(5)
    x = floats(random, 2, 3, 5, 7)
    grid = random.uniform(-1.3, 1.3, (2, 4, 6, 2)).astype(np.float32)
    for padding in ("zeros", "border", "reflection"):
        for corners in (0, 1):
            assert_close(
                "GridSample", [x, grid], mode=mode, padding_mode=padding, align_corners=corners,
                rtol=1e-4, atol=1e-4,
            )  # fmt: skip
