"""What is generated is up to date."""

from warehouse_pipelines.commands import api_page, docs
from warehouse_pipelines.sources import SOURCES


def test_the_page_of_entities_is_up_to_date() -> None:
    written = docs.PAGE.read_text(encoding="utf-8") if docs.PAGE.exists() else ""
    assert written == docs.page(SOURCES), (
        "run `python -m warehouse_pipelines.commands.docs` and commit docs/entities.md"
    )


def test_the_endpoints_and_their_rights_are_as_the_program_has_them() -> None:
    written = api_page.API_PAGE.read_text(encoding="utf-8")
    assert written == api_page.page(written), "run `python -m warehouse_pipelines.commands.docs` and commit docs/api.md"
    assert "| `DELETE /api/leads/{lead_id}` | `leads.delete` |" in written
