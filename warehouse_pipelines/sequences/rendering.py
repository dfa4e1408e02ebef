"""The text of a step, from its template and the lead.

Templates are Jinja's, of which this is allowed: values, the filters of ``FILTERS``, and ``if`` with comparisons:

    Hello {{ lead.first_name | default("there") }}{% if lead.division %}, {{ lead.division }} calls you{% endif %}.

``VALUES`` has what there is. A value that the lead lacks is an error and never a blank: ``default`` says what to write
instead.

Decided: who may make a sequence may not run programs here. A template is read as a tree before it is rendered, and what
is not on the list is refused: loops, calls, arithmetic, attributes of what is not ours. So no template takes long,
grows without end or reaches Python, and Jinja's sandbox is a second guard. What a lead says is a value and never a
template.
"""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.errors import BadRecord

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

FIELDS = ("first_name", "last_name", "email", "phone", "postal_code", "division", "source")
"""Columns of ``crm.leads`` that a template may name."""

VALUES = (*(f"lead.{name}" for name in FIELDS), "business.name", "business.phone", "sequence.name", "unsubscribe_url")
FILTERS = ("default", "d", "upper", "lower", "title", "capitalize", "trim", "e", "escape")
NODES = [
    "Template",
    "Output",
    "TemplateData",
    "Name",
    "Getattr",
    "Const",
    "Filter",
    "If",
    "Compare",
    "Operand",
    "And",
    "Or",
    "Not",
    "Test",
    "CondExpr",
]
TESTS = ("defined", "undefined")
LONGEST = 20_000
"""Characters of a template, and of a text."""


class TemplateRefused(BadRecord):
    """A template that cannot be used, or a lead that lacks what it names. The message has nothing of the lead."""


@functools.cache
def _environment() -> "SandboxedEnvironment":
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    made = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False)
    made.globals.clear()
    made.filters = {name: made.filters[name] for name in FILTERS}
    made.tests = {name: made.tests[name] for name in (*TESTS, "eq", "ne", "lt", "gt", "le", "ge", "in")}
    return made


def check(template: str) -> None:
    """Raise ``TemplateRefused`` for a template that no lead could be written by."""
    from jinja2 import TemplateSyntaxError, nodes

    if len(template) > LONGEST:
        raise TemplateRefused(f"the template has more than {LONGEST:,} characters")
    try:
        tree = _environment().parse(template)
    except TemplateSyntaxError as error:
        raise TemplateRefused(f"the template cannot be read, line {error.lineno}: {error.message}") from None
    except RecursionError:
        raise TemplateRefused("the template is nested too deep") from None
    for node in (tree, *tree.find_all(nodes.Node)):
        kind = type(node).__name__
        if kind not in NODES:
            raise TemplateRefused(f"the template has what is not allowed in one: {kind.lower()}")
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            raise TemplateRefused(f"there is no filter {node.name}; there are {', '.join(FILTERS)}")
        if isinstance(node, nodes.Test) and node.name not in TESTS:
            raise TemplateRefused(f"there is no test {node.name}; there are {', '.join(TESTS)}")
        if isinstance(node, nodes.Getattr) and not isinstance(node.node, nodes.Name):
            raise TemplateRefused("a value has at most two parts, such as lead.first_name")
    for name in _named(tree):
        if name not in VALUES:
            raise TemplateRefused(f"there is no value {name}; there are {', '.join(VALUES)}")
    try:
        _environment().from_string(template)
    except (SyntaxError, RecursionError, MemoryError):  # of Python, whose code a template becomes
        raise TemplateRefused("the template is nested too deep") from None


def _named(tree: Any) -> list[str]:
    from jinja2 import nodes

    found = [f"{one.node.name}.{one.attr}" for one in tree.find_all(nodes.Getattr)]
    parts = {id(one.node) for one in tree.find_all(nodes.Getattr)}
    return found + [one.name for one in tree.find_all(nodes.Name) if id(one) not in parts]


def render(template: str, values: Mapping[str, Any]) -> str:
    """Return the text. ``values`` has no nulls: what is missing is missing. Raises ``TemplateRefused``."""
    from jinja2 import TemplateError, UndefinedError

    check(template)
    try:
        text = _environment().from_string(template).render(values).strip()
    except UndefinedError as error:
        raise TemplateRefused(f"a value is missing: {error.message}") from None
    except (TemplateError, TypeError, ValueError, RecursionError, SyntaxError, MemoryError) as error:
        raise TemplateRefused(f"the template cannot be used: {type(error).__name__}") from None
    if not text or len(text) > LONGEST:
        raise TemplateRefused(f"the text is empty, or has more than {LONGEST:,} characters")
    return text


def one_line(text: str) -> str:
    """Return a subject as one line of printable characters: a line's end in it would begin another header."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
