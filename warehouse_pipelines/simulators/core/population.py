"""The invented population: the one set of people from which every simulated vendor draws.

Person `i` is the same human everywhere: HubSpot contact `i` and the CallRail caller `i` share a telephone number, an
address and a name, though the name is not always spelt alike and the number not always written alike. Nothing is held:
a person is computed from the seed and the number, in a few microseconds, so a population of a million costs no memory.

Names and streets are invented, e-mail addresses lie on example.test and example.com. Telephone numbers have real area
codes of Ohio, because the libraries that normalise numbers refuse invented ones. One in seven people lives with the
person before, under one family name and one roof. Of these couples every fourth shares the telephone and every sixth
the e-mail address; one in 21 is a child with the parent's whole name. One number in sixty was another person's
before, who is still known by it. Nobody else shares one.

``told`` is the person as one vendor has them: by a nickname, misspelt, with the names swapped, under the name before a
marriage, at the address before a move. What people do, and when, stands in ``journey``; which records are whose, in
``truth``.
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
MORE_FIRST_NAMES = words(
    "Aaron Abigail Adam Adrian Alan Albert Alice Alicia Allison Amanda Amber Amy Andrea Andrew Angela Anita Ann "
    "Anna Anthony April Arthur Ashley Austin Barbara Bernice Bettina Beverly Bonnie Brandon Brenda Brian Brittany "
    "Bruce Bryan Caleb Carl Carla Carmen Carol Caroline Catherine Cecilia Chad Charles Charlotte Cheryl Christian "
    "Christina Christopher Claire Clara Claudia Clifford Cody Connie Craig Crystal Curtis Cynthia Dale Danielle "
    "Darlene David Dawn Deborah Dennis Derek Diana Diane Dolores Donald Donna Doris Dorothy Douglas Duane Dustin "
    "Dylan Earl Edith Eduardo Eileen Elaine Eleanor Ellen Emily Emma Eric Erica Ernest Esther Ethan Eugene Eva "
    "Evan Evelyn Faith Felicia Florence Frances Francis Francisco Gabriel Gail George Gerald Glenn Gloria Gordon "
    "Grace Guadalupe Hannah Harold Heather Hector Heidi Helen Holly Howard Ian Irene Isaac Isabel Ivan Jack Jacob "
    "Jacqueline Jared Jasmine Jason Jean Jeffrey Jennifer Jeremy Jerome Jesse Jessica Joan Joann Joel John "
    "Jonathan Jordan Joseph Joshua Joyce Juan Juanita Judith Julia Julian Julie Justin Karen Karl Kathleen Keith "
    "Kelly Kenneth Kevin Kimberly Kristen Kurt Kyle Larry Laura Lauren Lawrence Leah Leroy Leslie Lillian Linda "
    "Lisa Logan Lois Loretta Lori Lorraine Louis Lucas Lucille Lucy Luis Lynn Marcus Marie Marilyn Mario Marjorie "
    "Mark Marlene Marsha Martha Martin Marvin Mason Matthew Maureen Megan Melissa"
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
_BEGINNINGS = words(
    "Ash Beck Black Brad Brook Burn Cald Carl Chad Clay Cold Cran Dun East Ed Fair Farn Glad Gold Green Hal Hart "
    "Haw Hazel Hol Hunt Kings Lang Law Lind Long Mans Mar Mel Mill Nor Oak Pem Pen Rad Red Rock Rut San Shel Sher "
    "Stan Stock Strat Sut Thorn Thur Wake Wal War Wed Wels Wen West Whit Wil Win Wood Wy"
)
_ENDINGS = words(
    "berg bury by dale den field ford gate ham hurst ington land ley man mont more ridge ston ton well wick worth"
)
MORE_LAST_NAMES = (
    *words(
        "Adams Alvarez Anderson Bailey Baker Bennett Brooks Brown Bryant Butler Campbell Carter Castillo Chavez Clark "
        "Coleman Collins Cook Cooper Cox Cruz Davis Diaz Edwards Evans Fisher Flores Foster Garcia Gibson Gomez "
        "Gonzalez Gray Griffin Gutierrez Hall Hamilton Harris Hayes Henderson Hernandez Hill Howard Hughes Jackson "
        "James Jenkins Johnson Jones Kelly Kennedy Kim King Lee Lewis Long Lopez Martin Martinez Mendoza Miller "
        "Mitchell Moore Morgan Morris Murphy Myers Nelson Nguyen Ortiz Parker Patel Patterson Perez Perry Peterson "
        "Phillips Powell Price Ramirez Reed Reyes Reynolds Richardson Roberts Robinson Rodriguez Rogers Ross Russell "
        "Sanchez Sanders Scott Simmons Smith Stewart Sullivan Taylor Thomas Thompson Torres Turner Walker Wallace "
        "Ward Washington Watson White Williams Wilson Wright Young"
    ),
    *(beginning + ending for ending in _ENDINGS for beginning in _BEGINNINGS),
)
STREETS = words(
    "Maple Ave|Elm St|Old Mill Rd|Quarry Ln|Orchard Dr|Canal St|Ridge Rd|Willow Ct|Foundry St|"
    "Meadow Ln|Sycamore St|Chapel Hill Rd|Ferry Rd|Linden Ave|Stone Bridge Rd|Prospect St",
    "|",
)
_STREET_KINDS = words("St Ave Rd Dr Ln Ct Way Pl")


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
_ZIPS = tuple(
    tuple(place._replace(zip=f"{int(place.zip) + beside:05d}") for beside in (0,) * 8 + tuple(range(8)))
    for place in PLACES
)
"""Each place by its own zip code, and by those beside it."""
DIVISIONS = ("Dayton", "Cincinnati", "Columbus", "Cleveland", "Toledo")
SOURCES = words("Google Ads|Facebook|Home show|Direct mail|Radio|Canvassing|Referral|Web form", "|")
"""What brings people, under the name that every vendor has for it."""
PAID_SOURCES = SOURCES[:5]
"""Those that money is spent on."""

# Three digits that begin with 2-9 and are neither a service code (N11) nor the film number 555.
EXCHANGES = tuple(x for x in range(200, 1000) if x % 100 != 11 and x != 555)
EMPLOYEES = 8_000_000
FORMER = 36
"""How many people before, the one lived whose telephone number was given to another."""
REUSED = 4
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
    suffix: str = ""  # Jr, of a child with the parent's name
    family_email: bool = False  # whether the e-mail address is that of another of the household

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

    def told(self, vendor: str) -> Person:
        """The person as a vendor, or one form of a vendor's, has them: always the same for the same vendor.

        Two of three are told as they are. The telephone number is always their own.
        """
        chance = blake2b(self.random_bytes + vendor.encode(), digest_size=12).digest()
        own = blake2b(self.random_bytes, digest_size=8).digest()
        told = self
        if own[0] < 8 and chance[0] < 128:  # married: the name from before, or both
            former = MORE_LAST_NAMES[own[1] * 5]
            told = told._replace(last_name=former if chance[1] < 200 else f"{former}-{self.last_name}")
        if own[2] < 18 and chance[2] < 128:  # moved, mostly within the town
            place = self.place if own[3] < 200 else PLACES[own[3] & 15]
            told = told._replace(street=street_of(own[4:8]), place=place)
        first, last, email = told.first_name, told.last_name, told.email
        if self.suffix and chance[3] < 170:
            last = f"{last} {self.suffix}"
        if chance[4] < 40:
            first = told.nickname
        elif chance[4] < 50:
            first = f"{first} {FIRST_NAMES[own[5] & 31][0]}."
        elif chance[4] < 54:
            first = f"{first[0]}."
        elif chance[4] < 58:
            first = ""
        first, last = misspell(first, chance[5]), misspell(last, chance[6])
        if chance[7] < 4:
            first, last = last, first
        if chance[8] < 4 and not self.family_email:  # a letter of the address is missing
            email = email[:2] + email[3:]
        elif chance[8] < 30 and not self.family_email:  # the other one of two
            email = f"home{self.number}@example.com"
        return told._replace(first_name=first, last_name=last, email=email)

    @property
    def do_not_call(self) -> bool:
        """Whether the person asked not to be called: one in twenty-five."""
        return self.random_bytes[18] < 10

    @property
    def consents(self) -> bool:
        """Whether the person agreed to be called and to get text messages: two in five, whatever they asked for."""
        return self.random_bytes[24] < 102

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


def street_of(chance: bytes) -> str:
    """A house: a number, and one of the streets of the first list, or of a street with somebody's name."""
    number, name = 10 + chance[0] * 17 + chance[1] % 17, STREETS[chance[2] & 15]
    if chance[2] >= 96:
        name = f"{MORE_LAST_NAMES[chance[2] * 4 + chance[3] % 4]} {_STREET_KINDS[chance[3] & 7]}"
    return f"{number} {name}"


def _first_name(random_bytes: bytes) -> str:
    at = random_bytes[1]
    return FIRST_NAMES[at & 31] if random_bytes[26] < 110 else MORE_FIRST_NAMES[at % len(MORE_FIRST_NAMES)]


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
        place = _ZIPS[random_bytes[0] & 15][random_bytes[25] & 15]
        first_name = _first_name(random_bytes)
        last_name = LAST_NAMES[random_bytes[2] & 63]
        if random_bytes[28] < 150:
            last_name = MORE_LAST_NAMES[(random_bytes[2] << 8 | random_bytes[27]) % len(MORE_LAST_NAMES)]
        return Person(
            number,
            first_name,
            last_name,
            self._email(number, first_name, last_name, random_bytes),
            self._phone(number, place, random_bytes),
            street_of(random_bytes[5:9]),
            place,
            1900 + random_bytes[8] % 120,
            random_bytes,
        )

    def employee(self, number: int) -> Person:
        """Somebody of the business, who is nobody's customer."""
        return self.person(EMPLOYEES + 2 * number)

    def _partner(self, other: Person, number: int, random_bytes: bytes) -> Person:
        """One who lives with ``other``."""
        junior = random_bytes[29] < 12
        first_name = other.first_name if junior else _first_name(random_bytes)
        family_email = not junior and random_bytes[30] < 43
        own_email = self._email(number, first_name, other.last_name, random_bytes)
        return other._replace(
            number=number,
            first_name=first_name,
            email=other.email if family_email else own_email,
            phone=other.phone if random_bytes[16] < 64 else self._phone(number, other.place, random_bytes),
            random_bytes=random_bytes,
            suffix="Jr" if junior else "",
            family_email=family_email,
        )

    def _phone(self, number: int, place: Place, random_bytes: bytes) -> str:
        if random_bytes[31] < REUSED and EMPLOYEES > number >= FORMER:
            return self.person(number - FORMER).phone
        subscriber = (number * _STRIDE + self._offset) % _NUMBERS
        return f"+1{place.area_code}{EXCHANGES[subscriber // 10_000]}{subscriber % 10_000:04d}"

    def _email(self, number: int, first_name: str, last_name: str, random_bytes: bytes) -> str:
        mailbox = f"{first_name}.{last_name}".lower().replace("'", "") if random_bytes[3] < 200 else last_name.lower()
        if not mailbox.isascii():
            mailbox = f"{first_name[0]}.home".lower()
        return f"{mailbox}{number}@example.{'test' if random_bytes[4] & 1 else 'com'}".replace("'", "")
