"""The formulas of the simulated CallRail: from a number to a call, a form submission or a conversation.

Caller `i` is person `i` of the population, so a call has the number of a HubSpot contact, seldom written alike; one
caller in eleven never became a contact. Types are mixed as in the vendor's answers: `value` is text, number or null,
`keywords_spotted` a list, a dictionary or "".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.callrail.account import Account
from warehouse_pipelines.simulators.callrail.fields import CALL_MORE, FORM_MORE
from warehouse_pipelines.simulators.callrail.record_store import masked
from warehouse_pipelines.simulators.core.population import Person, spell_phone

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


def local(ms: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(ms / 1000, zone).isoformat(timespec="milliseconds")


def utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _caller(account: Account, number: int) -> Person:
    # Who is visited later; one in five calls again, and one in eleven is nobody whom the CRM knows.
    caller = number - 1 if number % 5 == 4 else number
    if caller % 11 == 10 or number >= account.calls.count:
        return account.population.person(account.contacts + caller)
    return account.population.person(2 * caller)


def call(account: Account, number: int, tags_as: str) -> dict[str, Any]:
    """A call with all its fields."""
    store = account.calls
    at = store.time_of(number)
    changes = store.changes.get(number, {})
    person = _caller(account, number)
    random_bytes = account.population.random_bytes("call", number)
    place = changes.get("company", number % 2)
    company, zone = account.companies[place], account.zones[place]
    tracker = account.trackers[(number % 4) * 3 + place]
    call_id = store.id_of(number)
    answered = random_bytes[0] < 190
    duration = random_bytes[1] * 3 + 4
    start_time = local(at, zone)
    phone = person.phone
    tracking = tracker["tracking_numbers"][0]
    url = f"https://api.callrail.com/v3/a/{account.id}/calls/{call_id}"
    repeat = number % 5 == 4
    value = (None, f"{random_bytes[2] * 10}.00", random_bytes[2] * 10, None)[random_bytes[3] & 3]
    named = (["quote", "roof"], ["gutters"], [], [])[random_bytes[4] & 3]
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
        "customer_name": person.caller_name if random_bytes[6] > 20 else None,
        "customer_phone_number": phone,
        "customer_state": "OH",
        "direction": "outbound" if random_bytes[7] < 30 else "inbound",
        "duration": duration,
        "recording": f"{url}/recording.json" if answered else None,
        "recording_duration": (duration, str(duration), None)[random_bytes[8] % 3] if answered else None,
        "recording_player": f"https://app.callrail.com/calls/{call_id}/recording?access_key=x" if answered else None,
        "start_time": start_time,
        "tracking_phone_number": tracking,
        "voicemail": not answered and random_bytes[9] < 128,
        "agent_email": f"user{number % 8}@crew.example.com" if answered else None,
        "call_type": "returning" if repeat else ("first_call", "missed", "inbound")[random_bytes[10] % 3],
        "campaign": f"Campaign {number % 5}",
        "company_id": company["id"],
        "company_name": company["name"],
        "company_time_zone": company["time_zone"],
        "created_at": start_time,
        "custom": ("", {}, {"promo": "fall"})[random_bytes[11] % 3],
        "device_type": ("Mobile", "Desktop", "")[random_bytes[12] % 3],
        "first_call": not repeat,
        "keypad_entries": ("", [], ["1"])[random_bytes[13] % 3],
        "keywords": "roof repair" if random_bytes[5] & 1 else "",
        "keywords_spotted": ("", [], {"quote": 2})[random_bytes[14] % 3],
        "landing_page_url": f"https://www.example.test/?gclid={random_bytes[15]:02x}{number:x}",
        "lead_status": (None, "good_lead", "not_a_lead", None)[random_bytes[16] & 3],
        "medium": "cpc",
        "milestones": {"first_touch": touch, "lead_created": {}, "qualified": None, "last_touch": {}},
        "note": f"Asked about the price.\nRef {number}" if random_bytes[17] < 40 else "",
        "person_id": masked("PER", account.seed, person.number),
        "prior_calls": int(repeat),
        "source": source,
        "source_name": tracker["name"],
        "speaker_percent": ("", {"agent": "51", "customer": "49"}, [])[random_bytes[18] % 3],
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
        objects = [account.tag_named(name, call["company_id"]) for name in named]
        shown = [{k: tag[k] for k in ("id", "name", "tag_level", "color", "background_color")} for tag in objects]
        as_text = tags_as == "strings" or (tags_as == "mixed" and number % 3 == 0)
        call["tags"], call["detail_tags"] = (list(named) if as_text else shown), shown
    else:
        call["tags"], call["detail_tags"] = [], []
    return call


def form(account: Account, number: int) -> dict[str, Any]:
    store = account.forms
    random_bytes = account.population.random_bytes("form", number)
    person = account.population.person(5 * number if number < store.count else number).told("form")
    changes = store.changes.get(number, {})
    place = changes.get("company", number % 2)
    company = account.companies[place]
    form: dict[str, Any] = dict.fromkeys(FORM_MORE)
    form |= {
        "id": store.id_of(number),
        "company_id": company["id"],
        "person_id": masked("PER", account.seed, person.number),
        "form_data": {
            "Your Name": person.name,
            "email": person.email,
            "Phone #": spell_phone(person.phone, random_bytes[0]),
            "How old is your roof?": str(random_bytes[1] % 60) if random_bytes[2] & 1 else "",
            "comments": "Two storeys.\nDog in the yard.",
        },
        "form_url": "https://www.example.test/contact",
        "landing_page_url": f"https://www.example.test/?gclid={number:x}",
        "referrer": "google" if random_bytes[3] & 1 else None,
        "referring_url": "https://www.google.com/" if random_bytes[3] & 1 else "",
        "submitted_at": local(store.time_of(number), account.zones[place]),
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
        "lead_status": (None, "good_lead", "not_a_lead", None)[random_bytes[4] & 3],
        "value": (None, f"{random_bytes[5]}.00", random_bytes[5])[random_bytes[6] % 3],
        "note": "",
        "tags": ["quote"] if random_bytes[7] & 1 else [],
        "form_name": "Contact us",
    }
    form.update({name: value for name, value in changes.items() if name in form})
    return form


def conversation(account: Account, number: int) -> dict[str, Any]:
    """With `messages`, all of them, oldest first."""
    store = account.conversations
    random_bytes = account.population.random_bytes("conversation", number)
    person = account.population.person(10 * number if number < store.count else number)
    changes = store.changes.get(number, {})
    place = changes.get("company", number % 2)
    zone, company = account.zones[place], account.companies[place]
    tracker = account.trackers[(number % 4) * 3 + place]
    at = store.time_of(number)
    more = account.more_messages.get(number, [])
    last = store.origin_of(number)
    count = 1 + random_bytes[0] % 6
    messages = [
        {
            "direction": ("incoming", "outgoing")[k % 2],
            "content": SENTENCES[(random_bytes[1] + k) % 5],
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
        "id": store.id_of(number),
        "company_id": company["id"],
        "initial_tracker_id": tracker["id"],
        "current_tracker_id": tracker["id"],
        "customer_name": person.name if random_bytes[2] > 30 else None,
        "customer_phone_number": person.phone,
        "initial_tracking_number": tracking,
        "current_tracking_number": tracking,
        "last_message_at": local(at, zone),
        "state": "archived" if random_bytes[3] < 40 else "active",
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
