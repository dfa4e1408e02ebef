"""All vendors."""

from warehouse_pipelines.entity import Source
from warehouse_pipelines.sources.callrail import CALLRAIL
from warehouse_pipelines.sources.gcalendar import GCALENDAR
from warehouse_pipelines.sources.gdrive import GDRIVE
from warehouse_pipelines.sources.gsheet import GSHEET
from warehouse_pipelines.sources.hubspot import HUBSPOT

SOURCES: tuple[Source, ...] = (HUBSPOT, CALLRAIL, GSHEET, GCALENDAR, GDRIVE)
