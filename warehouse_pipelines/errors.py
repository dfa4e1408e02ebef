"""What can go wrong, sorted by what the reader can do about it.

    WarehouseError
    ├── TryAgain                  another attempt may help; Dagster's retry policy applies
    │   ├── VendorUnavailable       the vendor answered 429 or 5xx, cut the answer short, or did not answer
    │   ├── OutcomeUnknown          a write was sent, and no answer tells whether the vendor did it
    │   ├── WritePostponed          a write would be sent only after a wait, so what it is based on is asked again first
    │   ├── BudgetSpent             our own budget of requests for this credential is used up for now
    │   ├── SyncRunning             another run holds this entity
    │   ├── LeaseLost               this run lost its entity to another one, and commits nothing
    │   ├── PoolBusy                other runs hold every slot of the vendor's pool
    │   └── DatabaseUnavailable     PostgreSQL does not answer, is full, or is shutting down
    ├── ActionNeeded              a person must act; retrying would only repeat it
    │   ├── NotConfigured           settings are missing; all of them are named
    │   ├── CredentialRefused       401, or a token that the vendor cannot read
    │   ├── WrongAccount            the credential answers for another account than the tables are of
    │   ├── PermissionMissing       403: the credential is good, its scopes are not
    │   ├── RequestRefused          any other 4xx: we asked something that the vendor does not accept
    │   ├── AnswerChanged           an answer without the expected list, or not JSON at all
    │   ├── CursorStuck             a page repeats or a cursor does not advance
    │   ├── SuspiciousRead          zero rows where there were many, or a read that would tombstone a table
    │   ├── TooManyErasures         more people than are believed would be erased at once
    │   └── WrongUse                a flag or a value that cannot be used
    └── BadRecord                 this one record cannot be loaded; it goes to the dead letters

Every message says what was attempted, on what, and what to do next, and carries no secret and no personal data.
"""

import re


class WarehouseError(Exception):
    """Anything that this project raises on purpose."""


class TryAgain(WarehouseError):
    """Another attempt may help."""


class VendorUnavailable(TryAgain):
    """The vendor is overloaded, down, or cut its answer short, after all retries."""


class OutcomeUnknown(TryAgain):
    """A write was sent and no answer tells whether the vendor did it; read back before it is sent again."""


class WritePostponed(TryAgain):
    """A write was not sent, or the vendor did nothing of it, and asks to wait ``seconds``."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class BudgetSpent(TryAgain):
    """The budget of requests for a credential is used up for longer than a run should wait: for so many ``seconds``."""

    def __init__(self, message: str, *, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class SyncRunning(TryAgain):
    """Another run holds the lock of this entity."""


class LeaseLost(TryAgain):
    """This run no longer holds the lease of its entity, so it commits nothing."""


class PoolBusy(TryAgain):
    """Other runs hold every slot of the vendor's pool."""


class DatabaseUnavailable(TryAgain):
    """PostgreSQL does not answer, has no room, or is shutting down."""


class ActionNeeded(WarehouseError):
    """Retrying would only repeat it; a person must act."""


class NotConfigured(ActionNeeded):
    """Settings are missing."""


class CredentialRefused(ActionNeeded):
    """The vendor refused the credential."""


class WrongAccount(ActionNeeded):
    """The credential answers for another account of the vendor than the tables are of."""


class PermissionMissing(ActionNeeded):
    """The credential may not read this."""


class RequestRefused(ActionNeeded):
    """The vendor does not accept the request; ``status`` is what it answered."""

    status: int = 0


class AnswerChanged(ActionNeeded):
    """The answer has not the form that the vendor's notes describe."""


class CursorStuck(ActionNeeded):
    """A page repeats or a cursor does not advance, so reading on would never end."""


class SuspiciousRead(ActionNeeded):
    """The read succeeded and cannot be believed."""


class TooManyErasures(ActionNeeded):
    """More people than are believed would be erased at once."""


class WrongUse(ActionNeeded):
    """A flag or a value that cannot be used."""


class BadRecord(WarehouseError):
    """This one record cannot be loaded."""


MASK = "***"
"""Stands for what is not printed."""

EMAIL = r"[\w.+-]+@[\w-]+\.[\w.-]+"
LOGIN_IN_URL = r"(?<=://)[^/@\s]+@"

_PERSONAL = re.compile(
    rf"{EMAIL}|{LOGIN_IN_URL}"
    r"|(?<![\w-])(?!\d{4}-\d\d-\d\d)\+?\d[\d ().-]{6,}\d(?![\w-])"  # phone, any long number; no date, no part of an id
    r"|(?i:bearer|token=|key=|pat-)[\s\"']*[\w-]+"
)


def masked(text: str, limit: int = 300) -> str:
    """Return ``text`` without what looks personal or secret, cut between words to at most ``limit`` characters.

    For texts of others that become part of an error: stricter than ``redaction.redacted``, which removes the secrets
    that this process knows from lines of our own, and lets long numbers stand.
    """
    text = _PERSONAL.sub(MASK, text)
    if len(text) <= limit:
        return text
    kept = text[:limit]  # one more than there is room for beside the ellipsis, which may be the blank to cut at
    return f"{(kept.rpartition(' ')[0] or kept[:-1]).rstrip(' ,;:.')}…"
