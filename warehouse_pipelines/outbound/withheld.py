"""Who is never sent: erased people, those whose vendor deleted their record for good, and values that must stay."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from warehouse_pipelines.loading.erased import record_digest
from warehouse_pipelines.loading.erased_values import ErasedValues
from warehouse_pipelines.outbound.values import Value, must_stay

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

ERASED = "the person was erased"
PROPOSED = "the vendor deleted the person's record for good, and nobody has decided on erasing them"
HASHED = "a value is a hash of this installation, or what an erasure left"


@dataclass(frozen=True)
class Withheld:
    """The list of erased people as one plan or one batch reads it. ``last`` is the number of the last erasure."""

    key: bytes = b""
    last: int = 0
    records: frozenset[bytes] = frozenset()
    values: ErasedValues = field(default_factory=lambda: ErasedValues(b"", frozenset()))
    proposed: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def read(cls, session: "Session") -> "Withheld":
        """Read the list."""
        found = session.execute(
            "SELECT (SELECT max(erasure_id) FROM identity.tombstone) AS last, ARRAY("
            "SELECT source_table || ':' || source_key FROM identity.erasure_proposal WHERE dismissed_at IS NULL)"
            " AS proposed"
        ).fetchone()
        last, proposed = (found["last"], frozenset(found["proposed"])) if found else (None, frozenset())
        if not last:
            return cls(proposed=proposed)
        key = session.execute("SELECT key FROM identity.erasure_key").fetchone()
        listed = session.execute("SELECT kind, digest FROM identity.tombstone").fetchall()
        secret = bytes(key["key"]) if key else b""
        return cls(
            secret,
            last,
            frozenset(bytes(row["digest"]) for row in listed if row["kind"] == "record"),
            ErasedValues(secret, frozenset(bytes(row["digest"]) for row in listed if row["kind"] != "record")),
            proposed,
        )

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
