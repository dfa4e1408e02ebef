"""What the sources share that read tables of somebody else's database: secret columns, and columns that are not there.

A declared column that the catalogue does not show costs that column only. It is left out of the record, not sent as
null, so whoever merges the record can tell an absent member from an empty value. ``note_absent`` says so three times:
in the history row, in the log, and, if the warehouse holds values of that column, as an alarm (``Extraction.absent``).
"""

import difflib
import logging
import re
from collections.abc import Iterable, Mapping, Sequence

from warehouse_pipelines.model.reading import Extraction

log = logging.getLogger("warehouse.ingestion")

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
"""Names, in snake case, of columns that may hold what lets somebody in, or somebody's money or papers."""


def is_secret(name: str) -> bool:
    """Return whether a column, or a field that somebody named, is never to be asked for."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return _SECRET.search(re.sub(r"[^a-z0-9]+", "_", snake.lower()).strip("_")) is not None


def similar(name: str, there: Iterable[str]) -> list[str]:
    """Return up to three of the names that are there which may be what became of ``name``."""
    names = [one for one in there if one != "id"]
    parts = [one for one in names if f"_{name}_" in f"_{one}_" or f"_{one}_" in f"_{name}_"]
    return list(dict.fromkeys([*difflib.get_close_matches(name, names, n=3, cutoff=0.6), *parts]))[:3]


def note_absent(
    extraction: Extraction, title: str, absent: Mapping[str, str], expected: Iterable[str], *, all_read: bool
) -> None:
    """Report the columns that the source has no place for; ``absent`` has for each of them what is missing.

    Those that no installation is known to have are ``expected``: noted, and no reason to warn. ``Extraction.absent``
    gets those that the warehouse holds values of, unless ``--force`` said that they may go. To find that it holds none
    costs a walk through its table, so for the ``expected`` ones it is done only when everything is read as well.
    """
    entity = extraction.entity
    if not absent:
        return
    extraction.noticed["absent_columns"] = sorted(absent)
    left_out = sorted(absent.keys() - set(expected))
    if left_out:
        said = "; ".join(f"{name} ({absent[name]})" for name in left_out)
        log.warning("%s: %s is read without %s", title, entity.table, said)
    asked = sorted(absent) if all_read else left_out
    if asked and not extraction.options.get("force"):
        extraction.absent |= extraction.known.filled(entity, asked)


def missing_place(table: str, paths: Sequence[str], there: Iterable[str]) -> str:
    """Return the sentence that says which column a table lacks, and which of its own may be meant."""
    hint = similar(paths[0], there)
    meant = f"; it has {', '.join(hint)}" if hint else ""
    return f"{table} has no column {' or '.join(paths)} that the account may see{meant}"
