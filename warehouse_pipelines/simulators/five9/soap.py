"""How Five9 writes what it answers: SOAP envelopes, faults, nil values."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape

from warehouse_pipelines.simulators.core.wire import Answer

SERVICE = "http://service.admin.ws.five9.com/"
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
NIL = '<data xsi:nil="true" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"/>'


class SoapFaultError(Exception):
    """The name of the fault without `Fault`, and the children of its detail."""

    def __init__(self, name: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.name = name
        self.children = {**more, "message": message}


def _envelope(status: int, body: str) -> Answer:
    text = f'<env:Envelope xmlns:env="{ENVELOPE}"><env:Header></env:Header><env:Body>{body}</env:Body></env:Envelope>'
    return Answer(status, text.encode(), content_type="text/xml;charset=UTF-8")


def fault_answer(error: SoapFaultError) -> Answer:
    order = sorted(error.children)
    children = "".join(f"<{name}>{escape(str(error.children[name]))}</{name}>" for name in order)
    detail = f'<ns2:{error.name}Fault xmlns:ns2="{SERVICE}">{children}</ns2:{error.name}Fault>'
    message = escape(str(error))
    body = f"<env:Fault><faultcode>env:Server</faultcode><faultstring>{message}</faultstring><detail>{detail}</detail>"
    return _envelope(500, f"{body}</env:Fault>")


def result_answer(name: str, content: str, list_key: str | None = None) -> Answer:
    body = f'<ns2:{name}Response xmlns:ns2="{SERVICE}">{content}</ns2:{name}Response>'
    return replace(_envelope(200, body), list_key=list_key)


NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def escaped(value: str) -> str:
    """The value in XML; some servers write characters that XML does not have as references."""
    return NO_XML.sub(lambda found: f"&#{ord(found[0])};", escape(value))
