"""What a column's name says by itself, as the beginning of a sentence: ``confirm_date`` is "When it was confirmed".

``derived`` is asked where nobody wrote what a column means (``meanings/``). It reads names as these vendors form them:
verbs before ``_date``, ``_on``, ``_by`` and ``_user_id``, flags with ``is_`` or ``_enabled``, numbers with ``num_`` or
``_count``, owners before ``_name`` or ``_phone``. It claims no more than the name does: units and allowed values are
written by hand. A name that follows no rule becomes "<Name> of the <row>".
"""

import re
from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "acct": "account", "addr": "address", "adgroup": "ad group", "ap": "AP", "app": "application",
    "apps": "applications", "appt": "appointment", "appts": "appointments", "aptmt": "appointment", "arrivy": "Arrivy",
    "attrib": "attribution", "cc": "call centre", "cdyne": "CDYNE", "cid": "client id", "cms": "CMS", "coc": "COC",
    "cogs": "COGS", "config": "configuration", "crm": "CRM", "csr": "call centre agent", "cwp": "CWP",
    "desc": "description", "div": "division", "dm": "DM", "dnc": "do-not-call", "dne": "do-not-e-mail",
    "dni": "number swapping", "dob": "date of birth", "docs": "documents", "docusign": "DocuSign", "email": "e-mail",
    "emails": "e-mails", "f9": "Five9", "firstname": "first name", "five9": "Five9", "genius": "Genius",
    "geniususer": "Genius user", "guid": "GUID", "hge": "HGE", "hoa": "HOA", "html": "HTML", "hubspot": "HubSpot",
    "ical": "iCal", "idx": "index", "ip": "IP address", "jsa": "JSA", "lastname": "last name", "lat": "latitude",
    "leap": "Leap", "lng": "longitude", "lon": "longitude", "marketsharp": "MarketSharp", "max": "largest",
    "mes": "MES", "min": "smallest", "mime": "MIME", "mktg": "marketing", "msm": "MSM", "num": "number of",
    "okta": "Okta", "org": "organisation", "pb": "PB", "pct": "percentage", "pdf": "PDF", "pm": "PM", "pp": "PP",
    "ppc": "pay per click", "qb": "QuickBooks", "qc": "QC", "qty": "quantity", "rc": "RC", "ref": "reference",
    "rep": "representative", "salespro": "SalesPro", "salesrabbit": "SalesRabbit", "salesrep": "sales representative",
    "sf": "square feet", "sku": "SKU", "sms": "text message", "sqft": "square feet", "ssn": "social security number",
    "sys": "system", "tel": "telephone", "timezone": "time zone", "tz": "time zone", "uid": "unique id",
    "uptodate": "up to date", "uri": "URI", "url": "link", "utc": "(UTC)", "utm": "UTM", "uuid": "UUID",
    "google": "Google", "zip": "ZIP code", "zipcode": "ZIP code",
}  # fmt: skip
"""Words of names that are spelt otherwise in a sentence."""

PARTICIPLES: Mapping[str, str] = {
    "add": "added", "approve": "approved", "assign": "assigned", "cancel": "cancelled", "complete": "completed",
    "confirm": "confirmed", "deactivate": "deactivated", "finish": "finished", "install": "installed",
    "issue": "issued", "measure": "measured", "refund": "refunded", "sale": "sold", "set": "set",
    "submission": "submitted",
}  # fmt: skip
"""What was done to a row, by the verb in a name."""

_DONE = {
    *PARTICIPLES.values(), "accepted", "attached", "booked", "changed", "cleared", "closed", "coded", "contacted",
    "created", "denied", "disabled", "disqualified", "edited", "enabled", "entered", "exported", "finalized",
    "imported", "joined", "linked", "locked", "modified", "ordered", "paid", "qualified", "received", "requested",
    "required", "reset", "reviewed", "scheduled", "sent", "signed", "sold", "sourced", "submitted", "supported",
    "tagged", "updated", "verified", "viewed",
}  # fmt: skip
_STATES = {
    "active", "answered", "billable", "complete", "correct", "default", "exempt", "implicit",
    "inactive", "present", "primary", "recurring", "required", "selectable", "unscheduled", "uptodate", "valid",
}  # fmt: skip
_WITHOUT_ARTICLE = {"capture", "recording", "scoring", "spotting", "sms"}
_OWNER = re.compile(
    r"(?P<owner>account|agent|canvasser|client|company|creator|customer|division|event|flow|form|job_site|lead|manager|"
    r"office|organizer|owner|prospect|sales_rep|salesrep|signer|source|tracker|user)_(?P<what>"
    r"(first_|last_|middle_|company_|business_|trade_)?name|email|(mobile_|phone_)?number|phone\d?|address(_line)?_?\d?|"
    r"city|state|county|country|zip|zip_code|zipcode|notes?|time_?zone|type|title|latitude|longitude)"
)
_MONEY = re.compile(r"(^|_)(amount|price|cost|costs|revenue|balance|payment|deposit|budget|fee|payout|value)$")
_SPAN = re.compile(r"_?(seconds|minutes|hours|days|weeks|months|years|ms)$")
_MOMENT = re.compile(r"_(at|on|date|datetime|date_time|time|timestamp|date_utc|utc)$")
_COUNT = re.compile(r"^(?:num|number_of|total|count_of)_(?P<what>\w+s)$|^(?P<counted>\w+)_count$")


def spoken(name: str) -> str:
    """Return a name as words: ``job_site_zip`` is ``job site ZIP code``, ``phone2`` is ``phone 2``."""
    parts = re.sub(r"([a-z]{3,})(\d+)(?=_|$)", r"\1_\2", name).split("_")
    return " ".join(WORDS.get(part, part) for part in parts)


def plural(words: str) -> str:
    """Return the plural of the last of the words."""
    if words.endswith("y") and words[-2:-1] not in "aeiou":
        return f"{words[:-1]}ies"
    return f"{words}es" if words.endswith(("s", "x", "ch", "sh")) else f"{words}s"


def derived(name: str, kind: str, thing: str) -> str:
    """Return what the name of a column of this kind says, in a table whose rows are each a ``thing``."""
    own = name.removeprefix("hs_")
    if name == "id":
        return f"The vendor's id of the {thing}"
    if own.endswith("_ids"):
        return f"Ids of the {plural(spoken(own.removesuffix('_ids')))}"
    if kind in {"timestamptz", "date"}:
        return _moment(own, thing, "When" if kind == "timestamptz" else "Day on which")
    if kind == "boolean":
        return _flag(own, thing)
    if own.endswith("_by") and kind in {"text", "id", "integer", "uuid"}:
        return _doer(own.removesuffix("_by"), thing, kind)
    if own.endswith("_id") and kind != "jsonb":
        return _id(own.removesuffix("_id"), thing)
    if kind in {"integer", "numeric"}:
        return _number(own, kind, thing)
    phrase = _of(own, thing)
    if kind == "email":
        return f"{_address(phrase)}, as the vendor has it"
    if kind == "phone":
        phrase = re.sub(r"\b([Pp])hone\b(?! number)", r"\1hone number", phrase)
        return f"{phrase}, as the vendor writes it"
    if kind == "url" and own.endswith(("_url", "_link", "_path")):
        return f"Link to the {spoken(re.sub(r'_(url|link|path)$', '', own))} of the {thing}"
    return f"{phrase}, as JSON in the vendor's form" if kind == "jsonb" else _address(phrase)


def _of(name: str, thing: str) -> str:
    """``customer_city`` is of the customer, ``tag_level`` is the level of the tag, all else is of the row."""
    if owner := _OWNER.fullmatch(name):
        return f"{_capital(spoken(owner['what']))} of the {spoken(owner['owner'])}"
    words = spoken(name)
    if words.startswith(f"{thing} "):
        words = words.removeprefix(f"{thing} ")
    return _capital(words) if words.endswith(f" {thing}") or words == thing else f"{_capital(words)} of the {thing}"


def _address(phrase: str) -> str:
    """Spell an address of e-mail out where it is one: "E-mail of the user" has none in it."""
    return re.sub(r"\b([Ee])-mail\b( \d)?(?= of |$)", r"\1-mail address\2", phrase)


def _moment(name: str, thing: str, when: str) -> str:
    stem = _MOMENT.sub("", name)
    noun, _, last = stem.rpartition("_")
    done = PARTICIPLES.get(last, last)
    if noun.startswith("last") or (noun == "" and last.startswith("last")):
        return f"{_time(when)} of the {spoken(stem)}" if stem != "last" else f"{_time(when)} of the last change"
    if done in _DONE and not noun:
        return f"{when} the {thing} was {spoken(done)}"
    if last in _DONE or (stem != name and last in PARTICIPLES and noun not in {"actual", "projected", "estimated"}):
        return f"{when} the {spoken(noun)} {'were' if _is_plural(noun) else 'was'} {done}"
    match stem:
        case "start" | "begin":
            return f"{when} the {thing} begins"
        case "end":
            return f"{when} the {thing} ends"
        case "due":
            return f"{when} the {thing} is due"
        case "effective":
            return f"{when} the {thing} takes effect"
    if spoken(stem) == thing:
        return f"{when} the {thing} takes place"
    if stem != name:
        return f"{_time(when)} of the {spoken(stem)}"
    return f"{_of(name, thing)}, a {_time(when).lower()}"


def _time(when: str) -> str:
    return "Time" if when == "When" else "Day"


def _flag(name: str, thing: str) -> str:
    role = re.match(r"^(is|are|was|has|can|use|allow|require|visible|disable|force|did)_", name)
    rest = name.removeprefix(role[0]) if role else name
    noun, _, last = rest.rpartition("_")
    verb = role[1] if role else "is"
    match verb:
        case "can":
            return f"Whether the {thing} may {spoken(rest)}"
        case "has":
            article = "" if spoken(rest).endswith("s") else "an " if rest[0] in "aeiou" else "a "
            return f"Whether the {thing} has {article}{spoken(rest)}"
        case "visible":
            return f"Whether the {thing} is visible {spoken(rest)}"
        case "use" | "allow" | "require":
            return f"Whether the {thing} {verb}s {spoken(rest)}"
        case "did":
            return f"Whether somebody did {spoken(rest)}"
        case "disable" | "force":
            return f"Whether to {spoken(name)}"
    if rest.startswith("in_"):
        return f"Whether the {thing} {verb} {spoken(rest)}"
    if not noun and last in _DONE | _STATES:
        return f"Whether the {thing} {verb} {spoken(last)}"
    if not noun and role:
        return f"Whether the {thing} {verb} {'an' if last[0] in 'aeiou' else 'a'} {spoken(last)}"
    if first := re.match(r"(valid|active|default)_(\w+)$", rest):
        return f"Whether the {spoken(first[2])} is {first[1]}"
    if last in _DONE | _STATES:
        if noun.split("_")[-1] in _WITHOUT_ARTICLE:
            subject = plural(spoken(noun)) if noun == "sms" else spoken(noun)
            return f"Whether {subject} {'are' if noun == 'sms' and verb == 'is' else verb} {spoken(last)}"
        return f"Whether the {spoken(noun)} {'are' if verb == 'is' and _is_plural(noun) else verb} {spoken(last)}"
    return f"Whether {spoken(rest)} applies to the {thing}"


def _is_plural(words: str) -> bool:
    return words.endswith("s") and not words.endswith(("ss", "us", "sms"))


def _doer(stem: str, thing: str, kind: str) -> str:
    who = "Id of the user who" if kind in {"integer", "id", "uuid"} else "Who"
    noun, _, last = stem.rpartition("_")
    done = PARTICIPLES.get(last, last)
    if done in _DONE:
        return f"{who} {spoken(done)} the {spoken(noun) if noun else thing}"
    return f"{_of(f'{stem}_by', thing)}"


def _id(stem: str, thing: str) -> str:
    if stem.endswith("_user"):
        noun, _, last = stem.removesuffix("_user").rpartition("_")
        if last in PARTICIPLES or last in _DONE:
            return f"Id of the user who {PARTICIPLES.get(last, last)} the {spoken(noun) if noun else thing}"
    words = spoken(stem)
    other = {"external": "the record in another system", "parent": f"the {thing} above this one"}
    return f"Id of {other.get(stem, f'the {words}')}"


def _number(name: str, kind: str, thing: str) -> str:
    if unit := _SPAN.search(name):
        what = _SPAN.sub("", name)
        phrase = _of(what, thing) if what else f"Length of the {thing}"
        return f"{phrase}, in {'milliseconds' if unit[1] == 'ms' else unit[1]}"
    if count := _COUNT.match(name):
        return f"Number of {spoken(count['what']) if count['what'] else plural(spoken(count['counted']))}"
    phrase = _of(name, thing)
    if name.endswith(("latitude", "longitude")):
        return f"{phrase}, in degrees"
    return f"{phrase}; an amount of money" if kind == "numeric" and _MONEY.search(name) else phrase


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
