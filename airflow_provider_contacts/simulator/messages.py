"""One request and its answer as a vendor sees them, and what is kept of both."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

LONGEST_NUMBER = 15  # digits of a number in a query
Problem = tuple[tuple[str | int, ...], str, str]
"""What is wrong with a request: where, in words, and as a machine's word."""


@dataclass(frozen=True, slots=True)
class World:
    """What comes from outside: a clock that cannot jump (``now``), one of seconds since 1970 (``clock``), and sleep."""

    seed: int
    now: Callable[[], float]
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    forget: bool


@dataclass(slots=True)
class Call:
    """One request."""

    number: int  # counts all requests to the vendor, from 1; nth counts those of the same kind
    method: str
    path: str  # below the vendor's prefix, still percent-encoded; params are its decoded parts, by name
    nth: int = 0
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    base: str = ""  # URL of the vendor as the client addressed it, for links
    share: float = 1.0  # how much of a batch may be stored, from the fault that is about to happen
    received: int = 0
    stored: int = 0

    @property
    def is_json(self) -> bool:
        """Whether the request says that its body is JSON."""
        return self.headers.get("content-type", "").lower().startswith("application/json")

    def portion(self, records: list[Any]) -> list[Any]:
        """Return what of a batch is handled: all of it, or less where a fault cuts the handling short."""
        return records if self.share >= 1 else records[: int(len(records) * self.share)]

    def number_of(self, name: str, default: int, most: int | None = None) -> int:
        """Return a query parameter as a whole number from 1, at most ``most``, the default if it is none."""
        text = self.query.get(name, "")
        number = max(int(text) if text.isdecimal() and len(text) <= LONGEST_NUMBER else default, 1)
        return number if most is None else min(number, most)


@dataclass(slots=True)
class Answer:
    """One answer; ``payload`` is JSON-ready, or text where ``content_type`` says so; ``None`` for no body."""

    status: int
    payload: Any = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: a path with ``{names}`` below the vendor's prefix, whose faults apply, and a knob that hides it."""

    method: str
    template: str
    kind: str
    handler: Callable[[Any, Call], Answer]
    knob: str = ""


class RefusedCallError(Exception):
    """The vendor refuses the whole request; ``answer`` is the form, where it is not the one of its other endpoints."""

    def __init__(
        self, status: int, message: str, problems: list[Problem] | None = None, answer: Answer | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.problems = problems or []
        self.answer = answer


@dataclass(slots=True)
class Stored:
    """One contact that exists at the vendor."""

    id: str | int
    # exactly what the request held for it; view is what the vendor shows of it
    received: dict[str, Any] = field(repr=False)
    place: str
    request: int  # number of the request that created it
    view: dict[str, Any] = field(repr=False)
    at: float = 0.0
    account: int = 0  # which of the demanded credentials created it, from 1; 0 where there is one account for all


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that arrived, and how it ended (``status`` 0: without an answer). Holds no header and no body."""

    number: int
    kind: str
    method: str
    path: str
    status: int
    received: int
    stored: int
    faults: tuple[str, ...]
    at: float


def parsed(body: bytes) -> Any:
    """Return the JSON value in a body, or raise ``ValueError``; NaN and Infinity are no JSON."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None


def json_body(call: Call) -> Any:
    """Return the parsed body; refuse (400) another content type, or what is not JSON."""
    try:
        return parsed(call.body) if call.is_json else _refuse_constant("this content type")
    except ValueError:
        raise RefusedCallError(400, "Bad request: not JSON") from None


def listed(call: Call, name: str, text: str, problems: list[Problem] | None = None) -> list[Any]:
    """Return the list under a name of the parsed body, and count what it holds; refuse (400) a missing or empty one."""
    body = json_body(call)
    found = body.get(name) if isinstance(body, dict) else None
    if not isinstance(found, list) or not found:
        raise RefusedCallError(400, text, problems)
    call.received = len(found)
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def gateway_page(status: int) -> Answer:
    """Return the answer of what stands between client and vendor and cannot reach the vendor."""
    head, body = f"<head><title>{status}</title></head>", f"<body><center><h1>{status}</h1></center></body>"
    return Answer(status, f"<html>{head}{body}</html>", content_type="text/html")
