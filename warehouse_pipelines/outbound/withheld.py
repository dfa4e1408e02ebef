"""Who is never sent: erased people, those whose vendor deleted their record for good, and values that must stay."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from warehouse_pipelines.loading.erased import ErasedList, record_digest
from warehouse_pipelines.outbound.values import Value, must_stay

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

ERASED = "the person was erased"
PROPOSED = "the vendor deleted the person's record for good, and nobody has decided on erasing them"
HASHED = "a value is a hash of this installation, or what an erasure left"


@dataclass(frozen=True)
class Withheld(ErasedList):
    """The list of erased people as one plan or one batch reads it, and whose erasure is ``proposed``."""

    proposed: frozenset[str] = frozenset()

    @classmethod
    def read(cls, session: "Session", table: str | None = None) -> "Withheld":
        """Read the list."""
        erased = ErasedList.read(session, table)
        found = session.execute(
            "SELECT source_table || ':' || source_key AS record FROM identity.erasure_proposal"
            " WHERE dismissed_at IS NULL"
        ).fetchall()
        return cls(erased.key, erased.last, erased.records, erased.values, frozenset(row["record"] for row in found))

    def reason(self, subject: str | None, values: Iterable[Value]) -> str | None:
        """Return why a record is not sent; None where it may be."""
        values = [value for value in values if value]
        if any(map(must_stay, values)):
            return HASHED
        if subject in self.proposed:
            return PROPOSED
        return ERASED if self.last and self._is_erased(subject, values) else None

    def _is_erased(self, subject: str | None, values: Iterable[Value]) -> bool:
        if subject is not None:
            table, _, key = subject.partition(":")
            if record_digest(self.key, table, key) in self.records:
                return True
        return any(
            self.values.has("email", value) or self._is_number(value) or self.values.places(value)
            for value in values
            if value
        )

    def _is_number(self, value: str) -> bool:
        return len(value) >= 7 and any(map(str.isdigit, value)) and self.values.has("phone", value)
