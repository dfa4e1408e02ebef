"""As whom a session acts in ``crm``: roles end with their blocks, and who may not take one is told what to grant."""

import re
import uuid

import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.unified.acting import acting, as_role
from warehouse_pipelines_tests.harness.import_database import ORGANIZATION, ImportDatabase


def test_a_role_ends_with_its_block_and_the_one_around_it_stays(crm: ImportDatabase) -> None:
    """Also when something fails in the block, and the transaction goes on."""
    with warehouse.session(crm.url) as session:

        def told() -> list[str]:
            [row] = session.execute(
                "SELECT current_setting('role') AS role, current_setting('app.organization_id') AS organization,"
                " current_setting('app.triggered_by') AS why, current_setting('lock_timeout') AS patience"
            )
            return [*row.values()]

        with acting(session, ORGANIZATION, "import", lock_timeout="7s"):
            for role, now in ((None, "none"), ("crm_definer", "crm_definer")):
                with as_role(session, role):
                    assert told() == [now, str(ORGANIZATION), "import", "7s"]
                assert told()[0] == "crm_owner"
            with pytest.raises(KeyError), as_role(session, "crm_definer"):
                raise KeyError
            assert told()[0] == "crm_owner"
            with (
                pytest.raises(psycopg.errors.UndefinedTable),
                session.transaction(),
                as_role(session, "crm_definer"),
            ):
                session.execute("SELECT FROM nowhere")
            assert told()[0] == "crm_owner"
        assert told() == ["none", "", "", "0"]


def test_who_may_not_act_as_a_role_is_told_what_to_grant(crm: ImportDatabase) -> None:
    login = f"stranger_{uuid.uuid4().hex[:8]}"
    crm.query(f"CREATE ROLE {login} LOGIN PASSWORD 'x'")
    try:
        with (
            warehouse.session(re.sub(r"//[^@]*@", f"//{login}:x@", crm.url)) as session,
            pytest.raises(NotConfigured, match=rf"{login} may not act as crm_owner; .*GRANT crm_owner, crm_definer"),
            acting(session, ORGANIZATION, "import"),
        ):
            pass
    finally:
        crm.query(f"DROP ROLE {login}")
