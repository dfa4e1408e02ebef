"""The lane of DuckDB sees what the resolver sees: the same levels of two records, the same people of all."""

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.simulators.core import population, truth
from warehouse_pipelines.unified.identity import compare, rebuild, resolve, weights
from warehouse_pipelines.unified.identity.candidates import CAP, Population
from warehouse_pipelines.unified.identity.normalise import Raw, block_keys, normalise
from warehouse_pipelines.unified.identity.record import Record
from warehouse_pipelines.unified.identity.record_lines import COLUMNS, copy_line

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

NAMES = ("robert", "bob", "rob", "maria", "mary ann", "mary", "jon", "john", "patricia", "patrick", "pat", "j", "jo",
         "katherine", "catherine", "kathryn", "smith jones", "smith", "jones", "van der berg", "o neil", "wu", "stefan",
         "stephen", "alexandra", "christopher")  # fmt: skip
BOXES = ("bob.rivera", "bob.rivera7", "bob.riviera", "ann", "bob")
STREETS = ("12 maple ave", "12 mapel ave", "12 maple st", "120 maple ave", "po box 7", "rural", "9 n main st")


@pytest.fixture
def session(database_url: str) -> "Iterator[Session]":
    with warehouse.session(database_url) as lent:
        yield lent


def invented(people: int) -> list[Record]:
    everybody = population.Population(3, people)
    found = (normalise(Raw(kind="customer", **row)) for _, row in truth.invented(everybody, people))
    return sorted((record for record in found if record.kind == "customer"), key=lambda record: record.name)


def numbered(some: Sequence[Record]) -> Population:
    return Population(list(range(len(some))), list(some), {number: number for number in range(len(some))})


def mutated(chance: random.Random, text: str) -> str:
    """A text with up to two typos."""
    letters = list(text)
    for _ in range(chance.choice((0, 0, 1, 2))):
        at = chance.randrange(len(letters))
        kind = chance.randrange(4)
        if kind == 0 and len(letters) > 1:
            del letters[at]
        elif kind == 1:
            letters.insert(at, chance.choice("aeinrst"))
        elif kind == 2:
            letters[at] = chance.choice("aeinrst")
        elif at + 1 < len(letters):
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return " ".join("".join(letters).split()) or "x"


def random_records(count: int) -> list[Record]:
    chance = random.Random(7)  # noqa: S311

    def maybe(text: str, share: float = 0.8) -> str | None:
        return mutated(chance, text) if chance.random() < share else None

    def some(texts: Sequence[str]) -> tuple[str, ...]:
        return tuple({mutated(chance, text) for text in chance.sample(texts, chance.randrange(3))})

    return [
        Record(
            "t", f"{number:05d}", "customer",
            first_name=maybe(chance.choice(NAMES)), middle_name=maybe(chance.choice(NAMES), 0.3),
            last_name=maybe(chance.choice(NAMES)), suffix=chance.choice((None, None, "jr", "sr")),
            business=maybe(chance.choice(("rivera roofing llc", "rivera & sons")), 0.2),
            emails=tuple(
                f"{box}@{host}.com"
                for box in some(BOXES)
                for host in chance.sample(("example", "test", "gmail", "googlemail"), 1)
            ),
            phones=some(("+19372010001", "+19372010002", "+16142010001")),
            street=maybe(chance.choice(STREETS)), unit=chance.choice((None, None, "4", "5")),
            city=chance.choice((None, "dayton", "mason")), zip=chance.choice((None, "45402", "45040")),
            ids=tuple(chance.sample(("a:1", "a:2", "b:1"), chance.randrange(2))),
        )
        for number in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("what", ["random", pytest.param("invented", marks=pytest.mark.slow("many records"))])
@pytest.mark.slow("many records")
def test_sql_and_python_see_the_same_levels(what: str) -> None:
    """All pairs of a few hundred records: names, typos, lists, addresses, ids."""
    some = invented(100) if what == "invented" else random_records(320)
    table = rebuild.lane(numbered(some), ["one"] * len(some), cap=None).compared()
    seen = {}
    for a, b, *gammas in zip(*(column.to_pylist() for column in table.columns), strict=True):
        seen[a, b] = rebuild.levels_of(gammas)
    pairs = list(combinations(range(len(some)), 2))
    assert len(seen) == len(pairs) > 15_000
    differing = [
        (some[a], some[b], seen[a, b], right)
        for a, b in pairs
        if seen[a, b] != (right := compare.levels(some[a], some[b]))
    ]
    assert differing[:3] == []
    found = [{levels[place] for levels in seen.values()} for place in range(len(compare.Levels._fields))]
    if what == "random":
        assert sorted(found[0]) == ["alike", "different", "equal", "initial", "missing", "nickname", "swapped"]
        assert sorted(found[1]) == ["alike", "different", "equal", "missing", "part", "swapped"]
        assert sorted(found[6]) == ["alike", "different", "equal", "house", "missing", "unit", "zip"]
        assert sorted(found[8]) == ["alike", "apart", "different", "equal", "missing"]


def put(session: "Session", some: Sequence[Record]) -> None:
    with session.cursor() as cursor, cursor.copy(f"COPY identity.record ({', '.join(COLUMNS)}) FROM STDIN") as copy:
        copy.write("".join(copy_line(record, block_keys(record)) for record in some))


def everything(session: "Session") -> weights.Weights:
    with session.transaction():
        resolve.lock(session)
        current = weights.current(session)
        resolve.everything(session, current, resolve.Summary())
    return current


def crowd() -> list[Record]:
    """An id that so many point at that it makes no pairs of its own."""
    return [
        Record("five9_contact", f"crowd{number}", "customer", first_name="ann", last_name="rivera",
               phones=(f"+1614201{number:04d}",), ids=(f"five9_contact:crowd{number}", "hubspot_contact:1"))
        for number in range(CAP + 20)
    ]  # fmt: skip


def test_both_lanes_make_the_same_people_and_a_difference_is_told(session: "Session") -> None:
    put(session, [*invented(150), *crowd()])
    everything(session)
    before = rebuild.judge(session)
    assert (before.agrees, before.differences) == (True, [])
    assert before.pairs > 0
    assert before.persons == sum(1 for _ in session.execute("SELECT FROM identity.person"))
    check_a_difference_is_told(session)


def check_a_difference_is_told(session: "Session") -> None:
    session.execute(
        "UPDATE identity.member SET person_id = (SELECT person_id FROM identity.member WHERE source_key = 'crowd1')"
        " WHERE source_key = 'crowd0'"
    )
    told = rebuild.judge(session)
    assert not told.agrees
    assert told.differing == len(told.differences) == 3
    assert ("resolver", [("five9_contact", "crowd0"), ("five9_contact", "crowd1")]) in told.differences


@pytest.mark.slow("many records")
def test_both_lanes_make_the_same_people_with_trained_weights(session: "Session") -> None:
    some = invented(700)
    put(session, [*some, *crowd()])
    first = everything(session)
    before = rebuild.judge(session)
    assert (before.agrees, before.differences) == (True, [])
    assert before.pairs > len(some)

    with session.transaction():
        trained = rebuild.train(session)
    assert (trained.version, trained.origin) == (first.version + 1, "splink")
    learnt = trained.bits
    assert learnt["first"]["equal"] > learnt["first"]["nickname"] > 0 > learnt["first"]["different"]
    assert min(learnt["email"]["equal"], learnt["phone"]["equal"], learnt["address"]["equal"]) > 8
    assert learnt["ids"] == weights.DEFAULT.bits["ids"], "an id is no evidence that can be learnt"
    assert everything(session) == trained, "its bits were written, and are the current ones"
    after = rebuild.judge(session)
    assert (after.agrees, after.persons) == (True, sum(1 for _ in session.execute("SELECT FROM identity.person")))
    check_a_difference_is_told(session)


def test_few_records_leave_the_weights(session: "Session") -> None:
    put(session, invented(20))
    with session.transaction():
        assert rebuild.train(session) == weights.current(session) == weights.DEFAULT


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "splink", None)
    with pytest.raises(NotConfigured, match=r"warehouse-pipelines\[identity\]"):
        rebuild.lane(numbered(invented(3)), [None] * len(invented(3)))


def test_a_long_query_shows_no_progress_on_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    lane = rebuild.lane(numbered(invented(3)), [None] * len(invented(3)))
    lane.connection.execute("SET progress_bar_time = 0")
    lane.connection.execute("CREATE TABLE long AS SELECT sum(i) FROM range(30000000) AS t(i)")
    assert capfd.readouterr().out == ""


@pytest.mark.slow("people in other orders of edits, decisions and erasures")
def test_nothing_of_it_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, warehouse_pipelines.unified.identity.rebuild;"
        "print({'splink', 'duckdb', 'pyarrow'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"
