"""One request rate that many tasks share: what a pace asks of it, and what a connection states about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.vendor_kit.forms import INTEGER, NUMBER, Setting

SETTINGS = (
    Setting(
        name="rate_limit_conn_id",
        label="Rate limit connection",
        description="ID of an Airflow connection (postgres or mysql) through which all tasks share the requests per "
        "second",
        absent="each task has a rate of its own",
    ),
    Setting(
        name="requests_per_second",
        label="Requests per second",
        description="The account's limit, shared by all tasks; needs the rate limit connection",
        kind=NUMBER,
        between=(0.001, 10_000),
    ),
    Setting(
        name="burst",
        label="Burst",
        description="Requests that may leave at once, on top of the rate",
        kind=INTEGER,
        between=(1, 10_000),
        absent="none, no second holds more than the rate",
    ),
)
"""Extra keys of every connection type."""

HEADROOM = 0.06
"""Part of the rate that is kept back where no burst is stated: requests arrive nearer together than they leave."""


class Budget(Protocol):
    """How many requests this task may send now, of a rate that it shares with others. Used from one thread."""

    def take(self, wanted: int) -> int:
        """Return how many of ``wanted`` requests may leave now, without waiting; they count, sent or not.

        :raises BudgetError: when the database cannot be used; nothing may be sent then.
        """

    def wait(self) -> float:
        """Return the seconds after which asking again makes sense; until then :meth:`take` gives nothing."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedRate:
    """The limit of one account, shared through a database, an Airflow connection.

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
    """Return the shared rate that a connection's parsed extra states, ``None`` where it states none."""
    conn_id, rate, burst = (extra.get(setting.name) for setting in SETTINGS)
    if conn_id is None:
        if lonely := [setting.name for setting in SETTINGS if setting.name in extra]:
            raise ConfigError(
                f"{where}: {lonely} need rate_limit_conn_id, the connection (postgres or mysql) through which the "
                "tasks share the rate; a limit for one task is requests_per_second on the task"
            )
        return None
    if rate is None:
        raise ConfigError(f"{where}: rate_limit_conn_id needs requests_per_second, the account's limit")
    return SharedRate(conn_id=conn_id, requests_per_second=rate, burst=burst)
