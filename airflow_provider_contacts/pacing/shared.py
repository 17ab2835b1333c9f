"""One request rate that many tasks share: what the engine asks of it, and what a connection states about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.pacing.bucket import Pace
from airflow_provider_contacts.vendor_kit.vendor import Setting

SETTINGS = (
    Setting(
        name="rate_limit_conn_id",
        label="Rate limit connection",
        description="ID of an Airflow connection (postgres, mysql or redis) through which all tasks share the requests "
        "per second. Default: each task has a rate of its own",
    ),
    Setting(
        name="requests_per_second",
        kind="number",
        label="Requests per second",
        description="The account's limit, shared by all tasks; needs the rate limit connection. Default: none",
    ),
    Setting(
        name="burst",
        kind="integer",
        label="Burst",
        description="Requests that may leave at once, on top of the rate. Default: none, no second holds more than the "
        "rate",
    ),
)
"""Extra keys of every connection type."""

SLOWEST, FASTEST = 0.001, 10_000.0

LARGEST_BURST = 10_000

HEADROOM = 0.06
"""Part of the rate that is kept back where no burst is stated: requests arrive nearer together than they leave."""


class Budget(Protocol):
    """How many requests this task may send now, of a rate that it shares with others. Used from one thread."""

    def take(self, wanted: int) -> int:
        """Return how many of ``wanted`` requests may leave now, and count them against the shared rate.

        It does not wait for the rate. What is taken and not sent is lost to everyone.

        :raises BudgetError: when the store cannot be used; nothing may be sent then.
        """

    def wait(self) -> float:
        """Return the seconds after which asking again makes sense; until then :meth:`take` gives nothing."""

    def close(self) -> None:
        """Let go of the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedRate:
    """The limit of one account, shared through a store.

    :param conn_id: the store's Airflow connection.
    :param burst: requests that may leave at once after a pause, on top of the rate. ``None``: they leave one by one, a
        little slower than the rate, so that the vendor sees no second with more than ``requests_per_second``.
    """

    conn_id: str
    requests_per_second: float
    burst: int | None = None

    @property
    def sustained(self) -> float:
        """Requests a second in the long run."""
        return self.requests_per_second * (1.0 if self.burst is not None else 1.0 - HEADROOM)


def shared_rate(extra: Mapping[str, Any], where: str) -> SharedRate | None:
    """Return the shared rate that a connection's extra states, ``None`` where it states none.

    :param extra: already in the declared types.
    :raises ConfigError: for a part of it alone, or a number out of range.
    """
    conn_id, rate, burst = (extra.get(setting.name) for setting in SETTINGS)
    if conn_id is None:
        lonely = [setting.name for setting in SETTINGS if setting.name in extra]
        if lonely:
            raise ConfigError(
                f"{where}: {lonely} need rate_limit_conn_id, the connection (postgres, mysql or redis) through which "
                "the tasks share the rate; a limit for one task is requests_per_second on the task"
            )
        return None
    if rate is None:
        raise ConfigError(f"{where}: rate_limit_conn_id needs requests_per_second, the account's limit")
    if not SLOWEST <= rate <= FASTEST:
        raise ConfigError(f"{where}: requests_per_second is a number from {SLOWEST:g} to {FASTEST:.0f}")
    if burst is not None and not 1 <= burst <= LARGEST_BURST:
        raise ConfigError(f"{where}: burst is a whole number from 1 to {LARGEST_BURST}")
    return SharedRate(conn_id=conn_id, requests_per_second=rate, burst=burst)


class SharedPace(Pace):
    """A pace that also asks for a part of the shared rate: what is available is taken from it at once.

    :param own: the pace of this task alone.
    :raises BudgetError: :meth:`available`, when the store cannot be used.
    """

    def __init__(self, own: Pace, budget: Budget) -> None:
        super().__init__(None)
        self._own = own
        self._budget = budget

    @property
    def window(self) -> float:
        """Requests that may be in flight."""
        return self._own.window

    def hear(self, now: float, *, sent_at: float, later: bool, seconds: float | None, records: int = 1) -> None:
        """Take an answer for what it says of the pace."""
        self._own.hear(now, sent_at=sent_at, later=later, seconds=seconds, records=records)

    def available(self, now: float, wanted: int) -> int:
        """Return how many of ``wanted`` requests may leave at ``now``; they are counted, whether they leave or not."""
        count = self._own.available(now, wanted)
        return self._budget.take(count) if count > 0 else 0

    def take(self, now: float, count: int) -> None:
        """Spend ``count`` requests."""
        self._own.take(now, count)

    def next_at(self, now: float) -> float:
        """Return the moment from which at least one request may leave."""
        return max(self._own.next_at(now), now + self._budget.wait())

    def pause(self, until: float) -> None:
        """Let nothing leave before ``until``."""
        self._own.pause(until)
