"""All vendors."""

from warehouse_pipelines.entity import Source
from warehouse_pipelines.sources.arrivy import ARRIVY
from warehouse_pipelines.sources.callrail import CALLRAIL
SOURCES: tuple[Source, ...] = (HUBSPOT, CALLRAIL, SALESRABBIT, ARRIVY, FIVE9, GENIUS, SALESPRO, GSHEET, GCALENDAR, GDRIVE)
