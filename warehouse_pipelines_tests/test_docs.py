"""What is generated is up to date."""

from warehouse_pipelines import docs
from warehouse_pipelines.sources import SOURCES


def test_the_page_of_entities_is_up_to_date() -> None:
    written = docs.PAGE.read_text(encoding="utf-8") if docs.PAGE.exists() else ""
    assert written == docs.page(SOURCES), "run `python -m warehouse_pipelines.docs` and commit docs/entities.md"


def test_the_example_of_settings_is_up_to_date() -> None:
    written = docs.EXAMPLE.read_text(encoding="utf-8") if docs.EXAMPLE.exists() else ""
    assert written == docs.example(SOURCES), "run `python -m warehouse_pipelines.docs` and commit .env.example"


def test_the_settings_of_the_project_are_all_in_the_example() -> None:
    from warehouse_pipelines.settings import Settings

    assert {name.upper() for name in Settings.model_fields} <= docs.OF_THE_PROJECT.keys()
