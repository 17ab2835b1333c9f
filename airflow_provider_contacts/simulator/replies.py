"""What faults do to an answer that the vendor has made: its content first, then its bytes."""

from __future__ import annotations

import gzip
import random
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from airflow_provider_contacts.simulator.messages import Answer

GARBAGE = b'\x00\xff\xfe{"id": '


@dataclass(frozen=True, slots=True)
class Bytes:
    """An answer as it goes to the wire; ``cut``: the connection ends before all of ``length`` is sent."""

    status: int
    headers: dict[str, str]
    body: bytes
    length: int
    cut: bool = False


def gateway_page(status: int) -> Answer:
    """Return what stands between client and vendor answers when it cannot reach the vendor."""
    head, body = f"<head><title>{status}</title></head>", f"<body><center><h1>{status}</h1></center></body>"
    return Answer(status, f"<html>{head}{body}</html>", content_type="text/html")


def change_records(records: list[Any], fired: frozenset[str], short_by: int, source: random.Random) -> None:
    """Leave out, add, re-order or mislabel returned records, in place.

    :param records: a list of its own, not the vendor's store; its members are replaced, never changed.
    """
    if "duplicate_ids" in fired and records:
        records[:] = [{**record, "id": records[0].get("id")} for record in records]
    if "foreign_record" in fired and records:
        stranger = {name: f"{value} x" if isinstance(value, str) else value for name, value in records[0].items()}
        records.append({**stranger, "id": f"foreign-{source.randrange(10**9)}"})
    if "short" in fired:
        for _ in range(min(short_by, len(records))):
            records.pop(source.randrange(len(records)))
    if "shuffled" in fired:
        source.shuffle(records)
    if "extra_fields" in fired:
        records[:] = [{**record, "x_revision": 7, "x_meta": {"a": [1]}} for record in records]


def change_envelope(payload: Any, fired: frozenset[str]) -> Any:
    """Return the whole answer with further fields, nulls or texts, as the faults ask."""
    if isinstance(payload, dict):
        if "stringly" in fired:
            payload = {name: _as_text(value) for name, value in payload.items()}
        if "extra_fields" in fired:
            payload = {**payload, "x_request_id": "0c1d", "x_debug": None}
    return _nulled(payload) if "nulls" in fired else payload


def to_bytes(answer: Answer, fired: frozenset[str] = frozenset(), *, accepts_gzip: bool = False) -> Bytes:
    """Return the answer's bytes, damaged as the faults ask."""
    body = answer.encoded()
    if answer.status < HTTPStatus.MULTIPLE_CHOICES:
        body = _damaged(body, fired)
    headers = dict(answer.headers)
    if body or answer.payload is not None:
        wrong = "wrong_content_type" in fired and answer.content_type == "application/json"
        headers["Content-Type"] = "text/html; charset=utf-8" if wrong else answer.content_type
    if "gzip" in fired and accepts_gzip:
        body = gzip.compress(body, compresslevel=1)
        headers["Content-Encoding"] = "gzip"
    cut = "truncated" in fired and len(body) > 1
    return Bytes(answer.status, headers, body[: len(body) // 2] if cut else body, len(body), cut)


def _damaged(body: bytes, fired: frozenset[str]) -> bytes:
    if "garbage" in fired:
        return GARBAGE
    if "empty_body" in fired:
        return b""
    if "cut_json" in fired:
        return body[: len(body) // 2]
    return b"\xef\xbb\xbf" + body if "bom" in fired else body


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else value


def _nulled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _nulled(item) for name, item in value.items()} or None
    if isinstance(value, list):
        return [_nulled(item) for item in value] or None
    return value
