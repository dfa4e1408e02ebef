"""Five9 as a source: its entities, and how its credential is checked."""

from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.sources.five9.answers import LIMIT
from warehouse_pipelines.sources.five9.domain import Domain
from warehouse_pipelines.sources.five9.entities import CONTACTS
from warehouse_pipelines.sources.five9.fetch import fetch, inspect
from warehouse_pipelines.sources.five9.service import Service, Settings


def check(context: ReadContext | None = None) -> str:
    """Ask for the fields of the domain."""
    context = context or ReadContext()
    domain = Domain(Service(context).fields(), context.settings(Settings))
    absent = f"; none is called {' or '.join(domain.missing)}" if domain.missing else ""
    return f"Five9 answers: a contact has {len(domain.names)} fields{absent}"


FIVE9 = Source(
    name="five9",
    title="Five9",
    transport="api",
    settings=Settings,
    fetch=fetch,
    check=check,
    check_in=check,
    inspect=inspect,
    place=lambda name, kind: f"contact.{name}",
    page_size=LIMIT,
    pool=1,
    entities=(CONTACTS,),
)
