"""The CRMs as dlt sources, by name, for pipelines and destinations of dlt's own.

    from warehouse_pipelines import dlt_source

    dlt.pipeline("crm", destination="duckdb").run(dlt_source("hubspot").with_resources("contacts", "deals"))

``docs/other-destinations.md`` tells what arrives, and what the warehouse does that this does not.
"""

from typing import TYPE_CHECKING, Any, Literal

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.loading import dlt_source as sources_of_dlt
from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.sources import SOURCES

if TYPE_CHECKING:
    from dlt.extract import DltSource

FLAGS = ("full", "force", "skip_validation", "batch_size", "max_records", "start_date", "end_date", "vendor")
"""The flags of ``warehouse sync`` that mean something to a read without a warehouse."""


def dlt_source(
    crm: str, *, hard_delete: bool = False, strict: bool = False, json: Literal["json", "text"] = "json", **flags: Any
) -> "DltSource":
    """Return the dlt source of a CRM, with a resource for each of its entities; nothing is read yet.

    ``hard_delete``  remove what the vendor calls deleted, instead of delivering it with ``archived`` true
    ``strict``       raise for a bad record and for a read that may not be complete, so that nothing is loaded
    ``json``         ``text`` for destinations that cannot load JSON from Parquet
    ``flags``        those of ``warehouse sync``: ``full``, ``force``, ``skip_validation``, ``batch_size``,
                     ``max_records``, ``start_date``, ``end_date``, ``vendor``

    Raises ``WrongUse`` for a CRM or a flag that there is not, ``ValueError`` for a value that cannot be used. A setting
    that is missing raises ``NotConfigured`` when a resource is read.
    """
    from warehouse_pipelines.loading.dlt_read import Delivery

    by_name = {source.name: source for source in SOURCES}
    if crm not in by_name:
        raise WrongUse(f"there is no CRM {crm!r}; there are {', '.join(by_name)}")
    if unknown := sorted(flags.keys() - set(FLAGS)):
        raise WrongUse(f"dlt_source has no flag {', '.join(unknown)}; it has {', '.join(FLAGS)}")
    delivery = Delivery(options=Options(**flags), hard_delete=hard_delete, strict=strict, json=json)
    return sources_of_dlt.dlt_source(by_name[crm], delivery)
