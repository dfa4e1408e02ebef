"""``marts.relationships`` and ``identity.path``: who has to do with whom, and by which way."""

import itertools
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest

from warehouse_pipelines.unified import marts
from warehouse_pipelines.unified.identity import resolve
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase, Row
from warehouse_pipelines_tests.harness.import_database import import_leads
from warehouse_pipelines_tests.harness.mart_rows import assert_as_from_nothing, rows
from warehouse_pipelines_tests.harness.serving import serving
from warehouse_pipelines_tests.harness.visitors import program

Pair = frozenset[uuid.UUID]


def related(fed: FeedDatabase) -> dict[tuple[str, Pair], Row]:
    marts.run(fed.session, ["relationships"])
    return {(row["relation"], frozenset((row["a_id"], row["b_id"]))): row for row in rows(fed.session, "relationships")}


def home(fed: FeedDatabase, street: str) -> dict[str, Any]:
    """Make a house with a household, and return what a person has who lives there."""
    property_id = fed.one(
        "INSERT INTO identity.property (street, zip) VALUES (%s, '45402') RETURNING property_id", [street]
    )["property_id"]
    return {**household(fed), "property_id": property_id}


def household(fed: FeedDatabase) -> dict[str, Any]:
    row = fed.one("INSERT INTO identity.household (person_count) VALUES (2) RETURNING household_id")
    return {"household_id": row["household_id"]}


def contact(fed: FeedDatabase, number: int, **values: Any) -> uuid.UUID:
    return fed.person(fed.source("hubspot_contact", id=str(number)), **values)


def member(fed: FeedDatabase, contact: int, company: str, **values: Any) -> None:
    for kind in (1, 279):  # HubSpot names the first company twice
        fed.source(
            "hubspot_contact_to_company_association", contact_id=str(contact), company_id=company,
            association_type_id=kind, **values,
        )  # fmt: skip


def test_story_3_6_couples_live_together(fed: FeedDatabase) -> None:
    here = home(fed, "1 elm st")
    ada = contact(fed, 1, first_name="Ada", last_name="Example", **here)
    ben = contact(fed, 2, first_name="Ben", last_name="EXAMPLE", **here)
    found = related(fed)
    assert found.keys() == {("household", frozenset((ada, ben))), ("spouse", frozenset((ada, ben)))}
    assert float(found["spouse", frozenset((ada, ben))]["certainty"]) == 0.7


@pytest.mark.parametrize(
    "other", [{"first_name": "Ada", "last_name": "Example"}, {"first_name": "Ben", "last_name": "Novak"}, {}]
)
def test_not_all_who_live_together_are_a_couple(fed: FeedDatabase, other: dict[str, str]) -> None:
    """A child with the parent's name, a lodger, somebody without a name."""
    here = home(fed, "1 elm st")
    contact(fed, 1, first_name="Ada", last_name="Example", **here)
    contact(fed, 2, **other, **here)
    assert {relation for relation, _ in related(fed)} == {"household"}


def test_of_three_in_a_house_a_loan_says_who_is_a_couple(fed: FeedDatabase) -> None:
    here = home(fed, "1 elm st")
    prospect = fed.source("genius_prospect", prospect_id=4)
    ada = fed.person(prospect, first_name="Ada", last_name="Example", **here)
    ben = contact(fed, 2, first_name="Ben", last_name="Novak", **here)
    contact(fed, 3, first_name="Cy", last_name="Example", **here)
    fed.source("genius_job", id=1, prospect_id=4)
    assert {relation for relation, _ in related(fed)} == {"household"}
    fed.source("genius_job_financing", job_id=1, co_applicant=" Ben Novak ")
    row = related(fed)["spouse", frozenset((ada, ben))]
    assert float(row["certainty"]) == 0.95
    assert sum(relation == "spouse" for relation, _ in related(fed)) == 1


def test_neighbours_in_one_property_are_no_household(fed: FeedDatabase) -> None:
    here = home(fed, "1 elm st")
    ada = contact(fed, 1, **here)
    ben = contact(fed, 2, **{**here, **household(fed)})
    assert related(fed).keys() == {("property", frozenset((ada, ben)))}


def test_story_3_6_people_of_one_company(fed: FeedDatabase) -> None:
    """Once, whichever system says it and however often; not by a company that was deleted, nor by a link that is."""
    ada, ben, cy = (contact(fed, number) for number in (1, 2, 3))
    for company in ("a", "b", "deleted"):
        fed.source("hubspot_company", id=company, archived=company == "deleted")
        for number in (1, 2):
            member(fed, number, company)
    member(fed, 3, "a", archived=True)
    member(fed, 3, "deleted")
    found = related(fed)
    assert found.keys() == {("company", frozenset((ada, ben)))}
    assert found["company", frozenset((ada, ben))]["via"] == "hubspot_company a"
    other = "00000000-0000-0000-0000-0000000000c1"
    fed.source("pipedesk.companies", id=other, name="Example Ltd")
    keys = ["00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"]
    for key, whose in zip(keys, (ben, cy), strict=True):
        fed.record(fed.source("pipedesk.contacts", id=key, name="x", company_id=other), whose)
    assert related(fed).keys() == {("company", frozenset((ada, ben))), ("company", frozenset((ben, cy)))}


def test_a_company_of_more_than_fifty_joins_nobody(fed: FeedDatabase) -> None:
    fed.source("hubspot_company", id="a")
    for number in range(51):
        contact(fed, number)
        member(fed, number, "a")
    assert related(fed) == {}
    member(fed, 0, "a", archived=True)
    assert len(related(fed)) == 50 * 49 // 2


def test_story_3_6_a_referral_knows_who_sent_whom(fed: FeedDatabase) -> None:
    """By a number, an address, a person's id, one that was merged too, or a lead's; not by what nobody has."""
    phone, merged = "+12065550101", uuid.UUID(int=0xA)
    ada = contact(fed, 1, first_name="Ada", phones=(phone,), email="ada@example.com")
    fed.session.execute(
        "INSERT INTO identity.alias (alias_id, person_id, reason) VALUES (%s, %s, 'merged')", [merged, ada]
    )
    sent = {}
    for number, by in enumerate(
        ("(206) 555-0101", "ADA@example.com", str(ada), str(merged).upper(), "lead", "nobody", phone), 2
    ):
        sent[by] = contact(fed, number, first_name=f"n{number}")
    fed.feed()
    lead = str(fed.lead(ada)["id"])
    for by, whom in sent.items():
        fed.session.execute(
            "UPDATE crm.leads SET source_metadata = source_metadata || jsonb_build_object('referred_by', %s::text)"
            " WHERE golden_id = %s",
            [lead if by == "lead" else by, whom],
        )
    found = related(fed)
    assert found.keys() == {("referral", frozenset((ada, whom))) for by, whom in sent.items() if by != "nobody"}
    assert {row["from_id"] for row in found.values()} == {ada}


def test_who_sent_somebody_comes_from_a_file_and_from_the_api(fed: FeedDatabase, tmp_path: Path) -> None:
    """With the column "Referred By" and the key `referred_by`, up to the pair in the mart."""
    path = tmp_path / "leads.csv"
    path.write_text(
        "First Name,Last Name,Phone,Referral Name,Referred By\n"
        "Ada,Example,2162230101,,n/a\n"
        "Ben,Novak,2162230102,Ada Example,Ada (216) 223-0101\n"
    )
    import_leads(fed.session, path)
    with (
        serving(fed.url) as serve,
        program(serve.address, fed.url, "operator", organization=ORGANIZATION) as client,
    ):
        lead = {"first_name": "Cy", "last_name": "Marsh", "phone": "2162230103"}
        sent = {**lead, "source_metadata": {"referred_by": "(216) 223-0102"}}
        assert client.post("/api/leads", json=sent).status_code == 201
        described = client.get("/api/openapi.json").json()["components"]["schemas"]["NewLead"]["properties"]
        assert "referred_by" in described["source_metadata"]["description"]
    resolve.run(fed.session)
    fed.feed()
    people = {row["first_name"]: row["golden_id"] for row in fed.leads()}
    found = related(fed)
    assert {pair: row["from_id"] for pair, row in found.items()} == {
        ("referral", frozenset((people["Ada"], people["Ben"]))): people["Ada"],
        ("referral", frozenset((people["Ben"], people["Cy"]))): people["Ben"],
    }


def test_staff_are_related_to_nobody(fed: FeedDatabase) -> None:
    here = home(fed, "1 elm st")
    contact(fed, 1, **here)
    fed.person(fed.source("genius_user", user_id=1), kind="staff", **here)
    assert related(fed) == {}


def test_who_moves_out_is_related_no_longer(fed: FeedDatabase) -> None:
    here = home(fed, "1 elm st")
    contact(fed, 1, first_name="Ada", last_name="Example", **here)
    ben = contact(fed, 2, first_name="Ben", last_name="Example", **here)
    assert len(related(fed)) == 2
    fed.touch(ben, **home(fed, "2 elm st"))
    assert related(fed) == {}
    assert_as_from_nothing(fed.session, ["relationships"])


def link(fed: FeedDatabase, one: uuid.UUID, other: uuid.UUID, relation: str = "household") -> None:
    a, b = sorted((one, other))
    fed.session.execute(
        "INSERT INTO marts.relationships VALUES (%s, %s, %s, NULL, NULL, 1, %s)", [a, b, relation, f"by {relation}"]
    )


def path(fed: FeedDatabase, one: Any, other: Any) -> list[tuple[Any, ...]]:
    found = fed.all("SELECT * FROM identity.path(%s, %s)", one, other)
    return [(row["step"], row["from_id"], row["to_id"], row["relation"]) for row in found]


@pytest.fixture
def chain(fed: FeedDatabase) -> list[uuid.UUID]:
    """Six people in a row."""
    people = [contact(fed, number) for number in range(6)]
    for one, other in itertools.pairwise(people):
        link(fed, one, other)
    return people


def test_story_3_6_a_path_has_at_most_four_steps(fed: FeedDatabase, chain: list[uuid.UUID]) -> None:
    for last in range(1, 5):
        wanted = [(n + 1, chain[n], chain[n + 1], "household") for n in range(last)]
        assert path(fed, chain[0], chain[last]) == wanted
        assert [(n, b, a) for n, a, b, _ in path(fed, chain[last], chain[0])] == [
            (last - n + 1, a, b) for n, a, b, _ in reversed(wanted)
        ]
    assert path(fed, chain[0], chain[5]) == []


def test_a_path_takes_the_shortest_way_and_the_closest_relation(fed: FeedDatabase, chain: list[uuid.UUID]) -> None:
    link(fed, chain[0], chain[3], "company")
    link(fed, chain[0], chain[3], "referral")
    assert path(fed, chain[0], chain[4]) == [
        (1, chain[0], chain[3], "referral"), (2, chain[3], chain[4], "household"),
    ]  # fmt: skip


def test_a_path_leads_nowhere_from_nobody_and_to_oneself(fed: FeedDatabase, chain: list[uuid.UUID]) -> None:
    alone = contact(fed, 9)
    for one, other in ((chain[0], chain[0]), (chain[0], alone), (chain[0], uuid.uuid4()), (chain[0], None)):
        assert path(fed, one, other) == path(fed, other, one) == []


def test_a_path_follows_ids_that_were_merged(fed: FeedDatabase, chain: list[uuid.UUID]) -> None:
    removed, before = contact(fed, 8), uuid.uuid4()
    fed.join(chain[0], removed)
    fed.session.execute("INSERT INTO identity.alias VALUES (%s, %s, 'merged')", [before, removed])
    assert path(fed, removed, chain[1]) == path(fed, before, chain[1]) == path(fed, chain[0], chain[1])


def test_nobody_else_may_ask_for_a_path(fed: FeedDatabase) -> None:
    fed.session.execute("SET ROLE crm_app")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        fed.session.execute("SELECT identity.path(NULL, NULL)")
    fed.session.execute("RESET ROLE")


@pytest.fixture
def town(fed: FeedDatabase) -> list[uuid.UUID]:
    """Twenty thousand people: each lives with another, and works in a company of twenty."""
    people = [uuid.UUID(int=number << 96 | 1) for number in range(1, 20_001)]
    with fed.session.cursor().copy(
        "COPY identity.person (person_id, kind, record_count, source_tables) FROM STDIN"
    ) as c:
        for person in people:
            c.write_row([person, "customer", 1, "{}"])
    with fed.session.cursor().copy("COPY marts.relationships FROM STDIN") as copy:
        for at, person in enumerate(people):
            for other in people[at + 1 : at - at % 20 + 20]:
                copy.write_row([person, other, "company", None, None, 0.8, ""])
            if (with_whom := at * 7 % 20_000) > at:
                copy.write_row([person, people[with_whom], "household", None, None, 1, ""])
    fed.session.execute("ANALYZE marts.relationships")
    return people


@pytest.mark.slow("many records")
def test_story_3_6_a_path_is_found_in_a_tenth_of_a_second(fed: FeedDatabase, town: list[uuid.UUID]) -> None:
    """The median of fifty, those without a way among them. What was slow is searched once more, because another process
    may have taken the processor.
    """
    seconds, steps = [], set()
    for at in range(50):
        took = 1.0
        for _ in range(3):
            if took < 0.1:
                break
            began = time.perf_counter()
            steps.add(len(path(fed, town[at * 397], town[at * 211 + 5])))
            took = time.perf_counter() - began
        seconds.append(took)
    assert sorted(seconds)[25] < 0.1
    assert 0 in steps
    assert max(steps) > 2
