"""How the person of a row may be reached, as the file says: consents, refusals, and who is not to be called at all.

Decided:

- A consent needs a channel, a source and a time, each from the file. It is a list of channels, with "yes", "ok" or
  "only" at most; "only" takes the others back. A word of refusal beside a channel ("no texts", "email: declined") takes
  it back, and beside none all of them; in such a cell a channel is given only where "yes" or the like stands with it.
  What is neither is not taken, and a remark says so.
- What takes a consent back, or forbids a channel, needs neither source nor time, so that nobody is contacted who may
  have refused. It counts from the import, because the file says how it stands then; ``consent_at`` is when it was
  given. A "no" alone in such a column forbids nothing and lifts nothing, and a "yes" beside it is none.
- What asks for it in words ("never call", "DNC") puts the number on the do-not-call list, in whichever of these columns
  and in a status. A cell of a ``do_not_`` column that cannot be read counts as yes.
- Where a row has more cells than headers, a yes counts from the column of its header on.
"""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from warehouse_pipelines.unified.lead_import.cells import NOTHING, time
from warehouse_pipelines.unified.lead_import.columns import ColumnMap

CHANNELS = ("call", "sms", "email")
FORBIDS = {
    "do_not_call": ("call",), "do_not_text": ("sms",), "do_not_email": ("email",), "do_not_contact": CHANNELS,
}  # fmt: skip

_SURELY = frozenset({"yes", "y", "true", "t", "1", "x", "checked", "on", "dnc", "listed", "✓", "✔"})
_PLAIN_NO = frozenset({"no", "n", "false", "f", "0", "off", "unchecked"})
_NO = frozenset({*_PLAIN_NO, "ok", "not listed", *NOTHING}) - {"x"}
_WORDS = {
    "call": "call calls calling phone phones voice telephone", "sms": "sms text texts texting",
    "email": "email emails emailing mail newsletter",
}  # fmt: skip
_CHANNEL_OF = {word: channel for channel, words in _WORDS.items() for word in words.split()}
_YES = frozenset({"yes", "y", "true", "ok", "okay", "only", "1", "x", "✓", "✔"})
_FILLERS = frozenset({"by", "via", "per", "to", "for", "message", "messages", "number"})
_CLAUSES = re.compile(r"[,;|/\n\r&+.!]|\b(?:and|or|but)\b")
_REFUSED = re.compile(
    r"\b(?:no|not|non|none|nope|never|n|false|0|off|without|cannot|dont|wont|dn[cd]|donot\w*|declin\w*|refus\w*|reject\w*"
    r"|den(?:y|ied|ies)|stop\w*|end|ended|quit|cease|cancel\w*|opt(?:ed|s|ing)?[ -]?out\w*|unsub\w*|revok\w*|withdr\w*"
    r"|remov\w*|object\w*|block\w*|blacklist\w*|suppress\w*|forb[aio]d\w*|prohibit\w*|expired|lapsed)\b|n't\b|[✗✘✕❌]"
)
_ASKED = re.compile(
    r"\b(?:do ?not|don'?t|never)[ -]*(?:to )?(?:be )?(?:call|phone|text|sms|e?mail|contact|solicit|disturb|reach)"
    r"|\bdn[cd]\b|\bno (?:more )?(?:calls|calling|texts|texting|emails|mails|sms)\b"
    r"|\b(?:stop|cease|quit)\w* (?:call|phon|text|sms|e?mail|contact)"
)
_LEFT = re.compile(r"\bopt(?:ed|s|ing)?[ -]?out|\bunsubscri|\bremove (?:me|from)\b|^\W*stop\W*$")


_BLANKS = str.maketrans({"_": " ", "-": " ", "\u2010": " ", "\u2011": " ", "\u2019": "'"})


def _folded(text: str) -> str:
    return text.lower().replace("e-mail", "email").translate(_BLANKS)


def _channels(text: str) -> list[str]:
    """Return the channels that a folded text names; a mobile is called and written to."""
    words = set(re.findall(r"[a-z]+", text))
    if "all" in words:
        return list(CHANNELS)
    mobile = words & {"mobile", "cell"}
    return [one for one in CHANNELS if words & set(_WORDS[one].split()) or (mobile and one != "email")]


def refusal(status: str) -> list[str]:
    """Return the channels that a word of status forbids: of "Do Not Call" text messages too, as elsewhere."""
    text = _folded(status)
    if not _ASKED.search(text) and not _LEFT.search(text):
        return []
    named = _channels(text) or (["call"] if re.search(r"\bdnc\b", text) else list(CHANNELS))
    return ["call", "sms", *(one for one in named if one == "email")] if "call" in named else named


def _plain(text: str) -> list[str]:
    """Return the channels of a folded text that is a list of them and no more, with "yes" or the like at most."""
    words = [word for clause in _CLAUSES.split(text) for word in re.findall(r"[^\s():=-]+", clause)]
    if not all(word in _CHANNEL_OF or word in _YES or word in _FILLERS or word == "all" for word in words):
        return []
    return list(CHANNELS) if "all" in words else [_CHANNEL_OF[word] for word in words if word in _CHANNEL_OF]


@dataclass
class _Said:
    """What a row says of how its person may be reached, by channel."""

    given: set[str] = field(default_factory=set)
    back: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    no: set[str] = field(default_factory=set)
    """Where a cell says no to a consent, which takes none back."""

    def refuse(self, text: str, of_column: Sequence[str] = ()) -> bool:
        """Note what a folded text refuses, and what it gives beside that; return whether it refuses anything."""
        if not _REFUSED.search(text):
            return False
        asked = False
        for clause in _CLAUSES.split(text):
            named, yes = _channels(clause), not _YES.isdisjoint(re.findall(r"[^\s():=-]+", clause))
            if _REFUSED.search(clause):
                asked = _ASKED.search(clause) is not None
                named = named or list(of_column or CHANNELS)
                self.back |= {*named, *of_column}
            elif yes and _plain(clause):
                self.given |= {*_plain(clause)}
                continue
            self.back |= {*named}
            if asked:
                self.forbidden |= {*named}
        return True

    def give(self, text: str) -> bool:
        """Note what a folded text that refuses nothing gives; return whether it is a list of channels."""
        channels = _plain(text)
        self.given |= {*channels}
        if "only" in text.split():
            self.back |= {*CHANNELS} - {*channels} if channels else set()
        return bool(channels)


def _said(cells: dict[str, list[str]], remarks: list[str]) -> _Said:
    said = _Said()
    for name, channels in FORBIDS.items():
        for text in cells.get(name, ()):
            # Of a formula that finds nothing, or fails, nobody knows what it would have said.
            if text.lower() not in _NO or text.startswith("#"):
                said.forbidden |= {*channels}
                if text.lower() not in _SURELY and time(text) is None:
                    remarks.append(f"{name} is neither yes nor no; it is taken as yes")
    for text in cells.get("other_status", ()):
        said.forbidden |= {*refusal(text)}
    for text in cells.get("consent", ()):
        if text.lower() in _PLAIN_NO:
            said.no |= {*CHANNELS}
        elif text.lower() not in _NO and not said.refuse(_folded(text)) and not said.give(_folded(text)):
            remarks.append(
                "consent is no list of channels alone; it is not taken"
                if _channels(_folded(text))
                else "consent names no channel (call, sms, email); it is not taken"
            )
    for channel in CHANNELS:
        for text in cells.get(f"{channel}_consent", ()):
            if text.lower() in _PLAIN_NO:
                said.no.add(channel)
            elif text.lower() in _SURELY - {"dnc", "listed"}:
                said.given.add(channel)
            elif text.lower() not in _NO and not said.refuse(_folded(text), (channel,)):
                remarks.append(f"{channel}_consent is neither yes nor no; it is not taken")
    return said


def forbidden(cells: dict[str, list[str]]) -> list[str]:
    """Return the channels that a refused row forbids, those included of which it takes a consent back."""
    said = _said(cells, [])
    return [channel for channel in CHANNELS if channel in said.forbidden | said.back]


def consents(
    cells: dict[str, list[str]], now: dt.datetime, remarks: list[str]
) -> tuple[list[dict[str, str]], list[dict[str, str]], list[str]]:
    """Return the consents that a row gives, those that it takes back, and the channels that it forbids."""
    said = _said(cells, remarks)
    at = time(cells.get("consent_at", [""])[0])
    source = cells.get("consent_source", [""])[0]
    wording = cells.get("consent_text", ["not stated"])[0]
    if at is not None and at > now:
        remarks.append("consent_at is a time to come")
        at = None
    withdrawn = [
        {"channel": channel, "at": _written(at or now), "source": source or "a file of leads", "text_version": wording,
         "revoked_at": _written(now)}
        for channel in CHANNELS if channel in said.back
    ]  # fmt: skip
    yes = [channel for channel in CHANNELS if channel in said.given - said.back - said.forbidden]
    wanted = [channel for channel in yes if channel not in said.no]
    if wanted != yes:
        remarks.append("consent is yes in one column and no in another; it is not taken")
    given = []
    if at is not None and source:
        given = [
            {"channel": channel, "at": _written(at), "source": source, "text_version": wording} for channel in wanted
        ]
    elif wanted:
        remarks.append("consent has no time or no source (consent_at, consent_source); it is not taken")
    return given, withdrawn, [channel for channel in CHANNELS if channel in said.forbidden]


def forbidden_by_shifted(cells: Sequence[str], mapping: ColumnMap) -> list[str]:
    """Return the channels that more cells than headers forbid: they may stand to the right of their headers."""
    more = len(cells) - mapping.width
    found: set[str] = set()
    for column in mapping.columns:
        for text in cells[column.place - 1 : column.place + more]:
            if column.field in FORBIDS and text.lower() in _SURELY:
                found |= {*FORBIDS[column.field]}
            elif column.field in {"consent", "call_consent", "sms_consent", "email_consent", "status", "other_status"}:
                found |= {*refusal(text)}
    return [channel for channel in CHANNELS if channel in found]


def _written(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
