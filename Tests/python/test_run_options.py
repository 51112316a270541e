"""Limits of runs, thread pools of one's own, and how both come to a run."""

import os
import pickle
import threading

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import martlet
from martlet import _martlet

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
STRING = TensorProto.STRING


def info(name, kind=FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def model_of(nodes, inputs, outputs, weights=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    opsets = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def loop(grows=False):
    """y = x, doubled in length or added to itself `count` times."""
    step = (
        helper.make_node("Concat", ["v", "v"], ["w"], axis=0, name="grow")
        if grows
        else helper.make_node("Add", ["v", "v"], ["w"], name="add")
    )
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), step],
        "body",
        [info("i", INT64, []), info("c", BOOL, []), info("v")],
        [info("d", BOOL, []), info("w")],
    )
    node = helper.make_node("Loop", ["count", "", "x"], ["y"], name="again", body=body)
    return model_of([node], [info("count", INT64, []), info("x", FLOAT, ["n"])], [info("y")])


ONE = np.ones(4, np.float32)


def test_a_limit_on_iterations():
    model = martlet.load(loop(), max_loop_iterations=10)
    np.testing.assert_array_equal(model(np.int64(10), ONE).numpy(), 1024 * ONE)
    with pytest.raises(martlet.LimitExceededError, match="max_loop_iterations") as caught:
        model(np.int64(11), ONE)
    error = caught.value
    assert (error.code, error.node, error.operator) == ("LIMIT_EXCEEDED", "again", "Loop")
    assert error.input == "max_loop_iterations" and "10" in error.expected
    np.testing.assert_array_equal(model(np.int64(10), ONE).numpy(), 1024 * ONE)


def test_a_limit_on_memory():
    model = martlet.load(loop(grows=True), max_memory_bytes=1 << 20)
    results = [model(np.int64(14), ONE) for _ in range(5)]
    assert all(result.shape == (1 << 16,) for result in results)
    for _ in range(3):
        with pytest.raises(martlet.LimitExceededError, match="max_memory_bytes") as caught:
            model(np.int64(60), ONE)
        assert caught.value.node == "grow"
    assert model(np.int64(14), ONE).shape == (1 << 16,)


def test_a_limit_on_time():
    model = martlet.load(loop(), max_milliseconds=20)
    for _ in range(2):
        with pytest.raises(martlet.LimitExceededError, match="max_milliseconds") as caught:
            model(np.int64(1 << 62), ONE)
        assert caught.value.node is not None and caught.value.expected == "at most 20 ms"
    feed = {"count": np.int64(3), "x": ONE}
    assert model.run(feed, max_milliseconds=0)["y"].numpy()[0] == 8
    with pytest.raises(martlet.LimitExceededError):
        martlet.load(loop()).run(feed | {"count": np.int64(1 << 62)}, max_milliseconds=1)


def test_denormals_are_kept_unless_a_model_flushes_them():
    tiny = np.full(1 << 18, 2.0**-140, np.float32)
    file = model_of(
        [helper.make_node("Mul", ["x", "two"], ["y"])],
        [info("x", FLOAT, ["n"])],
        [info("y")],
        [numpy_helper.from_array(np.float32([2]), "two")],
    )
    kept, flushing = martlet.load(file), martlet.load(file, flush_denormals=True)
    for _ in range(2):
        np.testing.assert_array_equal(kept(tiny).numpy(), 2 * tiny)
        np.testing.assert_array_equal(flushing(tiny).numpy(), 0 * tiny)
    assert tiny[0] * np.float32(2) > 0
    with pytest.raises(ValueError, match="flush_denormals"):
        martlet.load(file, flush_denormals=2)


def test_a_run_has_limits_of_its_own():
    model = martlet.load(loop(), max_loop_iterations=10)
    feed = {"count": np.int64(20), "x": ONE}
    assert model.run(feed, max_loop_iterations=20)["y"].numpy()[0] == 1 << 20
    assert model.run(feed, max_loop_iterations=0)["y"].numpy()[0] == 1 << 20
    with pytest.raises(martlet.LimitExceededError):
        model.run(feed)
    with pytest.raises(martlet.LimitExceededError):
        model.run(feed, max_loop_iterations=0, max_memory_bytes=8)
    # What a run was given does not stay.
    with pytest.raises(martlet.LimitExceededError, match="max_loop_iterations"):
        model.run(feed)


@pytest.mark.parametrize("name", ["max_loop_iterations", "max_memory_bytes", "max_milliseconds"])
def test_bad_limits(name):
    with pytest.raises(ValueError, match=name):
        martlet.load(loop(), **{name: -1})
    with pytest.raises(ValueError, match=name):
        martlet.load(loop(), **{name: 1 << 64})
    with pytest.raises((TypeError, ValueError)):
        martlet.load(loop(), **{name: "many"})


def test_a_loop_can_be_interrupted():
    import signal

    model = martlet.load(loop())
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            model(np.int64(1 << 62), ONE)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_limits_are_pickled(tmp_path):
    path = tmp_path / "loop.onnx"
    path.write_bytes(loop())
    model = pickle.loads(pickle.dumps(martlet.load(path, max_loop_iterations=3)))
    with pytest.raises(martlet.LimitExceededError):
        model(np.int64(4), ONE)


def test_weights_are_prepared_at_load_or_by_the_first_run(tmp_path):
    weight = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    path = tmp_path / "product.onnx"
    path.write_bytes(model_of([node], [info("x", FLOAT, [8, 64])], [info("y")], [weight]))
    x = np.ones((8, 64), np.float32)
    early, late = martlet.load(path), martlet.load(path, prepare=False)
    assert early.memory()["prepared"] >= 64 * 64 * 4 and late.memory()["prepared"] == 0
    again = pickle.loads(pickle.dumps(late))
    assert again.memory()["prepared"] == 0
    for model in (early, late, again):
        np.testing.assert_array_equal(model(x).numpy(), np.full((8, 64), 64, np.float32))
        assert model.memory()["prepared"] == early.memory()["prepared"]


def test_a_limit_on_memory_counts_strings_sequences_and_states():
    cases = [
        (
            [helper.make_node("StringConcat", ["x", "x"], ["y"], name="n")],
            info("x", STRING, ["n"]),
            np.array(["ab"] * 99),
        ),
        (
            [helper.make_node("SplitToSequence", ["x"], ["y"], name="n")],
            info("x", FLOAT, ["n"]),
            np.zeros(99, np.float32),
        ),
        (
            [helper.make_node("Concat", ["x", "x"], ["y"], axis=0, name="n")],
            info("x", FLOAT, ["n"]),
            martlet.State(np.zeros(2000, np.float32), 0, 2000),
        ),
    ]
    for nodes, given, value in cases:
        output = info("y")
        if nodes[0].op_type == "SplitToSequence":
            output = helper.make_tensor_sequence_value_info("y", FLOAT, None)
        if nodes[0].op_type == "StringConcat":
            output = info("y", STRING)
        model = martlet.load(model_of(nodes, [given], [output]))
        with pytest.raises(martlet.LimitExceededError, match="max_memory_bytes") as caught:
            model.run({"x": value}, max_memory_bytes=8000)
        assert caught.value.node == "n"
        model.run({"x": value}, max_memory_bytes=80000)


def test_options_of_a_context_by_name(digits_path):
    context = martlet.load(digits_path)._context
    context.set_option("max_memory_bytes", "0")
    with pytest.raises(ValueError, match="no_such") as caught:
        context.set_option("no_such", "1")
    assert "max_loop_iterations" in caught.value.expected
    with pytest.raises(ValueError, match="winograd"):
        context.set_option("winograd", "perhaps")


# ---- pools


def threads():
    return len(os.listdir("/proc/self/task"))


def test_every_pool_gives_the_same_bits(digits_path, images):
    expected = martlet.load(digits_path)(images).numpy()
    cpus = sorted(os.sched_getaffinity(0))
    pools = [martlet.ThreadPool(count) for count in range(5)]
    pools += [martlet.ThreadPool(cpus=cpus), martlet.ThreadPool(3, cpus=cpus[:1])]
    assert [pool.threads for pool in pools[1:5]] == [1, 2, 3, 4]
    assert pools[5].threads == len(cpus)
    plain = martlet.load(digits_path)
    for pool in pools:
        model = martlet.load(digits_path, pool=pool)
        np.testing.assert_array_equal(model(images).numpy(), expected)
        feed = {plain.inputs[0].name: images}
        (result,) = plain.run(feed, pool=pool).values()
        np.testing.assert_array_equal(result.numpy(), expected)


def test_a_pool_lives_as_long_as_what_uses_it(digits_path, images):
    expected = martlet.load(digits_path)(images).numpy()
    model = martlet.load(digits_path, pool=martlet.ThreadPool(3))
    np.testing.assert_array_equal(model(images).numpy(), expected)
    results = []

    def run():
        own = martlet.load(digits_path, pool=martlet.ThreadPool(2))
        results.extend(np.array_equal(own(images).numpy(), expected) for _ in range(20))

    workers = [threading.Thread(target=run) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 80 and all(results)


def test_a_pool_in_a_forked_child(digits_path, images):
    model = martlet.load(digits_path, pool=martlet.ThreadPool(3))
    expected = model(images).numpy()
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if np.array_equal(model(images).numpy(), expected) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("count", [-1, 1025, 1 << 40])
def test_bad_numbers_of_threads(count):
    with pytest.raises((ValueError, OverflowError)):
        martlet.ThreadPool(count)


@pytest.mark.parametrize("cpus", [[-1], [1 << 20], [1 << 70], ["0"], 3, [0.5]])
def test_bad_processors(cpus):
    with pytest.raises((ValueError, TypeError, OverflowError)):
        martlet.ThreadPool(1, cpus=cpus)


def test_what_is_no_pool(digits_path):
    with pytest.raises(TypeError, match="ThreadPool"):
        martlet.load(digits_path, pool=3)


# ---- positions and names


def test_positions_and_names_agree(digits_path, images):
    model = martlet.load(digits_path)
    by_position = model(images).numpy()
    by_name = model(**{model.inputs[0].name: images}).numpy()
    np.testing.assert_array_equal(by_position, by_name)
    with pytest.raises(martlet.InvalidArgumentError, match="missing input"):
        model()
    with pytest.raises(martlet.NotFoundError, match="no input 'wrong'"):
        model(wrong=images)


def test_the_extension_checks_its_tuples(digits_path, images):
    context = martlet.load(digits_path)._context
    for arguments in [
        ((), (images,), ("b",), (None,), True),
        (("a",), (images,), ("b", "c"), (None,), False),
        (("a",), (images,), ("b", "c"), (None,), True),
        (("a",), (images,), 3, (None,), False),
        (("a",), (images,), None, (None,), True),
    ]:
        with pytest.raises(TypeError):
            context.run(*arguments)
    assert isinstance(_martlet.ThreadPool(1), martlet.ThreadPool)
