"""Runs on other threads, their progress and end; threads, logs and pictures of models."""

import asyncio
import concurrent.futures
import logging
import os
import pickle
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from test_run_options import ONE, loop

import martlet
from martlet import _progress

FOREVER = {"count": 1 << 62, "x": ONE}
SHORT = {"count": 10, "x": ONE}


@pytest.fixture
def endless():
    return martlet.load(loop())


# ---- other threads


def test_a_run_on_another_thread(digits, images):
    expected = digits(images).numpy()
    futures = [digits.run_async({"image": images[: n + 1]}) for n in range(20)]
    assert all(isinstance(future, concurrent.futures.Future) for future in futures)
    for n, future in enumerate(futures):
        result = future.result(60)["probabilities"]
        np.testing.assert_array_equal(result.numpy(), expected[: n + 1])
    called = threading.Event()
    futures[0].add_done_callback(lambda future: called.set())
    assert called.wait(60)
    place = np.empty((5, 10), np.float32)
    digits.run_async(["probabilities"], images[:5], out={"probabilities": place}).result(60)
    np.testing.assert_array_equal(place, expected[:5])


def test_errors_of_a_run_on_another_thread(digits, images):
    future = digits.run_async({"picture": images})
    with pytest.raises(martlet.NotFoundError, match="no input 'picture'"):
        future.result(60)
    with pytest.raises(TypeError, match="unexpected keyword"):
        digits.run_async({"image": images}, colour="red").result(60)


def test_a_run_on_another_thread_has_the_mode_of_this_one(digits_path, images):
    model = martlet.load(digits_path)
    with martlet.fast_math("BF16"):
        expected = model(images).numpy()
        future = model.run_async(images)
    np.testing.assert_array_equal(future.result(60)[0].numpy(), expected)


def test_a_run_under_way_can_be_cancelled(endless):
    future = endless.run_async(FOREVER)
    while not future.running():
        time.sleep(0.001)
    assert future.cancel()
    with pytest.raises(martlet.CancelledError):
        future.result(60)
    assert not future.cancel()  # it is over
    assert endless.run_async(SHORT).result(60)["y"].tolist() == (1024 * ONE).tolist()


def test_a_run_that_waits_can_be_cancelled(endless):
    running = [endless.run_async(FOREVER) for _ in range(64)]
    waiting = running[-1]
    assert not waiting.running() and waiting.cancel() and waiting.cancelled()
    assert all(future.cancel() for future in running[:-1])
    concurrent.futures.wait(running, 60)
    assert all(future.done() for future in running)


def test_await(digits, images, endless):
    expected = digits(images[:3]).numpy()

    async def some():
        runs = [digits.arun({"image": images[:3]}), digits.arun(None, {"image": images[:3]})]
        return await asyncio.gather(*runs)

    for results in asyncio.run(some()):
        np.testing.assert_array_equal(results["probabilities"].numpy(), expected)

    async def too_long():
        await asyncio.wait_for(endless.arun(FOREVER), 0.1)

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(too_long())
    # The run has ended too: its thread is free for another.
    assert endless.run_async(SHORT).result(60)["y"].tolist() == (1024 * ONE).tolist()
    assert time.monotonic() - began < 60


def test_a_forked_child_has_threads_of_its_own(digits, images):
    expected = digits.run_async(images[:2]).result(60)[0].numpy()
    child = os.fork()
    if child == 0:
        same = np.array_equal(digits.run_async(images[:2]).result(60)[0].numpy(), expected)
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# ---- progress


def test_a_run_tells_its_progress_and_can_be_stopped(endless):
    told = []

    def stop_later(fraction, stage):
        told.append((fraction, stage))
        return len(told) < 3

    with pytest.raises(martlet.CancelledError, match="progress"):
        endless.run(FOREVER, progress=stop_later)
    assert len(told) == 3 and all(0 <= f <= 1 and stage == "run" for f, stage in told)
    with pytest.raises(martlet.CancelledError):
        endless.run_async(FOREVER, progress=lambda fraction, stage: False).result(60)

    def fail(fraction, stage):
        raise KeyError(stage)

    with pytest.raises(KeyError, match="run"):
        endless.run(FOREVER, progress=fail)

    def again(fraction, stage):
        endless.run(SHORT)

    with pytest.raises(martlet.Error, match="in use, by another thread or by the run"):
        endless.run(FOREVER, progress=again)
    told.clear()
    assert endless.run(SHORT)["y"].tolist() == (1024 * ONE).tolist()
    assert not told
    with pytest.raises(TypeError, match="progress is True, or a function"):
        endless.run(SHORT, progress=1)


def test_a_line_of_progress_where_there_is_no_tqdm(digits_path, images, capsys, monkeypatch):
    monkeypatch.setattr(_progress, "_tqdm", lambda what: None)
    model = martlet.load(digits_path, progress=True)
    assert capsys.readouterr().err == "loading digits.onnx: 100% done\n"
    model.run(images, progress=True)
    assert capsys.readouterr().err == "running digits.onnx: 100% done\n"
    with pytest.raises(martlet.Error):
        model.run({}, progress=True)
    assert "done" not in capsys.readouterr().err

    class Terminal(list):
        def isatty(self):
            return True

        def write(self, text):
            self.append(text)

        def flush(self):
            pass

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    martlet.load(digits_path, progress=True)
    text = "".join(terminal)
    assert text.count("\r") > 1 and "100% done" in text and text.endswith("\n")


def test_tqdm_shows_the_progress_where_it_is(digits_path, monkeypatch):
    class Bar:
        def __init__(self, total, desc, unit):
            self.n, self.desc, self.closed = 0, desc, False
            bars.append(self)

        def set_postfix_str(self, stage, refresh):
            self.stage = stage

        def update(self, step):
            self.n += step

        def close(self):
            self.closed = True

    bars = []
    module = type(sys)("tqdm.auto")
    module.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm", type(sys)("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    martlet.load(digits_path, progress=True)
    (bar,) = bars
    assert (bar.n, bar.desc, bar.closed) == (100, "loading digits.onnx", True)


# ---- threads, logs, pictures


def test_a_model_has_threads_of_its_own(digits_path, images):
    expected = martlet.load(digits_path)(images).numpy()
    for count in (1, 3):
        model = martlet.load(digits_path, threads=count)
        assert model.threads == count
        np.testing.assert_array_equal(model(images).numpy(), expected)
        again = pickle.loads(pickle.dumps(model))
        assert again.threads == count
        np.testing.assert_array_equal(again(images).numpy(), expected)
    assert martlet.load(digits_path).threads is None
    with pytest.raises(ValueError, match="-1 is out of range"):
        martlet.load(digits_path, threads=-1)
    with pytest.raises(ValueError, match="threads and pool"):
        martlet.load(digits_path, threads=1, pool=martlet.ThreadPool(1))


def test_loading_is_logged(digits_path, caplog):
    with caplog.at_level(logging.INFO, "martlet"):
        martlet.load(digits_path, mode="bf16")
    (record,) = caplog.records
    assert record.name == "martlet" and record.levelname == "INFO"
    message = record.getMessage()
    assert message.startswith(f"loaded {digits_path} in ") and message.endswith("mode BF16")
    caplog.clear()
    told = []
    with caplog.at_level(logging.DEBUG, "martlet"):
        martlet.load(digits_path, progress=lambda fraction, stage: told.append(stage))
    debug = [r.getMessage() for r in caplog.records if r.levelno == logging.DEBUG]
    stages = list(dict.fromkeys(told))
    assert len(debug) == len(stages) and all(s in d for s, d in zip(stages, debug, strict=True))
    caplog.clear()
    with caplog.at_level(logging.WARNING, "martlet"):
        martlet.load(digits_path)
    assert not caplog.records


def test_importing_martlet_imports_little():
    script = (
        "import sys, martlet; "
        "print([m for m in ('numpy', 'logging', 'asyncio', 'concurrent.futures', 'tqdm')"
        " if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_pictures_for_notebooks(digits, images):
    text = digits._repr_html_()
    assert "<b>digits.onnx</b>" in text and "<td>float32[batch, 1, 8, 8]</td>" in text
    digits(images)
    report = digits.precision_report()._repr_html_()
    assert report.count("<tr>") == 5 and "<td>conv1</td>" in report and "<th>ms</th>" not in report
    profile = digits.profile(images)._repr_html_()
    assert profile.count("<tr>") == 8 and "<th>ms</th>" in profile and "%</td>" in profile
    assert martlet.Report("<b>", (martlet.NodeInfo("<i>", "&", None, None, None, None, 5),))
    odd = martlet.Report("<b>", (martlet.NodeInfo("<i>", "&", None, None, None, None, 5),))
    assert "&lt;b&gt;" in odd._repr_html_() and "<td>&lt;i&gt;</td><td>&amp;</td>" in (
        odd._repr_html_()
    )


def test_threads_at_once_share_tensors_and_models_and_one_has_a_context(digits, images):
    """On free-threaded CPython these are at once; a context turns the second away."""
    expected = digits(images[:4]).numpy()
    shared = martlet.Tensor(images[:4])
    context = digits._context
    names, outputs = ("image",), ("probabilities",)
    begin = threading.Barrier(8)
    wrong, turned_away = [], []

    def work():
        begin.wait()
        for _ in range(60):
            part = (shared * 2.0)[1:].copy()
            if not (part == shared[1:] + shared[1:]).numpy().all():
                wrong.append("tensor")
            if not np.array_equal(digits(shared).numpy(), expected):
                wrong.append("model")
            try:
                (result,) = context.run(names, (shared,), outputs, (None,), False)
            except martlet.Error as error:
                turned_away.append(str(error))
            else:
                if not np.array_equal(result.numpy(), expected):
                    wrong.append("context")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all("in use" in text or "another thread" in text for text in turned_away)
