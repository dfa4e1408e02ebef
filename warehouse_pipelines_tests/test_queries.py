"""The files of ``sql/queries``: each that is asked for is there, and each that is there is asked for."""

import ast
from pathlib import Path

import pytest

from warehouse_pipelines.queries import query
from warehouse_pipelines.settings import sql_folder

PACKAGE = Path(__file__).parents[1] / "warehouse_pipelines"
VERBS = {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "CREATE", "ANALYZE", "DO"}
FILES = sorted((sql_folder() / "queries").glob("*.sql"))


def asked_for() -> set[str]:
    """Return the names that the package calls ``query`` with."""
    return {
        node.args[0].value
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "query"
        if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    }


def test_a_file_for_each_query_and_no_other() -> None:
    assert asked_for() == {file.stem for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_says_what_it_finds_and_that_is_not_sent(file: Path) -> None:
    assert file.read_text(encoding="utf-8").startswith("-- ")
    assert query(file.stem).split(maxsplit=1)[0] in VERBS


def test_a_query_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match="no_such_query"):
        query("no_such_query")
