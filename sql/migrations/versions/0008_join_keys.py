"""Ids of another system become numbers where that system has numbers, so that the two can be joined.

What can be read as a whole number is kept, the rest becomes null, as the loader makes it; the text remains in
``raw_data``. Each table is rewritten once. The rows are read anew all the same, since their declaration has changed:
the recent ones by the next run, the others by the next full read, which comes within a day or a week
(``docs/entities.md``). A UUID of MarketSharp is put into lower case, as it is read from now on, keys included, or each
such row would be read as another one. No view of ``sql/views`` shows these columns; PostgreSQL names a view of your
own that does.

On an empty database there is nothing to change: the tables are made as they are declared, after the migrations.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0008_join_keys"
down_revision = "0006_dead_letters"

UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"

NUMBERS = {
    "genius_lead": "agent_id",
    "hubspot_appointment": "genius_appointment_id prospect_id user_id division_id",
    "hubspot_contact": "lead_salesrabbit_lead_id sales_rabbit_lead_id",
    "hubspot_geniususer": "user_id division_id title_id",
    "leadconduit_lead": "salesrabbit_lead_id_hge",
}


def upgrade() -> None:
    """Make numbers of texts."""
    _alter("text", "bigint", r"CASE WHEN {0} ~ '^\s*[+-]?\d{{1,18}}(\.0*)?\s*$' THEN trim({0})::numeric::bigint END")
    _lower_uuids()


def downgrade() -> None:
    """Make texts of numbers; what was null because it could not be read comes back when it is read anew."""
    _alter("bigint", "text", "{0}::text")


def _lower_uuids() -> None:
    there = sa.inspect(op.get_bind())
    for table in there.get_table_names():
        columns = there.get_columns(table) if table.startswith("marketsharp_") else []
        names = [one["name"] for one in columns if re.search("(^|_)id$", one["name"]) and str(one["type"]) == "TEXT"]
        for name in names:
            op.get_bind().exec_driver_sql(
                f"UPDATE {table} SET {name} = lower({name}) WHERE {name} ~ '[A-F]' AND {name} ~* '{UUID}'"  # noqa: S608
            )


def _alter(before: str, after: str, using: str) -> None:
    there = sa.inspect(op.get_bind())
    for table, names in NUMBERS.items():
        if not there.has_table(table):
            continue
        types = {column["name"]: str(column["type"]).lower() for column in there.get_columns(table)}
        changes = [
            f"ALTER COLUMN {name} TYPE {after} USING {using.format(name)}"
            for name in names.split()
            if types.get(name) == before
        ]
        if changes:
            op.get_bind().exec_driver_sql(f"ALTER TABLE {table} {', '.join(changes)}".replace("%", "%%"))
