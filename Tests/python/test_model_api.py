"""Loading and running models: names, errors, threads, processes, memory."""

import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import martlet


def test_the_digits_are_read(digits, images):
    labels = np.load(os.path.join(os.path.dirname(digits.path), "digits_labels.npy"))
    scores = digits(images)
    assert isinstance(scores, martlet.Tensor) and scores.shape == (len(images), 10)
    assert (scores.numpy().argmax(1) == labels).mean() > 0.97


def test_inputs_and_outputs_are_described(digits):
    shape = ("batch", 1, 8, 8)
    assert digits.inputs == (
        martlet.ValueInfo("image", "float32", shape, "float32[batch, 1, 8, 8]"),
    )
    assert digits.outputs[0].name == "probabilities"
    assert digits.outputs[0].dtype == "float32"
    assert digits.outputs[0].shape[1] == 10
    assert "martlet train_digits.py" in " ".join(digits.metadata.values())
    assert "digits.onnx" in repr(digits) and "image -> probabilities" in repr(digits)


def test_all_ways_to_call_agree(digits, images):
    x = images[:5]
    expected = digits(x).numpy()
    np.testing.assert_array_equal(digits(image=x).numpy(), expected)
    np.testing.assert_array_equal(digits(martlet.Tensor(x)).numpy(), expected)
    named = digits.run({"image": x})
    assert list(named.keys()) == ["probabilities"]
    np.testing.assert_array_equal(named["probabilities"].numpy(), expected)
    np.testing.assert_array_equal(digits.run({"image": x}, ["probabilities"])["probabilities"],
                                  expected)  # fmt: skip
    place = np.empty((5, 10), np.float32)
    result = digits.run({"image": x}, out={"probabilities": place})["probabilities"]
    np.testing.assert_array_equal(place, expected)
    assert np.shares_memory(result.numpy(), place)


def test_inputs_of_any_layout(digits, images):
    x = images[:6]
    expected = digits(x).numpy()
    read_only = x.copy()
    read_only.flags.writeable = False
    twice = np.repeat(x, 2, axis=0)
    for same in (read_only, np.asfortranarray(x), twice[::2], x[::-1].copy()[::-1]):
        np.testing.assert_array_equal(digits(same).numpy(), expected)


def test_paths_bytes_and_path_objects(digits_path, images):
    import pathlib

    expected = martlet.load(digits_path)(images[:2]).numpy()
    content = pathlib.Path(digits_path).read_bytes()
    for source in (pathlib.Path(digits_path), content, bytearray(content), memoryview(content)):
        np.testing.assert_array_equal(martlet.load(source)(images[:2]).numpy(), expected)
    unoptimized = martlet.load(digits_path, optimize=False)(images[:2])
    np.testing.assert_allclose(unoptimized.numpy(), expected, rtol=1e-5, atol=1e-7)


def test_winograd_can_be_turned_off(digits_path, images):
    plain, same = martlet.load(digits_path, winograd=False), martlet.load(digits_path)
    np.testing.assert_allclose(
        plain(images[:2]).numpy(), same(images[:2]).numpy(), rtol=1e-5, atol=1e-7
    )
    again = pickle.loads(pickle.dumps(plain))
    np.testing.assert_array_equal(again(images[:2]).numpy(), plain(images[:2]).numpy())
    with pytest.raises(TypeError):
        martlet.load(digits_path, None, True, False)


@pytest.mark.parametrize(
    ("call", "kind", "pattern"),
    [
        (lambda m, x: m(), ValueError, "image"),
        (lambda m, x: m(x, x), TypeError, "1 input, 'image'; got 2"),
        (lambda m, x: m(x, image=x), TypeError, "twice"),
        (lambda m, x: m(picture=x), ValueError, "picture"),
        (lambda m, x: m.run({"image": x, "more": x}), ValueError, "more"),
        (lambda m, x: m.run({"image": x}, ["scores"]), ValueError, "scores"),
        (lambda m, x: m.run({"image": x}, ["probabilities"] * 2), ValueError, "twice"),
        (lambda m, x: m.run({"image": x}, out={"y": x}), ValueError, "'y'"),
        (lambda m, x: m(x.astype(np.float64)), TypeError, "image.*(float32|float64)"),
        (lambda m, x: m(x[0]), ValueError, "image"),
        (lambda m, x: m(x[:, :, :7]), ValueError, "image"),
        (lambda m, x: m("x"), TypeError, "input 'image'"),
        (lambda m, x: m(None), (TypeError, ValueError), "image"),
        (lambda m, x: m.run({"image": x}, out={"probabilities": np.empty((3, 3), "f4")}),
         ValueError, "probabilities|shape"),
    ],
)  # fmt: skip
def test_wrong_inputs_are_named_and_the_next_call_works(digits, images, call, kind, pattern):
    expected = digits(images[:3]).numpy()
    with pytest.raises(kind, match=pattern):
        call(digits, images[:3])
    np.testing.assert_array_equal(digits(images[:3]).numpy(), expected)


def test_a_float64_input_is_not_cast_in_silence(digits, images):
    with pytest.raises(martlet.InvalidDTypeError) as info:
        digits(images.astype(np.float64))
    assert (info.value.input, info.value.code) == ("image", "INVALID_DTYPE")
    assert "float32" in info.value.expected and "float64" in info.value.actual


def test_files_that_are_no_models(tmp_path, digits_path):
    with pytest.raises(FileNotFoundError, match="no_such") as info:
        martlet.load(tmp_path / "no_such.onnx")
    assert info.value.filename.endswith("no_such.onnx") and isinstance(info.value, martlet.Error)
    assert "No such file" in str(info.value)
    with pytest.raises(ValueError, match="null"):
        martlet.load(str(digits_path) + "\0.onnx")
    with pytest.raises(OSError, match=str(tmp_path)):
        martlet.load(tmp_path)
    with open(digits_path, "rb") as file:
        content = file.read()
    for name, data in (("empty", b""), ("cut", content[: len(content) // 2]), ("text", b"hello")):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(martlet.InvalidModelError):
            martlet.load(path)
        with pytest.raises(martlet.InvalidModelError):
            martlet.load(data)
    with pytest.raises(ValueError, match="BF16"):
        martlet.load(digits_path, mode="BF17")
    with pytest.raises(TypeError):
        martlet.load(3)


def test_a_progress_callback_sees_the_loading_and_may_stop_it(digits_path):
    seen = []
    martlet.load(digits_path, progress=lambda fraction, stage: seen.append((fraction, stage)))
    assert seen and all(0 <= fraction <= 1 and stage for fraction, stage in seen)
    with pytest.raises(martlet.CancelledError):
        martlet.load(digits_path, progress=lambda fraction, stage: False)

    def fail(fraction, stage):
        raise KeyError(stage)

    with pytest.raises(KeyError):
        martlet.load(digits_path, progress=fail)


def test_the_precision_report_covers_every_product(digits, images):
    with pytest.raises(martlet.Error):
        digits.precision_report()  # nothing has run yet
    digits(images[:2])
    report = digits.precision_report()
    products = [node for node in report.nodes if node.precision is not None]
    assert len(products) == 4 and {node.precision for node in products} == {"fp32"}
    assert "conv1" in str(report)
    low = martlet.load(digits.path, mode="BF16")
    assert low.mode == "BF16"
    low(images[:2])
    for node in low.precision_report().nodes:
        if node.precision == "fp32":
            assert node.reason  # BF16 was asked for, so there is a reason
    if not martlet.cpu_info().has_bf16:
        assert all(node.precision in (None, "fp32") for node in low.precision_report().nodes)


def test_a_profile_has_the_time_of_every_node(digits, images):
    with pytest.raises(martlet.Error):
        digits.profile()
    assert "1 runs" in str(digits.profile({digits.inputs[0].name: images}))
    profile = digits.profile(images)
    assert len(profile.nodes) >= 4 and sum(node.nanoseconds for node in profile.nodes) > 0
    assert str(profile)


def test_the_modes_precedence_for_models(digits_path, images):
    plain, strict = martlet.load(digits_path), martlet.load(digits_path, mode="FP32")
    before = plain(images).numpy()
    with martlet.fast_math("BF16"):
        low = plain(images).numpy()
        np.testing.assert_array_equal(strict(images).numpy(), before)
    np.testing.assert_array_equal(plain(images).numpy(), before)
    martlet.set_float32_fast_math_mode("BF16")
    np.testing.assert_array_equal(plain(images).numpy(), low)
    martlet.set_float32_fast_math_mode("FP32")
    np.testing.assert_array_equal(plain(images).numpy(), before)
    assert np.array_equal(low, before) != martlet.cpu_info().has_bf16


def test_eight_threads_share_a_model(digits, images):
    expected = digits(images).numpy()
    failures = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(40):
            rows = np.sort(rng.choice(len(images), rng.integers(1, 60), replace=False))
            if not np.array_equal(digits(images[rows]).numpy(), expected[rows]):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def run_pickled(payload):
    model, x = pickle.loads(payload)
    return model(x).numpy()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_worker_processes(digits, images, method):
    martlet.set_num_threads(2)
    expected = digits(images[:50]).numpy()  # the pool's threads exist before the fork
    payload = pickle.dumps((digits, images[:50]))
    with multiprocessing.get_context(method).Pool(2) as pool:
        for result in pool.map(run_pickled, [payload] * 4, chunksize=1):
            np.testing.assert_array_equal(result, expected)


def test_a_forked_child_goes_on_with_the_parents_model(digits, images):
    expected = digits(images[:50]).numpy()
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(digits(images[:50]).numpy(), expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_pickling_keeps_path_and_mode(digits_path, tmp_path, monkeypatch):
    monkeypatch.chdir(os.path.dirname(digits_path))
    model = martlet.load("digits.onnx", mode="bf16")
    monkeypatch.chdir(tmp_path)
    again = pickle.loads(pickle.dumps(model))
    assert (again.path, again.mode) == (model.path, "BF16")
    with open(digits_path, "rb") as file:
        from_memory = martlet.load(file.read())
    with pytest.raises(TypeError, match="path"):
        pickle.dumps(from_memory)


def test_results_outlive_the_model(digits_path, images):
    model = martlet.load(digits_path)
    result = model(images[:4])
    expected = result.numpy().copy()
    del model
    gc.collect()
    np.testing.assert_array_equal(result.numpy(), expected)


def resident_kilobytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


ANONYMOUS_MEMORY = """
import sys, numpy as np, martlet
def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))
before = anonymous()
model = martlet.load(sys.argv[1])
loaded = anonymous()
model(np.ones((1, 1700), np.float32))
print(loaded - before, anonymous() - before)
"""


def test_weights_are_kept_once(tmp_path):
    onnx = pytest.importorskip("onnx")
    layers, width = 8, 1700  # 92 MB
    weights = [
        onnx.numpy_helper.from_array(np.full((width, width), 1 / width, np.float32), f"w{i}")
        for i in range(layers)
    ]
    names = ["x", *(f"h{i}" for i in range(layers - 1)), "y"]
    nodes = [
        onnx.helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]]) for i in range(layers)
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "wide", [value("x", 1, ["n", width])], [value("y", 1, ["n", width])], weights
    )
    path = tmp_path / "wide.onnx"
    onnx.save(onnx.helper.make_model(graph, ir_version=8), path)
    result = subprocess.run(
        [sys.executable, "-c", ANONYMOUS_MEMORY, path], capture_output=True, text=True, check=True
    )
    loaded, ran = map(int, result.stdout.split())
    weights_kib = layers * width * width * 4 // 1024
    # They are packed while the model is loaded, and read from the mapped file for that alone.
    assert loaded < weights_kib * 1.1, f"loading took {loaded} KiB of memory of its own"
    assert ran < weights_kib * 1.25, f"a run took {ran} KiB: weights are kept more than once"


def test_nothing_leaks(digits_path, images):
    x = images[:8]
    bad = x.astype(np.float64)

    def once():
        model = martlet.load(digits_path)
        model.run({"image": x})
        martlet.matmul(x[:, 0], x[:, 0])
        martlet.from_dlpack(np.from_dlpack(martlet.Tensor(x))).numpy()
        martlet.op("Concat", x, x, axis=0)
        for wrong in (lambda: model(bad), lambda: martlet.load(b"x"), lambda: model(image=1j),
                      lambda: martlet.op("Concat", x, no_such=[1, 2])):  # fmt: skip
            with pytest.raises((martlet.Error, TypeError)):
                wrong()

    for _ in range(30):
        once()
    gc.collect()
    references, held, resident = sys.getrefcount(x), martlet.memory_in_use(), resident_kilobytes()
    for _ in range(150):
        once()
    gc.collect()
    assert martlet.memory_in_use() == held
    assert sys.getrefcount(x) == references
    assert resident_kilobytes() - resident < 4096


def test_control_c_stops_a_loop_of_runs(digits_path):
    script = f"""
import signal, sys, numpy as np, martlet
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have it ignored
model = martlet.load({digits_path!r})
x = np.zeros((20000, 1, 8, 8), np.float32)
print("ready", flush=True)
try:
    while True:
        model(x)
except KeyboardInterrupt:
    print("stopped", model(x[:1]).shape)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    try:
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert output == "stopped (1, 10)\n" and process.returncode == 0


def test_an_output_that_is_listed_twice():
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info
    x, y = (value(name, onnx.TensorProto.FLOAT, [2]) for name in "xy")
    node = onnx.helper.make_node("Neg", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "twice", [x], [y, y])
    model = martlet.load(onnx.helper.make_model(graph, ir_version=8).SerializeToString())
    first, second = model(np.float32([1, 2]))
    assert first.tolist() == second.tolist() == [-1, -2]
    assert model.run({"x": np.float32([1, 2])})["y"].tolist() == [-1, -2]


def test_memory_is_told_of_before_and_after_a_run(digits, images):
    before = digits.memory()
    assert set(before) == {"constants", "mapped", "prepared", "arena", "peak"}
    assert 0 < before["mapped"] <= before["constants"]
    one, five = (digits.result_bytes({"image": (rows, 1, 8, 8)}) for rows in (1, 5))
    assert 0 < one < five
    for _ in range(3):
        digits(images[:5])
    after = digits.memory()
    assert after["prepared"] >= before["prepared"] > 0
    assert 0 < after["arena"] <= after["peak"]
    with pytest.raises(martlet.Error, match="axis 1"):
        digits.result_bytes({"image": (5, 2, 8, 8)})
    with pytest.raises(KeyError):
        digits.result_bytes({})


def test_results_whose_size_depends_on_data_have_none_beforehand():
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info
    x = value("x", onnx.TensorProto.FLOAT, ["n"])
    y = value("y", onnx.TensorProto.INT64, [1, None])
    node = onnx.helper.make_node("NonZero", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [x], [y])
    model = martlet.load(onnx.helper.make_model(graph, ir_version=8).SerializeToString())
    assert model.result_bytes({"x": (8,)}) is None
