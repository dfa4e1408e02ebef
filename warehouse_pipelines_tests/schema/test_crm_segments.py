"""The filter language of segments: it says what a plain Python evaluation says, and nothing gets out of it."""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse_pipelines_tests.harness.crm_database import (
    OTHER_USER,
    USER,
    A,
    B,
    Connection,
    add,
    one,
    session,
    sqlstate,
)
from warehouse_pipelines_tests.harness.examples import examples

NOW = datetime.now(UTC)
_LEADS: list[dict[str, Any]] = [
    {"first_name": "Ada", "last_name": "O'Neil", "source": "google", "lead_score": 90, "tags": ["hot", "vip"]},
    {"first_name": "ada", "last_name": "50%_off", "source": "Google", "lead_score": 10, "tags": ["hot"]},
    {"first_name": "Bo\\b", "source": "", "lead_score": 50, "value_usd": 100.5, "tags": ["a,b", '"}', ""]},
    {"status": "won", "owner_id": USER, "value_usd": 0, "postal_code": "98101", "division": "north"},
    {"status": "lost", "owner_id": OTHER_USER, "lead_score": 100, "source_metadata": {"utm": "x", "n": 1}},
    {"source_metadata": {"utm": None, "a b": "x"}, "email": "x@example.com", "timezone": "Europe/Paris"},
    {"created_at": NOW - timedelta(days=40), "phone": "+12065550101", "golden_id": USER},
    {"created_at": datetime(2025, 1, 31, tzinfo=UTC), "first_name": "Zoe"},
]
LEADS = {str(uuid.UUID(int=number)): lead for number, lead in enumerate(_LEADS)}
DEFAULTS: dict[str, Any] = {"status": "new", "lead_score": 0, "tags": [], "source_metadata": {}, "created_at": NOW}


@pytest.fixture(scope="module")
def crm_url(shared_url: str) -> str:
    """The leads, one that is deleted, and the same leads in another organization."""
    with psycopg.connect(shared_url) as connection:
        for key, lead in LEADS.items():
            values = {**DEFAULTS, **lead}
            values["source_metadata"] = json.dumps(values["source_metadata"])
            add(connection, "leads", id=key, **values)
            values.pop("phone", None)
            add(connection, "leads", organization_id=B, **values)
        add(connection, "leads", first_name="Deleted", deleted_at=NOW)
    return shared_url


@pytest.fixture
def app(crm_url: str) -> Iterator[Connection]:
    with session(crm_url) as connection:
        yield connection


Found = Callable[[Any], set[str]]


def ask(connection: Connection, given_filter: Any) -> set[str]:
    with connection.transaction(force_rollback=True):
        found = connection.execute("SELECT crm.evaluate_filter(%s)", [json.dumps(given_filter)]).fetchall()
    assert len(found) == len(set(found))
    return {str(row[0]) for row in found}


@pytest.fixture(scope="module")
def matching(crm_url: str) -> Iterator[Found]:
    with session(crm_url) as connection:
        yield lambda given_filter: ask(connection, given_filter)


Condition = Callable[[Any], str]


@pytest.fixture(scope="module")
def refusal(crm_url: str) -> Iterator[Condition]:
    """The state of the error with which a filter is refused."""
    with session(crm_url) as connection:
        yield lambda wrong: sqlstate(connection, "SELECT crm.segment_condition(%s)", json.dumps(wrong))


def moment(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def holds(lead: dict[str, Any], f: dict[str, Any]) -> bool:
    """What a filter means, in plain Python."""
    if not f:
        return True
    if "and" in f:
        return all(holds(lead, part) for part in f["and"])
    if "or" in f:
        return any(holds(lead, part) for part in f["or"])
    if "not" in f:
        return not holds(lead, f["not"])
    field, op, value = f["field"], f["op"], f["value"]
    have: Any = lead.get(field, DEFAULTS.get(field))
    if field == "source_metadata":
        have = have.get(f["key"])
        have = None if have is None else str(have)
    if field == "tags":
        of_tags: dict[str, Callable[[], object]] = {
            "has": lambda: value in have,
            "has_any": lambda: set(value) & set(have),
            "has_all": lambda: set(value) <= set(have),
            "is_empty": lambda: (have == []) == value,
        }
        return bool(of_tags[op]())
    if op == "is_null":
        return bool((have is None) == value)
    if op == "ne":
        return bool(have != value)
    if have is None:
        return False
    if op in {"within_days", "older_than_days"}:
        return bool((have >= datetime.now(UTC) - timedelta(days=value)) == (op == "within_days"))
    if field == "created_at":
        value = [moment(v) for v in value] if op == "between" else moment(value)
    of_others: dict[str, Callable[[], object]] = {
        "eq": lambda: have == value,
        "in": lambda: have in value,
        "contains": lambda: value.lower() in have.lower(),
        "starts_with": lambda: have.lower().startswith(value.lower()),
        "lt": lambda: have < value,
        "lte": lambda: have <= value,
        "gt": lambda: have > value,
        "gte": lambda: have >= value,
        "between": lambda: value[0] <= have <= value[1],
    }
    return bool(of_others[op]())


TEXTS = st.sampled_from(
    [
        "Ada",
        "ada",
        "O'Neil",
        "%",
        "_",
        "50%_off",
        "\\",
        "bo\\B",
        "google",
        "",
        "won",
        "new",
        "x",
        "1",
        "'; --",
        "$2",
        "NEIL",
    ]
) | st.text(alphabet=st.characters(min_codepoint=1, max_codepoint=126), max_size=8)
TAGS = st.sampled_from(["hot", "vip", "a,b", '"}', "", "cold", "{}"])
NUMBERS = st.integers(-5, 105) | st.sampled_from([100.5, 0, 1e300, -1e-300, 49.999])
TIMES = st.sampled_from(
    ["2025-01-31", "2025-01-31T00:00:00Z", "2025-01-31T01:00:00+01:00", "2025-01-30T23:59:59.999999-00:00",
     "2024-02-29", "2999-12-31", "0001-01-01"]
)  # fmt: skip
UUIDS = st.sampled_from([USER, OTHER_USER, str(uuid.UUID(int=7))])


def leaf(fields: st.SearchStrategy[str], **values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        [st.fixed_dictionaries({"field": fields, "op": st.just(op), "value": value}) for op, value in values.items()]
    )


TEXT_OPS = {
    "eq": TEXTS, "ne": TEXTS, "in": st.lists(TEXTS, max_size=4), "contains": TEXTS, "starts_with": TEXTS,
    "is_null": st.booleans(),
}  # fmt: skip
LEAVES = st.one_of(
    leaf(st.sampled_from(["first_name", "last_name", "email", "phone", "status", "source", "timezone", "division",
                          "postal_code"]), **TEXT_OPS),
    leaf(st.just("source_metadata"), **TEXT_OPS).flatmap(
        lambda f: st.sampled_from(["utm", "n", "a b", "'", "none"]).map(lambda key: {**f, "key": key})),
    leaf(st.sampled_from(["lead_score", "value_usd"]), **dict.fromkeys(["eq", "ne", "lt", "lte", "gt", "gte"], NUMBERS),
         between=st.tuples(NUMBERS, NUMBERS).map(list), is_null=st.booleans()),
    leaf(st.just("created_at"), **dict.fromkeys(["lt", "lte", "gt", "gte"], TIMES),
         between=st.tuples(TIMES, TIMES).map(list), within_days=st.sampled_from([0, 1, 39.5, 41, 36500]),
         older_than_days=st.sampled_from([0, 1, 39.5, 41, 36500])),
    leaf(st.sampled_from(["owner_id", "golden_id"]), eq=UUIDS, ne=UUIDS, **{"in": st.lists(UUIDS, max_size=3)},
         is_null=st.booleans()),
    leaf(st.just("tags"), has=TAGS, has_any=st.lists(TAGS, max_size=3), has_all=st.lists(TAGS, max_size=3),
         is_empty=st.booleans()),
)  # fmt: skip
FILTERS = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        st.fixed_dictionaries({"and": st.lists(parts, max_size=3)}),
        st.fixed_dictionaries({"or": st.lists(parts, max_size=3)}),
        st.fixed_dictionaries({"not": parts}),
    ),
    max_leaves=8,
)


@settings(max_examples=examples(80, of=250), deadline=None)
@given(f=FILTERS)
def test_segment_eval(matching: Found, f: dict[str, Any]) -> None:
    """Every field and operator, nested, with nulls, against ``holds``."""
    assert matching(f) == {key for key, lead in LEADS.items() if holds(lead, f)}


@pytest.mark.parametrize("value", ["%", "_", "\\", "50%", "0%_o", "%_off", "o\\b", "50_", "A_a"])
@pytest.mark.parametrize("op", ["contains", "starts_with"])
def test_signs_of_a_pattern_mean_themselves(matching: Found, op: str, value: str) -> None:
    for field in ("first_name", "last_name"):
        f = {"field": field, "op": op, "value": value}
        assert matching(f) == {key for key, lead in LEADS.items() if holds(lead, f)}


def test_the_empty_filter_finds_every_living_lead(matching: Found) -> None:
    assert matching({}) == set(LEADS)


@settings(max_examples=examples(20, of=50), deadline=None)
@given(
    text=st.sampled_from(
        ["' OR true --", "'; DROP TABLE crm.leads; --", "%' OR '1'='1", "}') OR true --", '{"', "$1", "%s", "%1$s",
         "\\'", "a}', 'x", "l.id::text", "now()", "E'\\x27'"]
    ) | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30),
    field=st.sampled_from(["first_name", "last_name", "source", "source_metadata", "tags"]),
    op=st.sampled_from(["eq", "in", "contains", "starts_with", "has", "has_any", "has_all"]),
)  # fmt: skip
def test_segment_injection(refusal: Condition, matching: Found, text: str, field: str, op: str) -> None:
    """As a value, a key, a field, an operator, or the name of a connective, text is text."""
    listed = op in {"in", "has_any", "has_all"}
    if op.startswith("has") == (field == "tags"):
        f = {"field": field, "op": op, "value": [text] if listed else text}
        f |= {"key": text} if field == "source_metadata" else {}
        assert matching(f) == {key for key, lead in LEADS.items() if holds(lead, f)}
    valid = {"field": "first_name", "op": "eq", "value": "x"}
    for wrong in (
        {**valid, "field": text}, {**valid, "op": text}, {text: [valid]}, {**valid, text: 1}, {"and": {text: valid}},
        {**valid, "value": {text: text}}, {**valid, "value": [text]}, [text], text,
        {"field": "created_at", "op": "lt", "value": text}, {"field": "owner_id", "op": "eq", "value": text},
        {"field": "lead_score", "op": "lt", "value": text}, {"field": "created_at", "op": "within_days", "value": text},
        {"field": "source_metadata", "key": [text], "op": "eq", "value": "x"},
        {"field": "source_metadata", "op": "eq", "value": "x"}, {**valid, "key": text},
    ):  # fmt: skip
        assert refusal(wrong) == "23514", wrong


def test_the_condition_holds_nothing_of_the_filter(app: Connection) -> None:
    planted = "planted'value"
    for f in (
        {"field": "first_name", "op": "contains", "value": planted},
        {"field": "source_metadata", "key": planted, "op": "in", "value": [planted]},
        {"or": [{"not": {"field": "tags", "op": "has_all", "value": [planted]}}]},
    ):
        assert "planted" not in one(app, "SELECT crm.segment_condition(%s)", json.dumps(f))


def nested(levels: int) -> Any:
    return {"not": nested(levels - 1)} if levels else {"field": "tags", "op": "has", "value": "hot"}


@pytest.mark.parametrize(
    ("f", "why"),
    [
        ({"field": "password", "op": "eq", "value": "x"}, "no such field"),
        ({"field": "id", "op": "eq", "value": USER}, "no such field"),
        ({"field": "organization_id", "op": "eq", "value": B}, "no such field"),
        ({"field": "first_name", "op": "lt", "value": "x"}, "does not know the operator"),
        ({"field": "first_name", "op": "eq"}, "the value is not|a value is not"),
        ({"field": "first_name", "op": "eq", "value": None}, "a value is not"),
        ({"field": "lead_score", "op": "between", "value": [1]}, "two values"),
        ({"field": "lead_score", "op": "between", "value": [1, 2, 3]}, "two values"),
        ({"field": "first_name", "op": "in", "value": ["x"] * 101}, "at most 100"),
        ({"and": [{"field": "tags", "op": "has", "value": "x"}] * 101}, "at most 100"),
        ({"and": [{}]}, "at and.0: there is no such field"),
        ({"field": "created_at", "op": "lt", "value": "2025-02-30"}, "a value is not"),
        ({"field": "created_at", "op": "lt", "value": "now"}, "a value is not"),
        ({"field": "created_at", "op": "lt", "value": "2025-01-31T00:00:00"}, "a value is not"),
        ({"field": "created_at", "op": "within_days", "value": -1}, "a value is not"),
        ({"field": "created_at", "op": "within_days", "value": 1e300}, "a value is not"),
        ({"and": [], "or": []}, "nothing stands beside"),
        ({"not": {"field": "tags", "op": "has", "value": "x"}, "also": 1}, "nothing stands beside"),
        (None, "an object is needed"),
        (nested(21), "more than 10 deep"),
    ],
)
def test_a_wrong_filter_is_refused_with_its_place(app: Connection, f: Any, why: str) -> None:
    """Also when a segment is saved, and without the values, which may name a person."""
    for statement in (
        "SELECT crm.evaluate_filter(%s)",
        f"INSERT INTO crm.segments (organization_id, name, filter_criteria) VALUES ('{A}', 'x', %s)",
    ):
        with pytest.raises(psycopg.errors.CheckViolation, match=why), app.transaction():
            app.execute(statement, [json.dumps(f)])


def test_a_segment_is_evaluated_for_its_organization(app: Connection) -> None:
    segment = add(app, "segments", filter_criteria='{"field": "tags", "op": "has", "value": "hot"}')
    rows = app.execute("SELECT crm.evaluate_segment(%s)", [segment]).fetchall()
    assert {str(row[0]) for row in rows} == set(list(LEADS)[:2])
    app.execute("SELECT set_config('app.organization_id', %s, true)", [B])
    assert sqlstate(app, "SELECT crm.evaluate_segment(%s)", segment) == "P0002"
    assert not ask(app, {}) & set(LEADS)
    app.execute("SELECT set_config('app.organization_id', '', true)")
    assert ask(app, {}) == set()


def test_a_page_of_leads(app: Connection) -> None:
    hot = '{"field": "tags", "op": "has", "value": "hot"}'
    assert one(app, "SELECT count(*) FROM crm.list_leads(%s)", hot) == 2
    dates = [row[0] for row in app.execute("SELECT created_at FROM crm.list_leads()").fetchall()]
    assert dates == sorted(dates, reverse=True)
    assert one(app, "SELECT count(*) FROM crm.list_leads('{}', 3)") == 3
    assert one(app, "SELECT first_name FROM crm.list_leads('{}', 1, '2025-06-01')") == "Zoe"


@pytest.mark.slow("a schema that is migrated again")
def test_a_rare_tag_and_a_name_are_found_by_index(crm_url: str) -> None:
    """Below a policy PostgreSQL would read every lead for them, because their operators are not leakproof."""
    with session(crm_url, role=None) as connection:
        connection.execute(
            "INSERT INTO crm.leads (organization_id, last_name, tags) SELECT %s, md5(n::text),"
            " CASE WHEN n = 7 THEN '{rare}' ELSE '{common}' END::text[] FROM generate_series(1, 8000) AS n", [A]
        )  # fmt: skip
        connection.execute("ANALYZE crm.leads")
        connection.execute("SET LOCAL enable_seqscan = off")  # whether it can be used, for a table this small
        connection.execute("SET LOCAL ROLE crm_definer")
        for f, index in (
            ({"field": "tags", "op": "has", "value": "rare"}, "leads_tags"),
            ({"field": "last_name", "op": "contains", "value": "c4ca4238"}, "leads_names"),
        ):
            condition = one(connection, "SELECT crm.with_names_index(crm.segment_condition(%s))", json.dumps(f))
            statement = (
                f"SELECT l.id FROM crm.leads l WHERE organization_id = $1 AND deleted_at IS NULL AND {condition}"
            )
            connection.execute(f"PREPARE p (uuid, jsonb) AS {statement}")
            plan = connection.execute(f"EXPLAIN EXECUTE p ('{A}', '{json.dumps(f)}')").fetchall()
            assert index in str(plan)
            connection.execute("DEALLOCATE p")


def test_a_list_of_one_import_has_all_its_pages(app: Connection) -> None:
    """250 leads with one created_at: no page is empty, no lead comes twice."""
    app.execute(
        "INSERT INTO crm.leads (organization_id, division, created_at) SELECT %s, 'imported', '2025-03-01T00:00:00Z'"
        " FROM generate_series(1, 250)", [A]
    )  # fmt: skip
    page: list[Any] = []
    seen: list[Any] = []
    while len(seen) < 300:
        last = page[-1] if page else ("infinity", "00000000-0000-0000-0000-000000000000")
        page = app.execute(
            "SELECT created_at, id FROM crm.list_leads(%s, 100, %s, %s)",
            ['{"field": "division", "op": "eq", "value": "imported"}', *last],
        ).fetchall()
        if not page:
            break
        seen += page
    assert len(seen) == len(set(seen)) == 250
    assert seen == sorted(seen, reverse=True)
