"""From a stored connection to where and how a vendor is reached; everything is checked before anything is sent."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.pacing.shared import SharedRate, shared_rate
from airflow_provider_contacts.transport.settings import ASSUMPTIONS, parse_settings, settings_of
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials, Credential, FixedHeader
from airflow_provider_contacts.vendor_kit.forms import Account
from airflow_provider_contacts.vendor_kit.push_settings import NOWHERE, Assumptions, Place
from airflow_provider_contacts.vendor_kit.sanitize import Secrets, secrets_of
from airflow_provider_contacts.vendor_kit.vendor import Destination, Vendor

if TYPE_CHECKING:
    import ssl

# RFC 9110, 11.6.2: a scheme, one space, and characters that a header can carry.
AUTHORIZATION = re.compile(r"[A-Za-z]+ [\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where and how a vendor is reached."""

    base_url: str  # without a trailing slash
    credential: Credential
    verify: bool | str = True  # ``False`` or the path of a CA bundle; ``True`` for the usual ones
    proxy: str = field(default="", repr=False)  # its URL; empty: ``HTTPS_PROXY`` and ``NO_PROXY`` decide
    secrets: Secrets = field(default_factory=Secrets, repr=False, compare=False)  # tokens are added as they are minted

    def __post_init__(self) -> None:
        """Mask the credential and the proxies."""
        self.secrets.add(*secrets_of(self.credential, (self.proxy, *getproxies().values())))


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
    """A connection, read and checked."""

    endpoint: Endpoint
    host: str  # the host name that the outcome table binds a ``sync_id`` to
    request_timeout: float
    reconcile_delay: float
    assumptions: Assumptions
    defaults: Destination  # destination keys that the connection states
    plain_http: bool  # whether credentials and contacts leave this machine without TLS
    shared_rate: SharedRate | None
    place: Place = NOWHERE


def resolve(vendor: Vendor, stored: StoredConnection) -> Target:
    """Return where and how to reach the vendor; an error names the connection, the field and what is allowed."""
    where = f"connection {stored.conn_id!r}"
    extra = parse_settings(stored.extra, settings_of(vendor), f"the extra of {where}")
    try:
        check_account(stored)
        account = Account(login=stored.login, password=stored.password, extra=extra)
        base_url = stated_url(stored) or vendor.base_url(account)
        credential = vendor.auth.credential(account)
        urls = [base_url, *([credential.token_url] if isinstance(credential, ClientCredentials) else [])]
        plain = [check_url(url, allow_http=extra["allow_http"]) for url in urls]
        verify, proxy = extra["verify"], extra.get("proxy", "")
        endpoint = Endpoint(base_url=base_url.rstrip("/"), credential=credential, verify=verify, proxy=proxy)
        check_endpoint(endpoint, urls)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return Target(
        endpoint=endpoint,
        host=(urlsplit(base_url).hostname or "").lower(),
        request_timeout=extra["request_timeout"],
        reconcile_delay=extra.get("reconcile_delay", 0.0),
        assumptions=Assumptions(**{name: extra[name] for name in ASSUMPTIONS}),
        defaults={one.name: extra[one.name] for one in vendor.destination.settings if one.name in extra},
        plain_http=any(plain),
        shared_rate=shared_rate(extra, where),
        place=Place(conn_id=stored.conn_id, host=urlsplit(base_url).netloc),
    )


def stated_url(stored: StoredConnection) -> str:
    """Return the base URL that host, schema and port make up as in Airflow's HTTP hook; empty without a host."""
    host = stored.host.strip()
    if not host:
        return ""
    scheme, separator, rest = host.partition("://")
    if not separator:
        scheme, rest = stored.schema.strip() or "https", host
    name, slash, path = rest.partition("/")
    if name.count(":") > 1 and not name.startswith("["):
        name = f"[{name}]"
    if stored.port and not name.endswith(f":{stored.port}"):
        if re.search(r":\d*$", name):
            raise ConfigError("host and port name two different ports")
        name = f"{name}:{stored.port}"
    return f"{scheme}://{name}{slash}{path}"


def check_account(stored: StoredConnection) -> None:
    """Refuse a login or password that was entered with stray characters."""
    trouble = "holds a line break, another control character, or a space at an end; enter it again"
    for name, text in (("login", stored.login), ("password", stored.password)):
        if not text.isprintable() or text != text.strip():
            raise ConfigError(f"{name} {trouble}")


def check_endpoint(endpoint: Endpoint, urls: Sequence[str]) -> None:
    """Refuse a credential that no header can carry, a CA bundle or a proxy that cannot be used; show none of them."""
    credential = endpoint.credential
    if isinstance(credential, FixedHeader) and not AUTHORIZATION.fullmatch(credential.value):
        raise ConfigError("the password holds spaces or characters that no header can carry; enter it again, in ASCII")
    encrypted = any(urlsplit(url).scheme == "https" for url in urls)
    usual = os.environ.get("SSL_CERT_FILE") if endpoint.verify is True and encrypted else None
    if usual or isinstance(endpoint.verify, str):
        try:
            tls_context(endpoint.verify)
        except (OSError, ValueError):
            text = "verify is true, false, or the path of a CA bundle that can be read"
            if usual:
                text = f"SSL_CERT_FILE names {usual!r}, no CA bundle that can be read: correct it, or set verify"
            raise ConfigError(text) from None
    if not all(map(http_parts, filter(None, (proxy_for(url, endpoint.proxy) for url in urls)))):
        origin = "proxy" if endpoint.proxy else "the environment's proxy (HTTPS_PROXY and such)"
        raise ConfigError(f"{origin} is no URL of the form http://host:port")


def http_parts(url: str) -> SplitResult | None:
    """Return the parts of an http or https URL; ``None`` for anything else."""
    try:
        parts = urlsplit(url)
        has_port_0 = parts.port == 0  # which would count as none stated
    except ValueError:
        return None
    host = parts.hostname or ""
    fine = url.isprintable() and " " not in url and parts.scheme in {"http", "https"} and host and host.isascii()
    return parts if fine and not has_port_0 else None


def check_url(url: str, *, allow_http: bool) -> bool:
    """Return whether a URL leads to another machine without TLS; refuse it where that is not allowed."""
    parts = http_parts(url)
    if parts is None or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(
            "host and token_url are https URLs without spaces, credentials, query or fragment, with a host in ASCII "
            "(an international name as xn--…) and a port from 1 to 65535, if any"
        )
    host = parts.hostname or ""
    if parts.scheme == "https" or is_loopback(host):
        return False
    if not allow_http:
        raise ConfigError(
            f"plain http to {host!r} would show the credential and the contacts to everyone on the way; "
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


def proxy_for(url: str, stated: str) -> str | None:
    """Return the proxy for a URL: the stated one, else the environment's, but none of that for a loopback host."""
    if stated:
        return stated
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def tls_context(verify: bool | str) -> ssl.SSLContext:
    """Return a TLS context that trusts what a connection says: the usual ones, nothing, or a CA bundle."""
    import ssl

    import certifi

    if verify is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    if verify is not True:
        file, folder = (None, verify) if Path(verify).is_dir() else (verify, None)
    elif file := os.environ.get("SSL_CERT_FILE"):
        folder = None
    elif not (folder := os.environ.get("SSL_CERT_DIR")):
        file = certifi.where()
    return ssl.create_default_context(cafile=file or None, capath=folder or None)
