"""A warehouse with the rows of sequences, a mail server, a text message service."""

import contextlib
from collections.abc import Iterator

import pytest

from warehouse_pipelines_tests.harness.mail_server import MailServer, TextService, mail_server, text_service
from warehouse_pipelines_tests.harness.sequence_rows import SequenceRows


@pytest.fixture
def rows(database_url: str) -> Iterator[SequenceRows]:
    made = SequenceRows(database_url)
    with contextlib.closing(made.connection):
        yield made


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as found:
        yield found


@pytest.fixture
def texts() -> Iterator[TextService]:
    with text_service() as found:
        yield found
