"""HubSpot: contacts, deals, companies, line items, appointments, custom objects, and who belongs to what."""

from warehouse_pipelines.sources.hubspot.source import HUBSPOT

__all__ = ["HUBSPOT"]
