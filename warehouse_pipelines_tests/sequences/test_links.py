"""Links: only ours are read, whatever is changed in them, and those of the key before as well."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from warehouse_pipelines.sequences.links import CHANNELS, Link, read, token

KEY, NEXT = "k" * 32, "n" * 32
LINK = Link(UUID(int=1), UUID(int=2), "email")


def test_a_link_is_read_by_the_key_that_signed_it_and_no_other() -> None:
    for channel in CHANNELS:
        link = LINK._replace(channel=channel)
        assert read(token(link, KEY), (KEY,)) == link
        assert read(token(link, KEY), (NEXT, KEY)) == link
        assert read(token(link, KEY), (NEXT,)) is None
    assert read(token(LINK, KEY), ()) is None
    assert len(token(LINK, KEY)) == 66
    assert read(token(LINK, KEY) + "=", (KEY,)) is None


@given(st.integers(0, 65), st.sampled_from("ABCXYZabcxyz0189-_"))
def test_a_link_that_was_changed_is_none(place: int, letter: str) -> None:
    good = token(LINK, KEY)
    changed = good[:place] + letter + good[place + 1 :]
    assert read(changed, (KEY,)) == (LINK if changed == good else None)


@given(st.text(max_size=200))
def test_nothing_else_is_a_link(text: str) -> None:
    assert read(text, (KEY,)) is None
