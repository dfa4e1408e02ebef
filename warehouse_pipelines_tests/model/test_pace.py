"""The pace of a read: it grows while the vendor keeps up, and gives way when it does not."""

import itertools

from warehouse_pipelines.model.pace import FIRST, MOST, ROUTES, Pace


def round_of(pace: Pace, seconds: float = 0.25, number: int | None = None, route: str = "GET /things") -> None:
    """Send as many as are allowed, or so many, and have them answered."""
    number = number or pace.allowed
    for _ in range(number):
        pace.note_sent()
    for _ in range(number):
        pace.note_answer(route, seconds)


def test_it_begins_gently_and_grows_by_one_a_round_up_to_the_most() -> None:
    pace = Pace()
    seen = [pace.allowed]
    for _ in range(MOST + 40):
        round_of(pace)
        seen.append(pace.allowed)
    assert seen[0] == FIRST
    assert pace.allowed == MOST
    assert all(0 <= later - earlier <= 1 for earlier, later in itertools.pairwise(seen))


def test_it_does_not_grow_while_fewer_are_in_flight_than_allowed() -> None:
    """Because requests wait for their budget, or because the read needs no more."""
    pace = Pace()
    for _ in range(50):
        round_of(pace, number=1)
    assert pace.allowed == FIRST


def test_refusals_of_requests_that_were_in_flight_together_halve_it_once() -> None:
    pace = Pace()
    pace.begin_with(8)
    for _ in range(8):
        pace.note_sent()
    for _ in range(8):
        pace.note_refusal(seconds=0.5)
    assert pace.allowed == 4
    for _ in range(5):
        pace.note_sent()
        pace.note_refusal(seconds=0.0)
    assert pace.allowed == 1, "and it is never less"
    for _ in range(5):
        round_of(pace)
    assert pace.allowed > 1, "nor stays there"


def test_it_shrinks_while_answers_take_much_longer_than_at_first() -> None:
    pace = Pace()
    while pace.allowed < 10:
        round_of(pace)
    for _ in range(40):
        round_of(pace, seconds=1.5)
    assert pace.allowed == FIRST
    for _ in range(40):
        round_of(pace)
    assert pace.allowed == MOST


def test_a_slow_route_is_compared_with_itself() -> None:
    pace = Pace()
    for _ in range(20):
        round_of(pace, 0.1, route="GET /quick")
        round_of(pace, 2.0, route="POST /slow")
    assert pace.allowed == MOST


def test_it_remembers_no_more_routes_than_a_read_has() -> None:
    pace = Pace()
    for number in range(10 * ROUTES):
        round_of(pace, route=f"GET /things/{number}")
    assert len(pace._times) == ROUTES
