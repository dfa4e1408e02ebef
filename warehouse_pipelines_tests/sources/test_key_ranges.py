"""A list in ranges of its keys: all that stays in it is read, whatever the vendor means by a cursor."""

import random
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator

import pytest

from warehouse_pipelines.errors import RequestRefused
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.sources._key_ranges import FIRST_PAGES, KeyPage, KeyRanges

SIZE = 10


def seeded(seed: int = 1) -> random.Random:
    return random.Random(seed)  # noqa: S311  (the same each time)


def dense(random_: random.Random) -> list[int]:
    return list(range(9_951, 14_951))


def sparse(random_: random.Random) -> list[int]:
    return sorted(random_.sample(range(10**9), 5_000))


def of_two_ages(random_: random.Random) -> list[int]:
    """As a portal's, that counted its contacts at first and later drew long numbers."""
    return [*range(51, 150_051, 50), *sorted(random_.sample(range(3 * 10**10, 2 * 10**11), 2_000))]


def with_a_gap(random_: random.Random) -> list[int]:
    return [*range(1_000, 2_000), *range(900_000, 904_000)]


class Vendor:
    """A list whose cursor is a key; ``between`` is called before each answer."""

    def __init__(self, keys: list[int], *, inclusive: bool = False) -> None:
        self.keys, self.inclusive = keys, inclusive
        self.calls = self.in_flight = self.peak = 0
        self.given: set[str] = set()
        self.between: Callable[[], None] = lambda: None
        self.lock = threading.Lock()

    def page(self, after: str | None) -> KeyPage[int]:
        find = bisect_left if self.inclusive else bisect_right
        start = find(self.keys, int(after)) if after else 0
        keys = self.keys[start : start + SIZE]
        more = len(self.keys) > start + SIZE
        following = str(self.keys[start + SIZE] if self.inclusive else keys[-1]) if more else None
        return KeyPage(keys, [str(key) for key in keys], following)

    def ask(self, after: str | None) -> KeyPage[int]:
        with self.lock:
            self.calls += 1
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
        time.sleep(0.0005)  # or each answer is there before the next request
        with self.lock:
            self.between()
            self.in_flight -= 1
            page = self.page(after) if after is None or after in self.given else self.made_up(after)
            self.given.add(page.after or "")
            return page

    def made_up(self, after: str) -> KeyPage[int]:
        """Return what answers a cursor that it did not give."""
        return self.page(after)

    def alone(self, after: str | None) -> Iterator[KeyPage[int]]:
        while True:
            page = self.ask(after)
            yield page
            if page.after is None:
                return
            after = page.after


def read(vendor: Vendor, highest: int | None = None) -> tuple[list[int], ReadContext]:
    context = ReadContext()
    context.pace.begin_with(8)
    ranges = KeyRanges(context, vendor.ask, vendor.alone, lambda: highest or vendor.keys[-1])
    return [key for page in ranges.pages() for key in page], context


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("keys", [dense, sparse, of_two_ages, with_a_gap])
def test_each_record_comes_once_at_hardly_a_call_more(
    keys: Callable[[random.Random], list[int]], inclusive: bool
) -> None:
    vendor = Vendor(keys(seeded()), inclusive=inclusive)
    found, context = read(vendor)
    assert sorted(found) == vendor.keys
    assert vendor.calls <= 500 * 1.03  # the order of the answers decides; on an idle machine it is 1.01
    assert vendor.peak >= 4
    assert not context.noted


def test_a_short_list_is_read_page_by_page() -> None:
    vendor = Vendor(list(range(FIRST_PAGES * SIZE)))
    assert read(vendor)[0] == vendor.keys
    assert (vendor.calls, vendor.peak) == (FIRST_PAGES, 1)


@pytest.mark.parametrize("highest", [1, 9_960, 12_000, 10**15])
def test_a_wrong_highest_key_loses_nothing(highest: int) -> None:
    vendor = Vendor(dense(seeded()))
    assert sorted(read(vendor, highest)[0]) == vendor.keys


@pytest.mark.parametrize("seed", range(9))
def test_what_is_there_all_the_time_is_read_whatever_happens_meanwhile(seed: int) -> None:
    """Records are deleted, made at the end, and come back in the middle."""
    chance = seeded(seed)
    vendor = Vendor((dense, sparse, of_two_ages)[seed % 3](chance), inclusive=seed % 2 == 0)
    always, removed = set(vendor.keys), []

    def change() -> None:
        if chance.random() < 0.5:
            removed.append(vendor.keys.pop(chance.randrange(len(vendor.keys))))
        elif chance.random() < 0.3 and removed:
            back = removed.pop()
            vendor.keys.insert(bisect_left(vendor.keys, back), back)
        else:
            vendor.keys.append(vendor.keys[-1] + chance.randrange(1, 9))
        always.intersection_update(vendor.keys)

    vendor.between = change
    found, context = read(vendor)
    assert always <= set(found)
    assert len(found) == len(set(found)) or context.noted, "and once, unless the ranges were given up"


class Refusing(Vendor):
    def made_up(self, after: str) -> KeyPage[int]:
        raise RequestRefused("400: no such cursor")


class FromTheBegin(Vendor):
    def made_up(self, after: str) -> KeyPage[int]:
        return self.page(None)


class Nothing(Vendor):
    def made_up(self, after: str) -> KeyPage[int]:
        return KeyPage([], [], None)


class SkippingSome(Vendor):
    """A cursor that it did not give leads it somewhat behind the key."""

    def made_up(self, after: str) -> KeyPage[int]:
        return self.page(str(int(after) + 37))


class WithHoles(Vendor):
    """A cursor that it did not give leads it to every other record."""

    def made_up(self, after: str) -> KeyPage[int]:
        start = bisect_right(self.keys, int(after))
        keys = self.keys[start : start + 2 * SIZE : 2]
        return KeyPage(keys, [str(key) for key in keys], str(keys[-1]))


class ToItsEnd(Vendor):
    """Behind a cursor that it did not give it shows one page and no more."""

    def made_up(self, after: str) -> KeyPage[int]:
        return self.page(after)._replace(after=None)


class ToAnotherList(Vendor):
    """A cursor that it did not give leads it to what is not in the list, and back into it."""

    def made_up(self, after: str) -> KeyPage[int]:
        start = bisect_right(self.keys, int(after))
        keys = [key * 10 + 5 for key in self.keys[start : start + 3]]
        return KeyPage(keys, [str(key) for key in keys], str(keys[-1]))


@pytest.mark.parametrize("kind", [Refusing, FromTheBegin, Nothing, SkippingSome, WithHoles, ToItsEnd, ToAnotherList])
def test_a_vendor_that_means_something_else_by_a_cursor_loses_nothing(kind: type[Vendor]) -> None:
    vendor = kind(list(range(20_000, 40_000, 4)))
    found, _ = read(vendor)
    assert set(vendor.keys) <= set(found)
    assert vendor.calls <= 500 * 2, "and is read twice at most"


def test_keys_out_of_order_are_read_page_by_page() -> None:
    class Disordered(Vendor):
        def page(self, after: str | None) -> KeyPage[int]:
            start = self.keys.index(int(after)) + 1 if after else 0
            keys = self.keys[start : start + SIZE]
            more = len(self.keys) > start + SIZE
            return KeyPage(keys, [str(key) for key in keys], str(keys[-1]) if more else None)

    vendor = Disordered(list(range(5_000)))
    vendor.keys[2_504], vendor.keys[2_505] = vendor.keys[2_505], vendor.keys[2_504]
    found, context = read(vendor)
    assert set(found) == set(range(5_000))
    assert context.noted == {"key_ranges_given_up": True}


def test_an_error_of_one_range_ends_the_read() -> None:
    vendor = Vendor(dense(seeded()))

    def fail() -> None:
        if vendor.calls > 100:
            raise RequestRefused("403")

    vendor.between = fail
    with pytest.raises(RequestRefused):
        read(vendor)
