"""Files are masked in place; what cannot be is named."""

import gzip
import sqlite3
from pathlib import Path

import pytest

from warehouse_pipelines.unified.erasing import files as erasing_files
from warehouse_pipelines.unified.erasing.files import FoundFile, Places
from warehouse_pipelines.unified.erasing.subject import Subject
from warehouse_pipelines.unified.erasing.token_scan import Tokens

JO = Subject(
    emails=("jo@example.com",), phones=("+12065550101",), names=(("jose", "nunez"),), streets=("123 n maple ave",)
)


@pytest.mark.parametrize(
    "said",
    [
        "mail to Jo@Example.com failed",
        "GET /?email=jo%40example.com",
        "call (206) 555-0101 now",
        "+1 206.555.0101",
        '{"phone": 12065550101}',
        "José Núñez, 123 North Maple Avenue",
        "NUNEZ, Jose A. of 123 N. MAPLE AVE",
    ],
)
def test_it_is_found_in_any_spelling(said: str) -> None:
    masked = Tokens(JO).without(said)
    assert masked is not None
    assert len(masked.encode()) == len(said.encode())
    assert "*****" in masked


@pytest.mark.parametrize(
    "said",
    [
        "mary.jo@example.com", "jo@example.com.au", "jo@example.community", "92065550101", "20655501012",
        "José Núñez of 7 Oak Street", "Maria Núñez, 123 North Maple Avenue", "id 1234",
    ],
)  # fmt: skip
def test_others_are_not(said: str) -> None:
    assert Tokens(JO).without(said) is None


def test_files_are_masked_and_stay_as_long(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "run.log"
    log.parent.mkdir()
    log.write_text("begin\nsent to jo@example.com\nend\n")
    with sqlite3.connect(tmp_path / "runs.db") as database:
        database.execute("CREATE TABLE event (id, said)")
        database.execute("INSERT INTO event VALUES (1, '{\"to\": \"jo@example.com\"}'), (2, 'nothing')")
    (tmp_path / "old.log.1.gz").write_bytes(gzip.compress(b"jo@example.com"))
    server = tmp_path / "server"
    server.mkdir()
    (server / "PG_VERSION").write_text("16")
    (server / "a.log").write_text("jo@example.com")
    places = Places([tmp_path])
    found = erasing_files.search(JO, places, change=False)
    assert "jo@example.com" in log.read_text()
    assert {(Path(one.path).name, one.found, one.done) for one in found} == {
        ("run.log", 1, "to be masked"), ("runs.db", 1, "to be masked"), ("old.log.1.gz", 0, "look at it by hand"),
    }  # fmt: skip
    size = log.stat().st_size
    erasing_files.search(JO, places, change=True)
    assert log.read_text() == "begin\nsent to **************\nend\n"
    assert log.stat().st_size == size
    with sqlite3.connect(tmp_path / "runs.db") as database:
        assert database.execute("SELECT said FROM event ORDER BY id").fetchall() == [
            ('{"to": "**************"}',),
            ("nothing",),
        ]
    assert b"jo@example.com" not in (tmp_path / "runs.db").read_bytes()
    assert (server / "a.log").read_text() == "jo@example.com", "a server's own folder is left alone"
    assert erasing_files.search(JO, places, change=True) == [
        FoundFile(str(tmp_path / "old.log.1.gz"), 0, "look at it by hand")
    ]
