"""The extra keys of every connection, and how a connection's extra and a destination are read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import did_you_mean
from airflow_provider_contacts.pacing.shared import SETTINGS as RATE_SETTINGS
from airflow_provider_contacts.vendor_kit.forms import BOOLEAN, BOOLEAN_OR_PATH, LONGEST_TIMEOUT, NUMBER, Setting
from airflow_provider_contacts.vendor_kit.vendor import Vendor

SECONDS = partial(Setting, kind=NUMBER, between=(0.001, LONGEST_TIMEOUT))
SWITCH = partial(Setting, kind=BOOLEAN)
OFF = "off makes its records unknown"

SHARED_SETTINGS = (
    SECONDS("request_timeout", "Request timeout", "Seconds for a request and its answer", default=60),
    SECONDS("reconcile_delay", "Reconcile delay", "Seconds from a request until reads must show it", default=5),
    Setting("verify", "Verify TLS", "true, false, or the path of a CA bundle", BOOLEAN_OR_PATH, default="true"),
    Setting(
        "proxy", "Proxy", "URL of a proxy", absent="HTTPS_PROXY and NO_PROXY of the worker's environment", secret=True
    ),
    SWITCH("allow_http", "Allow plain http", "Send without TLS to a host other than the worker", default=False),
    # Their defaults are the vendor's.
    SWITCH("refusals_atomic", "Refusals are atomic", f"Assume: a refused batch created nothing; {OFF}"),
    SWITCH("retry_after_is_refusal", "Retry-After is a refusal", f"Assume: a 503 with it created nothing; {OFF}"),
    *RATE_SETTINGS,
)
"""Extra keys of every connection type; see :func:`settings_of`."""

ASSUMPTIONS = ("refusals_atomic", "retry_after_is_refusal")


def settings_of(vendor: Vendor) -> tuple[Setting, ...]:
    """Return a vendor's extra keys in the order of its form, the destination first."""
    shared = (
        replace(one, default=getattr(vendor, one.name)) if one.name in ASSUMPTIONS else one
        for one in SHARED_SETTINGS
        if one.name != "reconcile_delay" or vendor.read_back is not None
    )
    return (*vendor.destination.settings, *vendor.settings, *vendor.auth.settings, *shared)


def parse_settings(given: Mapping[str, Any], settings: Sequence[Setting], where: str) -> dict[str, Any]:
    """Return values in their declared types, the given ones over the defaults; null and empty mean absent.

    An error names keys, no values.
    """
    known = {setting.name: setting for setting in settings}
    # Before the names are checked: a form saves null for every field that it has, or once had.
    stated = {key: value for key, value in given.items() if not is_empty(value)}
    unknown = sorted(str(key) for key in stated if key not in known)
    if unknown:
        nearest = "".join(did_you_mean(key, known) for key in unknown)
        raise ConfigError(f"unknown keys {unknown} in {where}{nearest}; known are {sorted(known) or 'none'}")
    values = {one.name: stated.get(one.name, one.default) for one in settings}
    return {key: known[key].parse(value, where) for key, value in values.items() if value is not None}


def is_empty(value: Any) -> bool:
    """Tell whether a value means that the key is absent."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))
