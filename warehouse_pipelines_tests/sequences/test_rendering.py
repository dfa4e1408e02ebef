"""Templates: values of the lead, nothing that is missing, nothing that runs."""

import pytest

from warehouse_pipelines.sequences import rendering
from warehouse_pipelines.sequences.rendering import TemplateRefused, one_line, render

VALUES = {
    "lead": {"first_name": "Ada", "last_name": "O'Hara & {{ 7 * 7 }}"}, "business": {"name": "Acme"},
    "sequence": {"name": "Welcome"}, "unsubscribe_url": "https://example.test/unsubscribe/x",
}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Hello {{ lead.first_name }}!", "Hello Ada!"),
        ("{{ lead.last_name }}", "O'Hara & {{ 7 * 7 }}"),
        ("Hello {{ lead.division | default('there') | upper }}", "Hello THERE"),
        ("{% if lead.division is defined %}a{% else %}b{% endif %}", "b"),
        ("{% if business.name == 'Acme' and not lead.email is defined %}we{% endif %}", "we"),
        ("{{ 'a' if lead.first_name == 'Ada' else 'b' }}", "a"),
    ],
)
def test_a_text_has_the_values_of_the_lead(template: str, text: str) -> None:
    assert render(template, VALUES) == text


@pytest.mark.parametrize("template", ["{{ lead.division }}", "{{ lead.email | upper }}", "{{ business.phone }}"])
def test_story_3_5_a_missing_value_is_refused(template: str) -> None:
    with pytest.raises(TemplateRefused, match="a value is missing"):
        render(template, VALUES)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ lead.__class__ }}",
        "{{ lead['__class__'] }}",
        "{{ lead.first_name.__class__ }}",
        "{{ lead.first_name.format(lead) }}",
        "{{ lead | attr('__class__') }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ lipsum.__globals__ }}",
        "{{ range(999999999) }}",
        "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
        "{{ 'a' * 999999999 }}",
        "{{ 9 ** 9 ** 9 ** 9 }}",
        "{{ 'a' ~ lead.first_name }}",
        "{% set x = 1 %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% macro a() %}{% endmacro %}",
        "{% filter upper %}a{% endfilter %}",
        "{{ '%999999999d' | format(1) }}",
        "{{ lead.first_name | map('upper') }}",
        "{{ config }}",
        "{{ request.headers }}",
        "{{ lead }}",
        "{{ lead.consent }}",
        "{{ lead.first_name | default(lead) }}",
        "{% raw %}",
        "{{ lead.first_name",
        "{% if 1 %}" * 5_000,
        "{% if lead.first_name %}" * 120 + "x" + "{% endif %}" * 120,
        "{{ " + "not " * 300 + "lead.first_name }}",
        "x" * (rendering.LONGEST + 1),
        "",
        "   ",
    ],
)
@pytest.mark.every_case
def test_story_3_5_a_template_that_would_do_anything_else_is_refused(template: str) -> None:
    with pytest.raises(TemplateRefused):
        render(template, VALUES)


def test_a_subject_is_one_line() -> None:
    assert one_line("Hello\r\nBcc: all@example.test\x00\u2028now") == "Hello Bcc: all@example.test now"
