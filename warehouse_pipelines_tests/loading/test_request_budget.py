"""The budget of requests of a credential: never more than the vendor allows, whoever asks."""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any
from unittest.mock import patch

import psycopg
import pytest

from warehouse_pipelines.errors import BudgetSpent, DatabaseUnavailable, VendorUnavailable
from warehouse_pipelines.loading.request_budget import RequestBudget, portion
from warehouse_pipelines.model.reading import Budget
from warehouse_pipelines_tests.harness.subprocesses import FORKS

SHORT = Budget("short", 40, 1.0)
DAY = Budget("day", 3, 86_400)


Opened = Callable[[threading.Event], RequestBudget]


@pytest.fixture
def opened(bare_url: str) -> Iterator[Opened]:
    """Return a budget that gives its session back when the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda stopped: stack.enter_context(RequestBudget(bare_url, stopped))


@pytest.fixture
def budget(opened: Opened) -> RequestBudget:
    return opened(threading.Event())


def _take(url: str, seconds: float, told: Connection) -> None:
    budget = RequestBudget(url, threading.Event())
    taken = []
    end = time.time() + seconds
    while (asked := time.time()) < end:
        budget.acquire("credential", SHORT)
        taken.append((asked, time.time()))
    told.send(taken)


def test_shared_rate_budget(bare_url: str) -> None:
    """Two processes ask as fast as they can; in no window of the budget's length are more granted than its maximum.

    A process may sleep between the grant and the look at the clock, so those count that were asked for and granted
    inside the window. It may also sleep before it uses the others that it acquired at once.
    """
    pipes, children = [], []
    for _ in range(2):
        ours, theirs = FORKS.Pipe()
        child: Any = FORKS.Process(target=_take, args=(bare_url, 3.0, theirs), daemon=True)
        child.start()
        pipes.append(ours)
        children.append(child)
    taken = sorted(at for pipe in pipes for at in (pipe.recv() if pipe.poll(30) else []))
    for child in children:
        child.join(10)
    assert len(taken) > 2 * SHORT.requests, "and the budget is used"
    for start, _ in taken:
        inside = [one for one in taken if start <= one[0] and one[1] < start + SHORT.seconds]
        assert len(inside) <= SHORT.requests + 2 * (portion(SHORT) - 1)


@pytest.mark.slow("sessions that wait for each other")
def test_who_asks_without_waiting_gets_nothing_early(bare_url: str) -> None:
    """All at once, then one again and again: it is granted a whole window later, wherever in its slot the first lay."""
    ask = "SELECT orchestration.take_requests('credential', 'short', 40, 0.5, %s)"
    with psycopg.connect(bare_url, autocommit=True) as connection:
        for pause in (0.0, 0.015, 0.03, 0.045):
            connection.execute("TRUNCATE orchestration.request_budget")
            time.sleep(pause)
            began = time.time()
            assert connection.execute(ask, [40]).fetchone() == (0,)
            while connection.execute(ask, [1]).fetchone() != (0,):
                time.sleep(0.002)
            assert time.time() - began >= 0.5


def test_a_spent_day_ends_the_run(budget: RequestBudget) -> None:
    for _ in range(3):
        budget.acquire("credential", DAY)
    with pytest.raises(
        BudgetSpent, match=r"budget day \(3 requests .* is spent; the next request is free in \d+ minutes"
    ):
        budget.acquire("credential", DAY)
    budget.acquire("another credential", DAY)
    budget.acquire("credential", Budget("another budget", 3, 86_400))


def test_what_was_taken_is_remembered_by_the_next_run(bare_url: str, budget: RequestBudget) -> None:
    for _ in range(3):
        budget.acquire("credential", DAY)
    with RequestBudget(bare_url, threading.Event()) as another, pytest.raises(BudgetSpent):
        another.acquire("credential", DAY)


def test_a_long_run_takes_many_at_a_time_and_a_short_one_no_more_than_twice_what_it_uses(
    bare_url: str, opened: Opened
) -> None:
    """Of a small budget each request is acquired alone: those in hand get old."""
    long = Budget("long", 2_000, 10)
    assert (portion(long), portion(DAY), portion(Budget("hour", 900, 3600))) == (10, 1, 1)
    assert (portion(Budget("ten", 190, 10)), portion(Budget("day", 650_000, 86_400))) == (1, 130)
    for runs, of_each in ((20, 1), (1, 5)):
        for _ in range(runs):
            with RequestBudget(bare_url, threading.Event()) as short:
                for _ in range(of_each):
                    short.acquire("credential", long)
    with psycopg.connect(bare_url) as connection:
        used = connection.execute("SELECT sum(used) FROM orchestration.request_budget WHERE budget = 'long'").fetchone()
    assert used == (20 + 1 + 2 + 4,)
    budget = opened(threading.Event())
    with patch.object(budget, "_ask", wraps=budget._ask) as ask:
        for _ in range(35):
            budget.acquire("another credential", long)
    assert [call.args[2] for call in ask.call_args_list] == [1, 2, 4, 8, 10, 10]


def test_what_was_not_used_in_time_makes_the_next_portion_smaller(bare_url: str, opened: Opened) -> None:
    quick = Budget("quick", 8_000, 1.0)
    budget = opened(threading.Event())
    for _ in range(8):  # of 1, 2, 4 and 8 that were acquired seven are left
        budget.acquire("credential", quick)
    time.sleep(0.06)
    budget.acquire("credential", quick)
    with psycopg.connect(bare_url) as connection:
        used = connection.execute("SELECT sum(used) FROM orchestration.request_budget").fetchone()
    assert used == (16,)


def test_a_stopped_run_does_not_wait(opened: Opened) -> None:
    stopped = threading.Event()
    budget = opened(stopped)
    hour = Budget("hour", 1, 3600)
    budget.acquire("credential", hour)
    threading.Timer(0.3, stopped.set).start()
    with pytest.raises(VendorUnavailable, match="stopped"):
        budget.acquire("credential", hour)


def test_a_spent_hour_is_waited_for_and_said(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """Or a list longer than an hour's requests could never be read to its end."""
    stopped = threading.Event()
    budget = opened(stopped)
    hour = Budget("hour", 2, 3_600)
    budget.acquire("credential", hour)
    budget.acquire("credential", hour)
    threading.Timer(0.3, stopped.set).start()
    with caplog.at_level("INFO", "warehouse.sync"), pytest.raises(VendorUnavailable, match="stopped"):
        budget.acquire("credential", hour)
    assert re.search(r"the budget hour \(2 requests in 3600 s\) is spent; waiting 6\d minutes", caplog.text)


def test_who_waits_for_one_budget_holds_up_no_other(opened: Opened) -> None:
    stopped = threading.Event()
    budget = opened(stopped)
    hour = Budget("hour", 1, 3600)
    budget.acquire("credential", hour)
    waiting = threading.Thread(target=_until_stopped, args=(budget, hour), daemon=True)
    waiting.start()
    time.sleep(0.1)
    other = threading.Thread(target=budget.acquire, args=("credential", SHORT), daemon=True)
    other.start()
    other.join(5)
    assert not other.is_alive()
    stopped.set()
    waiting.join(5)
    assert not waiting.is_alive()


def _until_stopped(budget: RequestBudget, of: Budget) -> None:
    with pytest.raises(VendorUnavailable, match="stopped"):
        budget.acquire("credential", of)


def test_a_stop_reaches_all_requests_that_wait(opened: Opened) -> None:
    """And none of them is sent, though the budget would have been free for it."""
    stopped = threading.Event()
    budget = opened(stopped)
    second = Budget("second", 1, 1.0)
    budget.acquire("credential", second)
    waiting = [threading.Thread(target=_until_stopped, args=(budget, second), daemon=True) for _ in range(12)]
    for one in waiting:
        one.start()
    time.sleep(0.1)
    stopped.set()
    began = time.monotonic()
    for one in waiting:
        one.join(5)
    assert not any(one.is_alive() for one in waiting)
    assert time.monotonic() - began < 0.8


def share_of_few(opened: Opened) -> float:
    """Return what one thread of a run is granted over what twelve of another are, which ask as fast as they can."""
    stopped = threading.Event()
    many, few = opened(stopped), opened(stopped)
    granted = {"many": 0, "few": 0}
    lock = threading.Lock()

    def take(name: str, budget: RequestBudget) -> None:
        with contextlib.suppress(VendorUnavailable):
            while not stopped.is_set():
                budget.acquire("credential", SHORT)
                with lock:
                    granted[name] += 1

    asking = [threading.Thread(target=take, args=("many", many), daemon=True) for _ in range(12)]
    asking.append(threading.Thread(target=take, args=("few", few), daemon=True))
    for one in asking:
        one.start()
    time.sleep(3)
    stopped.set()
    for one in asking:
        one.join(5)
    assert granted["many"] > 0
    return granted["few"] / granted["many"]


@pytest.mark.slow("sessions that wait for each other")
def test_a_run_with_many_requests_in_flight_leaves_its_share_to_one_with_few(opened: Opened) -> None:
    """More than the thirteenth part that chance gives. On a busy machine the one thread may not run in time."""
    assert any(share_of_few(opened) >= 0.1 for _ in range(4))


def test_who_asks_slowly_gets_as_much_as_who_asks_fast(bare_url: str) -> None:
    """One asks for its next turn as soon as it had the last; nobody gets in front of another that waits."""
    ask = "SELECT orchestration.take_requests('credential', 'second', 1, 1.0, 1, NULL, 60)"
    with psycopg.connect(bare_url, autocommit=True) as fast, psycopg.connect(bare_url, autocommit=True) as slow:
        turns = [fast.execute(ask).fetchone(), slow.execute(ask).fetchone(), fast.execute(ask).fetchone()]
    first, second, third = (turn[0] for turn in turns if turn)
    assert first == 0
    assert 0.9 < second < 1.1
    assert 0.9 < third - second < 1.1


def test_a_turn_that_would_come_too_late_is_not_reserved(bare_url: str) -> None:
    ask = "SELECT orchestration.take_requests('credential', 'second', 1, 1.0, 1, NULL, %s)"
    with psycopg.connect(bare_url, autocommit=True) as one:
        waits = [one.execute(ask, [longest]).fetchone() for longest in (0, 0.5, 0.5, 60)]
        reserved = one.execute("SELECT sum(used) FROM orchestration.request_budget").fetchone()
    assert [bool(wait and wait[0]) for wait in waits] == [False, True, True, True]
    assert reserved == (2,)


def test_without_a_database_nothing_is_granted() -> None:
    budget = RequestBudget("postgresql://a:b@127.0.0.1:1/c", threading.Event())
    with pytest.raises(DatabaseUnavailable):
        budget.acquire("credential", DAY)
