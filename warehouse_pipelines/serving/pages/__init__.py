"""Pages for people: a module for each group, ``templates/``, and ``static/`` with what browsers load.

``PAGES`` is the navigation: the address of each page, its name there, and the right it takes.
"""

from warehouse_pipelines.serving.rights import Right

PAGES = (("/", "Overview", Right.STATUS_READ),)
