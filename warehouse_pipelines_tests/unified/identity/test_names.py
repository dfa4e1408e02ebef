"""What names mean, as the sources write them."""

import pytest

from warehouse_pipelines.unified.identity.names import Likeness, Name, fold, parse_name, same_given, sound


def full(text: str) -> Name:
    return parse_name(None, None, text)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  Zoë  MÜLLER ", "zoe muller"),
        ("O'Brien", "obrien"),
        ("O’Brien", "obrien"),
        ("Van-der-Berg", "van der berg"),
        ("J. R. Straße", "j r strasse"),
        ("Łukasz Ørsted", "lukasz orsted"),
        ("", ""),
    ],
)
def test_fold(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("first", "last", "name"),
    [
        ("Ana", "Rivera", Name("ana", None, "rivera")),
        ("ANA", " RIVERA ", Name("ana", None, "rivera")),
        ("John D.", "Smith Jr.", Name("john", "d", "smith", "jr")),
        ("John", "Smith, III", Name("john", None, "smith", "iii")),
        ("Mary Ann", "Smith", Name("mary", "ann", "smith")),
        ("Dr. John", "Smith MD", Name("john", None, "smith")),
        ("John & Jane", "Smith", Name("john", None, "smith")),
        ("John and Jane", "Smith", Name("john", None, "smith")),
        ('Robert "Bob"', "Smith", Name("robert", None, "smith")),
        ("John", "Smith (husband)", Name("john", None, "smith")),
        ("Ana", "Smith-Jones", Name("ana", None, "smith jones")),
        ("Ana", "Van der Berg", Name("ana", None, "van der berg")),
        ("John Smith", None, Name("john", None, "smith")),
        ("John Smith", "Smith", Name("john", None, "smith")),
        (None, "John Smith", Name("john", None, "smith")),
        (None, "Van Dyke", Name(None, None, "van dyke")),
        ("John Smith", "John Smith", Name("john", None, "smith")),
        ("Ana", "Unknown", Name("ana")),
        ("Unknown", "Rivera", Name(None, None, "rivera")),
        ("Unknown", "Unknown", Name()),
        ("N/A", "n/a", Name()),
        ("Homeowner", None, Name()),
        ("9375551234", None, Name()),
        ("(937) 555-1234", "", Name()),
        ("ana@example.test", None, Name()),
        ("Test", "Test", Name()),
        ("Smith Roofing", "LLC", Name(business="smith roofing llc")),
        ("Rivera", "Construction", Name(business="rivera construction")),
        ("Charlotte", "Church", Name("charlotte", None, "church")),
        ("", "", Name()),
        (None, None, Name()),
    ],
)
def test_two_fields(first: str | None, last: str | None, name: Name) -> None:
    assert parse_name(first, last) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ana Rivera", Name("ana", None, "rivera")),
        ("Rivera, Ana", Name("ana", None, "rivera")),
        ("Rivera, Ana M.", Name("ana", "m", "rivera")),
        ("Smith, Jr., John", Name("john", None, "smith", "jr")),
        ("John Smith, Jr.", Name("john", None, "smith", "jr")),
        ("John D. Smith III", Name("john", "d", "smith", "iii")),
        ("Ana Van der Berg", Name("ana", None, "van der berg")),
        ("John & Mary Smith", Name("john", None, "smith")),
        ("John Smith & Mary Jones", Name("john", None, "smith")),
        ("John Smith and Mary", Name("john", None, "smith")),
        ("Mr. and Mrs. Smith", Name(None, None, "smith")),
        ("Mrs. Smith", Name(None, None, "smith")),
        ("Dr. Ana Maria de la Rosa", Name("ana", "maria", "de la rosa")),
        ("The Smith Family", Name(None, None, "smith")),
        ("Smith Family", Name(None, None, "smith")),
        ("Ana", Name("ana")),
        ("Ana R", Name("ana", None, "r")),
        ("Smith Roofing LLC", Name(business="smith roofing llc")),
        ("Rivera & Sons", Name(business="rivera & sons")),
        ("Ana Rivera Interiors", Name(business="ana rivera interiors")),
        ("St. Mary Church", Name(business="st mary church")),
        ("Charlotte Church", Name("charlotte", None, "church")),
        ("John Law", Name("john", None, "law")),
        ("Hollis & Novak", Name(business="hollis & novak")),
        ("The Home Depot", Name(business="the home depot")),
        ("WIRELESS CALLER", Name()),
        ("unknown", Name()),
        ("+1 937-555-1234", Name()),
        ("?", Name()),
    ],
)
def test_one_field(text: str, name: Name) -> None:
    assert full(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("RIVERA A", Name("a", None, "rivera")),
        ("Rivera A", Name("a", None, "rivera")),
        ("SMITH JOHN", Name("john", None, "smith")),
        ("SMITH JOHN D", Name("john", "d", "smith")),
        ("JOHN SMITH", Name("john", None, "smith")),
        ("JOHN D SMITH", Name("john", "d", "smith")),
        ("Ana Rivera", Name("ana", None, "rivera")),
        ("WIRELESS CALLER", Name()),
        ("CELL PHONE   OH", Name()),
        ("DAYTON OH", Name()),
        ("SMITH ROOFING", Name(business="smith roofing")),
    ],
)
def test_the_name_of_a_caller(text: str, name: Name) -> None:
    assert parse_name(None, None, text, caller_id=True) == name


def test_the_field_of_a_business_is_beside_the_name() -> None:
    assert parse_name("Ana", "Rivera", business="Rivera Homes") == Name("ana", None, "rivera", None, "rivera homes")
    assert parse_name("", "", business="Rivera Homes") == Name(business="rivera homes")
    assert parse_name("Ana", "Rivera", business="N/A") == Name("ana", None, "rivera")


def test_the_middle_name_of_a_field_of_its_own() -> None:
    assert parse_name("Ana", "Rivera", middle="M.") == Name("ana", "m", "rivera")


@pytest.mark.parametrize(
    ("a", "b", "likeness"),
    [
        ("ana", "ana", "equal"),
        ("mary ann", "maryann", "equal"),
        ("robert", "bob", "nickname"),
        ("bob", "rob", "nickname"),
        ("peggy", "margaret", "nickname"),
        ("pat", "patricia", "nickname"),
        ("pat", "patrick", "nickname"),
        ("patrick", "patricia", "different"),
        ("robert", "bill", "different"),
        ("louis", "louise", "different"),
        ("r", "robert", "initial"),
        ("r", "bob", "different"),
        ("robret", "robert", "alike"),
        ("elizabth", "elizabeth", "alike"),
        ("john", "jon", "nickname"),
        ("sara", "sarah", "nickname"),
        ("kristofer", "christopher", "alike"),
        ("steven", "stephen", "alike"),
        ("mark", "mary", "different"),
        ("john", "joan", "different"),
        ("dan", "don", "different"),
        ("daniel", "danielle", "different"),
        ("ana", None, "missing"),
        (None, None, "missing"),
        ("", "ana", "missing"),
        ("samuel", "naomi", "different"),
    ],
)
def test_given_names_alike(a: str | None, b: str | None, likeness: Likeness) -> None:
    assert same_given(a, b) == likeness
    assert same_given(b, a) == likeness


@pytest.mark.parametrize(
    ("a", "b"),
    [("smith", "smyth"), ("rivera", "riverra"), ("meyer", "meier"), ("nakamura", "nakmura"),
     ("kastellano", "castellano"), ("van der berg", "vanderberg")],
)  # fmt: skip
def test_surnames_that_sound_alike(a: str, b: str) -> None:
    assert sound(a) == sound(b)


def test_surnames_that_do_not() -> None:
    assert len({sound(name) for name in ("rivera", "hollis", "novak", "obrien", "marsh", "okafor", "pelletier")}) == 7
