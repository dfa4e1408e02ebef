"""People of pairs: what is joined, what is not, and that the order never matters."""

import random
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse_pipelines.unified.identity.cluster import Called, Clusters, clusters, contradict

Pairs = list[tuple[str, str]]


def run(
    who: dict[str, Called], edges: list[tuple[float, str, str]], same: Pairs | None = None, apart: Pairs | None = None
) -> Clusters[str]:
    return clusters(who, edges, same or [], apart or [])


def called(**names: str) -> dict[str, Called]:
    """Return records by the words that name them: ``john smith jr``; ``?`` for a missing one."""
    found = {}
    for key, text in names.items():
        words = [None if word == "none" else word for word in text.split()]
        found[key] = Called(*words[:3])
    return found


def groups(found: Clusters[str]) -> list[str]:
    return ["".join(group) for group in found.groups]


def test_a_chain_is_one_person() -> None:
    who = called(a="john smith", b="john smith", c="john smith", d="ann novak")
    assert groups(run(who, [(20, "a", "b"), (14, "c", "b")])) == ["abc", "d"]


def test_two_that_contradict_are_not_joined_by_one_between() -> None:
    """B is like both; the better edge has it, and the other pair is left for somebody to look at."""
    who = called(a="zoran smith", b="zoren smith", c="zoxen smith")
    assert contradict(who["a"], who["c"])
    found = run(who, [(15, "a", "b"), (16, "b", "c")])
    assert groups(found) == ["a", "bc"]
    assert found.kept_apart == [("a", "b")]


def test_a_nameless_record_goes_to_the_better_group() -> None:
    who = called(a="john smith", b="mary smith", n="none smith")
    found = run(who, [(14, "a", "n"), (20, "b", "n")])
    assert groups(found) == ["a", "bn"]


def test_a_nameless_record_goes_to_none_of_two_that_are_equally_good() -> None:
    who = called(a="john smith", b="mary smith", n="none smith", m="none smith")
    found = run(who, [(20, "a", "n"), (20, "b", "n"), (20, "m", "n")])
    assert groups(found) == ["a", "b", "m", "n"]
    assert found.torn == [("a", "n"), ("b", "n")]


def test_an_initial_joins_no_two_others() -> None:
    who = called(a="john smith", b="jane smith", j="j smith")
    assert groups(run(who, [(16, "a", "j"), (16, "b", "j")])) == ["a", "b", "j"]
    assert groups(run(who, [(16, "a", "j"), (17, "b", "j")])) == ["a", "bj"]


def test_nobody_without_a_generation_joins_a_father_and_his_son() -> None:
    who = called(s="john smith sr", j="john smith jr", b="john smith")
    assert groups(run(who, [(20, "b", "s"), (20, "b", "j")])) == ["b", "j", "s"]
    assert groups(run(who, [(21, "b", "s"), (20, "b", "j")])) == ["bs", "j"]


def test_nameless_records_of_one_address_are_one() -> None:
    who = called(n="none none", m="none none", a="john smith")
    assert groups(run(who, [(14, "m", "n")])) == ["a", "mn"]
    assert groups(run(who, [(14, "m", "n"), (14, "a", "m")])) == ["amn"]


def test_what_was_rejected_stays_apart() -> None:
    who = called(a="john smith", b="john smith", c="john smith")
    found = run(who, [(20, "a", "b"), (19, "b", "c"), (18, "a", "c")], apart=[("a", "c")])
    assert groups(found) == ["ab", "c"]


def test_a_married_name_that_was_confirmed_joins_all_its_records() -> None:
    who = called(a="anna smith", b="anna smith", c="anna jones", d="ana jones", e="maria jones")
    edges = [(20.0, "a", "b"), (20.0, "c", "d"), (20.0, "c", "e")]
    assert groups(run(who, edges)) == ["ab", "cd", "e"]
    assert groups(run(who, edges, same=[("a", "c")])) == ["abcd", "e"]


def test_the_later_decision_holds() -> None:
    who = called(a="anna smith", b="maria jones", c="olga novak")
    found = run(who, [], same=[("a", "b"), ("b", "c")], apart=[("a", "c")])
    assert groups(found) == ["a", "bc"]


def test_a_cluster_of_28_stays_whole_among_ten_times_as_many_strangers() -> None:
    who = {f"r{n:03}": Called("anna", "smith") for n in range(28)}
    who |= {f"s{n:03}": Called(f"name{'abcdefghij'[n % 10] * 4}", "smith") for n in range(280)}
    edges = [(20.0, a, b) for a in who for b in who if a < b and a[0] == b[0] == "r"]
    edges += [(13.5, f"r{n % 28:03}", f"s{n:03}") for n in range(280)]
    found = run(who, edges)
    assert [len(group) for group in found.groups].count(28) == 1
    assert len(found.groups) == 281


def test_a_chain_of_ten_thousand_takes_no_time() -> None:
    size = 10_000
    for names in (["anna"], ["anna", "ana", "anna"], [None]):
        who = {n: Called(names[n % len(names)], "smith") for n in range(size)}
        started = time.process_time()
        found = clusters(who, [(20.0 + n % 3, n, n + 1) for n in range(size - 1)])
        assert time.process_time() - started < 5
        assert [len(group) for group in found.groups] == [size]


NAMES = st.sampled_from(
    [
        Called("john", "smith"),
        Called("jon", "smith"),
        Called("jack", "smith"),
        Called("mary", "smith"),
        Called("j", "smith"),
        Called(None, "smith"),
        Called(None, None),
        Called("john", "smith", "jr"),
        Called("john", "smith", "sr"),
        Called(None, None, None, "smith roofing"),
    ]
)
PAIR = st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda pair: pair[0] < pair[1])


@settings(deadline=None)  # the first examples import what the others have
@given(
    st.lists(NAMES, min_size=12, max_size=12),
    st.dictionaries(PAIR, st.sampled_from([13.0, 14.0, 20.0])),
    st.lists(PAIR, max_size=3),
    st.lists(PAIR, max_size=3),
    st.randoms(use_true_random=False),
)
def test_order_and_numbers_change_nothing(
    names: list[Called],
    pairs: dict[tuple[int, int], float],
    same: list[tuple[int, int]],
    apart: list[tuple[int, int]],
    chance: random.Random,
) -> None:
    who = dict(enumerate(names))
    edges = [(score, a, b) for (a, b), score in pairs.items()]
    expected = clusters(who, edges, same, apart)
    assert sorted(key for group in expected.groups for key in group) == list(who)
    for group in expected.groups:
        assert not [pair for pair in apart if set(pair) <= set(group)], "decided to be apart"
        if not same:
            assert not [(a, b) for a in group for b in group if contradict(who[a], who[b])]

    chance.shuffle(edges)
    turned = [(score, b, a) if chance.random() < 0.5 else (score, a, b) for score, a, b in edges]
    again = clusters(dict(sorted(who.items(), key=lambda _: chance.random())), turned, same, [(b, a) for a, b in apart])
    assert again == expected

    # A component by itself comes out as it does among all: what an incremental run relies on.
    component = {0}
    while more := {key for a, b in [*pairs, *same] for key in (a, b) if {a, b} & component} - component:
        component |= more
    alone = clusters(
        {key: who[key] for key in component},
        [(score, a, b) for score, a, b in edges if a in component],
        [pair for pair in same if pair[0] in component],
        [pair for pair in apart if set(pair) <= component],
    )
    assert alone.groups == [group for group in expected.groups if group[0] in component]
