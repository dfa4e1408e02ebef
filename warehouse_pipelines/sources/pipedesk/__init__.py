"""PipeDesk: leads, their contacts, tags and statuses, out of the CRM's own PostgreSQL at Supabase."""

from warehouse_pipelines.sources.pipedesk.source import PIPEDESK

__all__ = ["PIPEDESK"]
