"""What the tables of the simulated Genius hold at the start."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from warehouse_pipelines.simulators.core.population import DIVISIONS, SOURCES
from warehouse_pipelines.simulators.genius.business import USERS, Row
from warehouse_pipelines.simulators.genius.job_rows import REASONS, STATUSES, JobRows
from warehouse_pipelines.simulators.genius.lead_rows import LeadRows
from warehouse_pipelines.simulators.genius.office_rows import SERVICES, TITLES, OfficeRows
from warehouse_pipelines.simulators.genius.tables import TABLES
from warehouse_pipelines.simulators.genius.visit_rows import OUTCOMES, VisitRows


class Rows(OfficeRows, LeadRows, VisitRows, JobRows):
    def tables(self) -> Iterator[tuple[str, Iterator[Row]]]:
        """Every table with its rows, computed as they are asked for."""
        for table in TABLES:
            count, row = self._of(table)
            yield table, (row(number) for number in range(1, count + 1))

    def _of(self, table: str) -> tuple[int, Callable[[int], Row]]:
        few = {
            "division_group": 2, "division_region": 2, "division": len(DIVISIONS), "user_data": USERS,
            "user_title": len(TITLES), "users_userassociations": USERS, "third_party_source_type": 2,
            "appointment_type": 3, "appointment_outcome_type": 3, "appointment_outcome": len(OUTCOMES),
            "service": len(SERVICES), "marketing_source_type": 3, "marketing_source": len(SOURCES),
            "marketsharp_source": 4, "marketsharp_marketing_source_map": 4, "job_status": len(STATUSES),
            "job_change_order_reason": len(REASONS), "job_change_order_status": 3, "job_change_order_type": 2,
            "integration_field": 6, "integration_field_definition": 3,
        }  # fmt: skip
        many = {
            "lead": self.leads, "prospect": self.prospects, "prospect_source": self.prospects,
            "third_party_source": self.prospects + self.appointments, "appointment": self.appointments,
            "appointment_to_service": self.appointments, "quote": max(2, self.leads // 3), "job": self.jobs,
            "job_financing": max(2, self.jobs // 3), "job_change_order": self.change_orders,
            "job_change_order_item": self.change_orders * 2, "marketsharp_contacts": max(2, self.leads // 10),
            "marketsharp_appointments": max(2, self.leads // 20),
        }  # fmt: skip
        return {**few, **many}[table], getattr(self, f"_{table}")
