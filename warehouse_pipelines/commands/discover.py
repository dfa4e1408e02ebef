"""``warehouse discover <crm>``: a proposal for ``config/columns.toml`` from what the portal has and no column reads.

Where the vendor lists what a record may have, that list is read; else the members of a sample of records are. Each
line has the vendor's type, how many records of the sample have a value there, and how many were looked at. What few
have is proposed as a comment. Columns of ours without a place in the portal are proposed as ``map``, as comments too,
beside the names there that look alike. No value is printed. What a database may hold to let somebody in, or of
somebody's money, is neither asked for nor proposed (``sources._sql.is_secret``).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from warehouse_pipelines.commands.portal import look, nowhere
from warehouse_pipelines.errors import WarehouseError
from warehouse_pipelines.model import column_config, phones, validate
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Portal
from warehouse_pipelines.model.rules import Kind
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability import redaction
from warehouse_pipelines.sources._sql import is_secret, similar

SAMPLE = 500
DEEPEST = 3
"""Levels of objects within objects that are looked into."""

KIND_OF: Mapping[str, Kind] = {
    **dict.fromkeys(("number", "decimal", "numeric", "double", "float", "real", "currency", "percent"), "numeric"),
    **dict.fromkeys(("int", "integer", "bigint", "smallint", "tinyint", "mediumint", "year"), "integer"),
    **dict.fromkeys(("int16", "int32", "int64", "byte"), "integer"),
    **dict.fromkeys(("bool", "boolean", "bit"), "boolean"),
    **dict.fromkeys(("datetime", "timestamp", "timestamptz", "date_time", "datetimeoffset"), "timestamptz"),
    **dict.fromkeys(("json", "jsonb", "array", "map", "row", "struct"), "jsonb"),
    "date": "date", "uuid": "uuid", "guid": "uuid", "phone_number": "phone", "phone": "phone", "email": "email",
    "url": "url",
}  # fmt: skip
"""Kinds by the vendors' types, without what stands in brackets behind them; any other is text."""


class Found(NamedTuple):
    """A place of the portal that no column reads: its path, and what is to know of its values."""

    path: str
    name: str
    kind: Kind
    type: str
    filled: int
    seen: int

    @property
    def share(self) -> float:
        """The share of the records that have a value, in percent."""
        return 100 * self.filled / self.seen if self.seen else 0.0

    def line(self, source: Source) -> str:
        """Return its line of the file."""
        own = self.path.rpartition(".")[2]
        bare = source.place(own, self.kind) == self.path
        quoted = _quoted(own if bare else self.path)
        wanted = f'"{self.kind}"' if bare and own == self.name else f'{{ kind = "{self.kind}", from = {quoted} }}'
        personal = ", personal" if redaction.is_personal(self.name, self.kind) else ""
        return f"{self.name} = {wanted}  # {self.type}, {self.share:.0f} % of {self.seen:,}{personal}"


class Proposal(NamedTuple):
    """What is proposed for one entity; ``problem`` says why it could not be asked."""

    entity: Entity
    found: list[Found]
    absent: dict[str, list[str]]
    problem: str = ""


def discover(source: Source, *, records: int = SAMPLE, only: str | None = None) -> Iterator[Proposal]:
    """Yield what is proposed for each entity."""
    for declared in source.entities:
        if only not in (None, declared.name):
            continue
        entity = source.configured(declared)
        try:
            portal = look(source, entity, records)
        except WarehouseError as error:
            yield Proposal(entity, [], {}, " ".join(redaction.redacted(str(error)).split()))
            continue
        found = list(_found(source, entity, portal))
        names = {one.path.rpartition(".")[2]: one for one in found}
        absent = {name: similar(_own(entity, name), names) for name in nowhere(entity, portal)}
        yield Proposal(entity, found, absent)


def toml(source: Source, proposals: Sequence[Proposal], *, least: float) -> str:
    """Return the proposal as the file has it; what fewer than ``least`` percent of the records have is a comment."""
    lines = []
    for entity, found, absent, problem in proposals:
        table = f"{source.name}.{entity.name}"
        if problem:
            lines += [f"# [{table}] could not be asked: {problem}", ""]
        if found:
            lines.append(f"[{table}.add]")
            lines += [f"{'' if one.share >= least else '# '}{one.line(source)}" for one in _ordered(found)]
            lines.append("")
        if close := {name: names for name, names in absent.items() if names}:
            lines.append(f"# [{table}.map]")
            lines += [f"# {name} = {_quoted(names[0])}" + _others(names[1:]) for name, names in close.items()]
            lines.append("")
        if far := sorted(name for name, names in absent.items() if not names):
            lines += [f"# {table} would be null: {', '.join(far)}", ""]
    return "\n".join(lines)


def written(source: Source, proposals: Sequence[Proposal], text: str, *, least: float) -> tuple[str, int]:
    """Return the ``text`` of the file with what ``least`` percent of the records have, and how many columns that is."""
    added = 0
    for entity, found, _, _ in proposals:
        lines = [one.line(source) for one in _ordered(found) if one.share >= least]
        if not lines:
            continue
        added += len(lines)
        heading = f"[{source.name}.{entity.name}.add]"
        there = re.search(rf"^{re.escape(heading)}[^\n]*\n?", text, re.MULTILINE)
        if there:
            text = f"{text[: there.end()].rstrip()}\n{chr(10).join(lines)}\n{text[there.end() :]}"
        else:
            text = "\n\n".join(filter(None, (text.rstrip(), "\n".join([heading, *lines])))) + "\n"
    return text, added


def write(source: Source, proposals: Sequence[Proposal], sources: Sequence[Source], *, least: float) -> int:
    """Add the proposal to the file and return how many columns that adds; ``sources`` are the declared ones.

    Raises ``NotConfigured``, and leaves the file as it is, if it could not be used then.
    """
    file = column_config.columns_file()
    before = file.read_text(encoding="utf-8") if file.is_file() else ""
    text, added = written(source, proposals, before, least=least)
    if not added:
        return 0
    column_config.read(file, text, sources)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return added


def _found(source: Source, entity: Entity, portal: Portal) -> Iterator[Found]:
    """Yield what no column reads, each under a name that is free."""
    read = {path for column in (*entity.columns.values(), *entity.local.dropped.values()) for path in column.members}
    read |= set(entity.deletes.paths)
    values: dict[str, list[Any]] = {}
    for record in portal.records:
        for path, value in _leaves(_decode(record)):
            values.setdefault(path, []).append(value)
    types = dict.fromkeys(values, "") if portal.has is None else portal.has
    taken = set(entity.pg_types)
    for path, type_ in types.items():
        own = path.rpartition(".")[2]
        if not own or path.startswith("_") or any(path == one or path.startswith(f"{one}.") for one in read):
            continue
        if any(one.startswith(f"{path}.") for one in read) or is_secret(own) or not column_config.can_read(path):
            continue
        given = [value for value in values.get(path, ()) if value not in (None, "", [], {})]
        kind = kind_of(type_, given)
        if "." not in path and source.place(path, kind) != path and "|" not in source.place(path, kind):
            continue  # the file could not name it: a name without a dot is looked for elsewhere
        name = _name(path, taken)
        if name is None:
            continue
        taken |= {name, *([f"{name}_e164"] if kind == "phone" else [])}
        yield Found(path, name, kind, type_ or _json_type(given), len(given), len(portal.records))


def kind_of(type_: str, values: Sequence[Any]) -> Kind:
    """Return the kind of a column for values of a vendor's type, or of none that is known.

    >>> kind_of("varchar(255)", ["ann@example.com"])
    'email'
    """
    plain = re.split(r"[(<\s]", type_.lower().removeprefix("edm."), maxsplit=1)[0]
    if kind := KIND_OF.get(plain):
        return kind
    if not values:
        return "text"
    if type_ == "":
        if all(isinstance(value, bool) for value in values):
            return "boolean"
        if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            return "integer"
        if all(isinstance(value, Number | int) and not isinstance(value, bool) for value in values):
            return "numeric"
        if any(isinstance(value, list | dict) for value in values):
            return "jsonb"
    texts = [str(value).strip() for value in values]
    shapes: dict[Kind, str] = {
        "uuid": validate.ANY_UUID,
        "email": validate.SHAPES["email"],
        "url": r"https?://\S+",
        "date": r"\d{4}-\d\d-\d\d",
        "timestamptz": r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*",
    }
    for kind, shape in shapes.items():
        if all(re.fullmatch(shape.removeprefix("^").removesuffix("$"), text) for text in texts):
            return kind
    if all(re.fullmatch(r"\+?[\d ().\-]{10,}", text) and phones.e164(text) for text in texts):
        return "phone"
    return "text"


class Number(str):
    """A number with a fraction, digit by digit."""


_decode = msgspec.json.Decoder(Any, float_hook=Number).decode


def _leaves(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the members of a record that are no objects; a list is one value."""
    if not isinstance(value, dict):
        yield path, value
        return
    if depth >= DEEPEST:
        return
    for name, below in value.items():
        if "." not in name:
            yield from _leaves(below, f"{path}.{name}" if path else name, depth + 1)


def _name(path: str, taken: set[str]) -> str | None:
    """Return a name for a column in snake case that is free, as short as that allows; None where none is."""
    parts = [_snake(part) for part in path.split(".")]
    for length in range(1, len(parts) + 1):
        name = "_".join(parts[-length:])[:50].strip("_")
        name = name if name[:1].isalpha() else f"c_{name}"
        if re.fullmatch(r"[a-z][a-z0-9_]*", name) and name not in taken:
            return name
    return (
        next((f"{name}_{number}" for number in range(2, 9) if f"{name}_{number}" not in taken), None)
        if re.fullmatch(r"[a-z][a-z0-9_]*", name)
        else None
    )


def _snake(part: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", part)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def _own(entity: Entity, column: str) -> str:
    return entity.columns[column].members[0].rpartition(".")[2]


def _ordered(found: Sequence[Found]) -> list[Found]:
    return sorted(found, key=lambda one: (-round(one.share), one.name))


def _others(names: Sequence[str]) -> str:
    return f"  # or {', '.join(names)}" if names else ""


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _json_type(values: Sequence[Any]) -> str:
    names = {bool: "boolean", int: "number", Number: "number", str: "string", list: "list", dict: "object"}
    counted = Counter(names.get(type(value), "string") for value in values)
    return " or ".join(sorted(counted)) or "unknown"
