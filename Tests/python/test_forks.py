"""Children of os.fork() use the library, whatever other threads of their parent are at."""

import os
import signal
import threading

import numpy as np
import pytest

import martlet

CHILDREN = 24
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def outcome_of_child(body):
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)
        try:
            os._exit(0 if body() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def on_threads(count, work):
    """What `work` gave on `count` threads at once, the calling one among them."""
    results = []
    threads = [threading.Thread(target=lambda: results.append(work())) for _ in range(count - 1)]
    for thread in threads:
        thread.start()
    results.append(work())
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("busy", [0, 2])
def test_many_threads_of_each_child(digits_path, digits, images, busy):
    expected = digits(images[:3]).numpy()
    stop = False

    def compute():
        while not stop:
            martlet.load(digits_path)(images[:3])

    def work():
        return martlet.load(digits_path)(images[:3]).numpy()

    def is_right():
        return all(np.array_equal(result, expected) for result in [*on_threads(3, work)])

    others = [threading.Thread(target=compute) for _ in range(busy)]
    for other in others:
        other.start()
    try:
        outcomes = [outcome_of_child(is_right) for _ in range(CHILDREN)]
    finally:
        stop = True
        for other in others:
            other.join()
    assert outcomes == [0] * CHILDREN
