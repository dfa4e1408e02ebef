"""A dlt source per CRM with a resource per entity, for two uses; nothing is read until somebody iterates.

**The warehouse** binds a resource to a run (``resource.bound``): ``sync`` plans, coerces, judges and commits, and keeps
the watermark in ``orchestration.sync_history``.

**A pipeline of dlt's own** iterates the resource unbound, as in ``pipeline.run(dlt_source("hubspot"))``. Then
``DltRead`` does without a warehouse what ``sync`` does with one, and the watermark is in dlt's state.

Both read the same pages into the same batches (``resource.tables``). They cannot share the window's filter: dlt wants
the ends of an ``incremental`` when a resource is made, and a pipeline's state is known only while it extracts.

dlt costs half a second to import and is imported when a source is made.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.loading.resource import tables
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source

if TYPE_CHECKING:
    from dlt.extract import DltResource, DltSource

    from warehouse_pipelines.loading.dlt_read import Delivery


def dlt_source(crm: Source, delivery: "Delivery | None" = None, *, only: Entity | None = None) -> "DltSource":
    """Return the dlt source of a CRM, unread; of one entity where the others would be made for nothing."""
    import dlt

    from warehouse_pipelines.loading.dlt_columns import quiet
    from warehouse_pipelines.loading.dlt_read import Delivery

    entities = crm.entities if only is None else (only,)
    quiet(entities)
    resources = [_resource(crm, entity, delivery or Delivery()) for entity in entities]
    return dlt.source(lambda: resources, name=crm.name)()


def dlt_resource(crm: Source, entity: Entity) -> "DltResource":
    """Return the resource of one entity out of its CRM's dlt source, unread and not bound to a run."""
    resource: DltResource = dlt_source(crm, only=entity).resources[entity.name]
    return resource


def _resource(crm: Source, entity: Entity, delivery: "Delivery") -> "DltResource":
    import dlt

    from warehouse_pipelines.loading import dlt_columns
    from warehouse_pipelines.loading.dlt_read import DltRead

    def read(reading: Any = None, coercer: Any = None) -> Iterator[Any]:
        if reading is None:
            yield from DltRead(crm, entity, delivery).items()
        else:
            yield from tables(crm, reading, coercer)

    # A data set of dlt's has one schema: two accounts of a CRM would become one table.
    table = f"{crm.name}_{entity.table_name}" if crm.account else entity.table_name
    return dlt.resource(
        read, name=entity.name, table_name=table, primary_key=list(entity.keys),
        write_disposition="merge", columns=dlt_columns.hints(entity, delivery.json, hard_delete=delivery.hard_delete),
    )  # fmt: skip
