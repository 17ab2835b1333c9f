"""One push: where it goes, its limits and its clock, and what a person is told when the vendor takes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import random
from typing import Any, Literal

from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.sanitize import Secrets
from airflow_provider_contacts.vendor_kit.vendor import Limits, Response

OnUnknown = Literal["hold", "reconcile", "resend"]

CREDENTIAL = "check the credential in the connection"
HINTS = {
    "http_401": CREDENTIAL,
    "http_403": f"the credential lacks a right, or the plan does not include this request: {CREDENTIAL}",
    "http_404": "check the connection's host and path",
    "http_407": "the proxy asks for a user and a password, or refuses them: check the connection's proxy",
    **dict.fromkeys(
        ("http_301", "http_302", "http_303", "http_307", "http_308"),
        "redirects are never followed; check scheme, name and path of the connection's host",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is assumed of a vendor's refusals; ``False`` turns the cases into doubt."""

    refusals_atomic: bool = True
    retry_after_is_refusal: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a push goes."""

    conn_id: str = ""
    host: str = ""
    destination: Mapping[str, Any] = field(default_factory=dict)

    @property
    def named(self) -> str:
        """Host and connection as they follow a vendor's name in a sentence; empty where neither is known."""
        return (f" at {self.host}" if self.host else "") + (f" (connection {self.conn_id!r})" if self.conn_id else "")

    def told(self, result: Result) -> Result:
        """Return a result whose text names the connection."""
        if self.conn_id and isinstance(result, NotSent | NoAnswer) and result.message:
            return replace(result, message=f"connection {self.conn_id!r}: {result.message}")
        return result


NOWHERE = Place()


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    """The limits of one push; names, defaults and units are the operators'.

    :param secrets: what is masked in whatever the vendor says.
    :param reconcile_delay: seconds after the end of a request before which a read cannot prove that it created nothing.
    """

    limits: Limits
    request_attempts: int = 5
    request_timeout: float = 60.0
    max_wait: float = 60.0
    on_unknown: OnUnknown = "hold"
    reconcile_delay: float = 5.0
    assumptions: Assumptions = field(default_factory=Assumptions)
    place: Place = NOWHERE
    secrets: Secrets = field(default_factory=Secrets, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time and chance, so that tests have their own."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    random: Callable[[], float] = random


SYSTEM_CLOCK = Clock()


def shown(destination: Mapping[str, Any]) -> str:
    """Return a destination as a sentence names it."""
    return ", ".join(f"{key} {value!r}" for key, value in destination.items())


def trouble_text(title: str, result: Result, place: Place) -> str | None:
    """Return why a request got no usable answer; of an answer the status alone, since its text may quote a record."""
    if not isinstance(result, Response):
        return result.message
    if result.trouble:
        return result.trouble
    success = 200 <= result.status < 300  # noqa: PLR2004  # RFC 9110
    unclear = ", which does not show what was created" if success else ""
    return f"{title}{place.named} answered HTTP {result.status}{unclear}"


def refusal_text(title: str, code: str, place: Place = NOWHERE, message: str | None = None) -> str:
    """Return what a person should look at when the vendor takes nothing, or the cause, where it is known."""
    if message:
        return f"{title} cannot be pushed to ({code}): {message}"
    to = f" to {shown(place.destination)}" if place.destination else ""
    return f"{title}{place.named} refuses the push{to} ({code}): {hint_of(code, place)}"


def hint_of(code: str, place: Place) -> str:
    """Return what to check."""
    if code == "http_404" and place.destination:
        return f"check the destination's {' and '.join(place.destination)} and the connection's host"
    return HINTS.get(code, "check the connection's host, credential and destination")
