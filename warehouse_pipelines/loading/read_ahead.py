"""Read in a thread of its own while another one loads: at most two tables ahead, so that memory stays flat."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa

from warehouse_pipelines.loading.interruption import Stopped


def read_ahead(
    tables: Iterable[pa.Table],
    cancelled: threading.Event,
    *,
    name: str,
    add_seconds: Callable[[float], None],
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[pa.Table]:
    """Yield the ``tables`` that a thread of this ``name`` reads; an error of the reading is raised here.

    ``add_seconds`` is called with the time that each table took, ``waiting`` every 0.2 s while there is none. Raises
    ``Stopped`` once ``cancelled`` is set, and sets it when the caller stops early.
    """
    handed: queue.Queue[pa.Table | BaseException | None] = queue.Queue(maxsize=2)

    def put(item: pa.Table | BaseException | None) -> bool:
        while not cancelled.is_set():
            with contextlib.suppress(queue.Full):
                handed.put(item, timeout=0.2)
                return True
        return False

    def next_item() -> pa.Table | BaseException | None:
        while not cancelled.is_set():
            with contextlib.suppress(queue.Empty):
                return handed.get(timeout=0.2)
            waiting()
        raise Stopped

    def read() -> None:
        began = time.monotonic()
        try:
            for table in tables:
                add_seconds(time.monotonic() - began)
                if not put(table):
                    return
                began = time.monotonic()
            put(None)
        except BaseException as error:
            put(error)
        finally:
            add_seconds(time.monotonic() - began)

    reader = threading.Thread(target=read, name=name, daemon=True)
    reader.start()
    try:
        while (item := next_item()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        cancelled.set()
        reader.join(timeout=1)  # it may still wait for an answer; nobody will take it
