"""All vendors."""

from warehouse_pipelines.entity import Source
from warehouse_pipelines.sources.callrail import CALLRAIL
from warehouse_pipelines.sources.hubspot import HUBSPOT
from warehouse_pipelines.sources.salespro import SALESPRO

SOURCES: tuple[Source, ...] = (HUBSPOT, CALLRAIL, SALESPRO)
