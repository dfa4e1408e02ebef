"""Work in a thread ends when the thread that waits for it is interrupted, at whatever moment."""

import _thread
import threading
import time

import pytest

from warehouse_pipelines.loading import interruption
from warehouse_pipelines.loading.transaction import Transaction


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


def test_a_session_of_a_load_is_not_closed_while_it_is_cancelled(
    bare_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ADBC frees with the session what it cancels by: one process in some thousand crashed, its row left open."""
    transaction, done, cancelling, go_on = Transaction(bare_url, "any"), [], threading.Event(), threading.Event()
    cancel, close = transaction.cursor.adbc_cancel, transaction.cursor.close

    def slowly() -> None:
        cancelling.set()
        go_on.wait(20)
        cancel()
        done.append("cancelled")

    def noted() -> None:
        done.append("closed")
        close()

    monkeypatch.setattr(transaction.cursor, "adbc_cancel", slowly)
    monkeypatch.setattr(transaction.cursor, "close", noted)
    threads = [threading.Thread(target=transaction.cancel), threading.Thread(target=transaction.close)]
    threads[0].start()
    assert cancelling.wait(20)
    threads[1].start()
    threads[1].join(0.3)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert done[:2] == ["cancelled", "closed"]
