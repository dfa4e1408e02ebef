"""Whether a person called, texted, wrote or filled a form since a time: what pauses a sequence."""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.model.accounts import tables_of
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema.declared_accounts import require_declared
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified import columns
from warehouse_pipelines.unified.acting import as_role

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


class Replies:
    """Looks into the timeline, which the warehouse's own user may read and ``crm_owner`` may not.

    Raises ``NotConfigured`` when the warehouse has an account that is not declared: replies to it would not be seen.
    """

    def __init__(self, session: "Session") -> None:
        require_declared(session)
        self._session = session
        inbound = [
            sql.SQL("EXISTS ({})").format(
                sql.SQL(query("sequence_replies_messages")).format(
                    table=columns.table(table),
                    table_name=sql.Literal(table),
                    messages=columns.one("t", table, "recent_messages"),
                    key=columns.key("t", table),
                )
            )
            for table in tables_of("callrail_text_message", SOURCES)
        ]
        self._statement = sql.SQL(query("sequence_replies")).format(inbound=sql.SQL(" OR ").join(inbound))

    def since(self, person: UUID, at: datetime) -> str | None:
        """Return how the person first got in touch after ``at``: call, text, form or email; within a transaction."""
        with as_role(self._session, None):
            kind: str | None = warehouse.value(self._session, self._statement, {"person": person, "since": at})
        return kind
