"""Source rows, people and their leads in tests of the feed: ``FeedDatabase``."""

import json
import logging
import uuid
from collections.abc import Mapping
from typing import Any

from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.unified import columns, feed
from warehouse_pipelines.unified.people_rows import (
    BY_TABLE,
)

ORGANIZATION = "00000000-0000-0000-0000-000000000001"
"""The default of CRM_ORGANIZATION_ID."""

Row = dict[str, Any]
Name = tuple[str, str]


class FeedDatabase:
    """A warehouse whose identity is written by hand, and whose leads the feed makes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._lent = warehouse.session(url)  # one that knows the catalog already, after the first test of a process
        self.session = self._lent.__enter__()

    def close(self) -> None:
        self._lent.__exit__(None, None, None)

    def source(self, table: str, **values: Any) -> Name:
        """Write a row of a source as a load does, and return its name."""
        entity = columns.entities()[table]
        given: Row = {"raw_data": "{}", "archived": False, **{name: _given(value) for name, value in values.items()}}
        insert = sql.SQL(
            "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}, sync_updated_at = now()"
        ).format(
            columns.table(table),
            sql.SQL(", ").join(map(sql.Identifier, given)),
            sql.SQL(", ").join(map(sql.Placeholder, given)),
            sql.SQL(", ").join(map(sql.Identifier, entity.keys)),
            sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in given),
        )
        self.session.execute(insert, given)
        return table, " ".join(str(values[name]) for name in entity.keys)

    def contact(self, number: int = 1, **values: object) -> Name:
        """Write a contact of HubSpot."""
        given = {"createdate": "2026-01-05T10:00:00Z", "lastmodifieddate": "2026-02-01T10:00:00Z", **values}
        return self.source("hubspot_contact", id=str(number), **given)

    def person(self, *records: Name, phones: tuple[str, ...] = (), kind: str = "customer", **values: Any) -> uuid.UUID:
        """Make one person of records, each with ``phones``; ``values`` are those of identity.person."""
        given = {
            "kind": kind, "phone": next(iter(phones), None), "phones": list(phones), "record_count": len(records),
            "source_tables": [table for table, _ in records],
            "emails": [values["email"]] if values.get("email") else [], **values,
        }  # fmt: skip
        given = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in given.items()}
        row = self.one(
            sql.SQL("INSERT INTO identity.person ({}) VALUES ({}) RETURNING person_id").format(
                sql.SQL(", ").join(map(sql.Identifier, given)), sql.SQL(", ").join(map(sql.Placeholder, given))
            ),
            given,
        )
        person: uuid.UUID = row["person_id"]
        for record in records:
            self.record(record, person, phones=phones)
        return person

    def record(
        self, name: Name, person: uuid.UUID | None, *, phones: tuple[str, ...] = (), deleted: bool = False
    ) -> None:
        """Write a record, or give it to another person."""
        row = self.one(
            "INSERT INTO identity.record (source_table, source_key, kind, phones, fingerprint, deleted)"
            " VALUES (%s, %s, %s, %s, 'x', %s) ON CONFLICT (source_table, source_key) DO UPDATE"
            " SET phones = excluded.phones, deleted = excluded.deleted, changed_at = now() RETURNING record_id",
            [*name, BY_TABLE[name[0]].kind, list(phones), deleted],
        )
        if person is not None:
            self.session.execute(
                "INSERT INTO identity.member (record_id, person_id, source_table, source_key) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (record_id) DO UPDATE SET person_id = excluded.person_id, since = now()",
                [row["record_id"], person, *name],
            )

    def reached(self, name: Name, person: uuid.UUID | None, certainty: str = "certain") -> None:
        """Make a record, a call or a text, a touch of a person, as identity does who knows the number."""
        self.session.execute(
            "INSERT INTO identity.touch (record_id, source_table, source_key, person_id, certainty, rule, reason)"
            " SELECT record_id, source_table, source_key, %s, %s, 'phone_e164', 'One person has this number.'"
            " FROM identity.record WHERE source_table = %s AND source_key = %s ON CONFLICT (record_id) DO UPDATE"
            " SET person_id = excluded.person_id, certainty = excluded.certainty, updated_at = now()",
            [person, certainty, *name],
        )

    def settle(self) -> None:
        """Let the feed have read all that there is: without this it reads what is a second old again."""
        self.session.execute("UPDATE crm.feed_position SET read_until = now()")

    def join(self, stays: uuid.UUID, goes: uuid.UUID) -> None:
        """Make two people one, as the resolver does: the records move, and the other id becomes an alias."""
        self.session.execute(
            "UPDATE identity.member SET person_id = %s, since = now() WHERE person_id = %s", [stays, goes]
        )
        self.session.execute("DELETE FROM identity.person WHERE person_id = %s", [goes])
        self.session.execute(
            "INSERT INTO identity.alias (alias_id, person_id, reason) VALUES (%s, %s, 'merged')", [goes, stays]
        )
        self.touch(stays)

    def part(self, person: uuid.UUID, *records: Name, **values: Any) -> None:
        """Give records back to a person whose id had become an alias."""
        self.session.execute("DELETE FROM identity.alias WHERE alias_id = %s", [person])
        self.session.execute(
            "INSERT INTO identity.person (person_id, kind, first_name, last_name, record_count, source_tables)"
            " VALUES (%s, 'customer', %s, %s, 1, '{}')",
            [person, values.get("first_name"), values.get("last_name")],
        )
        for table, key in records:
            self.session.execute(
                "UPDATE identity.member SET person_id = %s, since = now() WHERE source_table = %s AND source_key = %s",
                [person, table, key],
            )

    def touch(self, person: uuid.UUID, **values: Any) -> None:
        """Change the best values of a person."""
        self.session.execute("UPDATE identity.person SET updated_at = now() WHERE person_id = %s", [person])
        for name, value in values.items():
            self.session.execute(
                sql.SQL("UPDATE identity.person SET {} = %s, updated_at = now() WHERE person_id = %s").format(
                    sql.Identifier(name)
                ),
                [json.dumps(value) if isinstance(value, dict) else value, person],
            )

    def feed(self, *, full: bool = False) -> feed.Summary:
        return feed.run(self.session, full=full)

    def lead(self, person: uuid.UUID | None) -> Row:
        """Return the live lead of a person; there is one."""
        found = self.leads("golden_id = %s AND deleted_at IS NULL", person)
        assert len(found) == 1, found
        return found[0]

    def leads(self, condition: str = "true", *parameters: Any) -> list[Row]:
        return self.session.execute(
            f"SELECT * FROM crm.leads WHERE {condition} ORDER BY created_at, id", list(parameters) or None
        ).fetchall()

    def edit(self, lead: uuid.UUID, **values: Any) -> None:
        """Change a lead as a user of the application does."""
        with self.session.transaction():
            self.session.execute("SET LOCAL ROLE crm_app")
            self.session.execute(
                "SELECT set_config('app.organization_id', %s, true), set_config('app.user_id', %s, true)",
                [ORGANIZATION, "00000000-0000-0000-0000-0000000000a1"],
            )
            for name, value in values.items():
                self.session.execute(
                    sql.SQL("UPDATE crm.leads SET {} = %s WHERE id = %s").format(sql.Identifier(name)), [value, lead]
                )

    def one(self, query: Any, parameters: Any = None) -> Row:
        row = self.session.execute(query, parameters).fetchone()
        assert row is not None
        return row

    def all(self, query: str, *parameters: Any) -> list[Row]:
        return self.session.execute(query.encode(), list(parameters) or None).fetchall()

    def listed(self, phone: str, channel: str | None = None) -> bool:
        row = self.one("SELECT crm.is_on_dnc_list(%s, %s, %s) AS listed", [phone, ORGANIZATION, channel])
        return bool(row["listed"])


def _given(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, Mapping | list) else value


logging.getLogger("warehouse").setLevel(logging.INFO)
