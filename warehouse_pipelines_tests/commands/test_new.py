"""``warehouse new entity``: what it writes into a checkout works, and what it does not write over."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from warehouse_pipelines.commands import new
from warehouse_pipelines.commands.cli import main
from warehouse_pipelines.errors import WrongUse

WIDGETS = "demo/widgets"


@dataclass(frozen=True)
class Checkout:
    """A copy of this one, into which two entities of a new vendor were written; ``told`` is what was said of each."""

    folder: Path
    told: list[str]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy without what git does not know, but for the bytecode, without which each process compiles everything."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=new.ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for file in (new.ROOT / name for name in listed):
        compiled = (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc") if file.suffix == ".py" else ()
        for one in (file, *compiled):
            if one.is_file():
                to = folder / one.relative_to(new.ROOT)
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(one, to)  # bytecode is valid for a file of that time
    told = [
        python(folder, "-m", "warehouse_pipelines.commands.cli", "new", "entity", path)
        for path in (WIDGETS, "demo/gadgets")
    ]
    return Checkout(folder, told)


def python(folder: Path, *arguments: str) -> str:
    """Run Python in a folder, whose modules go before those of this checkout; return what it says."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


READS = """
import json, os
from warehouse_pipelines.simulators.server import start
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.model.reading import ReadContext

(source,) = [one for one in SOURCES if one.name == "demo"]
with start(["demo"], contacts=40) as simulators:
    os.environ.update(simulators.environment())
    print(source.check())
print([entity.table for entity in source.entities])
"""


def test_a_new_entity_of_a_new_vendor_is_read(checkout: Checkout) -> None:
    """And a second one of it, which stands beside the first."""
    assert "wrote warehouse_pipelines/sources/demo.py" in checkout.told[0]
    assert "unified/people_rows.py" in checkout.told[0]
    answered, tables = python(checkout.folder, "-c", READS).splitlines()
    assert answered == "Demo answers: the token can read"
    assert tables == "['demo_widgets', 'demo_gadgets']"
    page = (checkout.folder / "docs" / "vendors" / "demo.md").read_text()
    assert "| `gadgets` | `GET /gadgets` |" in page
    code = ("--no-cache", "warehouse_pipelines", "warehouse_pipelines_tests")
    python(checkout.folder, "-m", "ruff", "check", *code)
    python(checkout.folder, "-m", "ruff", "format", "--check", *code)


@pytest.mark.slow("the battery in a copy of the checkout")
@pytest.mark.timeout(1200)
def test_the_battery_passes_for_a_new_vendor(checkout: Checkout) -> None:
    told = python(
        checkout.folder, "-m", "pytest", "warehouse_pipelines_tests/battery", "-k", "demo_widgets", "-q", "-p",
        "no:cacheprovider", "-o", "addopts=--strict-markers",
    )  # fmt: skip
    passed = int(told.rpartition(" passed")[0].split()[-1])
    assert passed >= 9, told[-500:]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "warehouse_pipelines_tests").mkdir()
    simulator = tmp_path / "warehouse_pipelines" / "simulators" / "demo.py"
    simulator.parent.mkdir(parents=True)
    simulator.write_text("mine")
    with pytest.raises(WrongUse, match=r"simulators/demo\.py is there already"):
        new.write(tmp_path, new._words(WIDGETS))
    assert simulator.read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [simulator]


def test_a_vendor_with_habits_of_its_own_is_left_to_a_person() -> None:
    with pytest.raises(WrongUse, match="by hand"):
        new.write(new.ROOT, new._words("hubspot/widgets"))


def test_without_a_checkout_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="no checkout"):
        new.write(tmp_path, new._words(WIDGETS))


@pytest.mark.parametrize(
    "path",
    [
        "widgets", "demo/", "Demo/widgets", "demo/wid gets", "../demo/widgets", "demo/class", "class/widgets",
        "home_depot/orders", "8x8/calls", "demo/Orders", "demo/orders_",
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_used_is_refused(path: str) -> None:
    with pytest.raises(WrongUse, match="VENDOR/NAME, VENDOR in lower case letters and digits and NAME in snake_case"):
        new._words(path)


def test_the_name_of_an_entity_may_have_an_underscore_and_that_of_a_vendor_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert new._words("homedepot/store_orders")["table"] == "homedepot_store_orders"
    monkeypatch.setattr(new, "ROOT", tmp_path)
    done = CliRunner().invoke(main, ["new", "entity", "home_depot/orders"])
    assert (done.exit_code, "VENDOR in lower case letters and digits" in done.output) == (2, True), done.output
    assert [*tmp_path.iterdir()] == []
