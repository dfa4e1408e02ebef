"""Reading the schema ``crm`` across organizations, below its row-level security: ``Crm``.

Row-level security is forced, so nobody sees all organizations at once. ``Crm`` lists the organizations as
``crm_definer``, which may see every row, and reads them one by one as ``crm_owner`` with ``app.organization_id`` set,
read-only. It needs a database user that may take both roles. A superuser may; so may the user that ran the migration,
which grants them to it. Any other needs ``GRANT crm_owner, crm_definer TO user``. Neither a superuser nor BYPASSRLS is
asked for.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from warehouse_pipelines.orchestration.maintenance import Row
from warehouse_pipelines.unified.acting import act_for

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


ORGANIZATIONS = " UNION ".join(
    # A walk along an index that begins with the organization: one look-up for each, however many rows it has.
    f"""(WITH RECURSIVE found AS (
            (SELECT organization_id FROM crm.{table} ORDER BY organization_id LIMIT 1)
            UNION ALL
            SELECT (SELECT t.organization_id FROM crm.{table} AS t WHERE t.organization_id > found.organization_id
                    ORDER BY t.organization_id LIMIT 1)
            FROM found WHERE found.organization_id IS NOT NULL)
        SELECT organization_id FROM found WHERE organization_id IS NOT NULL)"""  # noqa: S608
    for table in ("leads", "dnc_list", "budget_transactions", "system_config")
)


class Crm:
    """A session of the warehouse's own user, which takes the roles of the schema as it needs them."""

    def __init__(self, connection: "Session") -> None:
        self.connection = connection

    @contextlib.contextmanager
    def role(self, name: str) -> "Iterator[Session]":
        """Take a role for the block, outside a transaction. Raises ``dg.Failure`` when the user may not."""
        import psycopg
        from psycopg import sql

        try:
            self.connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege as error:
            user = self.connection.info.user
            raise dg.Failure(
                f"the database user {user} may not act as {name}, and no other role sees what this job reads; as a "
                f"superuser: GRANT crm_owner, crm_definer TO {user}",
                allow_retries=False,
            ) from error
        try:
            yield self.connection
        finally:
            if not self.connection.closed:
                self.connection.execute("RESET ROLE")

    def organizations(self) -> list[Any]:
        """Return the id of every organization that has leads, a do-not-call list, a ledger or settings."""
        with self.role("crm_definer") as connection:
            return [row["organization_id"] for row in connection.execute(f"{ORGANIZATIONS} ORDER BY 1")]

    def each(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Run a query for every organization, below its policies, and return all rows with their organization."""
        rows: list[Row] = []
        organizations = self.organizations()
        with self.role("crm_owner") as connection:
            for organization in organizations:
                with connection.transaction():
                    connection.execute("SET TRANSACTION READ ONLY")
                    act_for(connection, organization)
                    found = connection.execute(query, parameters)
                    rows += ({"organization_id": str(organization), **row} for row in found)
        return rows
