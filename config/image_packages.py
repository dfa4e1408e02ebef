"""Prints the installed packages that the project itself does not need, for the Dockerfile to take them out again.

The lock is one for all: beside what runs it names what a developer and a laptop need. Needed are the dependencies of
pyproject.toml, those of the extras that are named, what these need in turn, and pip.
``python image_packages.py pyproject.toml [extra ...]``
"""

import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

installed = {canonicalize_name(one.metadata["Name"]): one for one in metadata.distributions()}
project = tomllib.loads(Path(sys.argv[1]).read_text())["project"]
wanted_extras = [text for extra in sys.argv[2:] for text in project["optional-dependencies"][extra]]
waiting = [Requirement(text) for text in [*project["dependencies"], *wanted_extras]]
seen: set[tuple[str, str]] = set()
while waiting:
    wanted = waiting.pop()
    name = canonicalize_name(wanted.name)
    for extra in ("", *wanted.extras):
        if name not in installed or (name, extra) in seen:
            continue
        seen.add((name, extra))
        inner = [Requirement(text) for text in installed[name].requires or ()]
        waiting += [one for one in inner if one.marker is None or one.marker.evaluate({"extra": extra})]
print(*sorted(installed.keys() - {name for name, _ in seen} - {"pip"}), sep="\n")
