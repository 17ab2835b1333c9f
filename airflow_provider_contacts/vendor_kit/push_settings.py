"""What one push is told: its limits and its clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import random
from typing import Literal

from airflow_provider_contacts.vendor_kit.refusal_messages import NOWHERE, Place
from airflow_provider_contacts.vendor_kit.sanitize import Secrets
from airflow_provider_contacts.vendor_kit.vendor import Destination, Limits

OnUnknown = Literal["hold", "reconcile", "resend"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is assumed of a vendor's refusals; ``False`` turns the cases into doubt."""

    refusals_atomic: bool = True
    retry_after_is_refusal: bool = True


DEFAULT_ASSUMPTIONS = Assumptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    """The limits of one push; names, defaults and units are the operators'.

    :param secrets: what is masked in whatever the vendor says.
    :param reconcile_delay: seconds after the end of a request before which a read cannot prove that it created nothing.
    :param place: for what a person is told.
    """

    limits: Limits
    request_attempts: int = 5
    request_timeout: float = 60.0
    max_wait: float = 60.0
    on_unknown: OnUnknown = "hold"
    reconcile_delay: float = 5.0
    assumptions: Assumptions = DEFAULT_ASSUMPTIONS
    place: Place = NOWHERE
    secrets: Secrets = field(default_factory=Secrets, repr=False, compare=False)


def at_destination(settings: PushSettings, destination: Destination) -> PushSettings:
    """Return settings whose place names the destination."""
    return replace(settings, place=replace(settings.place, destination=destination))


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time and chance, so that tests have their own."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    random: Callable[[], float] = random


SYSTEM_CLOCK = Clock()
