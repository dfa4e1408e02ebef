"""What messages are handed to, over real connections: what was taken, what surely was not, what nobody knows."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from warehouse_pipelines.errors import (
    BadRecord,
    CredentialRefused,
    NotConfigured,
    OutcomeUnknown,
    RequestRefused,
    VendorUnavailable,
)
from warehouse_pipelines.sequences.senders import Message, Smtp, TextMessages, senders
from warehouse_pipelines.sequences.settings import SequenceSettings
from warehouse_pipelines_tests.harness.mail_server import MailServer, TextService
from warehouse_pipelines_tests.harness.sequence_rows import live

URL = "https://hooks.example.test/unsubscribe/x"
E_MAIL = Message("e1:0", "email", "ada@people.example", "Hello", "Hello Ada.\n.\nFrom here", URL)
TEXT = Message("e1:1", "sms", "+12125550100", "", "Hello Ada.", URL)


def test_an_e_mail_has_what_mail_programs_and_the_law_ask_for(mail: MailServer) -> None:
    reference = Smtp(live(mail)).send(E_MAIL)
    ((recipient, received),) = mail.received
    assert recipient == "ada@people.example"
    assert received["Message-ID"] == reference == "<e1.0@acme.example>"
    assert received["From"] == "Acme Roofs <hello@acme.example>"
    assert received["List-Unsubscribe"] == f"<{URL}>"
    assert received["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text = received.get_content().replace("\r\n", "\n")
    assert text.startswith("Hello Ada.\n.\nFrom here\n")
    assert "1 Main St, Springfield" in text
    assert URL in text


def test_an_e_mail_comes_as_it_was_written_whatever_its_letters(mail: MailServer) -> None:
    """Lines end with CR and LF, each has 7-bit bytes, and no header of a link is cut or encoded."""
    url = f"https://hooks.example.test/unsubscribe/{'x' * 66}"
    body = "Grüße, Łukasz 김\n" + "long " * 400
    Smtp(live(mail)).send(Message("e1:0", "email", "ada@people.example", "Grüße, Łukasz", body, url))
    (raw,) = mail.raw
    assert raw.isascii()
    assert raw.count(b"\n") == raw.count(b"\r\n")
    assert max(map(len, raw.splitlines())) < 998
    assert f"List-Unsubscribe: <{url}>\r\n".encode() in raw
    ((_, received),) = mail.received
    assert received["Subject"] == "Grüße, Łukasz"
    assert received.get_content().replace("\r\n", "\n").startswith(body)


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"MAIL": "450 later"}, VendorUnavailable),
        ({"MAIL": "550 who are you"}, NotConfigured),
        ({"RCPT": "451 greylisted"}, VendorUnavailable),
        ({"RCPT": "550 no such user ada@people.example"}, BadRecord),
        ({"DATA": "452 no room"}, VendorUnavailable),
        ({"DATA": "554 no"}, BadRecord),
        ({"END": "451 later"}, VendorUnavailable),
        ({"END": "554 spam"}, BadRecord),
        ({"RCPT": "550 4.2.1 try again"}, VendorUnavailable),
        ({"RCPT": "550 5.1.1 no relay.example.com"}, BadRecord),
        ({"RCPT": "552 5.2.2 over the daily quota of the mailbox"}, BadRecord),
        ({"RCPT": "554 5.7.17 the mailbox has a new owner"}, BadRecord),
        ({"END": "554 5.7.1 this is spam"}, BadRecord),
        ({"RCPT": "550 5.4.5 Daily user sending limit exceeded."}, RequestRefused),
        ({"RCPT": "450 4.7.1 sending rate exceeded"}, RequestRefused),
        ({"RCPT": "554 Relay access denied"}, RequestRefused),
        ({"END": "550 5.7.60 this client may not send as this sender"}, RequestRefused),
    ],
)
def test_what_the_server_refuses_was_not_sent(
    mail: MailServer, answers: dict[str, str], error: type[Exception]
) -> None:
    mail.answers = answers
    with pytest.raises(error) as raised:
        Smtp(live(mail)).send(E_MAIL)
    assert "ada" not in str(raised.value)
    assert mail.received == []


@pytest.mark.parametrize(("after", "error"), [("MAIL", VendorUnavailable), ("RCPT", VendorUnavailable)])
def test_a_connection_that_ends_before_the_message_sent_nothing(
    mail: MailServer, after: str, error: type[Exception]
) -> None:
    mail.ends_after = after
    with pytest.raises(error):
        Smtp(live(mail)).send(E_MAIL)
    assert mail.received == []


def test_a_connection_that_ends_after_the_message_leaves_it_unknown(mail: MailServer) -> None:
    mail.ends_after = "DATA"
    with pytest.raises(OutcomeUnknown):
        Smtp(live(mail)).send(E_MAIL)
    assert len(mail.received) == 1
    assert Smtp(live(mail)).look_up("e1:0") is None


def test_a_server_that_is_away_is_asked_again_later(mail: MailServer) -> None:
    with pytest.raises(VendorUnavailable):
        Smtp(live(mail, smtp_port=1)).send(E_MAIL)
    with pytest.raises(NotConfigured, match="STARTTLS"):
        Smtp(live(mail, smtp_security="starttls")).send(E_MAIL)


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example, c@d.example", "a@b.example\nRCPT TO:<c@d.example>", "a@b", "<a@b.example>", "ä@b.example",
        "a@b.example>", "a b@c.example", "a..b@c.example", ".a@b.example", "a" * 65 + "@b.example",
        "a@" + "b" * 300 + ".example", "",
    ],
)  # fmt: skip
def test_an_address_that_would_reach_others_is_refused(mail: MailServer, address: str) -> None:
    with pytest.raises(BadRecord):
        Smtp(live(mail)).send(Message("e1:0", "email", address, "Hello", "Hello", URL))
    assert mail.received == []


def test_a_text_message_is_asked_for_as_the_page_says(texts: TextService) -> None:
    assert TextMessages(live(texts=texts)).send(TEXT) == "sm-e1:1"
    ((headers, body),) = texts.requests
    assert json.loads(body) == {"to": "+12125550100", "text": "Hello Ada.", "key": "e1:1"}
    assert headers["Idempotency-Key"] == "e1:1"
    assert headers["Authorization"] == "Bearer an-invented-token"
    signed = hmac.new(b"an-invented-signing-key", headers["X-Timestamp"].encode() + b"." + body, hashlib.sha256)
    assert headers["X-Signature"] == f"sha256={signed.hexdigest()}"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRecord), (422, BadRecord), (402, RequestRefused), (401, CredentialRefused), (403, CredentialRefused),
        (404, NotConfigured), (429, VendorUnavailable), (503, VendorUnavailable), (500, OutcomeUnknown),
        (302, OutcomeUnknown),
    ],
)  # fmt: skip
def test_what_a_text_message_service_answers_is_sorted(texts: TextService, status: int, error: type[Exception]) -> None:
    texts.status = status
    with pytest.raises(error) as raised:
        TextMessages(live(texts=texts)).send(TEXT)
    assert "2125550100" not in str(raised.value)


def test_a_service_that_ends_the_connection_can_be_asked_what_it_took(texts: TextService) -> None:
    texts.ends = True
    sender = TextMessages(live(texts=texts))
    with pytest.raises(OutcomeUnknown):
        sender.send(TEXT)
    assert sender.look_up("e1:1") == "sm-e1:1"
    assert sender.look_up("e1:2") == ""
    texts.can_be_asked = False
    assert sender.look_up("e1:1") is None
    texts.ends, texts.can_be_asked = False, True
    assert sender.send(TEXT) == "sm-e1:1"
    assert len(texts.sent) == 1
    with pytest.raises(VendorUnavailable):
        TextMessages(live(texts=texts, sms_url="http://127.0.0.1:1/")).send(TEXT)


@pytest.mark.parametrize(
    ("given", "channel", "named"),
    [
        ({"smtp_host": ""}, "email", "SMTP_HOST"),
        ({"warehouse_business_address": ""}, "email", "WAREHOUSE_BUSINESS_ADDRESS"),
        ({"smtp_from": "Acme"}, "email", "SMTP_FROM"),
        ({"smtp_host": "mail.example.test"}, "email", "in clear"),
        ({"sms_url": "http://texts.example.test/"}, "sms", "in clear"),
        ({"sms_url": ""}, "sms", "SMS_URL"),
        ({"sms_token": None, "sms_signing_key": None}, "sms", "SMS_TOKEN"),
    ],
)
def test_a_channel_without_its_settings_says_what_is_missing(
    mail: MailServer, texts: TextService, given: dict[str, Any], channel: str, named: str
) -> None:
    found, problems = senders(live(mail, texts, **given))
    assert channel not in found
    assert named in problems[channel]


def test_without_settings_nothing_leaves_the_house() -> None:
    found, problems = senders(SequenceSettings())
    assert {sender.name for sender in found.values()} == {"outbox"}
    assert problems == {}
