"""``docs/vendors``: each source has its page, which names every entity and every setting of it."""

from pathlib import Path

import pytest

from warehouse_pipelines.model.source import Source
from warehouse_pipelines.sources import DECLARED

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "vendors"


@pytest.mark.parametrize("source", DECLARED, ids=lambda source: source.name)
def test_each_source_has_its_page_with_every_entity_and_setting(source: Source) -> None:
    page = (PAGES / f"{source.name}.md").read_text(encoding="utf-8")
    prefix = source.settings.model_config.get("env_prefix", "")
    named = [entity.name for entity in source.entities]
    named += [f"{prefix}{name}".upper() for name in source.settings.model_fields]
    assert [name for name in named if f"`{name}`" not in page] == []
    for heading in ("# ", "## The credential", "## Rights", "## Limits", "## Cost", "## Settings", "## Unconfirmed"):
        assert f"\n{heading}" in f"\n{page}" or (heading == "## Rights" and "\n## Scopes" in page), heading


def test_no_page_is_of_no_source() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == {source.name for source in DECLARED}


@pytest.mark.parametrize("source", DECLARED, ids=lambda source: source.name)
def test_the_readme_says_that_no_connector_has_met_a_live_account(source: Source) -> None:
    """Change the row, with the date, when one has."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (row,) = (
        line for line in readme.splitlines() if line.startswith(f"| [{source.title}](docs/vendors/{source.name}.md) |")
    )
    assert [cell.strip() for cell in row.split("|")][-3:-1] == ["no", "no"]
    page = (PAGES / f"{source.name}.md").read_text(encoding="utf-8").replace("\n", " ")
    assert "has been read yet" in page
