"""Records that could not be loaded: reading them back and loading them again after a fix.

They are written by the loader (``Loader.write_letters``) in the transaction of their run. ``replay`` sends them
through the same coercion and merge as a run does, with a history row of its own of mode ``replay``: what loads is
``resolved``, what fails again is ``superseded`` by a new letter that counts the attempts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace as changed

from warehouse_pipelines.entity import Entity, Extraction, Page, Source
from warehouse_pipelines.loading.options import Options, Result
from warehouse_pipelines.loading.sync_history import connect


def pending(url: str, source: Source, entity: Entity) -> list[int]:
    """Return the ids of the letters of an entity that wait, oldest first."""
    with connect(url) as connection:
        rows = connection.execute(
            "SELECT id FROM orchestration.dead_letter WHERE status = 'pending' AND crm_source = %s AND sync_type = %s"
            " ORDER BY id",
            [source.name, entity.name],
        ).fetchall()
    return [int(row["id"]) for row in rows]


def replay(
    sources: Sequence[Source], *, url: str, crm: str | None = None, entity: str | None = None
) -> list[tuple[Source, Entity, Result]]:
    """Load the pending letters again, of all or of one CRM or entity; return what came of each entity that had any."""
    from warehouse_pipelines.loading.sync import sync

    done = []
    for source in sources:
        for row in source.entities:
            if crm not in (None, source.name) or entity not in (None, row.name):
                continue
            letters = pending(url, source, row)
            if letters:
                again = changed(source, fetch=_Letters(url, letters))
                done.append((source, row, sync(again, row, Options(), url=url, replayed=letters)))
    return done


class _Letters:
    """A ``fetch`` that reads dead letters instead of asking the vendor."""

    def __init__(self, url: str, letters: Sequence[int]) -> None:
        self._url, self._letters = url, letters

    def __call__(self, extraction: Extraction) -> Iterator[Page]:
        with connect(self._url) as connection:
            for start in range(0, len(self._letters), 1000):
                rows = connection.execute(
                    "SELECT CASE jsonb_typeof(payload) WHEN 'string' THEN payload #>> '{}' ELSE payload::text END text"
                    " FROM orchestration.dead_letter WHERE id = ANY(%s) ORDER BY id",
                    [list(self._letters[start : start + 1000])],
                ).fetchall()
                yield Page([str(row["text"]).encode() for row in rows], in_window=False)
