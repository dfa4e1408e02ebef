"""SalesPro (Leap): customers, estimates, credit applications and what came of the visits, shared through AWS Athena."""

from warehouse_pipelines.sources.salespro.source import SALESPRO

__all__ = ["SALESPRO"]
