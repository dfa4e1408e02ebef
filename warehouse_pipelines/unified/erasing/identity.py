"""Take a person out of the schema ``identity``: records, evidence, decisions, touches, the person, an empty household.

What is left of a household keeps its id, with one person less. Ids that the person had before (``identity.alias``)
stay, and lead to nobody.
"""

from typing import TYPE_CHECKING, Any

from warehouse_pipelines.unified.erasing.emptying import Part
from warehouse_pipelines.unified.erasing.subject import Rows, Subject

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


def note_addresses(session: "Session", record_ids: list[int]) -> None:
    """Note the addresses of staff among records that are to be deleted: of others they are evidence from then on."""
    session.execute(
        "INSERT INTO identity.pending_key (key) SELECT DISTINCT substr(k.key, 7)"
        " FROM identity.record AS r, unnest(r.block_keys) AS k (key)"
        " WHERE r.record_id = ANY (%s) AND r.kind = 'staff' AND left(k.key, 8) = 'staff:e:' ON CONFLICT DO NOTHING",
        [record_ids],
    )


def erase(session: "Session", whom: Subject, rows: Rows) -> list[Part]:
    """Delete what identity knows of these persons and of these records; return what was done."""
    done: dict[str, int] = {}

    def delete(table: str, condition: str, values: Any) -> None:
        statement = f"DELETE FROM identity.{table} WHERE {condition}"  # noqa: S608
        done[table] = done.get(table, 0) + session.execute(statement, values).rowcount

    ids = list(whom.person_ids)
    homes = session.execute(
        "SELECT household_id, property_id FROM identity.person WHERE person_id = ANY(%s)"
        " UNION SELECT household_id, NULL FROM identity.touch WHERE person_id = ANY(%s)",
        [ids, ids],
    ).fetchall()
    for table, keys in rows.items():
        named = {"table": table, "keys": list(keys)}
        found = session.execute(
            "SELECT record_id FROM identity.record WHERE source_table = %(table)s AND source_key = ANY(%(keys)s)", named
        ).fetchall()
        records = {"ids": [row["record_id"] for row in found]}
        note_addresses(session, records["ids"])
        for pairs in ("edge", "review"):
            delete(pairs, "a_id = ANY(%(ids)s)", records)
            delete(pairs, "b_id = ANY(%(ids)s)", records)
        for one in ("touch", "member", "record"):
            delete(one, "record_id = ANY(%(ids)s)", records)
        delete("decision", "a_table = %(table)s AND a_key = ANY(%(keys)s)", named)
        delete("decision", "b_table = %(table)s AND b_key = ANY(%(keys)s)", named)
        delete("erasure_proposal", "source_table = %(table)s AND source_key = ANY(%(keys)s)", named)
    delete("person", "person_id = ANY(%(ids)s)", {"ids": ids})
    for kind, column in (("household", "household_id"), ("property", "property_id")):
        theirs = {"ids": [row[column] for row in homes if row[column]]}
        if kind == "household":
            session.execute(
                "UPDATE identity.household AS h SET updated_at = now(), person_count = ("
                " SELECT count(*) FROM identity.person AS p WHERE p.household_id = h.household_id)"
                " WHERE household_id = ANY(%(ids)s)",
                theirs,
            )
            homes += session.execute(
                "SELECT NULL AS household_id, property_id FROM identity.household WHERE household_id = ANY(%(ids)s)",
                theirs,
            ).fetchall()
        used = {
            "household": ("person", "touch"),
            "property": ("person", "household"),
        }[kind]
        unused = " AND ".join(
            f"NOT EXISTS (SELECT FROM identity.{table} AS u WHERE u.{column} = identity.{kind}.{column})"
            for table in used
        )
        delete(kind, f"{column} = ANY(%(ids)s) AND {unused}", theirs)
    return [Part(f"identity.{table}", "delete", rows_) for table, rows_ in done.items() if rows_]
