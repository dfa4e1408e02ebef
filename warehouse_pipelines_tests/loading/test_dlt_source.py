"""``dlt_source``: a CRM in a pipeline of dlt's own, to DuckDB and to files, from simulated vendors over HTTP."""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.parquet
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from warehouse_pipelines import dlt_source, dlt_sources
from warehouse_pipelines.errors import BadRecord, NotConfigured, PermissionMissing, SuspiciousRead, WrongUse
from warehouse_pipelines.loading import dlt_columns, resource
from warehouse_pipelines.loading.dlt_state import DltState
from warehouse_pipelines.loading.sync import unwrap_error
from warehouse_pipelines.model import column_config
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.sources import DECLARED, SOURCES
from warehouse_pipelines_tests.harness.drivers.driver import Key
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, source_harness

ROOT = Path(__file__).parents[2]


class Piped:
    """A simulated vendor, and a pipeline of dlt's own that reads one or more of its entities."""

    def __init__(self, harness: SourceHarness, pipeline: dlt.Pipeline, folder: Path) -> None:
        self.harness, self.pipeline, self.folder = harness, pipeline, folder
        self.simulator, self.driver, self.entity = harness.simulator, harness.driver, harness.entity

    def run(self, *entities: str, file_format: Any = None, **flags: Any) -> dict[str, int]:
        """Run the pipeline; return how many rows of each table were extracted, those of dlt itself left out."""
        source = dlt_source(self.harness.source.name, **flags)
        self.pipeline.run(
            source.with_resources(*(entities or (self.entity.name,))), loader_file_format=file_format
        ).raise_on_failed_jobs()
        trace: Any = self.pipeline.last_trace
        extracted = trace.last_normalize_info.row_counts
        return {table: rows for table, rows in extracted.items() if not table.startswith("_dlt")}

    def rows(self, entity: Entity | None = None) -> dict[Key, dict[str, Any]]:
        """Return the rows of a table in DuckDB by key; raises for a key that stands there twice."""
        entity = entity or self.entity
        found = self.table(entity.table_name)
        by_key = {tuple(str(row[key]) for key in entity.keys): row for row in found}
        assert len(by_key) == len(found)
        return by_key

    def table(self, name: str) -> list[dict[str, Any]]:
        with self.pipeline.sql_client() as client, client.execute_query(f"SELECT * FROM {name}") as cursor:
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def state(self) -> dict[str, Any]:
        """Return what dlt has kept of the entity."""
        kept: dict[str, Any] = self.pipeline.state["sources"][self.harness.source.name]["resources"][self.entity.name]
        return json.loads(json.dumps(kept))  # type: ignore[no-any-return]


def other(value: str) -> Any:
    """A vendor or an option that shows what another of the same test does."""
    return pytest.param(value, marks=pytest.mark.slow("other vendors and options of a pipeline of dlt's"))


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Piped]]:
    """Make a vendor and its pipeline, by table; ``url`` is the warehouse where one is compared with."""
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    with contextlib.ExitStack() as open_ones:

        def made(table: str, *, destination: Any = None, url: str = "no warehouse", **settings: Any) -> Piped:
            harness = open_ones.enter_context(source_harness(table, url, monkeypatch, contacts=30, **settings))
            pipeline = dlt.pipeline(
                "crm",
                destination=destination or dlt.destinations.duckdb(str(tmp_path / "crm.duckdb")),
                dataset_name="sales",
                pipelines_dir=str(tmp_path / "pipelines"),
            )
            return Piped(harness, pipeline, tmp_path)

        yield made


def fails(run: Callable[[], Any]) -> BaseException:
    """Return what a pipeline raised, out of what dlt wraps round it."""
    with pytest.raises(PipelineStepFailed) as raised:
        run()
    return unwrap_error(raised.value)


class TestAnyVendor:
    @pytest.mark.parametrize("table", ["hubspot_contact", *map(other, ("marketsharp_data", "pipedesk.leads"))])
    def test_rows_and_columns_are_those_of_the_warehouse(
        self, piped: Callable[..., Piped], database_url: str, table: str
    ) -> None:
        it = piped(table, url=database_url)
        it.driver.prepare(it.entity)
        it.harness.sync()
        it.run()
        expected, found = it.harness.rows(), it.rows()
        assert found.keys() == expected.keys()
        for key, row in expected.items():
            assert list(found[key]) == dlt_columns.names(it.entity)
            for name, value in found[key].items():
                pg_type = it.entity.pg_types[name]
                if pg_type.startswith("jsonb"):
                    assert (value and json.loads(value)) == row[name], name
                elif name != "deleted_at":  # without a time of the vendor's it is that of the read
                    assert value == (row[name] and str(row[name]) if pg_type.startswith("uuid") else row[name]), name

    def test_types_are_typed(self, piped: Callable[..., Piped]) -> None:
        it = piped("hubspot_deal")
        it.run()
        columns = it.pipeline.default_schema.get_table_columns("hubspot_deal")
        assert columns["id"]["primary_key"] is True
        assert {name: columns[name]["data_type"] for name in ("amount", "closedate", "archived", "raw_data")} == {
            "amount": "decimal",
            "closedate": "timestamp",
            "archived": "bool",
            "raw_data": "json",
        }
        assert columns["custom_properties"]["data_type"] == "json"
        assert it.pipeline.default_schema.get_table("hubspot_deal")["write_disposition"] == "replace"

    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_json_may_be_text(self, piped: Callable[..., Piped]) -> None:
        it = piped("hubspot_deal")
        it.run(json="text")
        assert it.pipeline.default_schema.get_table_columns("hubspot_deal")["raw_data"]["data_type"] == "text"

    @pytest.mark.parametrize("table", ["gsheet_marketing_spend", other("pipedesk.drive_files")])
    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_a_vendor_that_tells_of_no_change_is_read_no_further(self, piped: Callable[..., Piped], table: str) -> None:
        it = piped(table)
        it.run()
        found, state = it.rows(), it.state()
        assert found
        assert state["vendor"]
        assert it.run() == {}
        assert it.rows() == found

    @pytest.mark.parametrize(
        "table",
        ["hubspot_company", *map(other, ("leadconduit_lead", "pipedesk.calendar_events", "gsheet_marketing_spend"))],
    )
    def test_an_edit_a_delete_and_a_restore_arrive(self, piped: Callable[..., Piped], table: str) -> None:
        """A vendor that lists what it deleted has it archived; one that does not is read whole, and the row is deleted.

        LeadConduit is read whole because no lead is stored that an event could be added to.
        """
        it = piped(table)
        it.driver.prepare(it.entity)
        it.run()
        edit = it.driver.edit(it.entity)
        assert edit
        it.run()
        assert str(it.rows()[edit[0]][edit[1]]) == edit[2]
        key = it.driver.delete(it.entity)
        if table == "leadconduit_lead":
            it.driver.edit(it.entity)
        it.run()
        row = it.rows().get(key)
        assert row is None or (row["archived"] and row["deleted_at"] and row["delete_reason"] == "archived")
        it.driver.bring_back(it.entity, key)
        if table == "leadconduit_lead":
            it.driver.edit(it.entity)
        it.run()
        row = it.rows()[key]
        assert (row["archived"], row["deleted_at"], row["delete_reason"]) == (False, None, None)


class TestState:
    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_the_second_run_is_a_delta(self, piped: Callable[..., Piped]) -> None:
        it = piped("hubspot_company")
        assert it.run() == {"hubspot_company": len(it.driver.keys(it.entity))}
        before = it.rows()
        assert it.run() in ({}, {"hubspot_company": 1})  # what lies within the overlap comes again
        assert it.rows() == before
        assert len(it.driver.bounds(it.entity)) == 2
        assert it.driver.bounds(it.entity)[1] > datetime(2020, 1, 1, tzinfo=UTC)

    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_everything_is_read_again_when_it_falls_due(
        self, piped: Callable[..., Piped], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        it = piped("hubspot_contact")
        it.run()
        now = datetime.now(UTC) + timedelta(days=2)
        monkeypatch.setattr("warehouse_pipelines.model.entity.Entity.full_due", lambda self, moment: now)
        assert it.run() == {"hubspot_contact": 30}

    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_a_failed_read_leaves_the_state_and_the_rows(self, piped: Callable[..., Piped]) -> None:
        it = piped("hubspot_company")
        it.run()
        state, before = it.state(), it.rows()
        edit = it.driver.edit(it.entity)
        assert edit
        it.simulator.set_fault("status", path="/objects/", status=403)
        assert isinstance(fails(it.run), PermissionMissing)
        assert it.state() == state
        it.simulator.clear_faults()
        assert it.rows() == before
        it.run()
        assert it.rows()[edit[0]][edit[1]] == edit[2]
        assert it.state() != state

    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_a_read_that_may_not_be_complete_is_loaded_and_moves_nothing(self, piped: Callable[..., Piped]) -> None:
        it = piped("hubspot_contact")
        it.run()
        state = it.state()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WAREHOUSE_SAFETY_LIMIT", "10")
            it.run(full=True, batch_size=5)
            assert isinstance(fails(lambda: it.run(full=True, batch_size=5, strict=True)), SuspiciousRead)
        assert it.state() == state
        assert len(it.rows()) == 30

    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_a_limited_read_moves_nothing(self, piped: Callable[..., Piped]) -> None:
        it = piped("hubspot_company")
        count = len(it.driver.keys(it.entity))
        assert it.run(max_records=count // 2) == {"hubspot_company": count // 2}
        assert "cursor" not in it.state()
        assert it.run() == {"hubspot_company": count}

    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_a_backfill_reads_its_days_and_moves_nothing(self, piped: Callable[..., Piped]) -> None:
        it = piped("callrail_call")
        it.run()
        state = it.state()
        day = max(row["start_time"] for row in it.rows().values()).date()
        it.run(start_date=day, end_date=day)
        assert it.state() == state
        tags = piped("callrail_tag")
        assert isinstance(fails(lambda: tags.run(start_date=day, end_date=day)), WrongUse)

    def test_archived_keys_are_kept_until_they_are_restored(self) -> None:
        now = datetime.now(UTC)
        kept: dict[str, Any] = {}
        state = DltState(kept)
        state.note_archived({"1": now, "2": now, "3": now - timedelta(days=200)}, ["2"], began=now, full=True)
        assert state.archived(now - timedelta(days=300)) == {"1"}
        state.note_archived({"4": now}, ["1"], began=now, full=False)
        assert DltState(json.loads(json.dumps(kept))).archived(now) == {"4"}

    def test_from_when_on_everything_was_found_is_that_of_the_first_read(self) -> None:
        """Rows that the vendor has forgotten since are in no later read."""
        kept: dict[str, Any] = {}
        now = datetime.now(UTC)
        for begin in (now, now + timedelta(days=7), now - timedelta(days=1), now):
            DltState(kept).note_full(now, 1, begin)
        assert DltState(json.loads(json.dumps(kept))).complete_since == now - timedelta(days=1)


class TestDeletes:
    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_what_the_vendor_forgets_is_not_deleted(self, piped: Callable[..., Piped]) -> None:
        it = piped("leadconduit_event")
        it.run()
        before = it.rows()
        it.harness.simulator.configure(retention_days=1)
        it.driver.create(it.entity)
        it.run(full=True)
        assert it.rows().keys() == before.keys() | it.driver.keys(it.entity)

    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_hard_delete_removes_what_the_vendor_calls_deleted(self, piped: Callable[..., Piped]) -> None:
        it = piped("hubspot_company")
        it.driver.prepare(it.entity)
        deleted_before = it.driver.delete(it.entity)
        it.run(hard_delete=True)
        assert it.rows().keys() == it.driver.keys(it.entity)
        key = it.driver.delete(it.entity)
        it.run(hard_delete=True)
        assert not {key, deleted_before} & it.rows().keys()
        it.driver.bring_back(it.entity, key)
        it.run(hard_delete=True)
        assert it.rows().keys() == it.driver.keys(it.entity)

    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_what_a_full_read_does_not_find_is_gone_and_one_that_lost_too_much_is_refused(
        self, piped: Callable[..., Piped]
    ) -> None:
        """Of pairs, which are asked for by the vendor's own keys, as no warehouse has them."""
        it = piped("hubspot_contact_to_deal_association")
        it.run()
        assert it.rows().keys() == it.driver.keys(it.entity)
        key = it.driver.delete(it.entity)
        it.run()
        assert it.rows().keys() == it.driver.keys(it.entity)
        it.driver.bring_back(it.entity, key)
        it.run()
        before = it.rows()
        assert key in before
        it.driver.empty(it.entity)
        assert isinstance(fails(it.run), SuspiciousRead)
        assert it.rows() == before
        it.run(force=True)
        assert not it.rows()

    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_an_author_may_choose_another_disposition(self, piped: Callable[..., Piped]) -> None:
        it = piped("hubspot_owner")
        it.run()
        for _ in range(2):
            source = dlt_source("hubspot").with_resources("owners")
            it.pipeline.run(source, write_disposition="append")
        assert len(it.table("hubspot_owner")) == 3 * len(it.driver.keys(it.entity))


class TestBadRecords:
    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_they_go_to_a_table_of_their_own_once(self, piped: Callable[..., Piped]) -> None:
        it = piped("callrail_tag")
        it.run()
        before = it.rows()
        it.driver.corrupt(it.entity, "missing_id")
        it.run()
        (letter,) = it.table("callrail_dead_letter")
        assert (letter["crm_source"], letter["sync_type"], letter["rule"]) == ("callrail", "tags", "key_missing")
        assert json.loads(letter["payload"])
        assert it.rows().keys() == before.keys(), "the row of a bad record stays, since nothing was replaced"
        it.driver.corrupt(it.entity, "missing_id")
        it.run()
        assert len(it.table("callrail_dead_letter")) == 1, "the same payload is the same dead letter"

    def test_strict_raises_and_loads_nothing(self, piped: Callable[..., Piped]) -> None:
        it = piped("callrail_tag")
        it.driver.corrupt(it.entity, "missing_id")
        assert isinstance(fails(lambda: it.run(strict=True)), BadRecord)
        assert it.pipeline.default_schema_name is None


class TestWithoutAWarehouse:
    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_templates_are_found_in_tasks_that_are_read_again(self, piped: Callable[..., Piped]) -> None:
        it = piped("arrivy_template")
        it.simulator.configure(templates=False)
        it.run()
        assert it.rows().keys() == it.driver.keys(it.entity)

    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    @pytest.mark.parametrize("hard_delete", [False, True])
    def test_a_delta_that_becomes_a_read_of_everything_delivers_no_file_twice(
        self, piped: Callable[..., Piped], monkeypatch: pytest.MonkeyPatch, hard_delete: bool
    ) -> None:
        monkeypatch.setattr(resource, "CHUNK", 2)  # some of the delta is in the package by then
        it = piped("pipedesk.drive_files")
        it.run(hard_delete=hard_delete)
        files = it.simulator.file_ids(folders=False)
        for file in files[:6]:
            it.simulator.edit_file(file, name=f"renamed {file}")
        it.simulator.remove_file(files[8])
        it.run(hard_delete=hard_delete, batch_size=2)
        assert it.rows().keys() == it.driver.keys(it.entity)
        assert it.rows()[files[0],]["name"] == f"renamed {files[0]}"

    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_hard_delete_removes_what_a_delta_told_before_it_became_a_read_of_everything(
        self, piped: Callable[..., Piped], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resource, "CHUNK", 2)
        it = piped("pipedesk.drive_files")
        it.run(hard_delete=True)
        files = it.simulator.file_ids(folders=False)
        it.simulator.trash_file(files[1])
        for file in files[2:6]:
            it.simulator.edit_file(file, name=f"renamed {file}")
        it.simulator.remove_file(files[8])
        it.driver.corrupt(it.entity, "missing_id")  # so nothing is replaced
        it.run(hard_delete=True, batch_size=2)
        assert (files[1],) not in it.rows()

    def test_a_pipeline_whose_file_hashes_or_drops_less_than_before_is_refused(
        self, piped: Callable[..., Piped], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def configure(written: str) -> None:
            text = f"[hubspot.owners]\n{written}\n"
            sources = column_config.read(tmp_path / "columns.toml", text, DECLARED)
            monkeypatch.setattr(dlt_sources, "SOURCES", sources)

        it = piped("hubspot_owner")
        monkeypatch.setenv("WAREHOUSE_HASH_KEY", "a key of some length")
        configure("hash = ['email']\ndrop = ['last_name']")
        it.run()
        (row, *_) = it.table("hubspot_owner")
        assert (row["email"][:5], "last_name" in row) == ("hmac:", False)
        it.pipeline = it.pipeline.drop()  # as on another machine: the state is in the destination
        for written, kept in (
            ("", "email as a hash and last_name not at all"),
            ("hash = ['email']", "last_name not at all"),
            ("drop = ['last_name']", "email as a hash"),
        ):
            configure(written)
            refused = fails(lambda: it.run(full=True))
            assert isinstance(refused, NotConfigured)
            assert f"This pipeline has {kept} in hubspot_owner, and" in str(refused)
        configure("drop = ['email', 'last_name']")
        it.run(full=True)
        configure("hash = ['email']")
        it.pipeline.run(dlt_source("hubspot").with_resources("owners"), refresh="drop_resources").raise_on_failed_jobs()
        assert it.table("hubspot_owner")[0]["last_name"]

    def test_a_resource_may_have_another_name(self, piped: Callable[..., Piped]) -> None:
        it = piped("hubspot_division")
        it.pipeline.run(dlt_source("hubspot").resources["divisions"].with_name("branches")).raise_on_failed_jobs()
        assert it.rows().keys() == it.driver.keys(it.entity)
        assert [list(one["resources"]) for one in it.pipeline.state["sources"].values()] == [["branches"]]


class TestFiles:
    @pytest.mark.parametrize("file_format", ["parquet", other("jsonl")])
    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_full_reads_replace_the_files_and_deltas_add_to_them(
        self, piped: Callable[..., Piped], tmp_path: Path, file_format: str
    ) -> None:
        it = piped("hubspot_contact", destination=dlt.destinations.filesystem((tmp_path / "files").as_uri()))

        def ids() -> list[str]:
            found = []
            for file in (tmp_path / "files" / "sales" / "hubspot_contact").glob(f"*.{file_format}*"):
                if file_format == "parquet":
                    found += pa.parquet.read_table(file)["id"].to_pylist()
                else:
                    text = subprocess.run(["gzip", "-dcf", file], capture_output=True, check=True).stdout
                    found += [json.loads(line)["id"] for line in text.splitlines()]
            return found

        living = sorted(key for (key,) in it.driver.keys(it.entity))
        it.run(file_format=file_format)
        assert sorted(ids()) == living
        edit = it.driver.edit(it.entity)
        assert edit
        it.run(file_format=file_format)
        assert sorted(ids()) == sorted([*living, edit[0][0]])
        it.run(file_format=file_format, full=True)
        assert sorted(ids()) == living


class TestColumns:
    CONTACTS = next(one for source in SOURCES for one in source.entities if one.table == "hubspot_contact")

    def test_numbers_are_rounded_and_those_too_large_are_null(self) -> None:
        texts = pa.array(["1.5", "0.12345678949", "1e30", None, "-99999999999999999999999999999"])
        assert dlt_columns.decimals(texts).to_pylist() == [
            Decimal("1.5"), Decimal("0.123456789"), None, None, Decimal("-99999999999999999999999999999"),
        ]  # fmt: skip

    def test_custom_properties_are_those_that_no_column_reads(self) -> None:
        record = {"properties": {"email": "a@example.test", "pet": "Rex", "none": None, "deep": {"a": None, "b": [1]}}}
        (found,) = dlt_columns.custom_properties(self.CONTACTS, [json.dumps(record)]).to_pylist()
        assert json.loads(found) == {"pet": "Rex", "deep": {"b": [1]}}
        assert dlt_columns.custom_properties(self.CONTACTS, ["{}"]).to_pylist() == [None]

    def test_dlt_keeps_every_name_and_no_table_is_of_two_crms(self) -> None:
        from dlt.common.normalizers.naming.snake_case import NamingConvention

        naming = NamingConvention()
        tables = [entity.table_name for source in SOURCES for entity in source.entities]
        assert len(set(tables)) == len(tables)
        for entity in (entity for source in SOURCES for entity in source.entities):
            for name in (entity.table_name, *dlt_columns.names(entity)):
                assert naming.normalize_identifier(name) == name


class TestUse:
    def test_the_package_is_cheap_and_a_source_needs_no_dagster(self) -> None:
        code = (
            "import sys, warehouse_pipelines\n"
            "assert not {'dlt', 'pyarrow', 'httpx', 'dagster'} & sys.modules.keys()\n"
            "from warehouse_pipelines import dlt_source\n"
            "assert 'contacts' in dlt_source('hubspot').resources\n"
            "assert 'dagster' not in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_a_source_is_made_without_settings_and_read_with_them(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("HUBSPOT_ACCESS_TOKEN", raising=False)
        source = dlt_source("hubspot").with_resources("owners")
        pipeline = dlt.pipeline("crm", destination="duckdb", pipelines_dir=str(tmp_path))
        assert isinstance(fails(lambda: pipeline.extract(source)), NotConfigured)

    def test_what_there_is_not_is_named(self) -> None:
        with pytest.raises(WrongUse, match="no CRM 'hubspott'; there are hubspot"):
            dlt_source("hubspott")
        with pytest.raises(WrongUse, match="no flag since"):
            dlt_source("hubspot", since="2026-01-01")

    def test_the_code_of_the_page_runs(
        self, piped: Callable[..., Piped], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
    ) -> None:
        """Every block of ``docs/other-destinations.md``, in an empty folder, twice."""
        it = piped("hubspot_contact")
        page = (ROOT / "docs" / "other-destinations.md").read_text(encoding="utf-8")
        blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        assert len(blocks) == 2
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
        for block in blocks * 2:
            exec(compile(block, "other-destinations.md", "exec"), {})  # noqa: S102
        assert capsys.readouterr().out.count(f"({len(it.driver.keys(it.entity))},)") == 2
        files = list((tmp_path / "crm_files" / "sales" / "hubspot_owner").glob("*.parquet"))
        assert sum(pa.parquet.read_table(file).num_rows for file in files) == 5

    @pytest.mark.slow("other vendors and options of a pipeline of dlt's")
    def test_a_source_may_be_run_twice_and_in_threads(self, piped: Callable[..., Piped]) -> None:
        it = piped("hubspot_contact")
        source = dlt_source("hubspot").with_resources("contacts", "owners")
        for one in source.resources.selected.values():
            one.parallelize()
        it.pipeline.run(source)
        state = it.state()
        it.pipeline.run(source)
        assert it.state()["full_time"] == state["full_time"], "the second run is a delta"
        assert it.rows().keys() == it.driver.keys(it.entity)
