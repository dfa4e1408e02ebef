"""All vendors."""

from warehouse_pipelines.entity import Source
from warehouse_pipelines.sources.callrail import CALLRAIL
from warehouse_pipelines.sources.hubspot import HUBSPOT
from warehouse_pipelines.sources.leadconduit import LEADCONDUIT
from warehouse_pipelines.sources.salesrabbit import SALESRABBIT

SOURCES: tuple[Source, ...] = (HUBSPOT, CALLRAIL, SALESRABBIT, LEADCONDUIT)
