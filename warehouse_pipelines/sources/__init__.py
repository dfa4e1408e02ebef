"""All vendors: as they are declared, and with the columns and the further accounts of this installation."""

from warehouse_pipelines.model.accounts import with_accounts
from warehouse_pipelines.model.column_config import configured
from warehouse_pipelines.model.entity import require_joinable
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.sources.arrivy import ARRIVY
from warehouse_pipelines.sources.callrail import CALLRAIL
from warehouse_pipelines.sources.five9 import FIVE9
from warehouse_pipelines.sources.gcalendar import GCALENDAR
from warehouse_pipelines.sources.gdrive import GDRIVE
from warehouse_pipelines.sources.genius import GENIUS
from warehouse_pipelines.sources.gsheet import GSHEET
from warehouse_pipelines.sources.hubspot import HUBSPOT
from warehouse_pipelines.sources.leadconduit import LEADCONDUIT
from warehouse_pipelines.sources.marketsharp import MARKETSHARP
from warehouse_pipelines.sources.pipedesk import PIPEDESK
from warehouse_pipelines.sources.salespro import SALESPRO
from warehouse_pipelines.sources.salesrabbit import SALESRABBIT

DECLARED: tuple[Source, ...] = (
    HUBSPOT,
    CALLRAIL,
    SALESRABBIT,
    ARRIVY,
    FIVE9,
    MARKETSHARP,
    LEADCONDUIT,
    GENIUS,
    SALESPRO,
    GSHEET,
    GCALENDAR,
    GDRIVE,
    PIPEDESK,
)

require_joinable(entity for source in DECLARED for entity in source.entities)

SOURCES = with_accounts(configured(DECLARED))
