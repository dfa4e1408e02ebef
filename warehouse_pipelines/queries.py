"""The queries of ``sql/queries``, by name: SQL that is longer than a few lines and not composed.

    session.execute(query("health"), {"crms": [...], ...})

The first lines of a file say what it finds and which parameters it takes; they are not sent. Composed SQL, whose
identifiers come from a declaration, stands beside the Python that composes it.

``alert_query`` gives those of ``sql/alerts``, one for each rule that is alerted of.
"""

import functools

from warehouse_pipelines.settings import sql_folder


@functools.cache
def query(name: str) -> str:
    """Return the SQL of ``sql/queries/<name>.sql``, read once. Raises ``FileNotFoundError``; a test asks for each."""
    return _without_first_comment("queries", name)


@functools.cache
def alert_query(rule: str) -> str:
    """Return the SQL of ``sql/alerts/<rule>.sql``, read once. Raises ``FileNotFoundError``."""
    return _without_first_comment("alerts", rule)


def _without_first_comment(folder: str, name: str) -> str:
    lines = (sql_folder() / folder / f"{name}.sql").read_text(encoding="utf-8").splitlines()
    while lines and lines[0].startswith("--"):
        del lines[0]
    return "\n".join(lines)
