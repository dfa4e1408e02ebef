"""The simulated CallRail account: its companies, trackers, users and tags, and the formulas of what happens in time.

Caller `i` is person `i` of the town, so a call has the number of a HubSpot contact, seldom written alike; one caller in
eleven never became a contact. Types are mixed as in the vendor's answers: `value` is text, number or null,
`keywords_spotted` a list, a dictionary or "".
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from hashlib import md5
from typing import Any
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import DAY_MS, Journeys
from warehouse_pipelines.simulators.core.population import Person, Town, spell_phone, words
from warehouse_pipelines.simulators.core.timeline import Timeline

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 0xFFFFFFFFFFFFFFFF
_INVERSE = pow(_GOLDEN, -1, 1 << 64)

CALL_DEFAULT = words(
    "id answered business_phone_number customer_city customer_country customer_name customer_phone_number "
    "customer_state direction duration recording recording_duration recording_player start_time "
    "tracking_phone_number voicemail"
)
CALL_MORE = words(
    "agent_email call_highlights call_summary call_type campaign company_id company_name "
    "company_time_zone created_at custom detail_tags device_type fbclid first_call ga gclid "
    "good_lead_call_id good_lead_call_time integration_data keypad_entries keywords keywords_spotted "
    "landing_page_url last_requested_url lead_score lead_score_explanation lead_status medium milestones "
    "msclkid note person_id prior_calls referrer_domain referring_url sentiment session_uuid source "
    "source_name speaker_percent tags timeline_url total_calls tracker_id transcription utm_source "
    "utm_medium utm_term utm_content utm_campaign utma utmb utmc utmv utmz value voice_assist_message "
    "waveforms zip_code formatted_call_type formatted_customer_location formatted_business_phone_number "
    "formatted_customer_name formatted_customer_name_or_phone_number formatted_customer_phone_number "
    "formatted_duration formatted_tracking_phone_number formatted_tracking_source formatted_value"
)
FORM_DEFAULT = words(
    "id company_id person_id form_data form_url landing_page_url referrer referring_url submitted_at "
    "first_form customer_name customer_email customer_phone_number formatted_customer_phone_number "
    "formatted_customer_name source keywords campaign medium"
)
FORM_MORE = words(
    "company_name lead_status value note tags utm_source utm_medium utm_term utm_content utm_campaign "
    "form_name timeline_url milestones"
)
CONVERSATION_DEFAULT = words(
    "id company_id initial_tracker_id current_tracker_id customer_name customer_phone_number "
    "initial_tracking_number current_tracking_number last_message_at state company_time_zone "
    "formatted_customer_phone_number formatted_customer_name formatted_initial_tracking_number "
    "formatted_current_tracking_number recent_messages"
)
CONVERSATION_MORE = ("lead_status", "source")
SENTENCES = (
    "Hello, I called about my gutters.",
    "Can someone come on Tuesday?\nAny time after four.",
    "Thanks!",
    "The estimate looks fine 👍",
    "Please call before you come.",
)
RECENT_MESSAGES = 3
CALL_SOURCES = {"Google Ads": "google_paid", "Facebook": "facebook", "Web form": "google_organic"}
"""What CallRail calls a source that it can tell; the others are dialled as they were printed."""


@cache
def _head(prefix: str, seed: int) -> str:
    return prefix + md5(f"{seed}:{prefix}".encode(), usedforsecurity=False).hexdigest()[:16]


def masked(prefix: str, seed: int, number: int) -> str:
    """An id such as CAL0123…: three letters and 32 hex digits from which the number can be had again."""
    return f"{_head(prefix, seed)}{(number + 1) * _GOLDEN & _MASK:016x}"


def unmasked(text: str, prefix: str, seed: int) -> int | None:
    if len(text) != 35 or text[:19] != _head(prefix, seed):
        return None
    try:
        return (int(text[19:], 16) * _INVERSE & _MASK) - 1
    except ValueError:
        return None


def local(ms: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(ms / 1000, zone).isoformat(timespec="milliseconds")


def utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Shelf:
    """A list with a date: a formula in time, and what was changed, added or taken away. Edits leave no time behind."""

    def __init__(self, prefix: str, seed: int, count: int, base_time: Callable[[int], int]) -> None:
        self.prefix, self.seed, self.count = prefix, seed, count
        self.added = 0
        self.gone: set[int] = set()
        self.changes: dict[int, dict[str, Any]] = {}
        self._times: dict[int, int] = {}
        self._origins: dict[int, int] = {}
        self._base_time = base_time
        self.timeline = Timeline(count, base_time)

    def id_of(self, number: int) -> str:
        return masked(self.prefix, self.seed, number)

    def find(self, object_id: str) -> int | None:
        number = unmasked(object_id, self.prefix, self.seed)
        if number is None or not 0 <= number < self.count + self.added or number in self.gone:
            return None
        return number

    def time_of(self, number: int) -> int:
        return self._times[number] if number in self._times else self._base_time(number)

    def add(self, at: int) -> int:
        number = self.count + self.added
        self.added += 1
        self._origins[number] = at
        self.move(number, at)
        return number

    def origin_of(self, number: int) -> int:
        """The time before any move."""
        return self._origins[number] if number in self._origins else self._base_time(number)

    def move(self, number: int, at: int) -> None:
        self._times[number] = at
        self.timeline.place(number, at)

    def remove(self, number: int) -> None:
        self.gone.add(number)
        self.timeline.place(number, None)

    def __len__(self) -> int:
        return self.count + self.added - len(self.gone)


class Account:
    """What stands still: one account with companies in two time zones, and who and what belongs to them."""

    def __init__(self, town: Town, contacts: int, now: int) -> None:
        self.town = town
        self.contacts = contacts
        seed = self.seed = town.seed
        self.id = masked("ACC", seed, 0)
        zones = (("Dayton Roofs", "America/New_York"), ("Lakeside Exteriors", "America/Chicago"))
        names = (*zones, ("Closed Branch", "America/New_York"))
        self.companies = [
            {
                "id": masked("COM", seed, number),
                "name": name,
                "status": "disabled" if name.startswith("Closed") else "active",
                "time_zone": zone,
                "created_at": f"2024-0{number + 1}-10T15:00:00.000Z",
                "disabled_at": "2025-06-01T12:00:00.000Z" if name.startswith("Closed") else None,
                "dni_active": number == 0,
                "script_url": f"//cdn.example.test/companies/{1000 + number}/swap.js",
                "callscore_enabled": False,
                "lead_scoring_enabled": True,
                "swap_exclude_jquery": None,
                "swap_ppc_override": None,
                "swap_landing_override": None,
                "swap_cookie_duration": 6,
                "swap_cookie_duration_unit": "months",
                "callscribe_enabled": number == 0,
                "keyword_spotting_enabled": False,
                "form_capture": True,
            }
            for number, (name, zone) in enumerate(names)
        ]
        self.zones = [ZoneInfo(str(company["time_zone"])) for company in self.companies]
        self.zone = self.zones[0]
        self.trackers = [self._tracker(number) for number in range(12)]
        self.users = [self._user(number) for number in range(8)]
        self.tags: list[dict[str, Any]] = [
            self._tag(number, name, None if number % 2 else str(self.companies[number % 2]["id"]))
            for number, name in enumerate(("quote", "roof", "gutters", "spam?", "call back", "existing customer"))
        ]
        # Less than twenty-four months, so that nothing lies behind the 25 that can be asked for.
        way = Journeys(town, contacts, now)
        self.calls = Shelf("CAL", seed, max(1, contacts // 2), lambda n: way.after(2 * n, journey.CALL))
        self.forms = Shelf("FOR", seed + 1, max(1, contacts // 5), lambda n: way.after(5 * n, journey.FORM))
        self.conversations = Shelf("SCI", seed + 2, max(1, contacts // 10), lambda n: way.after(10 * n, 2 * DAY_MS))
        self.more_messages: dict[int, list[dict[str, Any]]] = {}

    def describe(self, number: int) -> dict[str, Any]:
        return {
            "id": self.id if number == 0 else masked("ACC", self.seed, number),
            "name": "Invented Home Improvement" if number == 0 else f"Empty account {number}",
            "outbound_recording_enabled": True,
            "inbound_recording_enabled": True,
            "hipaa_account": False,
            "created_at": "2024-02-10 03:43:50 -0500",
            "numeric_id": 227_000_000 + number,
        }

    def _tracker(self, number: int) -> dict[str, Any]:
        company = self.companies[number % 3]
        session = number % 4 == 0
        kinds = ("all", "direct", "offline", "google_my_business", "google_ad_extension", "facebook_all", "bing_all")
        disabled = number == 11
        return {
            "id": masked("TRK", self.seed, number),
            "name": f"{kinds[number % 7].replace('_', ' ').capitalize()} pool {number}",
            "type": "session" if session else "source",
            "status": "disabled" if disabled else "active",
            "destination_number": f"+1937226{number:04d}",
            "tracking_numbers": [f"+1937227{number:04d}"] + ([f"+1937228{number:04d}"] if session else []),
            "whisper_message": "Call from the website" if number % 2 else None,
            "sms_supported": True,
            "sms_enabled": number % 2 == 0,
            "company": {"id": company["id"], "name": company["name"]},
            "call_flow": {
                "type": "basic",
                "recording_enabled": True,
                "destination_number": f"+1937226{number:04d}",
                "greeting_text": None,
                "greeting_recording_url": None,
            },
            "source": {"type": kinds[number % 7]},
            "created_at": f"2024-03-{number + 1:02d}T14:00:00.000Z",
            "disabled_at": "2025-09-01T12:00:00.000Z" if disabled else None,
            "campaign_name": f"Campaign {number % 5}",
            "swap_targets": [],
        }

    def _user(self, number: int) -> dict[str, Any]:
        person = self.town.employee(1 + number)
        company = self.companies[number % 2]
        return {
            "id": masked("USR", self.seed, number),
            "email": f"user{number}@crew.example.com",
            "first_name": person.first_name,
            "last_name": person.last_name,
            "name": person.name,
            "role": ("admin", "manager", "reporting", "notification")[number % 4],
            "accepted": number % 5 != 4,
            "created_at": f"2024-04-{number + 1:02d}T14:00:00.000Z",
            "companies": [{"id": company["id"], "name": company["name"]}],
        }

    def _tag(self, number: int, name: str, company_id: str | None) -> dict[str, Any]:
        return {
            "id": 41 + number,
            "name": name,
            "tag_level": "company" if company_id else "account",
            "color": ("blue1", "green2", "red1", "gray1")[number % 4],
            "background_color": ("dbe9ff", "e2f5e1", "ffe0e0", "eeeeee")[number % 4],
            "company_id": company_id,
            "status": "enabled",
            "disabled": False,
            "created_at": f"2024-05-{number % 28 + 1:02d}T14:00:00.000Z",
        }

    def tag_named(self, name: str, company_id: str) -> dict[str, Any]:
        """Writing an unknown tag name to a call creates a company tag."""
        for tag in self.tags:
            if tag["name"] == name:
                return tag
        self.tags.append(self._tag(len(self.tags), name, company_id))
        return self.tags[-1]

    def _caller(self, number: int) -> Person:
        # Who is visited later; one in five calls again, and one in eleven is nobody whom the CRM knows.
        caller = number - 1 if number % 5 == 4 else number
        if caller % 11 == 10 or number >= self.calls.count:
            return self.town.person(self.contacts + caller)
        return self.town.person(2 * caller)

    def call(self, number: int, tags_as: str) -> dict[str, Any]:
        """A call with all its fields."""
        shelf = self.calls
        at = shelf.time_of(number)
        changes = shelf.changes.get(number, {})
        person = self._caller(number)
        dice = self.town.dice("call", number)
        place = changes.get("company", number % 2)
        company, zone = self.companies[place], self.zones[place]
        tracker = self.trackers[(number % 4) * 3 + place]
        call_id = shelf.id_of(number)
        answered = dice[0] < 190
        duration = dice[1] * 3 + 4
        start_time = local(at, zone)
        phone = person.phone
        tracking = tracker["tracking_numbers"][0]
        url = f"https://api.callrail.com/v3/a/{self.id}/calls/{call_id}"
        repeat = number % 5 == 4
        value = (None, f"{dice[2] * 10}.00", dice[2] * 10, None)[dice[3] & 3]
        named = (["quote", "roof"], ["gutters"], [], [])[dice[4] & 3]
        source = CALL_SOURCES.get(person.source, "direct")
        touch: dict[str, Any] = {
            "event_date": local(at - 86_400_000, zone),
            "source": person.source,
            "medium": "cpc",
            "campaign": f"Campaign {number % 5}",
            "keywords": "roof",
            "landing": "https://www.example.test/",
            "device": "mobile",
            "referrer": None,
            "referrer_url": None,
            "session_browser": None,
            "ad_position": None,
            "url_utm_params": {},
        }
        call: dict[str, Any] = dict.fromkeys(CALL_MORE)
        call |= {
            "id": call_id,
            "answered": answered,
            "business_phone_number": tracker["destination_number"],
            "customer_city": person.place.city,
            "customer_country": "US",
            "customer_name": person.caller_name if dice[6] > 20 else None,
            "customer_phone_number": phone,
            "customer_state": "OH",
            "direction": "outbound" if dice[7] < 30 else "inbound",
            "duration": duration,
            "recording": f"{url}/recording.json" if answered else None,
            "recording_duration": (duration, str(duration), None)[dice[8] % 3] if answered else None,
            "recording_player": f"https://app.callrail.com/calls/{call_id}/recording?access_key=x"
            if answered
            else None,
            "start_time": start_time,
            "tracking_phone_number": tracking,
            "voicemail": not answered and dice[9] < 128,
            "agent_email": f"user{number % 8}@crew.example.com" if answered else None,
            "call_type": "returning" if repeat else ("first_call", "missed", "inbound")[dice[10] % 3],
            "campaign": f"Campaign {number % 5}",
            "company_id": company["id"],
            "company_name": company["name"],
            "company_time_zone": company["time_zone"],
            "created_at": start_time,
            "custom": ("", {}, {"promo": "fall"})[dice[11] % 3],
            "device_type": ("Mobile", "Desktop", "")[dice[12] % 3],
            "first_call": not repeat,
            "keypad_entries": ("", [], ["1"])[dice[13] % 3],
            "keywords": "roof repair" if dice[5] & 1 else "",
            "keywords_spotted": ("", [], {"quote": 2})[dice[14] % 3],
            "landing_page_url": f"https://www.example.test/?gclid={dice[15]:02x}{number:x}",
            "lead_status": (None, "good_lead", "not_a_lead", None)[dice[16] & 3],
            "medium": "cpc",
            "milestones": {"first_touch": touch, "lead_created": {}, "qualified": None, "last_touch": {}},
            "note": f"Asked about the price.\nRef {number}" if dice[17] < 40 else "",
            "person_id": masked("PER", self.seed, person.number),
            "prior_calls": int(repeat),
            "source": source,
            "source_name": tracker["name"],
            "speaker_percent": ("", {"agent": "51", "customer": "49"}, [])[dice[18] % 3],
            "timeline_url": f"https://app.callrail.com/t/{number}",
            "total_calls": 1 + repeat,
            "tracker_id": tracker["id"],
            # Of an account with Conversation Intelligence; without that plan it is always null.
            "transcription": f"Agent: Thanks for calling.\nCaller: {person.first_name} here." if answered else None,
            "value": value,
            "zip_code": person.place.zip,
            "formatted_call_type": "Phone Call",
            "formatted_customer_location": f"{person.place.city}, OH",
            "formatted_business_phone_number": spell_phone(tracker["destination_number"], 2),
            "formatted_customer_name": person.name,
            "formatted_customer_name_or_phone_number": person.name,
            "formatted_customer_phone_number": spell_phone(phone, 2),
            "formatted_duration": f"{duration // 60}m {duration % 60}s",
            "formatted_tracking_phone_number": spell_phone(tracking, 2),
            "formatted_tracking_source": source.replace("_", " ").title(),
        }
        if changes:
            call.update({name: each for name, each in changes.items() if name in call})
            named = changes.get("tag_names", named)
        if named:
            objects = [self.tag_named(name, call["company_id"]) for name in named]
            shown = [{k: tag[k] for k in ("id", "name", "tag_level", "color", "background_color")} for tag in objects]
            as_text = tags_as == "strings" or (tags_as == "mixed" and number % 3 == 0)
            call["tags"], call["detail_tags"] = (list(named) if as_text else shown), shown
        else:
            call["tags"], call["detail_tags"] = [], []
        return call

    def form(self, number: int) -> dict[str, Any]:
        shelf = self.forms
        dice = self.town.dice("form", number)
        person = self.town.person(5 * number if number < shelf.count else number)
        changes = shelf.changes.get(number, {})
        place = changes.get("company", number % 2)
        company = self.companies[place]
        form: dict[str, Any] = dict.fromkeys(FORM_MORE)
        form |= {
            "id": shelf.id_of(number),
            "company_id": company["id"],
            "person_id": masked("PER", self.seed, person.number),
            "form_data": {
                "Your Name": person.name,
                "email": person.email,
                "Phone #": spell_phone(person.phone, dice[0]),
                "How old is your roof?": str(dice[1] % 60) if dice[2] & 1 else "",
                "comments": "Two storeys.\nDog in the yard.",
            },
            "form_url": "https://www.example.test/contact",
            "landing_page_url": f"https://www.example.test/?gclid={number:x}",
            "referrer": "google" if dice[3] & 1 else None,
            "referring_url": "https://www.google.com/" if dice[3] & 1 else "",
            "submitted_at": local(shelf.time_of(number), self.zones[place]),
            "first_form": number % 7 != 6,
            "customer_name": person.name,
            "customer_email": person.email,
            "customer_phone_number": person.phone,
            "formatted_customer_phone_number": spell_phone(person.phone, 2),
            "formatted_customer_name": person.name,
            "source": CALL_SOURCES.get(person.source, "google_organic"),
            "keywords": "roof",
            "campaign": f"Campaign {number % 5}",
            "medium": "cpc",
            "company_name": company["name"],
            "lead_status": (None, "good_lead", "not_a_lead", None)[dice[4] & 3],
            "value": (None, f"{dice[5]}.00", dice[5])[dice[6] % 3],
            "note": "",
            "tags": ["quote"] if dice[7] & 1 else [],
            "form_name": "Contact us",
        }
        form.update({name: value for name, value in changes.items() if name in form})
        return form

    def conversation(self, number: int) -> dict[str, Any]:
        """With `messages`, all of them, oldest first."""
        shelf = self.conversations
        dice = self.town.dice("conversation", number)
        person = self.town.person(10 * number if number < shelf.count else number)
        changes = shelf.changes.get(number, {})
        place = changes.get("company", number % 2)
        zone, company = self.zones[place], self.companies[place]
        tracker = self.trackers[(number % 4) * 3 + place]
        at = shelf.time_of(number)
        more = self.more_messages.get(number, [])
        last = shelf.origin_of(number)
        count = 1 + dice[0] % 6
        messages = [
            {
                "direction": ("incoming", "outgoing")[k % 2],
                "content": SENTENCES[(dice[1] + k) % 5],
                "at": last - 300_000 * k,
            }
            for k in reversed(range(count))
        ] + more
        shown = [
            {
                "direction": m["direction"],
                "content": m["content"],
                "created_at": local(m["at"], zone),
                "type": "sms",
                "media_urls": [],
            }
            for m in messages
        ]
        tracking = tracker["tracking_numbers"][0]
        conversation = {
            "id": shelf.id_of(number),
            "company_id": company["id"],
            "initial_tracker_id": tracker["id"],
            "current_tracker_id": tracker["id"],
            "customer_name": person.name if dice[2] > 30 else None,
            "customer_phone_number": person.phone,
            "initial_tracking_number": tracking,
            "current_tracking_number": tracking,
            "last_message_at": local(at, zone),
            "state": "archived" if dice[3] < 40 else "active",
            "company_time_zone": company["time_zone"],
            "formatted_customer_phone_number": spell_phone(person.phone, 2),
            "formatted_customer_name": person.name,
            "formatted_initial_tracking_number": spell_phone(tracking, 2),
            "formatted_current_tracking_number": spell_phone(tracking, 2),
            "recent_messages": shown[-RECENT_MESSAGES:],
            "messages": shown,
            "lead_status": None,
            "source": "google_paid",
        }
        conversation.update({name: value for name, value in changes.items() if name in conversation})
        return conversation
