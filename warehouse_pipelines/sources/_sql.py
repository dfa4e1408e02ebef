"""What sources share that read the tables of a database: attempts, secret columns, absent columns.

A client subclasses ``SqlClient`` for its driver: it opens a read-only session when one is needed, and again after it
was lost. ``retried`` repeats a statement that may pass; a reader that has handed on rows calls ``wait`` and asks again
behind its last row.

A declared column that the catalogue lacks costs that column only. It is left out of the record and not sent as null, so
that whoever merges the record can tell an absent member from an empty value. ``note_absent`` reports it in the history
row, in the log, and, if the warehouse holds values of that column, as an alarm (``ReadContext.mark_absent``).
"""

import difflib
import logging
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar

from warehouse_pipelines.errors import AnswerChanged, CursorStuck, VendorUnavailable
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import ReadContext, ReadRequest
from warehouse_pipelines.sources._http import ATTEMPTS, backoff

log = logging.getLogger("warehouse.ingestion")

T = TypeVar("T")


class SqlClient:
    """One read-only session of one read, closed at the end of a ``with``; of one thread at a time."""

    title: ClassVar[str]

    def __init__(self, context: ReadContext) -> None:
        self.context = context
        self._connection: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def beside(self) -> Self:
        """Return another client of the same read, for a session beside this one."""
        return type(self)(self.context)

    def hand_over(self) -> Self:
        """Return another client of the same read that has the session; this one opens a new one when it needs one."""
        other = self.beside()
        other._connection, self._connection = self._connection, None
        return other

    def open(self) -> None:
        """Open the session if there is none, without another attempt. Raises the translated error."""
        raise NotImplementedError

    def close(self) -> None:
        """End the session; the client of a driver says how."""
        raise NotImplementedError

    def retried(self, ask: Callable[[], T]) -> T:
        """Return the result of ``ask``, which is repeated after ``VendorUnavailable``."""
        attempt = 1
        while True:
            try:
                return ask()
            except VendorUnavailable as error:
                self.wait(attempt, error)
                attempt += 1

    def wait(self, attempt: int, error: VendorUnavailable) -> None:
        """Wait before the next attempt; raise ``error`` after the last one. Ends when the run is stopped."""
        if attempt >= ATTEMPTS:
            raise error
        seconds = backoff(attempt)
        log.warning(
            "%s: the database could not answer, attempt %d of %d, next in %.1f s",
            self.title, attempt, ATTEMPTS, seconds,
        )  # fmt: skip
        self.context.pause(self.title, seconds)

    def rows_again(self, table: str) -> CursorStuck:
        """Return the error for rows that a walk in order of the key yields twice."""
        return CursorStuck(
            f"{self.title}: {table} gives rows again that were read before; something between here and the database "
            "answers for it. Nothing was loaded."
        )


_SECRET = re.compile(
    r"passw|pwd|(^|_)pass(wd|code|phrase|key)?$|passport"
    r"|secret(?!ar)|credential|api_?key|access_?key|private_?key"
    r"|(?<!sort)(?<!primary)(?<!foreign)(?<!natural)(^|_)key$"
    r"|token(?!i[sz]|s?_?(count|type|limit|used|usage|expir|created|updated|issued|at$))"
    r"|(^|_)(salt|hash(ed)?|pin|[th]?otp|mfa|jwt|bearer|oauth|nonce|cookies?|pem)($|_(secret|code|data|seed|value)s?$)"
    r"|(^|_)auth(_?(code|data|header|string))?$|(^|_)sess(ion)?_?(id|data)$"
    r"|(^|_)(recovery|backup|reset|activation|verification|security)_?(code|answer)s?$|security_question"
    r"|^cc_|(^|_)cc$|(credit|debit)_?card|card_?(n(umber|um|o)|pan|holder|exp|code)|(^|_)(cvv2?|cvc2?|cvn|pan|iban)$"
    r"|routing$|routing_?(number|n(um|o)(?![a-z])|code)|(account|acct)_?(number|n(um|o)s?(?![a-z]))|bank_?account"
    r"|(^|_)(ssn|itin|cpf)($|_)|social_?security|tax_?id$"
)
"""Names, in snake case, of columns that may hold a credential, or the number of an account, a card or a person."""


def is_secret(name: str) -> bool:
    """Return whether a column, or a field named by a user, must never be asked for."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return _SECRET.search(re.sub(r"[^a-z0-9]+", "_", snake.lower()).strip("_")) is not None


def similar(name: str, there: Iterable[str]) -> list[str]:
    """Return up to three of the names ``there`` that ``name`` may have been renamed to."""
    names = [one for one in there if one != "id"]
    parts = [one for one in names if f"_{name}_" in f"_{one}_" or f"_{one}_" in f"_{name}_"]
    return list(dict.fromkeys([*difflib.get_close_matches(name, names, n=3, cutoff=0.6), *parts]))[:3]


def note_absent(
    request: ReadRequest,
    context: ReadContext,
    title: str,
    absent: Mapping[str, str],
    unseen: Container[str],
    *,
    all_read: bool,
) -> None:
    """Report the declared columns that the source lacks; ``absent`` gives the reason for each.

    ``unseen`` names columns (``table.column``) that no installation is known to have: noted without a warning.
    Those of which the warehouse holds values are marked absent, unless ``--force`` said that they may go. That it holds
    none takes a scan of its table, so ``unseen`` columns are looked up only when everything is read as well.
    """
    entity = request.entity
    if not absent:
        return
    context.note(absent_columns=sorted(absent))
    unexpected = [name for name in sorted(absent) if f"{entity.table}.{name}" not in unseen]
    if unexpected:
        message = "; ".join(f"{name} ({absent[name]})" for name in unexpected)
        log.warning("%s: %s is read without %s", title, entity.table, message)
    asked = sorted(absent) if all_read else unexpected
    if asked and not request.options.get("force"):
        context.mark_absent(context.known.filled(entity, asked))


def survey(
    entities: Iterable[Entity], absent: Callable[[Entity], Mapping[str, str]], unseen: Container[str]
) -> tuple[list[str], list[str]]:
    """Return for ``check``: a clause for each entity that lacks columns, and an error for each that cannot be read.

    ``absent`` returns the columns that an entity lacks, and raises ``AnswerChanged`` for a key that is not there.
    """
    without, changed = [], []
    for entity in entities:
        try:
            columns = sorted(absent(entity).items())
        except AnswerChanged as error:
            changed.append(str(error))
            continue
        named = [f"{name} ({why})" for name, why in columns if f"{entity.table}.{name}" not in unseen]
        without += [f"{entity.name} without {', '.join(named)}"] if named else []
    return without, changed


def missing_place(table: str, paths: Sequence[str], there: Iterable[str]) -> str:
    """Return a clause that names the column that a table lacks, and its own columns that may be meant."""
    hint = similar(paths[0], there)
    meant = f"; it has {', '.join(hint)}" if hint else ""
    return f"{table} has no column {' or '.join(paths)} that the account may see{meant}"
