"""The S3 in which results lie: GET and HEAD, path-style, with ranges."""

from __future__ import annotations

import re
from collections.abc import Mapping

from warehouse_pipelines.simulators.core.wire import Answer, Request


def s3_answer(request: Request, bucket: str, objects: Mapping[str, bytes]) -> Answer:
    if request.method not in ("GET", "HEAD"):
        return s3_error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
    if request.path.split("/")[1] != bucket:
        return s3_error(404, "NoSuchBucket", "The specified bucket does not exist")
    body = objects.get(request.path)
    if body is None:
        return s3_error(404, "NoSuchKey", "The specified key does not exist.")
    etag = f'"{len(body):032x}"'
    if request.headers.get("if-match", etag) != etag:
        return s3_error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
    headers = {"ETag": etag, "Accept-Ranges": "bytes"}
    status = 200
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if match is not None:
        first, last = int(match[1]), int(match[2] or len(body) - 1)
        if first >= len(body):
            return s3_error(416, "InvalidRange", "The requested range is not satisfiable")
        headers["Content-Range"] = f"bytes {first}-{min(last, len(body) - 1)}/{len(body)}"
        body, status = body[first : last + 1], 206
    if request.method == "HEAD":
        return Answer(200, b"", {**headers, "Content-Length": str(len(body))}, content_type="application/octet-stream")
    return Answer(status, body, headers, content_type="application/octet-stream", list_key="rows")


def s3_error(status: int, code: str, message: str) -> Answer:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(status, body.encode(), content_type="application/xml")
