"""Erased people are not brought back by a file: each row is compared with ``identity.tombstone``.

A row that has an address or a number of an erased person is refused. What the file says of it goes nowhere: neither the
report nor ``crm.lead_import_row`` has anything of it. In the notes of another row the address is replaced.
"""

import json
from typing import TYPE_CHECKING

from warehouse_pipelines.loading.erased import LOCK, Erased, last_erasure
from warehouse_pipelines.unified.acting import as_role
from warehouse_pipelines.unified.identity.entered import ENTITY
from warehouse_pipelines.unified.lead_import.values import LeadRow

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

REFUSED = "the person was erased, and is kept out (docs/erasure.md says how to let them in again)"


class KeptOut:
    """The list of erased people, as it was when it was last read."""

    def __init__(self) -> None:
        self._list: Erased | None = None

    def read(self, session: "Session") -> None:
        """Read the list if somebody was erased since, and keep erasures waiting to the end of the transaction.

        It is read as the session's user. Raises ``NotConfigured`` for a user who may not read it.
        """
        with as_role(session, None):
            session.execute("SELECT pg_advisory_xact_lock_shared(%s)", [LOCK])
            if self._list is None or last_erasure(session) != self._list.last:
                self._list = Erased.read(session, ENTITY)

    def without(self, row: LeadRow) -> LeadRow:
        """Return the row, refused if it is an erased person's, and with nothing of one in its notes."""
        if not self._list:
            return row
        if self._list.has(row.emails, row.phones):
            return LeadRow(row.number, refused=REFUSED)
        if row.metadata:
            written = json.dumps(row.metadata, ensure_ascii=False).encode(errors="replace")
            row.metadata = json.loads(bytes(self._list.without_values([written])[0]))
        return row
