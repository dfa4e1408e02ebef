"""People: find one, and see all that is known: touches, why the records are one person, household, consent, leads.

Personal data are masked unless they are asked for in clear by who may see them, which is logged. Masked, a person is
found by an id or by the name of a record, which are both shown masked too. By an address, a number or a name only who
may see personal data finds somebody, in clear, and each search is logged: it would tell anybody else whether a guess is
right, and there are few enough phone numbers to try all. That is what the key of the masks is kept from them for.

Somebody who was erased is no person any more, so nothing is shown, and not that there was one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from fastapi import Query, Request
from fastapi.responses import RedirectResponse, Response

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.model.phones import e164
from warehouse_pipelines.queries import query
from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.browsing.seen import as_seen
from warehouse_pipelines.serving.database import CRM_APP
from warehouse_pipelines.serving.guard import visitor
from warehouse_pipelines.serving.pages.render import render
from warehouse_pipelines.serving.pages.row import row_address
from warehouse_pipelines.serving.pages.tables import require_clear
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import Right, needs, of_all_organizations
from warehouse_pipelines.unified.identity import explain
from warehouse_pipelines.unified.identity.compare import words
from warehouse_pipelines.unified.identity.edges import levels_of

routes = guard.router()

TOUCHES = 200
FOUND = 50
WAITING = 20
EXPLAIN_MILLISECONDS = 5_000
"""A statement that explains may take so long: it compares every record of one person with every record of the other."""
CONSENT_ROLE = "crm_read"
"""Reads consent and do-not-call entries below row-level security; what is read of them names nobody."""


@routes.get("/persons")
@needs(Right.DATA_READ)
@of_all_organizations
async def find_persons(request: Request, q: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Find a person; without a question, the pairs that wait for a decision."""
    who, word = visitor(request), q.strip()
    if "\x00" in word:
        raise Refusal(422, "The question has a character that no value has.")
    found: list[dict[str, Any]] = []
    said = ""
    if word:
        if (person := await _named(request, word)) is not None:
            return RedirectResponse(f"/persons/{person}", status_code=303)
        if _is_record(word):
            said = "No person has this record, or is this."
        elif not who.sees_personal_data:
            said = (
                "By an address, a number or a name people are found by those who may see personal data. You find a "
                "person by an id, or by a record such as hubspot_contact:123."
            )
        else:
            await request.app.state.pool.note_clear_view(who, "identity.person", "search")
            found = await _by_value(request, word)
            said = "" if found else "Nobody is found. Names are those of your organization's leads."
    waiting = [] if word else await _waiting(request)
    return render(request, "persons.html", q=q, found=found[:FOUND], more=len(found) > FOUND, said=said,
                  waiting=waiting, in_clear=bool(found))  # fmt: skip


def _is_record(word: str) -> bool:
    try:
        UUID(word)
    except ValueError:
        return ":" in word and " " not in word.partition(":")[0] and "@" not in word.partition(":")[0]
    return True


async def _named(request: Request, word: str) -> UUID | None:
    """Return the person of an id, of an id that was merged, or of a record ``table:key``."""
    table, _, key = word.partition(":")
    try:
        person: UUID | None = UUID(word)
    except ValueError:
        person = None
        if not _is_record(word):
            return None
    statement = """
        SELECT person_id FROM identity.person WHERE person_id = %(person)s
        UNION ALL SELECT person_id FROM identity.alias WHERE alias_id = %(person)s
        UNION ALL SELECT person_id FROM identity.member WHERE source_table = %(table)s AND source_key = %(key)s
        LIMIT 1
        """
    async with request.app.state.pool.session(visitor(request), reads=True) as session:
        found = await session.execute(statement, {"person": person, "table": table, "key": key})
        row = await found.fetchone()
    return None if row is None else row["person_id"]


async def _by_value(request: Request, word: str) -> list[dict[str, Any]]:
    """Return people by an address, a number, or the name of a lead of the visitor's organization; in clear."""
    who, pool = visitor(request), request.app.state.pool
    number = e164(word) if sum(character.isdigit() for character in word) >= 7 else None
    if "@" in word or number:
        given = {"email": word.lower() if "@" in word else None, "phone": number}
        async with pool.reading(who, clear=True) as session:
            return await _all(session, query("browse_persons_named"), given)
    if not who.may(Right.LEADS_READ):
        return []
    async with pool.acting(CRM_APP, who, reads=True) as session:
        asked = "SELECT DISTINCT golden_id FROM crm.list_leads(%(filter)s::jsonb, 200) WHERE golden_id IS NOT NULL"
        leads = await _all(session, asked, {"filter": msgspec.json.encode(_named_so(word)).decode()})
    async with pool.reading(who, clear=True) as session:
        persons = await _all(
            session, query("browse_persons_of"), {"persons": [row["golden_id"] for row in leads][: FOUND + 1]}
        )
    return sorted(persons, key=lambda one: one["display_name"] or "")


def _named_so(word: str) -> dict[str, Any]:
    """Return the filter of leads by a name: ``Ada Lovelace``, ``Lovelace, Ada``, or one of the two."""
    last, comma, first = word.partition(",")
    if not comma:
        first, _, last = word.rpartition(" ")
    first, last = first.strip(), last.strip()

    def has(field: str, part: str) -> dict[str, Any]:
        return {"field": field, "op": "contains", "value": part}

    if first and last:
        return {"and": [has("first_name", first), has("last_name", last)]}
    return {"or": [has("first_name", last or first), has("last_name", last or first)]}


async def _all(session: Any, statement: str, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await (await session.execute(statement, given)).fetchall()
    return found


async def _waiting(request: Request) -> list[dict[str, Any]]:
    """Return the pairs that wait for a decision, with the two people as the visitor sees them, masked."""
    pool = request.app.state.pool
    async with pool.session(visitor(request), reads=True) as session:
        pairs = await _all(session, query("browse_person_reviews"), {"person": None, "size": WAITING})
    return await _with_people(request, pairs, clear=False)


async def _with_people(request: Request, pairs: list[dict[str, Any]], *, clear: bool) -> list[dict[str, Any]]:
    ids = {pair[side] for pair in pairs for side in ("a_person", "b_person")} - {None}
    async with request.app.state.pool.reading(visitor(request), clear=clear) as session:
        statement = as_seen(query("browse_persons_of"), clear=clear)
        people = {row["person_id"]: row for row in await _all(session, statement, {"persons": list(ids)})}
    for pair in pairs:
        pair["a"], pair["b"] = people.get(pair["a_person"]), people.get(pair["b_person"])
        pair["a_record"] = record_name(pair["a_table"], pair["a_key"], clear=clear)
        pair["b_record"] = record_name(pair["b_table"], pair["b_key"], clear=clear)
    return pairs


def record_name(table: str, key: str, *, clear: bool) -> str:
    """Return a record as commands name it; a key that is somebody's address is masked."""
    return f"{table}:{key if clear or '@' not in key else '[masked]'}"


@routes.get("/persons/{person}")
@needs(Right.DATA_READ)
@of_all_organizations
async def show_person(request: Request, person: UUID, clear: bool = False, decided: bool = False) -> Response:
    """Show all that is known of a person. An id that was merged leads to the one that it was merged into."""
    require_clear(request, clear)
    pool, who = request.app.state.pool, visitor(request)
    if (now := await _named(request, str(person))) is None:
        raise Refusal(404, "There is no such person.")
    if now != person:
        return RedirectResponse(f"/persons/{now}{'?clear=1' if clear else ''}", status_code=303)
    if clear:
        await pool.note_clear_view(who, "identity.person", str(person))
    given = {"person": person, "size": TOUCHES + 1}
    async with pool.session(who, reads=True) as session:
        records = await _all(session, query("browse_person_records"), given)
        decisions = await _all(session, query("browse_person_decisions"), given)
        reviews = await _all(session, query("browse_person_reviews"), given | {"size": WAITING})
        phones = await _all(session, "SELECT phones FROM identity.person WHERE person_id = %(person)s", given)
    async with pool.reading(who, clear=clear) as session:
        best = await _all(session, as_seen(query("browse_person"), clear=clear), given)
        if not best:
            raise Refusal(404, "There is no such person.")
        home = given | {"household": best[0]["household_id"]}
        household = await _all(session, as_seen(query("browse_person_beside"), clear=clear), home)
        touches = await _all(session, as_seen(query("browse_person_touches"), clear=clear), given)
        leads: list[dict[str, Any]] = []
        if who.may(Right.LEADS_READ):
            leads = await _all(session, as_seen(query("browse_person_leads"), clear=clear), given)
    consent = await _consent(request, records, phones[0]["phones"] if phones else [], leads)
    return render(
        request, "person.html", person=best[0], records=[_record(one, clear) for one in records], household=household,
        touches=[_touch(one) for one in touches[:TOUCHES]], more=len(touches) > TOUCHES, leads=leads, consent=consent,
        decisions=[_decision(one, clear) for one in decisions], clear=clear, decided=decided,
        reviews=await _with_people(request, reviews, clear=clear),
    )  # fmt: skip


def _record(one: dict[str, Any], clear: bool) -> dict[str, Any]:
    name = record_name(one["source_table"], one["source_key"], clear=clear)
    link = None
    if not name.endswith("[masked]") and " " not in one["source_key"]:
        link = row_address(one["source_table"], [one["source_key"]], clear=clear)
    said = words(levels_of(one["evidence"])) if one["evidence"] else ""
    by = record_name(one["other_table"], one["other_key"], clear=clear) if one["other_table"] else ""
    return {**one, "name": name, "asked": f"{one['source_table']}:{one['source_key']}", "link": link, "said": said,
            "by": by}  # fmt: skip


def _touch(one: dict[str, Any]) -> dict[str, Any]:
    key = one["source_key"]
    link = row_address(one["source_table"], [key]) if key and " " not in key and "@" not in key else None
    title = "" if one["title"] == "[masked]" else one["title"]
    outcome = "" if one["outcome"] in ("true", "false") else one["outcome"]  # a flag, which says nothing by itself
    return {**one, "kind": one["kind"].replace("_", " "), "link": link, "title": title, "outcome": outcome}


def _decision(one: dict[str, Any], clear: bool) -> dict[str, Any]:
    return {
        **one, "a": record_name(one["a_table"], one["a_key"], clear=clear),
        "b": record_name(one["b_table"], one["b_key"], clear=clear), "reason": one["reason"] if clear else "",
    }  # fmt: skip


async def _consent(
    request: Request, records: Sequence[Mapping[str, Any]], phones: Sequence[str], leads: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    if not visitor(request).may(Right.LEADS_READ):
        return []
    given = {
        "tables": [one["source_table"] for one in records], "keys": [one["source_key"] for one in records],
        "phones": list(phones), "leads": [one["id"] for one in leads],
    }  # fmt: skip
    async with request.app.state.pool.acting(CONSENT_ROLE, visitor(request), reads=True) as session:
        return await _all(session, query("browse_person_consent"), given)


@routes.get("/persons/{person}/explain")
@needs(Right.DATA_READ)
@of_all_organizations
async def explain_person(
    request: Request, person: UUID, other: Annotated[str, Query(max_length=300)], clear: bool = False
) -> Response:
    """Say why a person and another one, or a record of it, are or are not one, as ``warehouse identity explain``."""
    require_clear(request, clear)
    if clear:
        await request.app.state.pool.note_clear_view(visitor(request), "identity.person", str(person))

    def ask() -> str:
        with warehouse.session(request.app.state.url) as session:
            session.execute(f"SET statement_timeout = {EXPLAIN_MILLISECONDS}")
            return explain.explain(session, str(person), other)

    try:
        said = await asyncio.to_thread(ask)
    except WrongUse as error:
        raise Refusal(404, "There is no such person or record.") from error
    return render(request, "explained.html", person=person, other=other if clear or "@" not in other else "",
                  lines=_without_addresses(said, clear).splitlines(), clear=clear,
                  link=f"?other={quote(other)}{'' if clear else '&clear=1'}")  # fmt: skip


def _without_addresses(text: str, clear: bool) -> str:
    """Return an explanation, of which only names of records can be an address."""
    if clear:
        return text
    return " ".join("[masked]" if "@" in word else word for word in text.split(" "))
