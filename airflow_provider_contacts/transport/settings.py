"""The extra keys of a connection and the keys of a destination: how their values are read, and shown in a form."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import did_you_mean
from airflow_provider_contacts.pacing.shared import SETTINGS as RATE_SETTINGS
from airflow_provider_contacts.vendor_kit.forms import Setting
from airflow_provider_contacts.vendor_kit.vendor import Vendor

LONGEST_TIMEOUT = 600.0

RECONCILE_DELAY = Setting(
    name="reconcile_delay",
    kind="seconds",
    label="Reconcile delay",
    description="Seconds after a request before the vendor's reads are believed to show it. Default: 5",
)

SHARED_SETTINGS = (
    Setting(
        name="request_timeout",
        kind="seconds",
        label="Request timeout",
        description="Seconds for one request and its answer, 600 at most. Default: 60",
    ),
    RECONCILE_DELAY,
    Setting(
        name="verify",
        kind="bool_or_path",
        label="Verify TLS",
        description="true, false, or the path of a CA bundle. Default: true",
        default="true",
    ),
    Setting(
        name="proxy",
        label="Proxy",
        description="URL of a proxy. Default: HTTPS_PROXY and NO_PROXY of the worker's environment",
        secret=True,
    ),
    Setting(
        name="allow_http",
        kind="boolean",
        label="Allow plain http",
        description="Send without TLS to a host that is not the worker itself. Default: off",
        default=False,
    ),
    Setting(
        name="refusals_atomic",
        kind="boolean",
        label="Refusals are atomic",
        description="Assume that a refused batch created nothing; off makes its records unknown. Default: on",
        default=True,
    ),
    Setting(
        name="retry_after_is_refusal",
        kind="boolean",
        label="Retry-After is a refusal",
        description="Assume that a 503 with Retry-After created nothing; off makes its records unknown. Default: on",
        default=True,
    ),
    *RATE_SETTINGS,
)
"""Extra keys of every connection type; see :func:`settings_of`."""


def settings_of(vendor: Vendor) -> tuple[Setting, ...]:
    """Return a vendor's extra keys in the order of its form: the destination first."""
    shared = (one for one in SHARED_SETTINGS if one is not RECONCILE_DELAY or vendor.read_back is not None)
    return (*vendor.destination.settings, *vendor.form.settings, *shared)


def parse_settings(given: Mapping[str, Any], settings: Sequence[Setting], where: str) -> dict[str, Any]:
    """Return the given values in their declared types; null and empty mean absent.

    :raises ConfigError: for an unknown key or a value of another type; it names keys, never values.
    """
    known = {setting.name: setting for setting in settings}
    # Before the names are checked: a form saves null for every field that it has, or once had.
    stated = {key: value for key, value in given.items() if not is_empty(value)}
    unknown = sorted(str(key) for key in stated if key not in known)
    if unknown:
        nearest = "".join(did_you_mean(key, known) for key in unknown)
        raise ConfigError(f"unknown keys {unknown} in {where}{nearest}; known are {sorted(known) or 'none'}")
    return {key: parse_setting(known[key], value, where) for key, value in stated.items()}


def is_empty(value: Any) -> bool:
    """Tell whether a value means that the key is absent."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def parse_setting(setting: Setting, value: Any, where: str) -> Any:
    """Return one value in its declared type."""
    kind = KINDS[setting.kind]
    parsed = kind.parse(value)
    if parsed is None:
        raise ConfigError(f"{setting.name!r} in {where} is {kind.otherwise}")
    if setting.allowed and parsed not in setting.allowed:
        nearest = did_you_mean(parsed, setting.allowed)
        raise ConfigError(f"{setting.name!r} in {where} is one of {list(setting.allowed)}{nearest}")
    return parsed


def as_text(value: Any) -> str | None:
    """Return a text; a whole number is accepted, since ids are often typed as one."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def as_integer(value: Any) -> int | None:
    """Return a whole number, also from text."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value.strip()):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_number(value: Any) -> float | None:
    """Return a finite number, also from text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_seconds(value: Any) -> float | None:
    """Return a number of seconds that a request may take."""
    number = as_number(value)
    return number if number is not None and 0 < number <= LONGEST_TIMEOUT else None


def as_boolean(value: Any) -> bool | None:
    """Return a truth value, also from its usual words."""
    word = str(value).strip().lower()
    return True if word in {"true", "1", "yes", "on"} else False if word in {"false", "0", "no", "off"} else None


def as_boolean_or_path(value: Any) -> bool | str | None:
    """Return a truth value or a path."""
    found = as_boolean(value)
    return found if found is not None or not isinstance(value, str) else value.strip()


@dataclass(frozen=True, slots=True)
class Kind:
    """How the values of one kind of setting are read and shown.

    :param json_type: in the schema of Airflow's form.
    :param otherwise: what a value is that cannot be parsed, for the error text.
    """

    parse: Callable[[Any], Any]
    json_type: str
    otherwise: str


KINDS = {
    "text": Kind(as_text, "string", "no text"),
    "integer": Kind(as_integer, "integer", "no whole number"),
    "number": Kind(as_number, "number", "no number"),
    "seconds": Kind(as_seconds, "number", f"no number of seconds above 0, {LONGEST_TIMEOUT:.0f} at most"),
    "boolean": Kind(as_boolean, "boolean", "neither true nor false"),
    "bool_or_path": Kind(as_boolean_or_path, "string", "neither true, nor false, nor a path"),
}
