"""The command that comes with the wheel, as a process of its own."""

import importlib.metadata
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import martlet
from martlet import _command


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "martlet", *map(str, arguments)],
        capture_output=True, text=True, check=False, **options,
    )  # fmt: skip


@pytest.fixture
def image_file(tmp_path, images):
    path = tmp_path / "image.npy"
    np.save(path, images[:2])
    return path


def test_info():
    result = run("info")
    assert result.returncode == 0 and not result.stderr
    assert martlet.__version__ in result.stdout and martlet.cpu_info().name in result.stdout
    value = json.loads(run("info", "--json").stdout)
    assert value["version"] == martlet.__version__ and value["threads"] >= 1
    assert value["mode"] == "FP32" and [s for s in value["instruction_sets"] if s["is_chosen"]]


def test_inspect(digits_path):
    result = run("inspect", digits_path)
    assert result.returncode == 0
    assert "float32[batch, 1, 8, 8]" in result.stdout and "probabilities" in result.stdout
    value = json.loads(run("inspect", digits_path, "--json").stdout)
    assert value["inputs"][0]["shape"] == ["batch", 1, 8, 8]
    assert value["metadata"]["opset"] == "17" and value["constants_bytes"] > 100_000


def test_run(digits, digits_path, images, image_file, tmp_path):
    expected = digits(images[:2]).numpy()
    result = run("run", digits_path, "--input", image_file)
    assert result.returncode == 0 and not result.stderr
    assert result.stdout.startswith("probabilities = Tensor([[")
    out = tmp_path / "a" / "b"
    named = f"image={image_file}"
    result = run("run", digits_path, "--input", named, "--output-dir", out, "--mode", "medium",
                 "--threads", 1, "--report", "--profile")  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "mode BF16" in result.stdout and "by node:" in result.stdout
    assert os.listdir(out) == ["probabilities.npy"]
    np.testing.assert_allclose(np.load(out / "probabilities.npy"), expected, atol=0.01)
    value = json.loads(
        run("run", digits_path, "--input", named, "--output-dir", out, "--json").stdout
    )
    (output,) = value["outputs"]
    assert output["shape"] == [2, 10] and output["file"] == str(out / "probabilities.npy")
    np.testing.assert_array_equal(np.load(output["file"]), expected)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ((), 64, "required: COMMAND"),
        (("frobnicate",), 64, "frobnicate"),
        (("run",), 64, "model"),
        (("run", "MODEL", "--threads", "many"), 64, "many"),
        (("run", "MODEL"), 64, "missing input 'image'"),
        (("run", "MODEL", "--input", "picture=IMAGE"), 64, "the inputs are 'image'"),
        (("run", "MODEL", "--input", "image=MISSING"), 66, "No such file"),
        (("run", "MODEL", "--input", "MISSING"), 66, "No such file"),
        (("run", "MODEL", "--input", "MODEL"), 65, "is no .npy file"),
        (("run", "MODEL", "--input", "WRONG"), 64, "axis 2: 7 instead of 8"),
        (("run", "MODEL", "--input", "IMAGE", "--mode", "BF17"), 64, "choose FP32"),
        (("run", "MODEL", "--input", "IMAGE", "--threads", "-1"), 64, "out of range"),
        (("run", "MODEL", "--input", "IMAGE", "--output-dir", "IMAGE"), 74, "exists"),
        (("inspect", "MISSING"), 66, "No such file"),
        (("inspect", "IMAGE"), 65, "not an ONNX model"),
        (("inspect", "FOLDER"), 74, "it is a directory"),
    ],
)
def test_slips(digits_path, image_file, images, tmp_path, arguments, code, text):
    np.save(tmp_path / "wrong.npy", images[:2, :, :7])
    places = {
        "MODEL": digits_path, "IMAGE": str(image_file), "MISSING": str(tmp_path / "no.npy"),
        "WRONG": str(tmp_path / "wrong.npy"), "FOLDER": str(tmp_path),
    }  # fmt: skip

    def placed(argument):
        for name, place in places.items():
            argument = argument.replace(name, place)
        return argument

    result = run(*map(placed, arguments))
    assert result.returncode == code, result.stderr
    assert text in result.stderr and "Traceback" not in result.stderr and not result.stdout


def test_a_full_disk_is_no_success(digits_path, image_file, tmp_path):
    with open("/dev/full", "w") as full:
        for arguments in (("info",), ("info", "--json"), ("inspect", digits_path),
                          ("run", digits_path, "--input", str(image_file))):  # fmt: skip
            result = subprocess.run(
                [sys.executable, "-m", "martlet", *arguments],
                stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
            assert result.returncode == 74
            assert result.stderr == (
                "martlet: cannot write standard output: No space left on device\n"
            )
    out = tmp_path / "out"
    limit = f"ulimit -f 0; exec {sys.executable} -m martlet run {digits_path}"
    result = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; {limit} --input {image_file} --output-dir {out}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 74 and "cannot write" in result.stderr
    assert os.listdir(out) == []


def test_a_reader_may_have_enough():
    script = f"{sys.executable} -m martlet info | head -1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[1] == "0" and not result.stderr


def test_the_wheel_has_the_command():
    try:
        scripts = importlib.metadata.distribution("martlet").entry_points
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("martlet is not installed here as a package")
    (script,) = [entry for entry in scripts if entry.group == "console_scripts"]
    assert script.name == "martlet" and script.load() is _command.main
