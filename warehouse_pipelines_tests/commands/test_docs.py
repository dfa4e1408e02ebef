"""What is generated is up to date."""

from warehouse_pipelines.commands import docs
from warehouse_pipelines.sources import SOURCES


def test_the_page_of_entities_is_up_to_date() -> None:
    written = docs.PAGE.read_text(encoding="utf-8") if docs.PAGE.exists() else ""
    assert written == docs.page(SOURCES), (
        "run `python -m warehouse_pipelines.commands.docs` and commit docs/entities.md"
    )
