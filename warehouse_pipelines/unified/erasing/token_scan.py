"""What a person is recognised by in any text, and the rows of any table that have it.

An e-mail address is found in any case, also as it stands in a URL, and one at Gmail in every spelling of its mailbox; a
phone number in the spellings of North America, with or without the country's code, and whatever dash or blank is in
between; a name beside a street, both in one row, in either order and with a middle name. Each is bounded, so that
``jo@x.com`` is not found in ``mary.jo@x.com``, nor ``plain@x.com`` in ``o'plain@x.com``. A search takes 10 µs for a row
of 1.2 kB.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from psycopg import sql

from warehouse_pipelines.loading.erased_values import MARK
from warehouse_pipelines.model.entity import BOOKKEEPING
from warehouse_pipelines.unified.erasing.holdings import DatabaseColumn, DatabaseTable
from warehouse_pipelines.unified.erasing.subject import Subject
from warehouse_pipelines.unified.every_organization import every_organization

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

NOT_SEARCHED = frozenset({"identity.tombstone", "identity.erasure", "identity.erasure_key"})
"""They hold hashes and counts."""

UNKNOWN = sql.SQL("sync_hash = CASE WHEN t.sync_hash IS NOT NULL THEN 0 END")
"""Has the next read compare a row that was changed here; one without a hash was made here, and stays so."""

_NUMBERS = ("bigint", "numeric")

_ACCENTED = str.maketrans({
    "a": "[aàáâãäå]", "c": "[cç]", "e": "[eèéêë]", "i": "[iìíîï]", "n": "[nñ]", "o": "[oòóôõöø]", "u": "[uùúûü]",
    "y": "[yýÿ]",
})  # fmt: skip
_BETWEEN = "[-. ()/\u00a0\u2000-\u2015\u202f\u2212\u3000\uff0d]{0,3}"
_NO_OTHER_COUNTRY = r"(?<!\+[2-9][0-9][- .(\u00a0])(?<!\+[2-9][0-9]{2}[- .(\u00a0])"
_NO_DOMAIN = r"(?![a-z0-9-]|\.[a-z0-9])"
_NO_LETTER_OF_AN_ADDRESS = r"(?<![\w.+-])(?<!\w['&*!#$^~`])"


@dataclass(frozen=True)
class Hit:
    """A row that has something of a person: where it lies, its key, and whether an address or a number was found."""

    place: str
    key: str
    strong: bool


class Tokens:
    """The patterns of one subject, as PostgreSQL spells them."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    @cached_property
    def strong(self) -> str:
        """The pattern of an address or a number that is theirs alone; empty when there is none."""
        return "|".join(
            [
                *map(_email, self._subject.emails),
                *map(_box, self._subject.mailboxes),
                *map(_phone, self._subject.phones),
            ]
        )

    @cached_property
    def names(self) -> str:
        """The pattern of their names; empty when there is none."""
        return "|".join(dict.fromkeys(one for name in self._subject.names for one in _name(*name)))

    @cached_property
    def streets(self) -> str:
        """The pattern of their streets; empty when there is none."""
        return "|".join(dict.fromkeys(filter(None, map(_street, self._subject.streets))))

    @cached_property
    def first(self) -> str:
        """A simple pattern that each row has in which they are recognised, and few others have.

        Without bounds: PostgreSQL takes eight times as long for an alternative of bounded patterns.
        """
        surnames = {_words(last) for _, last in self._subject.names} if self.names and self.streets else ()
        parts = [
            *(f"{_quoted(local)}(@|%40){_quoted(domain)}" for local, _, domain in
              (address.rpartition("@") for address in self._subject.emails)),
            *map(_spelled_box, self._subject.mailboxes),
            *map(_spelled, self._subject.phones),
            *sorted(surnames),
        ]  # fmt: skip
        return "|".join(filter(None, parts))

    def pattern(self, *, strong_only: bool) -> str:
        """Return what is replaced in a row that was found."""
        parts = [self.strong] if strong_only else [self.strong, self.names, self.streets]
        return "|".join(filter(None, parts))

    def without(self, text: str) -> str | None:
        """Return a line of a file without what is theirs, as long as before; None when there was nothing."""
        strong, names, streets = self._in_python
        found = bool(strong and strong.search(text))
        weak = bool(names and streets and names.search(text) and streets.search(text))
        if not (found or weak):
            return None
        for pattern in (strong, names, streets):
            if pattern is not None:
                text = pattern.sub(lambda match: "*" * len(match[0].encode(errors="surrogateescape")), text)
        return text

    @cached_property
    def _in_python(self) -> tuple[re.Pattern[str] | None, ...]:
        spelled = [part.replace(r"\m", r"\b").replace(r"\M", r"\b") for part in (self.strong, self.names, self.streets)]
        return tuple(re.compile(part, re.IGNORECASE) if part else None for part in spelled)

    def rows(self, session: "Session", table: DatabaseTable) -> list[Hit]:
        """Return the rows of a table in which the subject is recognised."""
        if not self.first or not table.texts or table.label in NOT_SEARCHED:
            return []
        strong = sql.SQL("t::text ~* {}").format(self.strong) if self.strong else sql.SQL("false")
        weak = sql.SQL("t::text ~* {} AND t::text ~* {}").format(self.names, self.streets)
        has = sql.SQL("{} OR {}").format(strong, weak) if self.names and self.streets else strong
        # Everything is searched for one pattern alone.
        statement = sql.SQL(
            "SELECT t.ctid::text AS place, {key} AS key, {strong} AS strong FROM {table} AS t"
            " WHERE t::text ~* {first} AND ({has})"
        )
        search = statement.format(key=table.key(), strong=strong, table=table.identifier, first=self.first, has=has)
        return [
            Hit(row["place"], row["key"], row["strong"])
            for _ in every_organization(session, table)
            for row in session.execute(search).fetchall()
        ]

    def scrub(self, session: "Session", table: DatabaseTable, places: Sequence[str], *, strong_only: bool) -> int:
        """Replace what was found in these rows by ``MARK``; return how many rows there were."""
        pattern = self.pattern(strong_only=strong_only)
        columns = [column for column in (*table.texts, *_numbers(table)) if not column.in_key]
        if not pattern or not places or not columns:
            return 0
        changes = [_scrubbed(table, column, pattern) for column in columns]
        if table.entity:
            changes.append(sql.SQL("sync_updated_at = now(), {}").format(UNKNOWN))
        # No pattern goes over a colon, so it is not found where it lies in two columns and nothing can be replaced.
        texts = sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(column.name)) for column in columns)
        statement = sql.SQL(
            "UPDATE {} AS t SET {} WHERE t.ctid = ANY({}::text[]::tid[]) AND array_to_string(ARRAY[{}], ' : ') ~* {}"
        ).format(table.identifier, sql.SQL(", ").join(changes), sql.Literal(list(places)), texts, pattern)
        return sum(session.execute(statement).rowcount for _ in every_organization(session, table))


def _numbers(table: DatabaseTable) -> list[DatabaseColumn]:
    """Return the columns of a vendor's table that may hold a phone number as a number: no keys, and none that join."""
    joins = {*table.entity.keys, *table.entity.refs, *BOOKKEEPING} if table.entity else set()
    return [
        column
        for column in table.columns
        if table.entity and column.type in _NUMBERS and column.name not in joins
        if not (column.generated or column.required)
    ]


def _scrubbed(table: DatabaseTable, column: DatabaseColumn, pattern: str) -> sql.Composable:
    """Return the assignment that takes the pattern out of a column."""
    name, kind = sql.Identifier(column.name), column.type
    of = table.entity.columns[column.name].kind if table.entity and column.name in table.entity.columns else None
    one_value = of in ("email", "phone") or column.name.endswith("_e164") or column.name in ("email", "phone")
    if kind.startswith("json"):
        # A number of JSON that is a phone number stays JSON as a text only.
        return sql.SQL(
            "{c} = regexp_replace(regexp_replace(t.{c}::text, {number}, {quoted}, 'gi'), {pattern}, {mark}, 'gi')::{t}"
        ).format(
            c=name, number=rf'(?<=[:,\[] ?)({pattern})(?=[,}}\]])', quoted=f'"{MARK}"', pattern=pattern, mark=MARK,
            t=sql.SQL(kind),
        )  # fmt: skip
    if kind.endswith("[]"):
        if not kind.startswith(("text", "character")):
            return sql.SQL("{c} = t.{c}").format(c=name)
        return sql.SQL(
            "{c} = CASE WHEN t.{c}::text ~* {p} THEN ARRAY(SELECT v FROM unnest(t.{c}) WITH ORDINALITY AS u (v, n)"
            " WHERE v !~* {p} ORDER BY n) ELSE t.{c} END"
        ).format(c=name, p=pattern)
    if kind in _NUMBERS:
        return sql.SQL("{c} = CASE WHEN t.{c}::text ~* {p} THEN NULL ELSE t.{c} END").format(c=name, p=pattern)
    if not kind.startswith(("text", "character", "citext")):
        return sql.SQL("{c} = t.{c}").format(c=name)
    if one_value and not column.required:
        return sql.SQL("{c} = CASE WHEN t.{c} ~* {p} THEN NULL ELSE t.{c} END").format(c=name, p=pattern)
    return sql.SQL("{c} = regexp_replace(t.{c}, {p}, {mark}, 'gi')").format(c=name, p=pattern, mark=MARK)


def _email(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return rf"{_NO_LETTER_OF_AN_ADDRESS}{_quoted(local)}(@|%40){_quoted(domain)}{_NO_DOMAIN}"


def _box(mailbox: str) -> str:
    return f"{_NO_LETTER_OF_AN_ADDRESS}{_spelled_box(mailbox)}{_NO_DOMAIN}"


def _spelled_box(mailbox: str) -> str:
    """Return the pattern of a mailbox at Gmail in every spelling."""
    local = r"\.?".join(map(_quoted, mailbox.partition("@")[0]))
    return rf"{local}\.?((\+|%2b)[^\s@,;:<>()\"\\{{}}]{{0,64}})?(@|%40)g(oogle)?mail\.com"


def _phone(number: str) -> str:
    return rf"(?<![0-9]){_NO_OTHER_COUNTRY}(\+?1{_BETWEEN})?\(?{_spelled(number)}(?![0-9])"


def _spelled(number: str) -> str:
    """Return the pattern of a number in E.164; of another country's than North America's the digits as they are."""
    if number.startswith("+1") and len(number) == 12:
        return _BETWEEN.join((number[2:5], number[5:8], number[8:]))
    return _BETWEEN.join(number[1:])


def _name(first: str, last: str) -> list[str]:
    one, two = _words(first), _words(last)
    if len(first) < 2 or len(last) < 2 or not one or not two:
        return []
    between = r"[^a-z0-9{}:]{1,6}([a-z]+\.?[^a-z0-9{}:]{1,3})?"
    return [rf"\m{one}{between}{two}\M", rf"\m{two}{between}{one}\M"]


def _street(street: str) -> str:
    """Return the pattern of a house number and the longest word of the street, whatever stands between."""
    found = re.match(r"\s*(\d+[a-z]?)\s+(.*)", street.lower())
    words = sorted(re.findall(r"[a-z]{3,}|\d+(?:st|nd|rd|th)", found[2]) if found else [], key=len, reverse=True)
    return rf"\m{found[1]}\M[^0-9{{}}:]{{1,20}}{_words(words[0])}" if found and words else ""


def _words(text: str) -> str:
    """Return a pattern of words with or without accents, whatever stands between them."""
    return "[^a-z0-9]{1,2}".join(word.translate(_ACCENTED) for word in re.findall(r"\w+", text.lower()))


def _quoted(text: str) -> str:
    return re.sub(r"([^\w])", r"\\\1", text)
