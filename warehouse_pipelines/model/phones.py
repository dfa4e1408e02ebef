"""Phone numbers in E.164: ``e164`` reads one, ``nanp_pattern`` tests a whole column of plain US numbers at once.

What is valid is decided by ``phonenumbers``, which is imported by the first number because it takes 0.1 s.
"""

import functools
import re

REGION = "US"
"""The country of a number without a country code."""

_BETWEEN = re.compile(r"\s*(?:[/,;|&\n]|\b(?:or|and)\b)\s*", re.IGNORECASE)


@functools.lru_cache(maxsize=100_000)
def e164(text: str | None) -> str | None:
    """Return a phone number in E.164, or None when ``phonenumbers`` does not hold it valid.

    Of several numbers in one field it is the first valid one.
    """
    if not text:
        return None
    import phonenumbers

    parts = _BETWEEN.split(text)
    for part in [text, *parts] if len(parts) > 1 else [text]:
        try:
            number = phonenumbers.parse(part, REGION)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    return None


@functools.lru_cache(maxsize=1)
def nanp_pattern() -> str:
    """Return a regular expression of the ten-digit numbers that are valid anywhere under country code 1.

    Made of ``phonenumbers``' own metadata, so that a whole column can be tested at once; ``e164`` costs 20 to 50 µs.
    """
    import phonenumbers

    patterns: set[str] = set()
    for region in phonenumbers.region_codes_for_country_code(1):
        metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
        for kind in (
            "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip",
            "pager", "uan", "voicemail",
        ):  # fmt: skip
            described = getattr(metadata, kind)
            if described is not None and described.national_number_pattern not in (None, "NA"):
                patterns.add(described.national_number_pattern)
    return f"^(?:{'|'.join(sorted(patterns))})$"
