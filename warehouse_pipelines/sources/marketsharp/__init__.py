"""MarketSharp: inquiries, contacts, appointments and jobs of a home improvement company, set by set and flattened."""

from warehouse_pipelines.sources.marketsharp.source import MARKETSHARP

__all__ = ["MARKETSHARP"]
