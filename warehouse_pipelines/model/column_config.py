"""``config/columns.toml``: the columns of this installation. Without the file the declared columns stand as they are.

    [hubspot.contacts.add]
    favourite_colour = "text"                                 # column = kind; read from the property of its name
    visits = { kind = "integer", from = "number_of_visits" }  # read from another one
    branch_code = { kind = "integer", personal = false }      # says nothing of a person: neither masked nor erased

    [hubspot.contacts.rename]
    lifecyclestage = "stage"                                  # declared column = its name in the warehouse

    [hubspot.appointments.map]
    subject = "visit_title|subject"                           # column = where it is read; of several the first filled

    [hubspot.contacts]
    hash = ["email", "phone"]                                 # a keyed hash is stored instead (loading.hash_and_drop)
    drop = ["date_of_birth"]                                  # neither loaded nor kept in raw_data

What is added counts as personal, but for a boolean: a masked reader does not see it, and an erasure takes it out
(``schema.personal``). An e-mail address, a phone number or JSON always is.

Columns are named as they are declared, also in ``hash``, ``drop`` and ``map`` of one that is renamed. ``from`` and
``map`` take the vendor's own name, or the path in the record (``raw_data``) with dots. ``HUBSPOT_PROPERTY_MAP`` is an
older spelling of ``map``.

The file is applied where the sources are listed (``sources.SOURCES``), when a process starts, so that everything sees
the same columns; a word of it that cannot be used stops every command and names its line. ``rename`` reaches the table
by the next ``warehouse migrate``. ``hash`` and ``drop`` leave stored rows as they are until ``warehouse migrate
--redact``. A change of what a read goes by, such as a key, and a drop or rename of what ``sql/`` reads are refused.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.model.entity import BOOKKEEPING, Column, Entity
from warehouse_pipelines.model.rules import KINDS, Kind
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.settings import optional_text, project_root, settings, sql_folder

Action = Literal["map", "add", "hash", "drop", "rename"]
ACTIONS: tuple[Action, ...] = ("map", "add", "hash", "drop", "rename")
"""In the order in which they are applied, so that all of them name a column as it is declared."""

_PATH = re.compile(r"[^|+\s][^|+]*(?:[|+][^|+\s][^|+]*)*")


class Change(NamedTuple):
    """One word of the file: what is done to which column, and ``where`` it says so, for an error."""

    action: Action
    column: str
    where: str
    to: str = ""
    kind: str = ""
    personal: bool = True

    def refused(self, why: str) -> NotConfigured:
        """Return the error."""
        return NotConfigured(f"{self.where} {why}")


def columns_file() -> Path:
    """Return the file, whether or not it is there; ``WAREHOUSE_COLUMNS_FILE`` names another one, which must be."""
    return settings().warehouse_columns_file or project_root() / "config" / "columns.toml"


def configured(sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the sources with the columns of this installation.

    Raises ``NotConfigured`` that names file, line and table of the first word that cannot be used, and for a file that
    cannot be read: what it hashes would be loaded in clear.
    """
    file = columns_file()
    text = optional_text(file, "WAREHOUSE_COLUMNS_FILE")
    return tuple(sources) if text is None else read(file, text, sources)


def read(file: Path, text: str, sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the sources as the text of the file changes them; raises as ``configured`` does."""
    try:
        written = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NotConfigured(f"{file} is no TOML: {error}") from error
    wanted = _changes(file, text, written, sources)
    changed = [
        replace(
            source,
            entities=tuple(
                applied(source, entity, wanted.get((source.name, entity.name), ())) for entity in source.entities
            ),
        )
        for source in sources
    ]
    return _with_joins(changed)


def applied(source: Source, entity: Entity, changes: Sequence[Change]) -> Entity:
    """Return the entity with these changes. Raises ``NotConfigured`` for one that cannot be made."""
    if not changes:
        return entity
    done = entity
    for change in sorted(changes, key=lambda one: ACTIONS.index(one.action)):
        try:
            done = _APPLY[change.action](source, done, change)
        except ValueError as error:  # what a row that is declared may not be either
            raise change.refused(f"cannot be used: {str(error).partition(': ')[2]}") from error
    _require_no_clear_twin(done, changes)
    return done


def _added(source: Source, entity: Entity, change: Change) -> Entity:
    name = change.column
    if name in entity.pg_types:
        every = " (every table has it)" if name in BOOKKEEPING else ""
        raise change.refused(f"adds a column that {entity.table} has{every}; [{source.name}.{entity.name}.map] "
                             "says where it is read")  # fmt: skip
    if change.kind not in KINDS:
        raise change.refused(f"is of the kind {change.kind!r}; there are {', '.join(KINDS)}")
    kind = cast(Kind, change.kind)
    column = Column(kind, _path(source, change, kind))
    if kind != "text" and "+" in column.path:
        raise change.refused("joins parts, and only texts can be joined")
    if not change.personal and kind in ("email", "phone", "jsonb"):
        raise change.refused(f"is of the kind {kind}, and that is always personal")
    impersonal = entity.local.impersonal | ({name} if not change.personal else set())
    local = replace(entity.local, added=(*entity.local.added, name), impersonal=impersonal)
    return replace(entity, columns={**entity.columns, name: column}, local=local)


def _mapped(source: Source, entity: Entity, change: Change) -> Entity:
    column = entity.columns[_known(entity, change)]
    _require_free(entity, change, "maps", "it cannot be another property")
    path = _path(source, change, column.kind)
    local = replace(entity.local, mapped=(*entity.local.mapped, change.column))
    return replace(entity, columns={**entity.columns, change.column: column._replace(path=path)}, local=local)


def _hashed(source: Source, entity: Entity, change: Change) -> Entity:
    name = _known(entity, change)
    _require_free(entity, change, "hashes", "a hash of it finds nothing at the vendor")
    kind = entity.columns[name].kind
    if KINDS[kind].pg_type != "text":
        texts = ", ".join(one for one, spec in KINDS.items() if spec.pg_type == "text")
        raise change.refused(
            f"hashes {name}, which is {kind}; a hash is a text, so only {texts} can be hashed. Drop it, or drop it and "
            "add a column of another name and the kind text that is read from the same place"
        )
    rules = tuple(rule for rule in entity.rules if rule.column != name)
    return replace(entity, rules=rules, local=replace(entity.local, hashed=entity.local.hashed | {name}))


def _dropped(source: Source, entity: Entity, change: Change) -> Entity:
    name = _known(entity, change)
    _require_free(entity, change, "drops", "without it nothing can be read")
    if made := [one for one, column in entity.source_times.items() if column == name]:
        raise change.refused(f"drops {name}, of which {entity.table} has its {made[0]}")
    _require_unread(entity, change, "drops")
    names = {name, f"{name}_e164"} if entity.columns[name].kind == "phone" else {name}
    local = replace(entity.local, dropped={**entity.local.dropped, name: entity.columns[name]})
    return replace(
        entity,
        columns={one: column for one, column in entity.columns.items() if one != name},
        index=" ".join(one for one in entity.index.split() if one not in names),
        refs={one: ref for one, ref in entity.refs.items() if one not in names},
        deletes=replace(
            entity.deletes,
            deleted_values={one: value for one, value in entity.deletes.deleted_values.items() if one not in names},
        ),
        rules=tuple(rule for rule in entity.rules if rule.column not in names),
        severity={one: value for one, value in entity.severity.items() if one not in names},
        local=local,
    )


def _renamed(source: Source, entity: Entity, change: Change) -> Entity:
    old, new = _known(entity, change), change.to
    _require_free(entity, change, "renames", "the reading knows it by its name")
    _require_unread(entity, change, "renames")
    if new in entity.pg_types:
        raise change.refused(f"renames {old} to {new}, which {entity.table} has already")
    names = {old: new}
    if entity.columns[old].kind == "phone":
        names[f"{old}_e164"] = f"{new}_e164"

    def called(name: str) -> str:
        return names.get(name, name)

    return replace(
        entity,
        columns={called(name): column for name, column in entity.columns.items()},
        index=" ".join(map(called, entity.index.split())),
        refs={called(name): ref for name, ref in entity.refs.items()},
        deletes=replace(
            entity.deletes,
            deleted_values={called(name): value for name, value in entity.deletes.deleted_values.items()},
        ),
        rules=tuple(replace(rule, column=called(rule.column)) for rule in entity.rules),
        severity={called(name): value for name, value in entity.severity.items()},
        local=replace(
            entity.local,
            renamed={**entity.local.renamed, **{new: old for old, new in names.items()}},
            hashed=frozenset(map(called, entity.local.hashed)),
            added=tuple(map(called, entity.local.added)),
            impersonal=frozenset(map(called, entity.local.impersonal)),
            mapped=tuple(map(called, entity.local.mapped)),
        ),
    )


_APPLY: Mapping[Action, Callable[[Source, Entity, Change], Entity]] = {
    "add": _added,
    "map": _mapped,
    "hash": _hashed,
    "drop": _dropped,
    "rename": _renamed,
}


def _known(entity: Entity, change: Change) -> str:
    if change.column not in entity.columns:
        raise change.refused(f"names no column of {entity.table}{instead(change.column, entity.columns)}")
    return change.column


def _require_free(entity: Entity, change: Change, does: str, why: str) -> None:
    named = set(entity.expected.split()) if change.action in ("drop", "rename") else set()
    if change.column in {*entity.keys, entity.cursor, entity.edited, entity.deletes.merged_keys} | named:
        raise change.refused(f"{does} {change.column}, by which {entity.table} is read; {why}")


def _require_unread(entity: Entity, change: Change, does: str) -> None:
    """Refuse a change that would break a view or a schema of ``sql/``; both words in one statement are taken for it."""
    words = [rf"\b{re.escape(word)}\b" for word in (entity.table_name, change.column)]
    for file in sorted([*sql_folder().glob("views/*.sql"), *sql_folder().glob("schemas/*.sql")]):
        statements = file.read_text(encoding="utf-8").split(";\n")
        if any(all(re.search(word, statement) for word in words) for statement in statements):
            raise change.refused(f"{does} {change.column}, which sql/{file.parent.name}/{file.name} reads")


def _require_no_clear_twin(entity: Entity, changes: Sequence[Change]) -> None:
    """Refuse a hash whose value would stand in another column in clear."""
    places = {name: set(column.members) for name, column in entity.columns.items()}
    flags = set(entity.deletes.paths)
    for change in changes:
        if change.action != "hash":
            continue
        mine = next((new for new, old in entity.local.renamed.items() if old == change.column), change.column)
        if places[mine] & flags:
            raise change.refused(f"hashes {change.column}, by which {entity.table} tells that a record is deleted")
        for name, theirs in places.items():
            if name not in entity.local.hashed and (shared := places[mine] & theirs):
                raise change.refused(
                    f"hashes {change.column}, and {name} reads the same place ({sorted(shared)[0]}) in clear; "
                    "hash or drop that as well"
                )


def _path(source: Source, change: Change, kind: Kind) -> str:
    """Return the path of what the file calls by the vendor's name or by its path."""
    written = change.to or change.column
    if not _PATH.fullmatch(written):
        raise change.refused(f"reads {written!r}; write a name, or names with | between them")
    return "|".join(
        "+".join(part if "." in part else source.place(part, kind) for part in place.split("+"))
        for place in written.split("|")
    )


def can_read(path: str) -> bool:
    """Whether the file can name a path: ``|`` and ``+`` stand between places."""
    return _PATH.fullmatch(path) is not None and not {"|", "+"} & set(path)


def _with_joins(sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the sources with ``refs`` that name renamed columns by their new name, and no dropped one."""
    by_table = {entity.table: entity for source in sources for entity in source.entities}

    def ref_of(ref: str) -> str | None:
        table, _, column = ref.removesuffix(")").partition("(")
        if not column:
            return ref
        other = by_table[table]
        now = next((new for new, old in other.local.renamed.items() if old == column), column)
        return f"{table}({now})" if now in other.pg_types else None

    def joined(entity: Entity) -> Entity:
        refs = {name: found for name, ref in entity.refs.items() if (found := ref_of(ref)) is not None}
        return entity if refs == entity.refs else replace(entity, refs=refs)

    return tuple(replace(source, entities=tuple(map(joined, source.entities))) for source in sources)


def _changes(
    file: Path, text: str, written: Mapping[str, Any], sources: Sequence[Source]
) -> dict[tuple[str, str], list[Change]]:
    """Return the changes by source and entity."""
    by_name = {source.name: source for source in sources}
    found: dict[tuple[str, str], list[Change]] = {}

    def fail(table: str, word: str, why: str) -> NotConfigured:
        return NotConfigured(f"{_where(file, text, table, word)} {why}")

    for crm, entities in written.items():
        source = by_name.get(crm)
        if source is None or not isinstance(entities, dict):
            raise fail(crm, crm, f"names no CRM{instead(crm, by_name)}")
        there = {entity.name: entity for entity in source.entities}
        for name, actions in entities.items():
            if name not in there or not isinstance(actions, dict):
                raise fail(f"{crm}.{name}", name, f"names no entity of {crm}{instead(name, there)}")
            changes: list[Change] = []
            for action, words in actions.items():
                table = f"{crm}.{name}"
                if action in ("hash", "drop"):
                    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                        raise fail(table, action, f'is no list of columns; write {action} = ["email"]')
                    changes += [Change(action, word, _where(file, text, table, word)) for word in words]
                    continue
                if action not in ("add", "map", "rename"):
                    raise fail(table, action, f"is none of {', '.join(ACTIONS)}")
                table = f"{table}.{action}"
                if not isinstance(words, dict):
                    raise fail(table, action, f"is no table of columns; write [{table}] and a line for each")
                changes += [_change(action, word, value, _where(file, text, table, word), fail, table)
                            for word, value in words.items()]  # fmt: skip
            for change in changes:
                if any(one is not change and one[:2] == change[:2] for one in changes):
                    raise change.refused("stands there a second time")
                if change.action == "drop" and any(one.column == change.column for one in changes if one != change):
                    raise change.refused("is dropped, and something else is done to it")
            found[crm, name] = changes
    return found


def _change(
    action: Action, column: str, value: Any, where: str, fail: Callable[[str, str, str], NotConfigured], table: str
) -> Change:
    if action == "add":
        if isinstance(value, str):
            return Change(action, column, where, kind=value)
        form = {"kind": str, "from": str, "personal": bool}
        if not (isinstance(value, dict) and "kind" in value and value.keys() <= form.keys()) or not all(
            isinstance(one, form[word]) for word, one in value.items()
        ):
            raise fail(
                table, column,
                'is written "kind", or { kind = "kind", from = "the vendor\'s name", personal = false }',
            )  # fmt: skip
        return Change(
            action, column, where, to=value.get("from", ""), kind=value["kind"], personal=value.get("personal", True)
        )
    if not isinstance(value, str) or not value:
        raise fail(table, column, "wants a text: " + ("the new name" if action == "rename" else "where it is read"))
    return Change(action, column, where, to=value)


def _where(file: Path, text: str, table: str, word: str) -> str:
    """Return how an error names a word of the file: its line, if that can be made out, its table and itself."""
    here = ""
    inside = False
    quoted = re.compile(rf"""(^\s*["']?{re.escape(word)}["']?\s*=)|(["']{re.escape(word)}["'])""")
    for number, line in enumerate(text.splitlines(), 1):
        if heading := re.match(r"\s*\[([^\]]*)\]", line):
            name = re.sub(r"[\s\"']", "", heading[1])
            inside = name == table
            if not here and (name == table or name.startswith(f"{table}.")):
                here = f", line {number}"
        elif inside and quoted.search(line.partition("#")[0]):
            here = f", line {number}"
            break
    return f"{_shown(file)}{here}, [{table}]: {word!r}"


def _shown(file: Path) -> str:
    root = project_root()
    return str(file.relative_to(root)) if file.is_relative_to(root) else str(file)


def instead(name: str, there_are: Iterable[str]) -> str:
    """Return what was probably meant, or all there is when that is little."""
    names = [*there_are]
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(names)}" if len(names) <= 20 else "; docs/entities.md lists them"
