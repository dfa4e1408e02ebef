"""Whose account a credential answers for: what is refused, what is accepted on purpose, and what asking costs."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from click.testing import CliRunner

from warehouse_pipelines.commands import cli
from warehouse_pipelines.errors import RequestRefused, WrongAccount, masked
from warehouse_pipelines.loading.vendor_account import Known, VendorAccount, require
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.model.source import Credential, Source
from warehouse_pipelines.outbound import run
from warehouse_pipelines.outbound.targets import DIVISIONS
from warehouse_pipelines.sources.callrail import CALLRAIL
from warehouse_pipelines_tests.harness.source_harness import source_harness


def source(ids: Sequence[str], *, expected: str = "", digest: str = "new") -> Source:
    """A vendor whose credential answers for these accounts."""
    made = Credential(digest, "CALLRAIL_API_KEY", "CALLRAIL_ACCOUNT_ID", expected, lambda: ids)
    return replace(CALLRAIL, credential=lambda context: made)


def before(**accounts: str) -> Known:
    return {name: VendorAccount(frozenset(ids.split()), "old") for name, ids in accounts.items()}


@pytest.mark.parametrize(("known", "ids", "expected", "why"), [
    ({}, "A", "", None),
    ({"callrail": "A"}, "A", "", None),
    ({"callrail": "A"}, "A B", "", None),  # the user of the key sees one more by now
    ({"callrail": "A"}, "B", "", "the tables of callrail are of A"),
    ({"callrail_north": "B"}, "B", "", "which the tables of callrail_north are of"),
    ({"callrail": "A", "callrail_north": "A"}, "A", "", "which the tables of callrail_north are of"),
    ({"callrail": "A", "callrail_north": "B"}, "B", "B", None),
    ({}, "A", "B", "CALLRAIL_ACCOUNT_ID says B"),
    ({"callrail": "A"}, "A", "B", "CALLRAIL_ACCOUNT_ID says B"),
])  # fmt: skip
def test_the_credential_of_another_account_is_refused(
    known: dict[str, str], ids: str, expected: str, why: str | None
) -> None:
    asked = source(ids.split(), expected=expected)
    if why is None:
        assert require(asked, before(**known), ReadContext()) == VendorAccount(frozenset(ids.split()), "new")
    else:
        with pytest.raises(WrongAccount, match=why):
            require(asked, before(**known), ReadContext())


def test_a_vendor_that_does_not_say_whose_it_is_stops_nothing() -> None:
    def refuse() -> Sequence[str]:
        raise RequestRefused("404")

    made = Credential("new", "A", "B", "", refuse)
    context = ReadContext()
    known = before(callrail="A")
    assert require(replace(CALLRAIL, credential=lambda context: made), known, context) == known["callrail"]
    assert context.noted == {"account_unknown": "404"}


def test_a_kept_message_tells_the_account_to_set() -> None:
    with pytest.raises(WrongAccount) as raised:
        require(source(["hub-246351746"]), before(callrail="hub-44440001"), ReadContext())
    assert "CALLRAIL_ACCOUNT_ID=hub-246351746," in masked(str(raised.value), 2000)


def test_the_token_of_another_portal_changes_nothing_until_it_is_accepted_and_is_asked_about_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with source_harness("hubspot_owner", database_url, monkeypatch) as it:

        def asked() -> int:
            log = it.simulator.requests()["log"]
            return sum(one["path"].startswith("/account-info") for one in log)

        def renew(token: str, **settings: int) -> None:
            it.simulator.configure(token=token, **settings)
            monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", token)

        for _ in range(3):
            it.sync()
        assert asked() == 1
        renew("of the same portal")
        assert (it.sync().status, asked()) == ("success", 2)
        rows = it.rows()
        renew("of another", portal_id=44_440_002)
        for full in (False, True):
            with pytest.raises(WrongAccount, match=r"hub-44440002, and the tables of hubspot are of hub-4440001\."):
                it.sync(full=full)
        assert it.rows() == rows
        with pytest.raises(WrongAccount), run.connected(database_url, DIVISIONS):
            pytest.fail("nothing is written there")
        told = CliRunner().invoke(cli.main, ["check", "hubspot"])
        assert (told.exit_code, "the tables of hubspot are of hub-4440001" in told.stdout) == (1, True)
        monkeypatch.setenv("HUBSPOT_ACCOUNT_ID", "44440002")
        assert it.sync(full=True).status == "success"
        monkeypatch.delenv("HUBSPOT_ACCOUNT_ID")
        assert (it.sync().status, asked()) == ("success", 7)
