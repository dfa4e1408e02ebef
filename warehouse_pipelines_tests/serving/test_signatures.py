"""How a delivery proves that its vendor sent it: vendors' own examples, and what must not pass."""

import base64
import hashlib
import hmac
import time
from typing import Any

import pytest

from warehouse_pipelines.model.webhook import Delivery
from warehouse_pipelines.serving import signatures
from warehouse_pipelines.settings import ServeSettings

SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
V1_BODY = (
    b'[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,'
    b'"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM",'
    b'"changeFlag":"NEW","appId":54321}]'
)
V1 = "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"
V2 = "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e"


def settings(**secrets: Any) -> ServeSettings:
    return ServeSettings(**secrets)


def test_hubspot_v1_of_the_vendors_own_example() -> None:
    headers = {"x-hubspot-signature": V1, "x-hubspot-signature-version": "v1"}
    with_secret = settings(hubspot_client_secret=SECRET)
    assert signatures.hubspot(Delivery(headers, V1_BODY), with_secret)
    assert not signatures.hubspot(Delivery(headers, V1_BODY + b" "), with_secret)
    assert not signatures.hubspot(Delivery(headers, V1_BODY), settings(hubspot_client_secret=SECRET + "y"))
    assert not signatures.hubspot(Delivery(headers, V1_BODY), settings())


def test_hubspot_v2_of_the_vendors_own_example() -> None:
    headers = {"x-hubspot-signature": V2, "x-hubspot-signature-version": "v2"}
    with_secret = settings(hubspot_client_secret=SECRET)
    assert signatures.hubspot(Delivery(headers, b"", "https://www.example.com/webhook_uri", "GET"), with_secret)
    assert not signatures.hubspot(Delivery(headers, b"", "https://www.example.com/webhook_ur", "GET"), with_secret)


def test_hubspot_v3(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vector that the notes worked out by hand; the clock is put to its time."""
    headers = {
        "x-hubspot-signature-v3": "ZwMJW1adtrnp0UyJBJTfCAeUmEnpNVw56Ny7T0o+R1Y=",
        "x-hubspot-request-timestamp": "1750000000000",
    }
    delivery = Delivery(headers, b'[{"eventId":7}]', "https://sim.example/hook?x=1")
    with_secret = settings(hubspot_client_secret="invented-secret-01")
    assert not signatures.hubspot(delivery, with_secret), "it is years old"
    for seconds, right in (
        (1_750_000_000, True),
        (1_750_000_299, True),
        (1_750_000_301, False),
        (1_749_999_699, False),
    ):
        monkeypatch.setattr(time, "time", lambda at=seconds: float(at))
        assert signatures.hubspot(delivery, with_secret) is right, seconds
    monkeypatch.setattr(time, "time", lambda: 1_750_000_000.0)
    for changed in (
        delivery._replace(body=b'[{"eventId":8}]'),
        delivery._replace(url="https://sim.example/hook"),
        delivery._replace(method="PUT"),
        delivery._replace(headers={**headers, "x-hubspot-request-timestamp": "1750000000001"}),
        delivery._replace(headers={**headers, "x-hubspot-request-timestamp": "now"}),
        delivery._replace(headers={**headers, "x-hubspot-request-timestamp": "٣"}),
        delivery._replace(headers={**headers, "x-hubspot-signature-v3": ""}),
        delivery._replace(headers={**headers, "x-hubspot-signature-v3": "é"}),
    ):
        assert not signatures.hubspot(changed, with_secret)


def test_hubspot_writes_out_some_escapes_of_the_address() -> None:
    sent_at = str(int(time.time() * 1000))
    signed = f"POSThttps://h.test/webhooks/hubspot?a=b:c/d&e=f%20g{sent_at}"
    signature = base64.b64encode(hmac.new(b"s", signed.encode(), hashlib.sha256).digest()).decode()
    headers = {"x-hubspot-signature-v3": signature, "x-hubspot-request-timestamp": sent_at}
    called = "https://h.test/webhooks/hubspot?a=b%3Ac%2Fd&e=f%20g"
    assert signatures.hubspot(Delivery(headers, b"", called), settings(hubspot_client_secret="s"))


def test_callrail_by_whichever_key_fits() -> None:
    body = b'{"customer_name":"Invented"}'
    made = {key: base64.b64encode(hmac.new(key.encode(), body, hashlib.sha1).digest()).decode() for key in "abc"}
    keys = settings(callrail_signing_keys=" a ,b,, ")
    assert [signatures.callrail(Delivery({"signature": made[key]}, body), keys) for key in "abc"] == [True, True, False]
    assert not signatures.callrail(Delivery({"signature": made["a"]}, body + b"\n"), keys)
    assert not signatures.callrail(Delivery({}, body), keys)
    assert not signatures.callrail(Delivery({"signature": made["a"]}, body), settings())


@pytest.mark.parametrize(("vendor", "setting"), [("arrivy", "arrivy_webhook_secret"),
                                                 ("leadconduit", "leadconduit_webhook_secret")])  # fmt: skip
def test_by_a_secret_header(vendor: str, setting: str) -> None:
    verify, known = getattr(signatures, vendor), settings(**{setting: "the word"})
    assert verify(Delivery({"x-webhook-secret": "the word"}, b""), known)
    assert verify(Delivery({"authorization": "Bearer the word"}, b""), known)
    for headers in ({}, {"x-webhook-secret": ""}, {"x-webhook-secret": "the wor"}, {"authorization": "Basic the word"}):
        assert not verify(Delivery(headers, b""), known), headers
    assert not verify(Delivery({"x-webhook-secret": ""}, b""), settings())


def test_an_empty_secret_proves_nothing() -> None:
    body = b"[]"
    signed = base64.b64encode(hmac.new(b"", body, hashlib.sha1).digest()).decode()
    assert not signatures.hubspot(
        Delivery({"x-hubspot-signature": hashlib.sha256(body).hexdigest()}, body), settings(hubspot_client_secret="")
    )
    assert not signatures.callrail(Delivery({"signature": signed}, body), settings(callrail_signing_keys=""))
    for vendor in ("arrivy", "leadconduit"):
        known = settings(**{f"{vendor}_webhook_secret": ""})
        for headers in ({}, {"x-webhook-secret": ""}, {"authorization": "Bearer "}):
            assert not getattr(signatures, vendor)(Delivery(headers, body), known), (vendor, headers)
