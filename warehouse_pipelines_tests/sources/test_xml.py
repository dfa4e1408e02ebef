"""XML from a vendor: what is read of it, and what it cannot do to us."""

import time
import tracemalloc

import msgspec
import pytest

from warehouse_pipelines.sources._xml import Ended, ended

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha">%b]><lolz>&j;</lolz>""" % b"".join(
    b'<!ENTITY %c "%b">' % (name, b"&%c;" % (name - 1) * 10) for name in b"bcdefghij"
)


def test_elements_come_as_they_end_with_their_parent_and_without_namespace() -> None:
    xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    content = f'<e:a xmlns:e="urn:e"><b>one &amp; <![CDATA[<two>]]></b><b xsi:nil="true" {xsi}/><b/><e:c> </e:c></e:a>'
    assert list(ended(content.encode())) == [
        Ended("b", "a", "one & <two>"), Ended("b", "a", None), Ended("b", "a", ""), Ended("c", "a", " "),
        Ended("a", "", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        LAUGHS,
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>',
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a/>',
    ],
    ids=["expansion", "file", "network"],
)
def test_a_document_type_is_refused_before_anything_is_expanded(content: bytes) -> None:
    began = time.process_time()
    with pytest.raises(msgspec.ValidationError, match="document type"):
        list(ended(content))
    assert time.process_time() - began < 1


@pytest.mark.parametrize("content", [b"", b"<a><b>", b"<html><br></html>", b"<a>&nbsp;</a>", b"{}"])
def test_what_is_no_xml_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(msgspec.DecodeError, match="not XML"):
        list(ended(content))


@pytest.mark.parametrize("character", ["&#0;", "&#x1F;", "&#31;", "\x0b", "&#xD800;", "&#xFFFE;"])
def test_a_character_that_xml_cannot_hold_costs_nothing_but_itself(character: str) -> None:
    assert list(ended(f"<a>x{character}y&#233;&#9;</a>".encode())) == [Ended("a", "", "x\ufffdyé\t")]


@pytest.mark.slow("many records")
def test_memory_does_not_grow_with_the_answer() -> None:
    content = b"<a>%b</a>" % (b"<b><c>some value</c><c>another</c></b>" * 60_000)
    tracemalloc.start()
    count = sum(1 for _ in ended(content))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 180_001
    assert peak < 4 * 2**20
