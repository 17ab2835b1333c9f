"""From a stored connection to where and how a vendor is reached; everything is checked before anything is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import did_you_mean
from airflow_provider_contacts.pacing.shared import SETTINGS as BUDGET_SETTINGS
from airflow_provider_contacts.pacing.shared import SharedRate, shared_rate
from airflow_provider_contacts.records.plain_values import is_missing
from airflow_provider_contacts.transport.endpoint import Endpoint, ca_context, proxy_for
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials, Credential, FixedHeader
from airflow_provider_contacts.vendor_kit.push_settings import Assumptions
from airflow_provider_contacts.vendor_kit.refusal_messages import NOWHERE, Place, place_of
from airflow_provider_contacts.vendor_kit.vendor import Account, Destination, Setting, Vendor

RECONCILE_DELAY = Setting(
    name="reconcile_delay",
    kind="number",
    label="Reconcile delay",
    description="Seconds after a request before the vendor's reads are believed to show it. Default: 5",
)

SHARED_SETTINGS = (
    Setting(
        name="request_timeout",
        kind="number",
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
    *BUDGET_SETTINGS,
)
"""Extra keys of the connection types; see :func:`settings_of`."""

LONGEST_TIMEOUT = 600.0

# RFC 9110, 11.6.2: a scheme, one space, and characters that a header can carry.
AUTHORIZATION = re.compile(r"[A-Za-z]+ [\x21-\x7e]+")

TRUE_WORDS = {"true", "1", "yes", "on"}
FALSE_WORDS = {"false", "0", "no", "off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConnection:
    """A connection as Airflow keeps it, without Airflow."""

    conn_id: str
    host: str = ""
    schema: str = ""
    port: int | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A connection, read and checked.

    :param host: the host name that the outcome table binds a ``sync_id`` to.
    :param request_timeout: seconds, where the connection states them.
    :param defaults: destination keys that the connection states.
    :param plain_http: whether credentials and contacts leave this machine without TLS.
    :param shared_rate: the account's limit, where tasks share it.
    :param place: for what a person is told.
    """

    endpoint: Endpoint
    host: str
    request_timeout: float | None
    reconcile_delay: float
    assumptions: Assumptions
    defaults: Destination
    plain_http: bool
    shared_rate: SharedRate | None
    place: Place = NOWHERE


def settings_of(vendor: Vendor) -> tuple[Setting, ...]:
    """Return a vendor's extra keys, in the order of its form: the destination first."""
    shared = (one for one in SHARED_SETTINGS if one is not RECONCILE_DELAY or vendor.read_back is not None)
    return (*vendor.destination.settings, *vendor.form.settings, *shared)


def resolve(vendor: Vendor, stored: StoredConnection) -> Target:
    """Return where and how to reach the vendor.

    :raises ConfigError: naming the connection, the field and what is allowed.
    """
    settings = settings_of(vendor)
    where = f"connection {stored.conn_id!r}"
    extra = parse_settings(stored.extra, settings, f"the extra of {where}")
    for name, text in (("login", stored.login), ("password", stored.password)):
        if not text.isprintable() or text != text.strip():
            raise ConfigError(
                f"{where}: {name} holds a line break, another control character, or a space at an end; enter it again"
            )
    account = Account(login=stored.login, password=stored.password, extra=extra)
    try:
        base_url = stated_url(stored) or vendor.base_url(account)
        credential = vendor.auth(account)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    check_credential(credential, where)
    urls = [base_url, *([credential.token_url] if isinstance(credential, ClientCredentials) else [])]
    plain = [check_url(url, where, allow_http=extra.get("allow_http", False)) for url in urls]
    endpoint = Endpoint(
        base_url=base_url.rstrip("/"),
        credential=credential,
        verify=extra.get("verify", True),
        proxy=extra.get("proxy", ""),
    )
    check_way(endpoint, urls, where)
    return Target(
        endpoint=endpoint,
        host=(urlsplit(base_url).hostname or "").lower(),
        request_timeout=check_seconds(extra.get("request_timeout"), f"request_timeout in {where}", LONGEST_TIMEOUT),
        reconcile_delay=check_seconds(extra.get("reconcile_delay"), f"reconcile_delay in {where}", LONGEST_TIMEOUT)
        or 5.0,
        assumptions=Assumptions(
            refusals_atomic=extra.get("refusals_atomic", vendor.refusals_atomic),
            retry_after_is_refusal=extra.get("retry_after_is_refusal", vendor.retry_after_is_refusal),
        ),
        defaults={s.name: extra[s.name] for s in vendor.destination.settings if s.name in extra},
        plain_http=any(plain),
        shared_rate=shared_rate(extra, where),
        place=place_of(vendor, stored.conn_id, urlsplit(base_url).netloc, credential),
    )


def stated_url(stored: StoredConnection) -> str:
    """Return the base URL that host, schema and port make up as in Airflow's HTTP hook; empty without a host.

    :raises ConfigError: where a port is given twice.
    """
    host = stored.host.strip()
    if not host:
        return ""
    scheme, sign, rest = host.partition("://")
    if not sign:
        scheme, rest = stored.schema.strip() or "https", host
    name, slash, path = rest.partition("/")
    if name.count(":") > 1 and not name.startswith("["):
        name = f"[{name}]"
    if stored.port and not name.endswith(f":{stored.port}"):
        if re.search(r":\d*$", name):
            raise ConfigError("host and port name two different ports")
        name = f"{name}:{stored.port}"
    return f"{scheme}://{name}{slash}{path}"


def check_credential(credential: Credential, where: str) -> None:
    """Check that a header can carry a credential; the text never shows it.

    :raises ConfigError: else.
    """
    if isinstance(credential, FixedHeader) and not AUTHORIZATION.fullmatch(credential.value):
        raise ConfigError(
            f"{where}: the password holds spaces or characters that no header can carry; enter it again, in ASCII"
        )


def check_way(endpoint: Endpoint, urls: Sequence[str], where: str) -> None:
    """Check the CA bundle and the proxies: what cannot be opened must not be found out in the middle of a push.

    :raises ConfigError: naming the setting, never its value: a proxy's URL may hold a password.
    """
    if isinstance(endpoint.verify, str):
        try:
            ca_context(endpoint.verify)
        except (OSError, ValueError):
            raise ConfigError(f"{where}: verify is true, false, or the path of a CA bundle that can be read") from None
    for url in urls:
        proxy = proxy_for(url, endpoint.proxy)
        if proxy and not is_proxy(proxy):
            origin = "proxy" if endpoint.proxy else "the environment's proxy (HTTPS_PROXY and such)"
            raise ConfigError(f"{where}: {origin} is no URL of the form http://host:port")


def is_proxy(url: str) -> bool:
    """Tell whether a URL is one of a proxy that can be used."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return url.isprintable() and " " not in url and parts.scheme in {"http", "https"} and bool(parts.hostname)


def check_url(url: str, where: str, *, allow_http: bool) -> bool:
    """Check a URL; return whether it goes to another machine in the clear.

    :raises ConfigError: if it is none, or plain http to a foreign host.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise ConfigError(f"{where}: host or token_url is no URL of the form https://name") from None
    if not url.isprintable() or " " in url:
        raise ConfigError(f"{where}: host or token_url holds spaces or control characters; enter it again")
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(f"{where}: host and token_url are https URLs without credentials, query or fragment")
    if parts.scheme == "https" or is_loopback(host):
        return False
    if not allow_http:
        raise ConfigError(
            f"{where}: plain http to {host!r} would show the credential and the contacts to everyone on the way; "
            'use https, or set {"allow_http": true} in the extra'
        )
    return True


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_seconds(value: float | None, what: str, most: float) -> float | None:
    """Return a number of seconds if it is positive and not above ``most``.

    :raises ConfigError: else.
    """
    if value is not None and not 0 < value <= most:
        raise ConfigError(f"{what} is a number of seconds above 0, {most:.0f} at most")
    return value


def parse_settings(given: Mapping[str, Any], settings: Sequence[Setting], where: str) -> dict[str, Any]:
    """Return the given values in their declared types; null and empty mean absent.

    :raises ConfigError: for a key that nobody knows, or a value of another type; it names keys, never values.
    """
    known = {setting.name: setting for setting in settings}
    # Before the names are checked: a form saves null for every field that it has, or once had.
    stated = {
        key: value
        for key, value in given.items()
        if not is_missing(value) and not (isinstance(value, str) and not value.strip())
    }
    strange = sorted(str(key) for key in stated if key not in known)
    if strange:
        nearest = "".join(did_you_mean(key, known) for key in strange)
        raise ConfigError(f"unknown keys {strange} in {where}{nearest}; known are {sorted(known) or 'none'}")
    return {key: parse_setting(known[key], value, where) for key, value in stated.items()}


KINDS = {
    "text": "no text",
    "integer": "no whole number",
    "number": "no number",
    "boolean": "neither true nor false",
    "bool_or_path": "neither true, nor false, nor a path",
}
"""What a value is that is none of its setting's kind."""


def parse_setting(setting: Setting, value: Any, where: str) -> Any:
    """Return one value in its declared type."""
    parsers = {
        "text": as_text,
        "integer": as_integer,
        "number": as_number,
        "boolean": as_boolean,
        "bool_or_path": as_boolean_or_path,
    }
    parsed = parsers[setting.kind](value)
    if parsed is None:
        raise ConfigError(f"{setting.name!r} in {where} is {KINDS[setting.kind]}")
    if setting.allowed and parsed not in setting.allowed:
        nearest = did_you_mean(parsed, setting.allowed)
        raise ConfigError(f"{setting.name!r} in {where} is one of {list(setting.allowed)}{nearest}")
    return parsed


def as_text(value: Any) -> str | None:
    """Return a text; a number is let pass, since ids are often typed as one."""
    if isinstance(value, str):
        return value.strip() or None
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
    return number if abs(number) < float("inf") else None


def as_boolean(value: Any) -> bool | None:
    """Return a truth value, also from its usual words."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    return True if word in TRUE_WORDS else False if word in FALSE_WORDS else None


def as_boolean_or_path(value: Any) -> bool | str | None:
    """Return a truth value or a path."""
    found = as_boolean(value)
    return found if found is not None or not isinstance(value, str) else value.strip()


def check_destination(vendor: Vendor, given: Any, defaults: Destination, where: str = "") -> dict[str, Any]:
    """Return the destination: what the operator gives, over what the connection states.

    :param given: a mapping, its JSON text (a rendered template), or ``None``.
    :param where: names the connection.
    :raises ConfigError: for unknown, missing or contradicting keys; it names those that the vendor has.
    """
    form = vendor.destination
    keys = [setting.name for setting in form.settings]
    place = f"destination for {vendor.title}, {where}" if where else "destination"
    if isinstance(given, str):
        try:
            given = json.loads(given) if given.strip() else None
        except ValueError:
            raise ConfigError(
                f"{place} is a mapping, or the JSON text of one, with the keys {keys or 'none'}"
            ) from None
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError(f"{place} is a mapping, or the JSON text of one, with the keys {keys or 'none'}")
    stated = parse_settings(given or {}, form.settings, place)
    base = dict(defaults)
    if any(key in stated for key in form.exactly_one):
        base = {key: value for key, value in base.items() if key not in form.exactly_one}
    merged = base | stated
    missing = [key for key in form.required if key not in merged]
    if missing:
        raise ConfigError(
            f"{vendor.title} needs the destination {missing}: set it on the task, as "
            f"destination={{{missing[0]!r}: …}}, or in the extra of {where or 'the connection'}"
        )
    if form.exactly_one and sum(key in merged for key in form.exactly_one) != 1:
        found = [key for key in form.exactly_one if key in merged] or "none"
        raise ConfigError(
            f"{vendor.title} needs exactly one of {list(form.exactly_one)} in the destination, on the task or in the "
            f"extra of {where or 'the connection'}; there is {found}"
        )
    return merged
