"""What a portal needs before a target can be written to it: the custom object, its properties, its association types.

``lacking`` asks, ``prepare`` makes. A custom object needs an Enterprise account and ``crm.schemas.custom.write``,
properties ``crm.schemas.<object>.write``. What is there is left as it is; a key that is not unique cannot be made so.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from warehouse_pipelines.errors import ActionNeeded
from warehouse_pipelines.outbound.target import BOOKKEEPING, Field, Target
from warehouse_pipelines.outbound.values import Kind
from warehouse_pipelines.sources.hubspot.answers import Answer, AssociationType
from warehouse_pipelines.sources.hubspot.client import ASSOCIATIONS, PROPERTIES, SCHEMAS
from warehouse_pipelines.sources.hubspot.reader import HubSpotReader

TYPES: Mapping[Kind, tuple[str, str]] = {
    "text": ("string", "text"),
    "phone": ("string", "phonenumber"),
    "number": ("number", "number"),
    "bool": ("bool", "booleancheckbox"),
}
STANDARD_OBJECTS = {"0-1": "contacts", "0-2": "companies", "0-3": "deals", "0-5": "tickets"}
BOOLEAN = [
    {"label": "Yes", "value": "true", "displayOrder": 0, "hidden": False},
    {"label": "No", "value": "false", "displayOrder": 1, "hidden": False},
]


class _Property(msgspec.Struct, rename="camel"):
    name: str
    has_unique_value: bool = False


class _Association(msgspec.Struct):
    from_type: str = msgspec.field(name="fromObjectTypeId")
    to_type: str = msgspec.field(name="toObjectTypeId")


class _Described(msgspec.Struct):
    associations: list[_Association]


class _Group(msgspec.Struct):
    name: str


class Schema:
    """The object of one target in the portal, as far as the target needs it."""

    def __init__(self, target: Target, reader: HubSpotReader) -> None:
        self._target, self._reader = target, reader
        self._client = reader.client
        self._types: dict[str, AssociationType | None] = {}

    @property
    def _wanted(self) -> list[Field]:
        """The properties; of a target that creates the one that names our operation, too."""
        fields = [field for field in self._target.fields if not field.link]
        if self._target.key:
            fields.append(Field(name=BOOKKEEPING, about="Names the write of the warehouse that made this record."))
        return fields

    def _object(self) -> str | None:
        try:
            return self._reader.type_of(self._target.object)
        except ActionNeeded as error:
            if "no custom object" in str(error) and self._target.labels[0]:
                return None
            raise

    def lacking(self) -> list[str]:
        """Return what is lacking, a line each."""
        object_type = self._object()
        if object_type is None:
            return [f"HubSpot has no object {self._target.labels[0]}"]
        has = self._properties(object_type)
        found = [f"{self._target.object} has no property {one.name}" for one in self._wanted if one.name not in has]
        key = has.get(self._target.key)
        if key is not None and not key.has_unique_value:
            found.append(f"{self._target.object} has {key.name}, and its values need not be unique")
        return found + [
            f"there is no association from {self._target.object} to {link.link}"
            for link in self._target.links
            if self.association_type(link) is None
        ]

    def _properties(self, object_type: str) -> dict[str, _Property]:
        path = f"{PROPERTIES}/{object_type}"
        found = self._client.get(path, Answer[_Property], params={"archived": "false"}).page(path)
        return {one.name: one for one in found}

    def association_type(self, link: Field) -> AssociationType | None:
        """Return the type of an association, without a label if there is one; None where there is none."""
        if link.name not in self._types:
            ends = [self._reader.type_of(one) for one in (self._target.object, link.link)]
            path = f"{ASSOCIATIONS}/{'/'.join(ends)}/labels"
            found = self._client.get(path, Answer[AssociationType]).page(path)
            self._types[link.name] = min(found, key=lambda one: bool(one.label), default=None)
        return self._types[link.name]

    def associated_objects(self) -> Mapping[str, str]:
        """Return the objects that the target's may be associated with: what each is called, by its type id."""
        mine = self._reader.type_of(self._target.object)
        described = self._client.get(f"{SCHEMAS}/{mine}", _Described)
        ends = {end for one in described.associations for end in (one.from_type, one.to_type)}
        names = STANDARD_OBJECTS | {one.object_type_id: one.name for one in self._reader.schemas}
        return {end: names.get(end, end) for end in sorted(ends - {mine})}

    def prepare(self) -> list[str]:
        """Make the object, the properties and the association types that are lacking; return a line for each.

        Nothing is sent twice: after a lost answer, ask for what is lacking and run again.
        """
        made = []
        object_type = self._object()
        if object_type is None:
            self._make_object()
            del self._reader.schemas
            made.append(f"the object {self._target.labels[0]}")
            object_type = self._reader.type_of(self._target.object)
        has = self._properties(object_type)
        groups = f"{PROPERTIES}/{object_type}/groups"
        group = self._client.get(groups, Answer[_Group]).page(groups)[0].name
        for one in self._wanted:
            if one.name not in has:
                body = {**self._definition(one), "groupName": group}
                self._once(f"{PROPERTIES}/{object_type}", body)
                made.append(f"the property {one.name} of {self._target.object}")
        for link in self._target.links:
            if self.association_type(link) is None:
                self._make_association(object_type, link)
                made.append(f"the association from {self._target.object} to {link.link}")
        self._reader.__dict__.pop("properties", None)
        return made

    def _once(self, path: str, body: Any) -> None:
        self._client.request("POST", path, dict[str, Any], body=body, repeat=False)

    def _definition(self, field: Field) -> dict[str, Any]:
        type_, field_type = TYPES[field.kind]
        return {
            "name": field.name,
            "label": field.name.replace("_", " ").capitalize(),
            "type": type_,
            "fieldType": field_type,
            "description": field.about,
            "hasUniqueValue": field.name == self._target.key,
            "options": BOOLEAN if field.kind == "bool" else [],
        }

    def _make_object(self) -> None:
        singular, plural = self._target.labels
        body = {
            "name": self._target.object.partition(":")[2],
            "labels": {"singular": singular, "plural": plural},
            "primaryDisplayProperty": self._target.key,
            "requiredProperties": [self._target.key],
            "searchableProperties": [self._target.key],
            "properties": [self._definition(field) for field in self._wanted],
            "associatedObjects": ["CONTACT"],
        }
        self._once(SCHEMAS, body)

    def _make_association(self, object_type: str, link: Field) -> None:
        """Make a type of association; HubSpot demands a name, and shows the label."""
        other = self._reader.type_of(link.link)
        words = [one.partition(":")[2] or one for one in (self._target.object, link.link)]
        body = {"label": link.name.replace("_", " ").capitalize(), "name": "_to_".join(words)}
        self._once(f"{ASSOCIATIONS}/{object_type}/{other}/labels", body)
        self._types.pop(link.name, None)
