"""Where and how a vendor is reached: proxy, certificates, and the session that opens its connections."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from airflow_provider_contacts.vendor_kit.auth import Credential
from airflow_provider_contacts.vendor_kit.sanitize import Secrets, secrets_of

if TYPE_CHECKING:
    import aiohttp

# Servers close idle connections, often after five seconds; a request on a connection that is just being closed would
# be in doubt for nothing. So ours are closed first.
KEEPALIVE = 2.0

# Bytes of one header line, and lines, that are read: what curl reads, and more than any HTTP client of Python.
LONGEST_LINE = 256 * 1024
MOST_LINES = 5000

COMMON_HEADERS = {
    "Accept": "*/*",
    # What is unpacked below, whatever else is installed.
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "airflow-provider-contacts",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where and how a vendor is reached.

    :param base_url: without a trailing slash.
    :param verify: ``False`` or the path of a CA bundle; ``True`` for the usual ones.
    :param proxy: URL of a proxy; empty: ``HTTPS_PROXY`` and ``NO_PROXY`` decide.
    :param secrets: what is masked in texts; tokens are added as they are minted.
    """

    base_url: str
    credential: Credential
    verify: bool | str = True
    proxy: str = field(default="", repr=False)
    secrets: Secrets = field(default_factory=Secrets, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Mask the credential and the proxies."""
        self.secrets.add(*secrets_of(self.credential, (self.proxy, *getproxies().values())))


def proxy_for(url: str, stated: str) -> str | None:
    """Return the proxy for a URL: the stated one, else the environment's, but none of that for a loopback host."""
    if stated:
        return stated
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in {"localhost", "127.0.0.1", "::1"} or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def new_session(endpoint: Endpoint, url: str) -> aiohttp.ClientSession:
    """Return a session with one host: no cookies, no environment, as many connections as asked for."""
    import aiohttp
    import httpx

    proxy = proxy_for(url, endpoint.proxy)
    # Reading the usual certificates takes longer than a hundred requests; without TLS, nobody needs them.
    plain = proxy is None and urlsplit(url).scheme == "http"
    verify = False if plain else endpoint.verify
    context = httpx.create_ssl_context(verify=verify) if isinstance(verify, bool) else ca_context(verify)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE, ssl=context),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=COMMON_HEADERS,
        auto_decompress=False,
        trust_env=False,
        proxy=proxy,
        **head_limits(),
    )


def head_limits() -> dict[str, Any]:
    """Return what the head of an answer may hold, in the words of the installed aiohttp."""
    import aiohttp

    limits = {"max_line_size": LONGEST_LINE, "max_field_size": LONGEST_LINE, "max_headers": MOST_LINES}
    known = inspect.signature(aiohttp.ClientSession).parameters
    return {name: limit for name, limit in limits.items() if name in known}


def ca_context(path: str) -> Any:
    """Return a TLS context that trusts the CA bundle in a file or folder."""
    import ssl
    from pathlib import Path

    where = Path(path)
    return ssl.create_default_context(cafile=None if where.is_dir() else path, capath=path if where.is_dir() else None)
