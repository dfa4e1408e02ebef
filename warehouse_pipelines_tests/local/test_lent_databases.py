"""The databases that tests borrow (``harness.databases``): one is lent again only as it was made."""

from collections.abc import Iterator

import psycopg
import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines_tests.conftest import BARE
from warehouse_pipelines_tests.harness.databases import Databases


@pytest.fixture(scope="module")
def lending(test_server: Server, template: str) -> Iterator[Databases]:
    made = Databases(test_server)
    yield made
    for free in made._free.values():
        for name in free:
            test_server.drop_database(name)
    made.close()


def lent_again(server: Server, lending: Databases, *statements: str) -> bool:
    """Return whether a database is lent again in which these statements ran."""
    name = lending.borrow(BARE)
    with psycopg.connect(server.url(name), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)
    lending.give_back(name, BARE)
    return name in lending._free[BARE]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE left_behind (id int)",
        "ALTER TABLE crm.leads ADD COLUMN left_behind text",
        "ALTER TABLE crm.leads RENAME COLUMN email TO left_behind",
        "ALTER TABLE crm.leads ALTER COLUMN email SET DEFAULT 'left behind'",
        "GRANT SELECT (email) ON crm.leads TO PUBLIC",
        "ALTER TABLE crm.leads DISABLE TRIGGER USER",
        "COMMENT ON COLUMN crm.leads.email IS 'left behind'",
        "DROP POLICY IF EXISTS tenant ON crm.leads; CREATE POLICY left_behind ON crm.leads USING (true)",
        "DROP INDEX identity.edge_b; CREATE INDEX edge_b ON identity.edge (a_id)",
        "CREATE FUNCTION left_behind() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER DATABASE :name SET search_path = crm",
    ],
)
def test_what_rows_do_not_show_is_not_lent_again(test_server: Server, lending: Databases, statement: str) -> None:
    if ":name" in statement:
        statement = f"DO $$ BEGIN EXECUTE format('{statement.replace(':name', '%I')}', current_database()); END $$"
    assert not lent_again(test_server, lending, statement)


def test_rows_are_deleted_and_the_database_is_lent_again(test_server: Server, lending: Databases) -> None:
    """Also where the catalog was written to, and says the same."""
    assert lent_again(
        test_server,
        lending,
        "INSERT INTO crm.leads (organization_id) VALUES (gen_random_uuid())",
        "INSERT INTO crm.dnc_list (organization_id, phone, reason)"
        " VALUES (gen_random_uuid(), '+12065550166', 'opt_out')",
        "UPDATE orchestration.sync_schedule SET enabled = NOT enabled",
        "GRANT SELECT (email) ON crm.leads TO PUBLIC",
        "REVOKE SELECT (email) ON crm.leads FROM PUBLIC",
        "CREATE TEMPORARY TABLE for_a_while (id int)",
        "ALTER TABLE identity.edge DROP CONSTRAINT edge_pkey",
        "ALTER TABLE identity.edge ADD CONSTRAINT edge_pkey PRIMARY KEY (a_id, b_id)",
    )
    assert lent_again(test_server, lending)
