"""The invented population: the one set of people from which every simulated vendor draws.

Person `i` is the same human everywhere: HubSpot contact `i` and the CallRail caller `i` share a telephone number, an
address and a name, though the name is not always spelt alike and the number not always written alike. Nothing is held:
a person is computed from the seed and the number, in a few microseconds, so a population of a million costs no memory.

Names and streets are invented, e-mail addresses lie on example.test and example.com. Telephone numbers have real area
codes of Ohio, because the libraries that normalise numbers refuse invented ones. One in seven people lives with the
person before, under one family name and one roof; of these couples every fourth shares the telephone. Nobody else
shares a number. What people do, and when, stands in ``journey``.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple


def words(text: str, separator: str | None = None) -> tuple[str, ...]:
    """A list written as prose, because a hundred quotation marks hide the names."""
    return tuple(text.split(separator))


FIRST_NAMES = words(
    "Ana Robert Maria James Elizabeth Michael Katherine William Susan Thomas Margaret Daniel Patricia "
    "Samuel Olivia Henry Josephine Walter Ruth Leonard Alexandra Theodore Miriam Edward Naomi Benjamin "
    "Rosalind Gregory Beatrice Frederick Zoë José"
)
NICKNAMES = {
    "Robert": "Bob",
    "James": "Jim",
    "Elizabeth": "Liz",
    "Michael": "Mike",
    "Katherine": "Kate",
    "William": "Bill",
    "Susan": "Sue",
    "Thomas": "Tom",
    "Margaret": "Peggy",
    "Daniel": "Dan",
    "Patricia": "Pat",
    "Samuel": "Sam",
    "Josephine": "Jo",
    "Leonard": "Len",
    "Alexandra": "Alex",
    "Theodore": "Ted",
    "Edward": "Ed",
    "Benjamin": "Ben",
    "Gregory": "Greg",
    "Frederick": "Fred",
    "Zoë": "Zoe",
    "José": "Jose",
}
LAST_NAMES = words(
    "Rivera Hollis Novak O'Brien Lindqvist Marsh Okafor Pelletier Quincy Ramsey Sandoval Thackeray "
    "Underhill Vance Whitlock Yates Zimmer Abbott Barlow Castellano Dunmore Eastman Fairbanks Garrity "
    "Haverford Ibsen Jessup Kowalski Lockhart Mendelson Nakamura Oxley Pruitt Quarles Redfern Stavros "
    "Tillman Umber Voss Winslow Yarrow Zeller Ashby Birch Corwin Dalton Ellery Fennimore Grady Hutchins "
    "Ingram Jarvis Keating Larkin Müller Norwood Ortega Peabody Rourke Sterling Tolliver Upshaw "
    "Van-der-Berg Wexler"
)
STREETS = words(
    "Maple Ave|Elm St|Old Mill Rd|Quarry Ln|Orchard Dr|Canal St|Ridge Rd|Willow Ct|Foundry St|"
    "Meadow Ln|Sycamore St|Chapel Hill Rd|Ferry Rd|Linden Ave|Stone Bridge Rd|Prospect St",
    "|",
)


class Place(NamedTuple):
    city: str
    area_code: int
    zip: str
    county: str
    latitude: float
    longitude: float
    division: int


PLACES = (
    Place("Dayton", 937, "45402", "Montgomery", 39.759, -84.192, 0),
    Place("Kettering", 937, "45429", "Montgomery", 39.690, -84.169, 0),
    Place("Beavercreek", 937, "45430", "Greene", 39.709, -84.063, 0),
    Place("Springfield", 937, "45503", "Clark", 39.924, -83.809, 0),
    Place("Cincinnati", 513, "45202", "Hamilton", 39.103, -84.512, 1),
    Place("Mason", 513, "45040", "Warren", 39.360, -84.310, 1),
    Place("Hamilton", 513, "45011", "Butler", 39.400, -84.561, 1),
    Place("Fairfield", 513, "45014", "Butler", 39.346, -84.560, 1),
    Place("Columbus", 614, "43215", "Franklin", 39.961, -82.999, 2),
    Place("Dublin", 614, "43017", "Franklin", 40.099, -83.114, 2),
    Place("Westerville", 614, "43081", "Franklin", 40.126, -82.929, 2),
    Place("Hilliard", 614, "43026", "Franklin", 40.033, -83.158, 2),
    Place("Cleveland", 216, "44114", "Cuyahoga", 41.499, -81.694, 3),
    Place("Lakewood", 216, "44107", "Cuyahoga", 41.482, -81.798, 3),
    Place("Akron", 330, "44308", "Summit", 41.081, -81.519, 3),
    Place("Toledo", 419, "43604", "Lucas", 41.653, -83.536, 4),
)
DIVISIONS = ("Dayton", "Cincinnati", "Columbus", "Cleveland", "Toledo")
SOURCES = words("Google Ads|Facebook|Home show|Direct mail|Radio|Canvassing|Referral|Web form", "|")
"""What brings people, under the name that every vendor has for it."""
PAID_SOURCES = SOURCES[:5]
"""Those that money is spent on."""

# Three digits that begin with 2-9 and are neither a service code (N11) nor the film number 555.
EXCHANGES = tuple(x for x in range(200, 1000) if x % 100 != 11 and x != 555)
_NUMBERS = len(EXCHANGES) * 10_000
_STRIDE = 4_999_999  # a prime that does not divide the count of numbers: i -> i * stride is a permutation


class Person(NamedTuple):
    number: int
    first_name: str
    last_name: str
    email: str
    phone: str  # E.164: +1 and ten digits
    street: str
    place: Place
    year_built: int
    random_bytes: bytes  # 32 bytes of this person's own chance, for whatever a vendor has to decide about them

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def nickname(self) -> str:
        """The first name as friends write it, often the same."""
        return NICKNAMES.get(self.first_name, self.first_name)

    @property
    def source(self) -> str:
        """What brought this person."""
        return SOURCES[self.random_bytes[19] & 7]

    @property
    def do_not_call(self) -> bool:
        """Whether the person asked not to be called: one in twenty-five."""
        return self.random_bytes[18] < 10

    @property
    def caller_name(self) -> str:
        """The name as a telephone company shows it: in two of three cases not as the person writes it."""
        kind = self.random_bytes[20] % 3
        if kind == 0:
            return self.name
        if kind == 1:
            return f"{self.last_name} {self.first_name[0]}".upper()
        return f"{self.nickname} {self.last_name}"


PHONE_SPELLINGS = 8


def spell_phone(phone: str, kind: int) -> str:
    """A number of the form +19375551234 in one of the ways in which people type it."""
    digits = phone[2:]
    area, exchange, line = digits[:3], digits[3:6], digits[6:]
    match kind % PHONE_SPELLINGS:
        case 0:
            return phone
        case 1:
            return f"({area}) {exchange}-{line}"
        case 2:
            return f"{area}-{exchange}-{line}"
        case 3:
            return digits
        case 4:
            return f"1-{area}-{exchange}-{line}"
        case 5:
            return f"{area}.{exchange}.{line}"
        case 6:
            return f" +1 {area} {exchange} {line} "
        case _:
            return f"1{digits}"


def misspell(name: str, chance: int) -> str:
    """A name as it is typed in a hurry: one in twenty with two letters swapped, or one left out. ``chance``: a byte."""
    if chance >= 13 or len(name) < 4:
        return name
    at = 1 + chance % (len(name) - 2)
    return name[:at] + name[at + 1] + (name[at] if chance & 1 else "") + name[at + 2 :]


def marketsharp_id(number: int, of: str = "Contacts") -> str:
    """The GUID that MarketSharp gave to the contact of this number, or to what else it has; in no order."""
    salt = int.from_bytes(blake2b(of.encode(), digest_size=6).digest()) if of != "Contacts" else 0
    scattered = (number * 2_654_435_761 + salt) % 2**32
    return f"{scattered:08x}-6d73-4{salt >> 36 & 0xFFF:03x}-8{number & 0xFFF:03x}-{salt:012x}"


class Population:
    def __init__(self, seed: int, people: int) -> None:
        self.seed = seed
        self.people = people
        self._offset = seed * 7_919 % _NUMBERS

    def random_bytes(self, subject: str, number: int) -> bytes:
        """32 bytes of chance that depend on nothing but the seed, the subject and its number."""
        return blake2b(b"%d:%b:%d" % (self.seed, subject.encode(), number), digest_size=32).digest()

    def person(self, number: int) -> Person:
        random_bytes = blake2b(b"%d:p:%d" % (self.seed, number), digest_size=32).digest()
        if number & 1 and random_bytes[17] < 73:
            return self._partner(self.person(number - 1), number, random_bytes)
        place = PLACES[random_bytes[0] & 15]
        first_name = FIRST_NAMES[random_bytes[1] & 31]
        last_name = LAST_NAMES[random_bytes[2] & 63]
        return Person(
            number,
            first_name,
            last_name,
            self._email(number, first_name, last_name, random_bytes),
            self._phone(number, place),
            f"{10 + random_bytes[5] * 17 + random_bytes[6] % 17} {STREETS[random_bytes[7] & 15]}",
            place,
            1900 + random_bytes[8] % 120,
            random_bytes,
        )

    def employee(self, number: int) -> Person:
        """Somebody of the business, who is nobody's customer."""
        return self.person(8_000_000 + 2 * number)

    def _partner(self, other: Person, number: int, random_bytes: bytes) -> Person:
        """One who lives with ``other``."""
        first_name = FIRST_NAMES[random_bytes[1] & 31]
        return other._replace(
            number=number,
            first_name=first_name,
            email=self._email(number, first_name, other.last_name, random_bytes),
            phone=other.phone if random_bytes[16] < 64 else self._phone(number, other.place),
            random_bytes=random_bytes,
        )

    def _phone(self, number: int, place: Place) -> str:
        subscriber = (number * _STRIDE + self._offset) % _NUMBERS
        return f"+1{place.area_code}{EXCHANGES[subscriber // 10_000]}{subscriber % 10_000:04d}"

    def _email(self, number: int, first_name: str, last_name: str, random_bytes: bytes) -> str:
        mailbox = f"{first_name}.{last_name}".lower().replace("'", "") if random_bytes[3] < 200 else last_name.lower()
        if not mailbox.isascii():
            mailbox = f"{first_name[0]}.home".lower()
        return f"{mailbox}{number}@example.{'test' if random_bytes[4] & 1 else 'com'}".replace("'", "")
