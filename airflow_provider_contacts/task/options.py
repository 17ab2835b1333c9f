"""What the user may say of one push: checked, and laid over the vendor's limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import did_you_mean, not_this
from airflow_provider_contacts.vendor_kit.vendor import Limits, Vendor

DEFAULT_TIMEOUT = 60.0
"""Seconds a request may take, where neither the task nor the connection says otherwise."""

LONGEST_TIMEOUT, LONGEST_WAIT = 600.0, 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOptions:
    """What the user may say of one push; names, defaults and meanings are the operators'."""

    sync_key: str | Sequence[str] | None = None
    field_map: Mapping[str, str] | None = None
    unmapped: Literal["error", "ignore"] = "error"
    on_unknown: Literal["hold", "reconcile", "resend"] = "hold"
    batch_size: int | None = None
    max_in_flight: int | None = None
    requests_per_second: float | None = None
    request_attempts: int = 5
    request_timeout: float | None = None
    max_wait: float = 60.0

    def check(self) -> None:
        """Check types and ranges.

        :raises ConfigError: naming the parameter and what is allowed.
        """
        one_of("unmapped", self.unmapped, ("error", "ignore"))
        one_of("on_unknown", self.on_unknown, ("hold", "reconcile", "resend"))
        for name in ("batch_size", "max_in_flight"):
            value = getattr(self, name)
            if value is not None and not is_count(value):
                raise ConfigError(
                    f"{name} is a whole number of at least 1, or None for the vendor's own{not_this(value)}"
                )
        if not is_count(self.request_attempts):
            raise ConfigError(f"request_attempts is a whole number of at least 1{not_this(self.request_attempts)}")
        rate = self.requests_per_second
        if rate is not None and not is_amount(rate, 1e6):
            raise ConfigError(f"requests_per_second is a number above 0, or None for the vendor's own{not_this(rate)}")
        if self.request_timeout is not None and not is_amount(self.request_timeout, LONGEST_TIMEOUT):
            raise ConfigError(
                f"request_timeout is a number of seconds above 0, {LONGEST_TIMEOUT:.0f} at most, or None for the "
                f"connection's own{not_this(self.request_timeout)}"
            )
        if not is_amount(self.max_wait, LONGEST_WAIT):
            raise ConfigError(
                f"max_wait is a number of seconds above 0, {LONGEST_WAIT:.0f} at most{not_this(self.max_wait)}"
            )
        self.key_columns()
        self._check_field_map()

    def _check_field_map(self) -> None:
        field_map: Any = {} if self.field_map is None else self.field_map
        if not isinstance(field_map, Mapping) or not all(
            isinstance(name, str) and name for pair in field_map.items() for name in pair
        ):
            raise ConfigError(
                f"field_map is a mapping of source columns to vendor fields, both texts{not_this(field_map)}"
            )

    def key_columns(self) -> tuple[str, ...]:
        """Return the columns of the sync key; none for ``None``.

        :raises ConfigError: for anything but a name, a list of different names, or ``None``.
        """
        given: Any = self.sync_key
        if given is None:
            return ()
        columns: tuple[Any, ...] = (given,) if isinstance(given, str) else ()
        if isinstance(given, Sequence) and not isinstance(given, str | bytes):
            columns = tuple(given)
        named = all(isinstance(column, str) and column for column in columns)
        if not columns or not named or len(set(columns)) != len(columns):
            raise ConfigError(
                f"sync_key is a column name, a list of different column names, or None{not_this(self.sync_key)}"
            )
        return columns

    def limits(self, vendor: Vendor) -> Limits:
        """Return the vendor's limits under the user's own.

        :raises ConfigError: where the user's batch is larger than the vendor takes.
        """
        if self.batch_size is not None and self.batch_size > vendor.limits.batch_size:
            raise ConfigError(
                f"batch_size is at most {vendor.limits.batch_size} for {vendor.title}{not_this(self.batch_size)}"
            )
        stated: dict[str, Any] = {
            "batch_size": self.batch_size,
            "max_in_flight": self.max_in_flight,
            "requests_per_second": self.requests_per_second,
        }
        return replace(vendor.limits, **{name: value for name, value in stated.items() if value is not None})

    def timeout(self, stated: float | None) -> float:
        """Return the seconds a request may take: the task's, else the connection's, else the default.

        :param stated: the connection's.
        """
        if self.request_timeout is not None:
            return self.request_timeout
        return DEFAULT_TIMEOUT if stated is None else stated


def one_of(name: str, value: Any, allowed: Sequence[str]) -> None:
    """Refuse a word that is none of those allowed.

    :raises ConfigError: naming them, and the nearest.
    """
    if value not in allowed:
        raise ConfigError(f"{name} is one of {list(allowed)}{not_this(value)}{did_you_mean(value, allowed)}")


def is_count(value: Any) -> bool:
    """Tell whether a value is a whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_amount(value: Any, most: float) -> bool:
    """Tell whether a value is a number above 0 and not above ``most``."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= most
