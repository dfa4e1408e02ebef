"""What the Genius database has of the declared columns, by the server's own catalogue.

A declared column that is not there, or that the account may not see, is left out. So is a value of another table
(``EXPRESSIONS``) when a table or a column that it is made of is not there. Only a missing key costs the table.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from warehouse_pipelines.errors import AnswerChanged
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.sources._sql import is_secret, missing_place
from warehouse_pipelines.sources.genius.client import GeniusClient

_HUBSPOT_ID = """(
    SELECT s.{third_party_source.third_party_id}
    FROM `third_party_source` s JOIN `third_party_source_type` y
        ON y.{third_party_source_type.id} = s.{third_party_source.third_party_source_type_id|type_id}
    WHERE s.{third_party_source.id indexed} = t.{OWN.third_party_source_id}
        AND y.{third_party_source_type.label} = 'hubspot' LIMIT 1)"""

EXPRESSIONS: dict[str, dict[str, str]] = {
    "prospect": {
        "hubspot_contact_id": _HUBSPOT_ID.replace("OWN", "prospect"),
        "source": """(
            SELECT m.{marketing_source.label}
            FROM `prospect_source` p JOIN `marketing_source` m
                ON m.{marketing_source.id} = p.{prospect_source.marketing_source_id}
            WHERE p.{prospect_source.prospect_id indexed} = t.{prospect.id}
            ORDER BY p.{prospect_source.id} DESC LIMIT 1)""",
    },
    "appointment": {
        "hubspot_appointment_id": _HUBSPOT_ID.replace("OWN", "appointment"),
        "lead_id": """(
            SELECT max(l.{lead.lead_id}) FROM `lead` l
            WHERE l.{lead.prospect_id indexed} = t.{appointment.prospect_id}
                AND (l.{lead.added_on} > t.{appointment.add_date} AND t.{appointment.add_date} >= '1000-01-01')
                    IS NOT TRUE)""",
        "status": """(
            SELECT o.{appointment_outcome.label} FROM `appointment_outcome` o
            WHERE o.{appointment_outcome.id indexed} = t.{appointment.complete_outcome_id} LIMIT 1)""",
    },
    "user_data": {
        "is_active": "t.{user_data.is_inactive} = 0",
        "primary_user_id": """(
            SELECT a.{users_userassociations.primary_user_id} FROM `users_userassociations` a
            WHERE a.{users_userassociations.id indexed} = t.{user_data.user_associations_id} LIMIT 1)""",
    },
}
"""Values of other tables, and computed ones, where the table has no column of that name; ``t`` is the row.

``{table.column}`` is a column that must be there, ``{table.one|other}`` either. ``indexed`` requires an index that
begins with it, since it is looked up for every row. Every name is quoted: ``lead`` is a reserved word of MySQL 8.
"""

INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint")

NEEDED = re.compile(r"\{(\w+)\.([\w|]+)( indexed)?\}")


class Catalogue(NamedTuple):
    """What the account may see of some tables: the type of each column, and the first columns of indexes.

    ``rows`` is about how many the first table has, by the statistics of the server, which may be old.
    """

    types: dict[str, dict[str, str]]
    rows: int
    indexed: set[tuple[str, str]]

    @classmethod
    def read(cls, client: GeniusClient, tables: Sequence[str], *, indexes: bool) -> "Catalogue":
        """Ask the server."""
        types: dict[str, dict[str, str]] = {}
        rows = 0
        for table, name, said, _ in client.all(
            "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, ORDINAL_POSITION AS place FROM information_schema.COLUMNS"
            " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN %s"
            " UNION ALL SELECT TABLE_NAME, NULL, CAST(TABLE_ROWS AS CHAR), 0 FROM information_schema.TABLES"
            " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN %s ORDER BY place",
            [tables, tables[:1]],
        ):
            if name is None:
                rows = int(said or 0)
            else:
                types.setdefault(str(table), {})[str(name)] = str(said).lower()
        if not indexes:
            return cls(types, rows, set())
        found = client.all(
            "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS"
            " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN %s AND SEQ_IN_INDEX = 1",
            [tables],
        )
        return cls(types, rows, {(str(table), str(name)) for table, name in found})

    def composed(self, expression: str) -> tuple[str, str]:
        """Return the expression in SQL and no reason, or an empty text and the reason why it cannot be composed."""
        lacking = ""

        def column(match: re.Match[str]) -> str:
            nonlocal lacking
            table, paths, indexed = match[1], match[2].split("|"), match[3]
            there = self.types.get(table, {})
            name = next((path for path in paths if path in there), None)
            if lacking:
                return ""
            if not there:
                lacking = f"there is no table {table} that the account may see"
            elif name is None:
                lacking = missing_place(table, paths, there)
            elif indexed and (table, name) not in self.indexed:
                lacking = f"{table} has no index on {name}, by which every row would be looked up"
            return f"`{name}`"

        sql = NEEDED.sub(column, expression)
        return ("", lacking) if lacking else (sql, "")


class GeniusTable:
    """One table: the columns that may be asked for, their types, and the statement that reads them."""

    def __init__(self, client: GeniusClient, entity: Entity) -> None:
        self.entity = entity
        self.name = entity.path
        expressions = EXPRESSIONS.get(self.name, {})
        others = {match[1] for one in expressions.values() for match in NEEDED.finditer(one)}
        catalogue = Catalogue.read(client, [self.name, *sorted(others - {self.name})], indexes=bool(others))
        found = catalogue.types.get(self.name, {})
        self.types = {name: type_ for name, type_ in found.items() if not is_secret(name)}
        self.rows = catalogue.rows
        self.expressions: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        """The declared columns that the table lacks, and the reason for each."""
        self.keys: list[str] = []
        self.cursor: str | None = None
        self.added: str | None = None
        if not found:
            return
        lacking: dict[str, str] = {}
        for name, expression in expressions.items():
            if name not in self.types:
                sql, lacks = catalogue.composed(expression)
                self.expressions |= {name: sql} if sql else {}
                lacking |= {name: lacks} if lacks else {}
        if self.name == "integration_field":
            lacking |= self._mask_fields(client)
        self.keys = [self._key(key) for key in entity.keys]
        if entity.cursor:
            first, *rest = entity.columns[entity.cursor].paths
            self.cursor = first if first in self.types else None
            self.added = next((name for name in rest if name in self.types), None)
        there = self.types.keys() | self.expressions.keys()
        declared = {path for column in entity.columns.values() for path in column.paths}
        for column, (_, path) in entity.columns.items():
            paths = path.split("|")
            if column == entity.cursor:
                paths = paths[:1]  # the time of adding is no time of change
            if not there & set(paths):
                own = missing_place(self.name, paths, [name for name in self.types if name not in declared])
                self.absent[column] = next((lacking[one] for one in paths if one in lacking), own)

    def _key(self, column: str) -> str:
        paths = self.entity.columns[column].paths
        name = next((path for path in paths if path in self.types), None)
        if name is None:
            raise AnswerChanged(
                f"Genius: {missing_place(self.name, paths, self.types)}, and {self.entity.table}.{column} is the key. "
                "Ask the vendor what became of it; nothing was loaded."
            )
        return name

    def _mask_fields(self, client: GeniusClient) -> dict[str, str]:
        """Restrict ``field_value`` to fields that are known to hold no secret: users type passwords into some."""
        masked_type = self.types.pop("field_value", None)
        found = Catalogue.read(client, ["integration_field_definition"], indexes=False)
        listed = found.types.get("integration_field_definition", {})
        needed = {"id", "key_name", "input_type"}
        if masked_type is None or "definition_id" not in self.types or not needed <= listed.keys():
            return {"field_value": "which of them are passwords cannot be read in integration_field_definition"}
        named = ", ".join(
            f"`{name}`" if name in listed else "NULL" for name in ("id", "key_name", "label", "input_type")
        )
        harmless = [
            int(number)
            for number, key, label, kind in client.all(f"SELECT {named} FROM `integration_field_definition`")  # noqa: S608
            if str(kind).lower() != "password" and not is_secret(str(key)) and not is_secret(str(label))
        ]
        among = ", ".join(map(str, harmless)) or "NULL"
        self.expressions["field_value"] = f"CASE WHEN t.`definition_id` IN ({among}) THEN t.`field_value` END"
        return {}

    @property
    def numbered(self) -> bool:
        """Whether the key is one column of whole numbers."""
        return len(self.keys) == 1 and self.types[self.keys[0]] in INTEGERS

    def leave_out(self, name: str, reason: str) -> None:
        """Leave out a value of another table, for a reason."""
        del self.expressions[name]
        there = self.types.keys() | self.expressions.keys()
        self.absent |= {
            column: f"the database does not accept how it is looked up: {reason}"
            for column, (_, path) in self.entity.columns.items()
            if name in path.split("|") and not there & set(path.split("|"))
        }

    @property
    def names(self) -> list[str]:
        """The members of a record, in the order in which they are selected."""
        return [*self.types, *self.expressions]

    def statement(self, condition: str, order: Sequence[str]) -> str:
        """Compose the statement of one page; its last parameter is the page size."""
        selected = ", ".join(
            [f"t.`{name}`" for name in self.types] + [f"{sql} AS `{name}`" for name, sql in self.expressions.items()]
        )
        return (
            f"SELECT {selected} FROM `{self.name}` t"  # noqa: S608  (names are the database's own or ours)
            f" WHERE {condition} ORDER BY {', '.join(f't.`{name}`' for name in order)} LIMIT %s"
        )
