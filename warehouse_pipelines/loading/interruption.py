"""Run work in a thread, so that an interrupt reaches the thread that waits for it at any moment.

In the main thread ADBC takes SIGINT for itself during its calls: it ends the statement and loses the signal, and what
looks like a database in trouble is tried again.

The waiting thread wakes up every ``LOOK_SECONDS``, because Python only notes a signal that comes just before a wait,
and acts on it when the wait ends; Dagster's code server sends no second one. It waits for an event and not for the
thread: up to Python 3.12 a ``join`` that is interrupted takes the thread for ended (python/cpython#90882), and it would
not be stopped.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

STOP_SECONDS = 3.0
"""How long a run that is interrupted may take to end what it is in the middle of."""


LOOK_SECONDS = 0.5


class Stopped(Exception):
    """The thread of a run ends because the run was interrupted; nobody sees it."""


def interruptible(work: Callable[[], T], stop: Callable[[], None], seconds: float | None = None) -> T:
    """Do the work in a thread and wait for it; when that is interrupted, ``stop`` it and raise what interrupted.

    Work that takes longer than ``seconds`` is stopped as well, and ``TimeoutError`` raised.

    Work that does not end within ``STOP_SECONDS`` is left behind: what it would commit, it cannot, because the row of
    its history is closed or deleted by then.
    """
    done: list[T] = []
    failed: list[BaseException] = []
    ended = threading.Event()

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)
        finally:
            ended.set()

    due = float("inf") if seconds is None else time.monotonic() + seconds
    try:
        threading.Thread(target=run, name="sync", daemon=True).start()
        while not ended.wait(min(LOOK_SECONDS, max(0.0, due - time.monotonic()))):
            if time.monotonic() >= due:
                raise TimeoutError(f"stopped after {seconds:.0f} s")
    except BaseException:
        deadline = time.monotonic() + STOP_SECONDS
        while not ended.is_set() and time.monotonic() < deadline:
            stop()  # again and again, because it may be between two statements
            ended.wait(0.1)
        raise
    for error in failed:
        raise error
    [result] = done
    return result
