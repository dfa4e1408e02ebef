"""The pairs of people that ``marts.relationships`` computes again: of those who changed, and who has to do with them.

A pair depends on the two people and on the groups that both are in: a household, a property, a company. So computed
are the pairs within ``mart_person``: people who changed, all who are, or were, in a group with them, and the people of
groups of which a source says something else. Who was in a group is told by the pairs that are there; a group of more
than fifty has none, so these groups are kept in ``marts.crowded_group``, and each run looks whether they are smaller.

Referrals are all computed again: who sent somebody is a number or an address, which may become another person's.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query
from warehouse_pipelines.unified import bulk
from warehouse_pipelines.unified.marts.mart import select_of
from warehouse_pipelines.unified.script import run_script

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

_IDS = "(SELECT substr(g.via, strpos(g.via, ' ') + 1){kind} FROM mart_group AS g WHERE starts_with(g.via, '{table} '))"

LIMITS: Mapping[str, str] = {
    "{of_household}": "AND p.household_id IN (SELECT g.via::uuid FROM mart_group AS g WHERE g.relation = 'household')",
    "{of_property}": "AND p.property_id IN (SELECT g.via::uuid FROM mart_group AS g WHERE g.relation = 'property')",
    "{of_company}": f"AND a.company_id IN {_IDS.format(kind='', table='hubspot_company')}",
    "{of_pipedesk}": f"AND t.company_id IN {_IDS.format(kind='::uuid', table='pipedesk.companies')}",
}
"""What limits ``relationships_grouped.sql`` to the groups in ``mart_group``."""

FOUND = "SELECT g.relation, g.person_id, g.via FROM mart_member AS g"

AMONG: Mapping[str, str] = {
    "{applicant}": "AND m.person_id IN (SELECT person_id FROM mart_person)",
    "{among}": "AND a.person_id IN (SELECT person_id FROM mart_person)"
    " AND b.person_id IN (SELECT person_id FROM mart_person)",
}
"""What limits ``relationships.sql`` to pairs within ``mart_person``."""


def grouped(*, limited: bool = False) -> str:
    """Return the SELECT of who is in which group; of all, or of the groups in ``mart_group``."""
    return select_of("relationships_grouped", LIMITS if limited else dict.fromkeys(LIMITS, ""))


def parts(*, full: bool) -> Mapping[str, str]:
    """Return what stands in the places of ``relationships.sql`` when ``find`` has been called."""
    return {"{grouped}": FOUND, **(dict.fromkeys(AMONG, "") if full else AMONG)}


def find(session: "Session", declared: Callable[[str], str], since: Any, *, full: bool) -> int:
    """Fill ``mart_person``, ``mart_member`` and ``mart_pair``; return the people whose pairs are computed.

    ``declared`` makes of a SELECT one of this installation's columns. When ``full``, ``mart_member`` has everybody, and
    ``mart_person``, which limits the pairs, nobody.
    """
    bulk.temporary(session, "mart_person", "person_id uuid PRIMARY KEY")
    bulk.temporary(session, "mart_group", "relation text, via text, PRIMARY KEY (relation, via)")
    bulk.temporary(session, "mart_member", "relation text, person_id uuid, via text")
    bulk.temporary(session, "mart_pair", "a_id uuid, b_id uuid, relation text, PRIMARY KEY (a_id, b_id, relation)")
    if full:
        session.execute("DELETE FROM marts.crowded_group")
    else:

        def add(table: str, select: str) -> None:
            _insert(session, table, declared(select), since)
            bulk.analyze(session, table)

        add("mart_person", select_of("relationships_touched"))
        add("mart_group", select_of("relationships_groups"))
        run_script(session, query("marts_related_before"), {})
        session.execute(
            "DELETE FROM mart_group WHERE (relation, via) IN (SELECT relation, via FROM marts.crowded_group)"
        )
        add("mart_group", select_of("relationships_less_crowded"))
        session.execute(
            "DELETE FROM marts.crowded_group WHERE (relation, via) IN (SELECT relation, via FROM mart_group)"
        )
        add("mart_person", f"SELECT m.person_id FROM ({grouped(limited=True)}) AS m")  # noqa: S608
        # Of all groups that two of them may be in, to know how large these are.
        add("mart_group", select_of("relationships_groups"))
        session.execute(
            "DELETE FROM mart_group WHERE (relation, via) IN (SELECT relation, via FROM marts.crowded_group)"
        )
    session.execute(f"INSERT INTO mart_member {declared(grouped(limited=not full))}")
    bulk.analyze(session, "mart_member")
    run_script(session, query("marts_related_after"), {})
    bulk.analyze(session, "mart_pair")
    return int(warehouse.value(session, "SELECT count(*) FROM mart_person"))


def _insert(session: "Session", table: str, select: str, since: Any) -> None:
    statement = sql.SQL(
        "INSERT INTO {} SELECT DISTINCT * FROM ({}) AS found WHERE found IS NOT NULL ON CONFLICT DO NOTHING"
    )
    session.execute(statement.format(sql.Identifier(table), sql.SQL(select)), {"since": since})
