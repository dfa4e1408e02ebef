"""How the simulated SalesPro can be set: what the notes could not confirm is a setting or an operation."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class SalesProSettings:
    access_key: str = "AKIASIMULATED0000000"
    token: str = "simulated-secret-access-key"  # noqa: S105  (nobody's key)
    region: str = "us-east-1"
    contacts: int = 1000  # fixed at start: estimates are half of them
    now: float | None = None  # fixed at start: seconds since 1970
    database: str = "salespro"
    workgroup: str = "primary"
    bucket: str = "simulated-athena-results"
    enforced_output: str | None = None  # the workgroup's own, which then replaces the client's
    managed_results: bool = False  # the workgroup keeps results itself, and refuses a place of the client's
    states: list[str] = field(default_factory=list)  # what the polls see before the end, such as QUEUED, RUNNING
    bytes_cutoff: int | None = None  # the workgroup's limit for one query
    metadata: str = "allowed"  # allowed | denied: whether the policy has athena:GetTableMetadata
