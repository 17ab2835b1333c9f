"""The extra keys of a connection and the keys of a destination: how their values are read, and shown in a form."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import did_you_mean
from airflow_provider_contacts.pacing.shared import SETTINGS as RATE_SETTINGS
from airflow_provider_contacts.vendor_kit.forms import Setting
from airflow_provider_contacts.vendor_kit.vendor import Vendor

LONGEST_TIMEOUT = 600.0

OFF = "off makes its records unknown. Default: on"
FORM: tuple[tuple[str, Literal["text", "seconds", "boolean", "bool_or_path"], str, str], ...] = (
    ("request_timeout", "seconds", "Request timeout", "Seconds for a request and its answer, 600 at most. Default: 60"),
    ("reconcile_delay", "seconds", "Reconcile delay", "Seconds from a request until reads must show it. Default: 5"),
    ("verify", "bool_or_path", "Verify TLS", "true, false, or the path of a CA bundle. Default: true"),
    ("proxy", "text", "Proxy", "URL of a proxy. Default: HTTPS_PROXY and NO_PROXY of the worker's environment"),
    ("allow_http", "boolean", "Allow plain http", "Send without TLS to a host other than the worker. Default: off"),
    ("refusals_atomic", "boolean", "Refusals are atomic", f"Assume: a refused batch created nothing; {OFF}"),
    ("retry_after_is_refusal", "boolean", "Retry-After is a refusal", f"Assume: such a 503 created nothing; {OFF}"),
)
DEFAULTS: dict[str, bool | str] = {
    "verify": "true",
    "allow_http": False,
    "refusals_atomic": True,
    "retry_after_is_refusal": True,
}

SHARED_SETTINGS = (
    *(
        Setting(name=name, kind=kind, label=label, description=text, default=DEFAULTS.get(name), secret=name == "proxy")
        for name, kind, label, text in FORM
    ),
    *RATE_SETTINGS,
)
"""Extra keys of every connection type; see :func:`settings_of`."""


def settings_of(vendor: Vendor) -> tuple[Setting, ...]:
    """Return a vendor's extra keys in the order of its form: the destination first."""
    shared = (one for one in SHARED_SETTINGS if one.name != "reconcile_delay" or vendor.read_back is not None)
    return (*vendor.destination.settings, *vendor.form.settings, *shared)


def parse_settings(given: Mapping[str, Any], settings: Sequence[Setting], where: str) -> dict[str, Any]:
    """Return the given values in their declared types; null and empty mean absent. An error names keys, no values."""
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


class Kind(NamedTuple):
    """How the values of one kind of setting are read and shown."""

    parse: Callable[[Any], Any]
    json_type: str  # in the schema of Airflow's form
    otherwise: str  # what a value is that cannot be parsed, for the error text


KINDS = {
    "text": Kind(as_text, "string", "no text"),
    "integer": Kind(as_integer, "integer", "no whole number"),
    "number": Kind(as_number, "number", "no number"),
    "seconds": Kind(as_seconds, "number", f"no number of seconds above 0, {LONGEST_TIMEOUT:.0f} at most"),
    "boolean": Kind(as_boolean, "boolean", "neither true nor false"),
    "bool_or_path": Kind(as_boolean_or_path, "string", "neither true, nor false, nor a path"),
}
