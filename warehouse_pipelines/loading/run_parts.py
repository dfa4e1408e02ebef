"""Divide the entities of a CRM that are to be synced among runs that read the vendor side by side.

A run costs a second or two of processor time, so there are few, and one where there is little to read. All of them
share the budget of the credential.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


def run_parts(
    session: "Session", source: Source, entities: Sequence[Entity], most: int, worth_seconds: float = 0.0
) -> list[list[Entity]]:
    """Return the parts: at most ``most``, about equally long, the longest first.

    How long an entity takes is what its last good run took. If there are several parts, each has ``worth_seconds`` to
    read, so that its run is worth its cost. An entity is in one part with all that is read from it.
    """
    if most == 1 or len(entities) < 2:
        return [list(entities)]
    asked = {"crm": source.name, "entities": [entity.name for entity in entities]}
    last = {str(row["entity"]): float(row["seconds"]) for row in session.execute(query("run_seconds"), asked)}
    parents = {declared.table: declared.parent for declared in entities}
    families: dict[str, list[Entity]] = {}
    for declared in entities:
        root = declared.table
        while (parent := parents[root]) in parents:
            root = parent
        families.setdefault(root, []).append(declared)
    seconds = {root: sum(last.get(one.name, 1.0) for one in family) for root, family in families.items()}
    number = min(most, len(families))
    if worth_seconds:
        number = min(number, max(1, int(sum(seconds.values()) / worth_seconds)))
    parts: list[tuple[float, list[Entity]]] = [(0.0, []) for _ in range(number)]
    for root in sorted(families, key=seconds.__getitem__, reverse=True):
        took, part = parts.pop(0)
        parts.append((took + seconds[root], part + families[root]))
        parts.sort(key=lambda one: one[0])
    while len(parts) > 1 and parts[0][0] < worth_seconds:
        (less, few), (more, many), *rest = parts
        parts = sorted([(less + more, many + few), *rest], key=lambda one: one[0])
    return [part for _, part in reversed(parts)]
