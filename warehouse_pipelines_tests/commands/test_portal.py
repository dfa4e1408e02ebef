"""What a portal has: every entity checked as a sync would ask, and columns proposed from it."""

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from warehouse_pipelines.commands import cli, discover, portal
from warehouse_pipelines.errors import CredentialRefused, PermissionMissing
from warehouse_pipelines.model import column_config
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines.model.entity import Entity, columns
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadRequest
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.simulators.registry import available
from warehouse_pipelines.simulators.server import Simulators, start
from warehouse_pipelines.sources import DECLARED, SOURCES
from warehouse_pipelines_tests.harness.fake_source import Settings

CRMS = {source.name: source for source in SOURCES}


@pytest.fixture
def vendors(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Simulators]]:
    """Serves simulated vendors by name, with the settings to use them."""
    opened: list[Any] = []

    def served(*names: str, **settings: Any) -> Simulators:
        context = start(names, contacts=60, **settings)
        opened.append(context)
        simulators = context.__enter__()
        for name, value in simulators.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("WAREHOUSE_RETRY_SECONDS", "0.01")
        return simulators

    yield served
    for context in opened:
        context.__exit__(None, None, None)


@pytest.mark.parametrize("crm", CRMS)
@pytest.mark.slow("the same in other circumstances")
def test_every_entity_of_every_simulated_vendor_can_be_read_in_a_few_requests(
    vendors: Callable[..., Simulators], crm: str
) -> None:
    if crm not in available():
        pytest.skip(f"{crm} cannot be simulated here")
    simulators = vendors(crm)
    found = portal.check(CRMS[crm])
    entities = len(CRMS[crm].entities)
    assert (found.failing, found.lines[0]) == (0, f"{entities} of {entities} entities can be read")
    if CRMS[crm].transport == "api":
        simulator: Any = simulators.named(crm)
        assert simulator.requests()["total"] <= 6 * entities + 10


@pytest.mark.parametrize(
    ("crm", "fault", "failing"),
    [
        ("callrail", {"path": "text-messages.json", "status": 403}, {"text_messages"}),
        ("salesrabbit", {"path": "/users", "status": 403}, {"users"}),
        ("arrivy", {"path": "/api/groups", "status": 403}, {"groups"}),
        ("marketsharp", {"path": "/Jobs", "status": 404}, {"job"}),
    ],
)
def test_a_list_that_is_refused_fails_its_entity_and_no_other(
    vendors: Callable[..., Simulators], crm: str, fault: dict[str, Any], failing: set[str]
) -> None:
    """`check` was green here once, and `sync` then failed."""
    simulator: Any = vendors(crm).named(crm)
    simulator.set_fault("status", **fault)
    found = portal.check(CRMS[crm])
    assert {line.partition(" ")[0] for line in found.lines if "would fail" in line} == failing
    assert found.failing == len(failing)
    assert str(fault["status"]) in "".join(found.lines)


def test_a_missing_table_and_a_missing_column_of_a_database_are_told(vendors: Callable[..., Simulators]) -> None:
    if "pipedesk" not in available():
        pytest.skip("needs PostgreSQL")
    simulator: Any = vendors("pipedesk").named("pipedesk")
    simulator.drop_table("lead_tags")
    simulator.rename_column("tags", "color", "shade")
    found = portal.check(CRMS["pipedesk"])
    (failed,) = (line for line in found.lines if "would fail" in line)
    assert failed.startswith("lead_tags would fail: PipeDesk: schema public has no table lead_tags")
    (proposal,) = discover.discover(CRMS["pipedesk"], records=5, only="tags")
    assert [one.name for one in proposal.found] == ["shade"]


def test_check_exits_1_when_a_sync_would_fail_and_0_when_columns_would_be_null(
    vendors: Callable[..., Simulators], database_url: str
) -> None:
    simulator: Any = vendors("salesrabbit").named("salesrabbit")
    result = CliRunner().invoke(cli.main, ["check", "salesrabbit"])
    assert result.exit_code == 0, result.output
    assert "salesrabbit: SalesRabbit answers: the token can read leads; 3 of 3 entities can be read" in result.stdout
    simulator.set_fault("status", path="/users", status=403)
    result = CliRunner().invoke(cli.main, ["check", "salesrabbit"])
    assert result.exit_code == 1
    assert "; 2 of 3 entities can be read\n" in result.stdout
    assert "\n  users would fail: SalesRabbit answered 403" in result.stdout


@pytest.mark.parametrize("crm", ["hubspot", "callrail", "salesrabbit", "arrivy", "leadconduit", "marketsharp", "five9"])
def test_a_refused_credential_names_the_settings_to_renew(
    vendors: Callable[..., Simulators], monkeypatch: pytest.MonkeyPatch, crm: str
) -> None:
    vendors(crm)
    source = CRMS[crm]
    prefix = source.settings.model_config["env_prefix"]
    secrets = [
        f"{prefix}{name}".upper()
        for name, field in source.settings.model_fields.items()
        if field.is_required() and "Secret" in str(field.annotation)
    ]
    for name in secrets:
        monkeypatch.setenv(name, "d3Jvbmc=")
    with pytest.raises(CredentialRefused) as refused:
        source.check()
    assert [name for name in secrets if name in str(refused.value)] == secrets


THING = Entity(
    name="things",
    table="portal_thing",
    about="Things.",
    path="things",
    key="id",
    deletes=Deletes(flag="isGone"),
    columns=columns(text="id name=fullName city=address.city", integer="size", jsonb="extra"),
)


def source_of(*records: bytes, entity: Entity = THING, **more: Any) -> Source:
    def fetch(request: ReadRequest, context: ReadContext) -> Pages:
        yield Page(records)
        raise AssertionError("asked for more than a sample")

    return Source(
        name="portal", title="Portal", transport="api", settings=Settings, fetch=fetch, check=lambda: "fine",
        entities=(entity,), **more,
    )  # fmt: skip


RECORDS = [
    b'{"id": "%d", "fullName": "Ann", "isGone": false, "address": {"city": "x", "zipCode": "0%d"}, "extra": {"a": 1},'
    b' "workMail": "ann%d@example.com", "score": 1.5, "count": 7, "seenAt": "2024-01-0%dT10:00:00Z", "tags": ["a"],'
    b' "size": 1, "rare": %s, "apiToken": "s3cret", "name": "y"}' % (n, n, n, n, b'"x"' if n == 1 else b"null")
    for n in range(1, 10)
] * 3


def propose(source: Source) -> list[discover.Proposal]:
    return list(discover.discover(source, records=len(RECORDS)))


def test_what_no_column_reads_is_proposed_with_its_type_and_fill_rate_and_without_a_value() -> None:
    source = source_of(*RECORDS)
    text = discover.toml(source, propose(source), least=20)
    assert tomllib.loads(text)["portal"]["things"]["add"] == {
        "count": "integer",
        "name_2": {"kind": "text", "from": "name"},
        "score": "numeric",
        "seen_at": {"kind": "timestamptz", "from": "seenAt"},
        "tags": "jsonb",
        "work_mail": {"kind": "email", "from": "workMail"},
        "zip_code": {"kind": "text", "from": "address.zipCode"},
    }
    assert re.search(r"^work_mail = .*# string, 100 % of 27, personal$", text, re.MULTILINE)
    assert re.search(r'^# rare = "text"  # string, 11 % of 27$', text, re.MULTILINE)
    assert not re.search("ann1|s3cret|apiToken|isGone", text)


def test_what_the_vendor_lists_is_proposed_even_where_no_record_has_it() -> None:
    from warehouse_pipelines.model.reading import Portal

    has = {"id": "string", "fullName": "string", "size": "number", "Preis": "decimal(10,2)", "address": "json"}
    source = source_of(inspect=lambda request, context: Portal(has, RECORDS[:2], reasons={}))
    (proposal,) = discover.discover(source, records=2)
    assert [(one.name, one.kind, one.filled, one.seen) for one in proposal.found] == [("preis", "numeric", 0, 2)]
    assert proposal.absent == {"extra": []}
    assert portal.check(source).lines[1:] == ["things would be null, the portal has no place for it: extra"]


def test_a_column_without_a_place_is_told_beside_what_it_may_be_called_now() -> None:
    source = source_of(*(record.replace(b"fullName", b"full_name") for record in RECORDS))
    assert "things would be null, not in the 25 records seen: name" in portal.check(source).lines
    text = discover.toml(source, list(discover.discover(source, records=25)), least=20)
    assert '# [portal.things.map]\n# name = "full_name"' in text


def test_an_entity_that_cannot_be_asked_costs_only_itself() -> None:
    def refused(request: ReadRequest, context: ReadContext) -> None:
        raise PermissionMissing("not that")

    source = source_of(inspect=refused)
    assert portal.check(source) == portal.Checked(["0 of 1 entities can be read", "things would fail: not that"], 1)
    text = discover.toml(source, list(discover.discover(source)), least=20)
    assert text.startswith("# [portal.things] could not be asked: not that")


def test_what_is_written_to_the_file_can_be_used_is_not_proposed_again_and_leaves_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config" / "columns.toml"
    monkeypatch.setattr(column_config, "project_root", lambda: tmp_path)
    monkeypatch.delenv("WAREHOUSE_COLUMNS_FILE")
    source = source_of(*RECORDS)
    assert discover.write(source, propose(source), [source], least=20) == 7
    before = file.read_text()
    (configured,) = column_config.configured([source])
    assert configured.entities[0].columns["zip_code"] == ("text", "address.zipCode")
    again = propose(configured)
    assert discover.write(configured, again, [source], least=20) == 0
    file.write_text(f"# mine\n{before}\n[portal.things.rename]\nsize = 'width'  # and this\n")
    (configured,) = column_config.configured([source])
    assert discover.write(configured, propose(configured), [source], least=5) == 1
    after = file.read_text()
    assert after.startswith("# mine\n[portal.things.add]\nrare = ")
    assert after.endswith("size = 'width'  # and this\n")


def test_a_portal_is_proposed_its_own_property(vendors: Callable[..., Simulators]) -> None:
    simulator: Any = vendors("hubspot").named("hubspot")
    simulator.define_property("contacts", "shoe_size", "number")
    for key in simulator.ids("contacts")[:30]:
        simulator.edit("contacts", key, {"shoe_size": "4711"})
    result = CliRunner().invoke(cli.main, ["discover", "hubspot", "contacts", "--sample", "60"])
    assert result.exit_code == 0, result.output
    assert re.search(r'^shoe_size = "numeric"  # number, [45]\d % of [56]\d$', result.stdout, re.MULTILINE)
    assert "4711" not in result.stdout
    column_config.read(Path("columns.toml"), result.stdout, DECLARED)


@pytest.mark.parametrize("crm", CRMS)
def test_each_proposal_can_be_used_as_it_is(vendors: Callable[..., Simulators], crm: str) -> None:
    if crm not in available():
        pytest.skip(f"{crm} cannot be simulated here")
    vendors(crm)
    proposals = list(discover.discover(CRMS[crm], records=20))
    assert [one.problem for one in proposals if one.problem] == []
    column_config.read(Path("columns.toml"), discover.toml(CRMS[crm], proposals, least=0), DECLARED)
