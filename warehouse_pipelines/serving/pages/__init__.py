"""Pages for people: a module for each group, ``templates/``, and ``static/`` with what browsers load.

``PAGES`` is the navigation: the address of each page, its name there, and the right it takes, or ``EVERYONE``. Those of
``OF_ALL`` are left out for who sees one organization alone.
"""

from warehouse_pipelines.serving.rights import EVERYONE, Right

PAGES = (
    ("/", "Overview", Right.STATUS_READ),
    ("/runs", "Runs", Right.STATUS_READ),
    ("/tables", "Tables", Right.DATA_READ),
    ("/persons", "People", Right.DATA_READ),
    ("/answers", "Answers", Right.ANALYTICS_READ),
    ("/dead-letters", "Dead letters", Right.DEAD_LETTERS),
    ("/schedules", "Schedules", Right.STATUS_READ),
    ("/status", "Status", EVERYONE),
)
OF_ALL = frozenset({"/persons", "/answers"})
