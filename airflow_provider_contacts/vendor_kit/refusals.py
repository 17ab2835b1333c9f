"""Why a vendor refuses a request: the shapes of such answers, and the codes and fields that they name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.json_values import as_count, as_id, as_list, as_mapping, as_text

UNSPECIFIED = "unspecified"
CONFLICT = 409

# A code or a field is counted, logged and shown: a sentence in its place, which may quote a record, must not become
# one, nor a number as long as a telephone's.
CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}|[0-9]{1,9}")
FIELD = re.compile(r"[A-Za-z0-9_.,-]{1,128}")


class Reason(NamedTuple):
    """Hold one reason of a refusal, and the place of its record in the request where the answer names one."""

    place: int | None
    error: RecordError


Shape = Callable[[Mapping[str, Any], int], Iterable[Reason]]
"""Takes the JSON object of a refusing answer and its status; yields reasons, or none if it has another shape."""


def code_of(value: Any) -> str | None:
    """Return a code, ``None`` for what does not have the form of one."""
    text = as_id(value)
    return text if text and CODE.fullmatch(text) else None


def field_of(value: Any) -> str | None:
    """Return the dotted path of a field, given as text or in parts; ``None`` for what does not have the form of one."""
    if isinstance(value, list):
        value = ".".join(str(part) for part in value if isinstance(part, str | int))
    dotted = re.sub(r"\[([0-9]+)\]", r".\1", as_text(value) or "").replace("/", ".")
    return dotted if FIELD.fullmatch(dotted) else None


def status_code(status: int) -> str:
    """Return the code of a refusal that brings none: a 409 says that such a contact exists."""
    return "conflict" if status == CONFLICT else f"http_{status}" if status < 1000 else UNSPECIFIED  # noqa: PLR2004


def reason(code: Any, field: Any, message: Any, otherwise: str = UNSPECIFIED) -> RecordError:
    """Return one reason; a sentence in place of a code becomes the message, and a conflict overrules any code."""
    found = code_of(code) if otherwise != "conflict" else None
    return RecordError(found or otherwise, field_of(field), as_text(message) or (None if found else as_text(code)))


def fastapi(body: Mapping[str, Any], status: int) -> Iterator[Reason]:
    """Read FastAPI's ``{"detail": [{"loc": ["body", 3, "email"], "msg", "type"}]}``: a leading number is the place."""
    for detail in map(as_mapping, as_list(body.get("detail")) or ()):
        parts = as_list(detail.get("loc")) or []
        parts = parts[1:] if parts[:1] == ["body"] else parts
        place = as_count(parts[0]) if parts else None
        field = parts if place is None else parts[1:]
        yield Reason(place, reason(detail.get("type"), field, detail.get("msg"), status_code(status)))


def problem(body: Mapping[str, Any], status: int) -> Iterator[Reason]:
    """Read problem details (RFC 9457): the last part of the address in ``type`` is the code."""
    kind = (as_text(body.get("type")) or "").rstrip("/").rpartition("/")[2]
    message = as_text(body.get("detail")) or as_text(body.get("title"))
    if kind or message:
        code = None if kind == "about:blank" else code_of(kind)
        yield Reason(None, reason(code, None, message, status_code(status)))


def indexed(name: Any, records: str) -> tuple[int | None, str | None]:
    """Return place and field of a name such as ``records[0].first_name``, ``/records/0/first_name``."""
    text = as_text(name) or ""
    pattern = rf"(?:\$\.|body\.|/)?{re.escape(records)}(?:\[([0-9]{{1,6}})\]|[./]([0-9]{{1,6}}))(?:[./](.*))?"
    found = re.fullmatch(pattern, text)
    return (int(found[1] or found[2]), field_of(found[3])) if found else (None, field_of(text))
