"""Statements of ours as a visitor may ask them: of the tables, or of the views of ``masked`` that stand for them."""

import re

from warehouse_pipelines.schema import masked_views

NAMED = re.compile(r"\b(FROM|JOIN) (?:(crm|identity|marts|orchestration|pipedesk|public)\.)(\w+)")


def as_seen(statement: str, *, clear: bool) -> str:
    """Return a statement of ``sql/``, which names each table with its schema, over what the visitor sees."""
    if clear:
        return statement
    return NAMED.sub(lambda found: f"{found[1]} masked.{masked_views.name_of(found[2], found[3])}", statement)
