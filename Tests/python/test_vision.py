"""The operators of vision against ONNX Runtime on random configurations."""

import numpy as np
import pytest
from onnx import TensorProto
from test_conv_transpose import model_of
from test_onnx_reference import onnxruntime_ran, ran


def agree(inputs, op, opset, tolerance=2e-5, theirs=None, **attributes):
    """Both results, ONNX Runtime's in the opset `theirs` where it lacks the newer."""
    kind = attributes.pop("kind", None)
    (got,) = ran(*model_of(inputs, opset, op=op, kind=kind, **attributes))
    (want,) = onnxruntime_ran(*model_of(inputs, theirs or opset, op=op, kind=kind, **attributes))
    assert got.dtype == want.dtype and got.shape == want.shape, attributes
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=str(attributes))
    return got


@pytest.mark.parametrize("seed", range(60))
def test_non_max_suppression(seed):
    rng = np.random.default_rng(seed)
    batch, classes, count = (int(n) for n in rng.integers(1, [3, 5, 400]))
    boxes = rng.uniform(0, 20, (batch, count, 4)).astype(np.float32)
    scores = rng.random((batch, classes, count), np.float32)
    if seed % 3 == 0:  # many that are equal
        scores = np.round(scores, 1).astype(np.float32)
    inputs = [boxes, scores, np.array([int(rng.integers(0, 50))])]
    if seed % 4:
        inputs.append(np.array([rng.random()], np.float32))
    if seed % 4 > 1:
        inputs.append(np.array([rng.random()], np.float32))
    form = {"center_point_box": seed % 2}
    agree(inputs, "NonMaxSuppression", 11, 0, kind=TensorProto.INT64, **form)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("seed", range(6))
def test_grid_sample(mode, padding, seed):
    rng = np.random.default_rng(seed)
    n, c, h, w, oh, ow = (int(k) for k in rng.integers(1, [4, 6, 12, 12, 20, 20]))
    aligns = seed % 2
    if padding == "reflection" and aligns:  # an axis of one element divides by 0 there
        h, w = h + 1, w + 1
    x = rng.standard_normal((n, c, h, w)).astype(np.float32)
    grid = rng.uniform(-1.6, 1.6, (n, oh, ow, 2)).astype(np.float32)
    names = {"linear": "bilinear", "cubic": "bicubic"}
    attributes = {"padding_mode": padding, "align_corners": aligns}
    agree([x, grid], "GridSample", 20, mode=mode, **attributes)
    agree([x, grid], "GridSample", 16, mode=names.get(mode, mode), **attributes)
    if mode != "cubic":
        d = int(rng.integers(2, 6))
        x = rng.standard_normal((n, c, d, h, w)).astype(np.float32)
        grid = rng.uniform(-1.6, 1.6, (n, 3, oh, ow, 3)).astype(np.float32)
        agree([x, grid], "GridSample", 20, mode=mode, **attributes)


@pytest.mark.parametrize("seed", range(40))
def test_roi_align(seed):
    rng = np.random.default_rng(seed)
    n, c, h, w = (int(k) for k in rng.integers(1, [3, 9, 30, 30]))
    count = int(rng.integers(1, 12))
    x = rng.standard_normal((n, c, h, w)).astype(np.float32)
    corners = rng.uniform(-3, 60, (count, 2, 2)).astype(np.float32)
    corners = np.concatenate([corners.min(1), corners.max(1)], 1)
    images = rng.integers(0, n, count)
    attributes = {
        "output_height": int(rng.integers(1, 8)),
        "output_width": int(rng.integers(1, 8)),
        "sampling_ratio": int(rng.integers(0, 4)),
        "spatial_scale": float(rng.choice([1, 0.5, 0.25])),
    }
    agree([x, corners, images], "RoiAlign", 10, **attributes)
    for coordinates in ["half_pixel", "output_half_pixel"]:
        for mode in ["avg", "max"]:
            agree(
                [x, corners, images],
                "RoiAlign",
                16,
                mode=mode,
                coordinate_transformation_mode=coordinates,
                **attributes,
            )
