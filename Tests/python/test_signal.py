"""Fourier transforms, windows and mel weights against NumPy and ONNX Runtime."""

import numpy as np
import pytest
from onnx import TensorProto
from test_conv_transpose import model_of
from test_onnx_reference import onnxruntime_ran, ran


def pairs(values):
    return np.stack([values.real, values.imag], -1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 5, 16, 17, 31, 60, 257, 400, 1000, 1009, 4096])
def test_dft_is_numpys(n, dtype):
    rng = np.random.default_rng(n)
    tolerance = 3e-7 if dtype == np.float32 else 1e-14
    kind = TensorProto.FLOAT if dtype == np.float32 else TensorProto.DOUBLE
    for parts in [1, 2]:
        x = rng.standard_normal((2, n, 3, parts)).astype(dtype)
        signal = x[..., 0].astype(np.complex128)
        if parts == 2:
            signal += 1j * x[..., 1]
        cases = [
            ({}, pairs(np.fft.fft(signal, axis=1))),
            ({"inverse": 1}, pairs(np.fft.ifft(signal, axis=1))),
        ]
        if parts == 1:
            cases.append(({"onesided": 1}, pairs(np.fft.rfft(signal.real, axis=1))))
        elif n > 1:
            back = np.fft.irfft(signal, axis=1)[..., None]
            cases.append(({"inverse": 1, "onesided": 1}, back))
        for attributes, want in cases:
            for opset, inputs in [(20, [x, None, np.array(1)]), (17, [x])]:
                (got,) = ran(*model_of(inputs, opset, op="DFT", kind=kind, **attributes))
                assert got.dtype == dtype and got.shape == want.shape
                error = np.abs(got - want).max()
                assert error <= tolerance * max(1, np.abs(want).max()), (attributes, error)


def test_dft_is_onnx_runtimes():
    rng = np.random.default_rng(3)
    for n in [8, 15, 100]:
        x = rng.standard_normal((2, n, 1)).astype(np.float32)
        for onesided in [0, 1]:
            model = model_of([x], 17, op="DFT", onesided=onesided)
            np.testing.assert_allclose(
                ran(*model)[0], onnxruntime_ran(*model)[0], rtol=2e-3, atol=2e-3
            )


@pytest.mark.parametrize("seed", range(12))
def test_stft(seed):
    rng = np.random.default_rng(seed)
    length = int(rng.integers(1, 100))
    samples = length + int(rng.integers(0, 300))
    step = int(rng.integers(1, 40))
    x = rng.standard_normal((2, samples, 1)).astype(np.float32)
    window = np.hanning(length).astype(np.float32)
    inputs = [x, np.array(step), window, np.array(length)]
    for onesided in [0, 1]:
        (got,) = ran(*model_of(inputs, 17, op="STFT", onesided=onesided))
        frames = np.lib.stride_tricks.sliding_window_view(x[..., 0], length, 1)[:, ::step]
        signal = frames.astype(np.float64) * window
        want = pairs(np.fft.rfft(signal) if onesided else np.fft.fft(signal))
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)
        (theirs,) = onnxruntime_ran(*model_of(inputs, 17, op="STFT", onesided=onesided))
        np.testing.assert_allclose(got, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("op", ["HannWindow", "HammingWindow", "BlackmanWindow"])
def test_windows_are_onnx_runtimes(op):
    for size in [2, 7, 16, 400]:
        for periodic in [0, 1]:
            model = model_of([np.array(size)], 17, op=op, kind=TensorProto.FLOAT, periodic=periodic)
            np.testing.assert_allclose(ran(*model)[0], onnxruntime_ran(*model)[0], atol=1e-6)


def test_mel_weights_are_onnx_runtimes():
    for bins, length, rate, lower, upper in [
        (80, 400, 16000, 0, 8000),
        (40, 512, 16000, 20, 7600),
        (8, 16, 8192, 0, 4096),
    ]:
        inputs = [np.array(n) for n in (bins, length, rate)]
        inputs += [np.array(f, np.float32) for f in (lower, upper)]
        model = model_of(inputs, 17, op="MelWeightMatrix", kind=TensorProto.FLOAT)
        np.testing.assert_allclose(ran(*model)[0], onnxruntime_ran(*model)[0], atol=1e-6)
