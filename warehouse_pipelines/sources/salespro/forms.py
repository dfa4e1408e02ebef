"""The form that a sales representative fills in after a visit: one JSON text of questions and answers.

It is a list of titles and values (one installation's), or an object of them (as others describe it), in JSON, or as
Python prints such a list. The members of an answer may be named otherwise (``TITLES``, ``VALUES``). An object may also
be the wrapping of one such list; it is not if one of its own members is a question that we know, and then a list in it
is the answer to a question (photos). The questions are whatever the company asks; ``QUESTIONS`` are those that one
public installation has columns for.

A form that is none of this stays in ``lead_results_raw``, and is counted as lost in the columns of the answers. So
does a list whose answers have members beside their title, and none that we know as a value.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from warehouse_pipelines.model.entity import columns

FORM = columns(
    text="""
        appointment_result result_reason_demo_not_sold result_reason_no_demo deposit_type balance_type preferred_payment
        financing job_type services requested_start_month deadline timing scheduling_notes client_most_likely_to_add_on
        warm_up_topic urgency_time_frame additional_services_demoed_priced describe_rapport_hot_button
        company_story_pain_point call_to_action price_conditioning_response notes closing_notes notes_for_install_team
        details_discussed_for_install measurement_tool dumpster_preference color_selection has_consider_solar
        status_bucket
    """,
    boolean="""
        both_homeowners_present sales_manager_present financing_approved loan_docs_signed
        upload_estimate_sheet_company_cam st8_completed did_use_company_cam
    """,
    numeric="""
        job_size total_job_amount one_year_price last_price_offered last_payment_offered no_brainer_commitment
        deposit_amount balance_amount customers_final_price_commitment
    """,
)
"""The columns of the answers; ``status_bucket`` is the word in brackets that an appointment result may begin with."""

SPELT = {
    "balance_type": "balance type|balance form of payment",
    "appointment_result": "appointment result|result",
    "result_reason_demo_not_sold": "result reason - demo not sold",
    "result_reason_no_demo": "result reason - no demo",
    "no_brainer_commitment": "customer no brainer payment commitment",
    "upload_estimate_sheet_company_cam": "did you upload estimate sheet to company cam",
    "st8_completed": """
        did you complete your st-8 form before leaving house|
        did the homeowner complete the st-8 form before leaving house
    """,
    "did_use_company_cam": "did you use company cam",
    "additional_services_demoed_priced": "additional services demoed & priced",
    "describe_rapport_hot_button": "describe rapport & hot button",
    "company_story_pain_point": "company story - what is customer's pain point",
    "call_to_action": "call to action - what is the urgency & main consequence",
    "customers_final_price_commitment": "customer's final price commitment",
    "notes_for_install_team": "notes for install team|project notes",
    "details_discussed_for_install": "details discussed with homeowner that installation needs to know",
    "has_consider_solar": "has / would this customer ever consider solar",
}
"""The questions of those columns that are not named like theirs."""

QUESTIONS = {question.strip(): name for name in FORM for question in SPELT.get(name, name.replace("_", " ")).split("|")}

JOB_TYPE = re.compile(r"job type ([0-9]{1,3})")

TITLES = ("title", "question", "label", "name", "field", "key")
VALUES = ("value", "answer", "response", "text")
"""What the two members of an answer are called, the usual name first."""

LONGEST_LITERAL = 2**18
"""Characters of a form in Python's notation; parsing one takes a hundred times the memory."""

_json = msgspec.json.Decoder().decode


def answered(text: str | None) -> dict[str, str] | str:
    """Return the answers that are not empty by their questions; of a text that is no form, the text.

    A question is its title up to the first parenthesis, in lower case, without spaces and marks at its ends.
    """
    text = (text or "").strip()
    if text in ("", "null"):
        return {}
    pairs = _pairs(_value(text))
    if pairs is None:
        return text
    found: dict[str, str] = {}
    for title, value in pairs:
        if value is not None and (answer := str(value).strip()):
            found.setdefault(_question(title), answer)
    return found


def _question(title: str) -> str:
    return " ".join(title.partition("(")[0].casefold().split()).strip(" -:?")


def _known(title: Any) -> bool:
    question = _question(str(title))
    return question in QUESTIONS or JOB_TYPE.fullmatch(question) is not None


def _value(text: str) -> Any:
    """Return what a text says in JSON, or in the notation of Python; None if in neither."""
    try:
        value = _json(text)
        return _json(value) if isinstance(value, str) else value  # some write the JSON of a JSON
    except (msgspec.DecodeError, RecursionError):
        pass
    if not text.lstrip().startswith(("[", "{", "(")) or len(text) > LONGEST_LITERAL:
        return None
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _pairs(value: Any) -> list[tuple[str, Any]] | None:
    """Return the questions with their answers; None if this is no form."""
    if isinstance(value, dict):
        wrapped = [] if any(map(_known, value)) else [one for one in value.values() if _is_list_of_answers(one)]
        if len(wrapped) != 1:
            return [(str(question), one) for question, one in value.items()]
        value = wrapped[0]
    if not isinstance(value, list | tuple):
        return None
    pairs: list[tuple[str, Any]] = []
    valued = unread = False
    for one in value:
        if isinstance(one, dict):
            title, answer = _named(one)
            if title is None:
                return None
            valued |= answer is not None
            unread |= answer is None and len(one) > 1
            pairs.append((str(one[title]), one.get(answer)))
        elif isinstance(one, list | tuple) and len(one) == 2:
            valued = True
            pairs.append((str(one[0]), one[1]))
        else:
            return None
    return None if unread and not valued else pairs


def _is_list_of_answers(value: Any) -> bool:
    """Return whether this is a list of titles with values, or of questions that we know, whatever is beside them."""
    if not isinstance(value, list):
        return False
    named = [(one, *_named(one)) for one in value if isinstance(one, dict)]
    return any(title is not None and (answer is not None or _known(one[title])) for one, title, answer in named)


def _named(answer: Mapping[Any, Any]) -> tuple[Any, Any]:
    """Return the names of the members that hold the question and the answer."""
    names = {str(name).strip().casefold(): name for name in answer}
    return (
        next((names[name] for name in TITLES if name in names), None),
        next((names[name] for name in VALUES if name in names), None),
    )


def in_columns(answers: Mapping[str, str] | str) -> dict[str, str] | str:
    """Return the answers that have a column, by its name.

    A text that is no form stands in their place, so that the columns count it as lost.
    """
    if isinstance(answers, str):
        return answers
    found: dict[str, str] = {}
    for question, answer in answers.items():
        if name := QUESTIONS.get(question):
            found.setdefault(name, money(answer) if FORM[name].kind == "numeric" else answer)
    if bucket := re.match(r"\[[A-Z]+\]", found.get("appointment_result", "")):
        found["status_bucket"] = bucket[0]
    return found


def lines(answers: Mapping[str, str] | str) -> Iterator[dict[str, str | None] | str]:
    """Yield the job types that were priced: those that are numbered, else the one.

    Of a text that is no form the text, which is no line and so a dead letter: nobody knows which lines it hides.
    """
    if isinstance(answers, str):
        yield answers
        return
    numbers = sorted((match[1] for match in map(JOB_TYPE.fullmatch, answers) if match), key=int)
    for number in numbers:
        price = answers.get(f"job type {number} amount")
        yield {"number": number, "job_type": answers[f"job type {number}"], "amount": price and money(price)}
    if not numbers and "job type" in answers:
        price = answers.get("job size") or answers.get("customer's final price commitment")
        yield {"number": "1", "job_type": answers["job type"], "amount": price and money(price)}


def money(answer: str) -> str:
    """Return a sum without its dollar sign and commas."""
    return re.sub(r"[$,\s]", "", answer)
