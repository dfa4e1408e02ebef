"""Who is never sent: erased people, those whose vendor deleted their record for good, and values that must stay."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from warehouse_pipelines.loading.erased import digest, record_digest
from warehouse_pipelines.model import phones
from warehouse_pipelines.outbound.values import Value, must_stay

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

ERASED = "the person was erased"
PROPOSED = "the vendor deleted the person's record for good, and nobody has decided on erasing them"
_BETWEEN = re.compile(r"[\s;,<>:=\"'?&]+")

HASHED = "a value is a hash of this installation, or what an erasure left"


@dataclass(frozen=True)
class Withheld:
    """The list of erased people as one plan or one batch reads it. ``last`` is the number of the last erasure."""

    key: bytes = b""
    last: int = 0
    erased: frozenset[bytes] = frozenset()
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
        listed = session.execute("SELECT digest FROM identity.tombstone").fetchall()
        return cls(
            bytes(key["key"]) if key else b"",
            last,
            frozenset(bytes(row["digest"]) for row in listed),
            proposed,
        )

    def reason(self, subject: str | None, values: Iterable[Value]) -> str | None:
        """Return why a record is not sent; None where it may be."""
        values = [value for value in values if value]
        if any(map(must_stay, values)):
            return HASHED
        if subject in self.proposed:
            return PROPOSED
        return ERASED if self.erased and self._is_erased(subject, values) else None

    def _is_erased(self, subject: str | None, values: Iterable[Value]) -> bool:
        if subject is not None:
            table, _, key = subject.partition(":")
            if record_digest(self.key, table, key) in self.erased:
                return True
        for value in values:
            if value is None:
                continue
            for word in _BETWEEN.split(value.lower()) if "@" in value else ():
                if "@" in word and digest(self.key, "email", word.strip(".:()\"'")) in self.erased:
                    return True
            number = phones.e164(value) if value.lstrip("+(")[:1].isdigit() and len(value) >= 10 else None
            if number and digest(self.key, "phone", number[-10:].lstrip("+")) in self.erased:
                return True
        return False
