"""Requests side by side: as many as the pace allows, the first error and a cancel end them."""

import threading
import time
from collections.abc import Iterator

import pytest

from warehouse_pipelines.errors import RequestRefused, VendorUnavailable
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.sources._in_flight import as_answered, in_order, side_by_side


class Slow:
    """Answers late, an even number later than an odd one, and knows how many it was asked at once."""

    def __init__(self) -> None:
        self.now = self.peak = self.asked = 0
        self.lock = threading.Lock()

    def __call__(self, number: int) -> int:
        with self.lock:
            self.asked += 1
            self.now += 1
            self.peak = max(self.peak, self.now)
        time.sleep(0.004 if number % 2 else 0.008)
        with self.lock:
            self.now -= 1
        return number * 10


def context(allowed: int) -> ReadContext:
    made = ReadContext()
    made.pace.begin_with(allowed)
    return made


@pytest.mark.parametrize(("allowed", "most", "peak"), [(5, None, 5), (5, 2, 2), (1, None, 1)])
def test_so_many_are_in_flight_and_each_is_answered_once(allowed: int, most: int | None, peak: int) -> None:
    slow = Slow()
    found = list(as_answered(context(allowed), slow, range(20), most))
    assert sorted(found) == [(number, number * 10) for number in range(20)]
    assert slow.peak == peak
    if peak > 1:
        assert found != sorted(found), "they come as they are answered"


def test_answers_can_be_had_in_order() -> None:
    slow = Slow()
    assert list(in_order(context(5), slow, range(20))) == [number * 10 for number in range(20)]
    assert slow.peak == 5


def test_in_order_an_error_waits_for_its_turn() -> None:
    """Beyond the last page of a list a vendor may answer 404 sooner than that page."""

    def ask(page: int) -> int:
        time.sleep(0.05 if page == 1 else 0)
        if page > 1:
            raise ValueError(page)
        return page

    answers = in_order(context(4), ask, range(1, 9))
    assert next(answers) == 1
    with pytest.raises(ValueError, match="2"):
        next(answers)


def test_who_takes_no_answer_is_asked_for_no_more() -> None:
    """So memory holds as many answers as may be in flight, however slow the load is."""
    for make in (as_answered, in_order):
        slow = Slow()
        answers = make(context(4), slow, range(1_000))
        next(answers)
        time.sleep(0.05)
        assert slow.asked == 4


def test_the_first_error_is_raised_at_once() -> None:
    hanging = threading.Event()

    def ask(number: int) -> int:
        if number == 2:
            raise RequestRefused("400")
        hanging.wait(10)
        return number

    began = time.monotonic()
    with pytest.raises(RequestRefused):
        list(as_answered(context(4), ask, range(10)))
    assert time.monotonic() - began < 2
    hanging.set()


@pytest.mark.parametrize("make", [as_answered, in_order])
def test_a_cancel_ends_the_wait_for_answers_that_do_not_come(make: type) -> None:
    hanging, cancelled = threading.Event(), context(4)
    threading.Timer(0.1, cancelled.cancelled.set).start()
    began = time.monotonic()
    with pytest.raises(VendorUnavailable, match="stopped"):
        list(make(cancelled, lambda number: hanging.wait(10), range(10)))
    assert time.monotonic() - began < 2
    hanging.set()


def test_who_stops_a_read_in_order_leaves_nothing_running() -> None:
    slow = Slow()
    answers = in_order(context(4), slow, range(100))
    next(answers)
    answers.close()
    assert slow.now == 0


def listed(name: str, slow: Slow, pages: int) -> Iterator[str]:
    for page in range(pages):
        slow(page)
        yield f"{name}{page}"


def test_lists_are_read_side_by_side_and_each_page_by_page() -> None:
    slow = Slow()
    found = list(side_by_side(context(3), (listed(name, slow, 6) for name in "abcde")))
    assert sorted(found) == sorted(f"{name}{page}" for name in "abcde" for page in range(6))
    for name in "abcde":
        assert [one for one in found if one[0] == name] == [f"{name}{page}" for page in range(6)]
    assert slow.peak == 3


def test_lists_one_at_a_time_are_read_in_their_order() -> None:
    slow = Slow()
    found = list(side_by_side(context(5), (listed(name, slow, 3) for name in "abc"), most=1))
    assert found == [f"{name}{page}" for name in "abc" for page in range(3)]
    assert slow.peak == 1


def test_a_list_is_begun_when_there_is_room_and_the_begun_ones_go_first() -> None:
    """So as many are open as are in flight: a list may be a session with a database."""
    begun: list[str] = []

    def one(name: str) -> Iterator[str]:
        begun.append(name)
        yield from listed(name, Slow(), 3)

    pages = side_by_side(context(2), (one(name) for name in "abcdef"))
    for _ in range(4):
        next(pages)
    assert sorted(begun) == ["a", "b"]
    assert len(list(pages)) == 6 * 3 - 4


def test_an_error_of_one_list_ends_the_read() -> None:
    def broken() -> Iterator[str]:
        yield "first"
        raise RequestRefused("400")

    with pytest.raises(RequestRefused):
        list(side_by_side(context(3), [listed("a", Slow(), 1_000), broken()]))


def test_a_cancel_ends_the_wait_for_pages() -> None:
    hanging, cancelled = threading.Event(), context(4)

    def waiting() -> Iterator[str]:
        hanging.wait(10)
        yield "late"

    threading.Timer(0.1, cancelled.cancelled.set).start()
    began = time.monotonic()
    with pytest.raises(VendorUnavailable, match="stopped"):
        list(side_by_side(cancelled, [waiting(), waiting()]))
    assert time.monotonic() - began < 2
    hanging.set()
