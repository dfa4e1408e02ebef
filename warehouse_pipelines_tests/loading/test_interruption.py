"""Work in a thread ends when the thread that waits for it is interrupted, at whatever moment."""

import _thread
import threading
import time

import pytest

from warehouse_pipelines.loading import interruption


def test_a_signal_that_comes_just_before_the_wait_ends_the_work() -> None:
    """``interrupt_main`` notes a signal and ends no system call, as a signal does that comes just before one."""
    stopped = threading.Event()
    threading.Timer(0.2, _thread.interrupt_main).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interruption.interruptible(lambda: stopped.wait(20), stopped.set)
    assert stopped.is_set()
    assert time.monotonic() - began < 10


def test_work_that_takes_too_long_is_stopped() -> None:
    stopped = threading.Event()
    with pytest.raises(TimeoutError, match="stopped after 0 s"):
        interruption.interruptible(lambda: stopped.wait(20), stopped.set, seconds=0.3)
    assert stopped.is_set()


def test_what_the_work_returns_or_raises_is_returned_or_raised() -> None:
    def fail() -> None:
        raise ValueError("no")

    assert interruption.interruptible(lambda: 3, lambda: None, seconds=10) == 3
    with pytest.raises(ValueError, match="no"):
        interruption.interruptible(fail, lambda: None)
