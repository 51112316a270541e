"""Fixtures, and the way to the demo's real inputs."""

import pathlib
import subprocess
import sys

import pytest

import martlet

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Examples" / "demo"))

DIGITS = ROOT / "Examples" / "models" / "digits.onnx"


@pytest.fixture
def digits_path() -> str:
    return str(DIGITS)


@pytest.fixture
def digits() -> martlet.Model:
    return martlet.load(DIGITS)


@pytest.fixture
def images():
    import numpy as np

    return np.load(DIGITS.parent / "digits_images.npy")


@pytest.fixture(autouse=True)
def settings_are_restored():
    mode, threads = martlet.get_float32_fast_math_mode(), martlet.get_num_threads()
    yield
    martlet.set_float32_fast_math_mode(mode)
    martlet.set_num_threads(threads)


@pytest.fixture(scope="session")
def fetched_models():
    """Runs scripts/fetch-models once; skips, with the reason, what the registry does not give."""
    result = subprocess.run(
        [ROOT / "scripts" / "fetch-models"],
        capture_output=True, text=True, env=None, check=False,
    )  # fmt: skip
    return result.returncode, result.stderr.strip()
