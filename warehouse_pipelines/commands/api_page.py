"""What ``docs/api.md`` lists: each endpoint with the right that it takes, and who has which right."""

from collections.abc import Iterator
from pathlib import Path

from warehouse_pipelines.serving.rights import MEANINGS, ROLES, SIGNED_IN, Right

API_PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def endpoints() -> Iterator[str]:
    """Yield a table of the endpoints."""
    from warehouse_pipelines.serving.app import guarded_routes

    yield "| endpoint | right | |"
    yield "|---|---|---|"
    for route in guarded_routes():
        if not route.include_in_schema or not route.path.startswith("/api/"):
            continue
        right = "signed in" if route.right == SIGNED_IN else f"`{route.right}`"
        for method in sorted(route.methods or ()):
            yield f"| `{method} {route.path}` | {right} | {route.description.splitlines()[0]} |"


def rights() -> Iterator[str]:
    """Yield a table of the rights, and which role has each."""
    yield f"| right | {' | '.join(ROLES)} | |"
    yield f"|---|{'---|' * len(ROLES)}---|"
    for right in Right:
        has = " | ".join("yes" if right in of else "" for of in ROLES.values())
        yield f"| `{right}` | {has} | {MEANINGS[right]} |"


def page(text: str) -> str:
    """Return the page with its tables as the program has them."""
    for name, lines in (("endpoints", endpoints()), ("rights", rights())):
        begin, end = f"<!-- {name}: written by warehouse_pipelines.commands.docs -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        text = "".join([before, begin, "\n", "\n".join(lines), "\n\n", end, rest.partition(end)[2]])
    return text
