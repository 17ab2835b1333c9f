"""One request and its answer over a real socket: the way to a host, and what each end of an exchange proves."""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from airflow_provider_contacts.core.auth import Credential
from airflow_provider_contacts.core.vendor import Answer
from airflow_provider_contacts.core.wire import NoAnswer, NotSent, Result

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0

# Servers close idle connections, often after five seconds; a request on a connection that is just being closed is a
# doubt for nothing. So ours are closed first.
KEEPALIVE = 2.0

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer's body that are read; a longer one is nobody's honest answer."""

OF_EVERY_REQUEST = {
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
    """

    base_url: str
    credential: Credential
    verify: bool | str = True
    proxy: str = field(default="", repr=False)


def proxy_for(url: str, stated: str) -> str | None:
    """Return the proxy for a URL: the stated one, else the environment's. A custom transport switches off httpx's own.

    A loopback host is never reached through a proxy of the environment.
    """
    if stated:
        return stated
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in {"localhost", "127.0.0.1", "::1"}:
        return None
    if proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def new_session(endpoint: Endpoint, url: str) -> aiohttp.ClientSession:
    """Return a session with one host: no cookies, no environment, as many connections as asked for.

    Within a running loop; the caller closes it.
    """
    import aiohttp
    import httpx

    proxy = proxy_for(url, endpoint.proxy)
    # Reading the usual certificates takes longer than a hundred requests; where no TLS is spoken, nobody asks for them.
    plain = proxy is None and urlsplit(url).scheme == "http"
    verify = False if plain else endpoint.verify
    context = httpx.create_ssl_context(verify=verify) if isinstance(verify, bool) else ca_context(verify)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE, ssl=context),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=OF_EVERY_REQUEST,
        auto_decompress=False,
        trust_env=False,
        proxy=proxy,
    )


def ca_context(path: str) -> Any:
    """Return a TLS context that trusts the CA bundle in a file or folder."""
    import ssl
    from pathlib import Path

    where = Path(path)
    return ssl.create_default_context(cafile=None if where.is_dir() else path, capath=path if where.is_dir() else None)


async def exchange(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    *,
    headers: dict[str, str],
    body: bytes | None,
    timeout: float,  # noqa: ASYNC109  # one budget for request and answer
) -> Result:
    """Send one request once, and say what came of it; whatever happens is a result.

    :param timeout: seconds from here to the last byte of the answer.
    """
    import aiohttp

    limits = aiohttp.ClientTimeout(total=None, sock_connect=min(CONNECT_TIMEOUT, timeout))
    began = time.monotonic()
    try:
        async with (
            asyncio.timeout(timeout),
            session.request(method, url, headers=headers, data=body, allow_redirects=False, timeout=limits) as response,
        ):
            found = headers_of(response)
            content = await read_body(response, found.get("content-encoding", ""))
    except aiohttp.ClientError as error:
        return NotSent("not_connected") if never_connected(error) else NoAnswer(loss_code(error))
    except TimeoutError:
        return NoAnswer("timeout")
    except Exception as error:  # noqa: BLE001  # only a listed cause proves "not sent"; this is doubt
        log.warning("A request ended in %s: its records are unknown", type(error).__name__)
        return NoAnswer("connection_lost")
    return Answer(response.status, found, content, time.monotonic() - began)


def headers_of(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Return the answer's headers, names in lower case; one that came repeatedly is joined as HTTP allows."""
    found: dict[str, str] = {}
    for raw_name, raw_text in response.raw_headers:
        name, text = raw_name.decode("latin-1").lower(), raw_text.decode("utf-8", "replace")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


async def read_body(response: aiohttp.ClientResponse, encoding: str) -> bytes:
    """Return the body, or nothing where it does not come whole: the status is known, and no reader trusts a half."""
    import aiohttp

    parts: list[bytes] = []
    total = 0
    try:
        while part := await response.content.readany():
            total += len(part)
            if total > LARGEST_ANSWER:
                return b""
            parts.append(part)
    except aiohttp.ClientError:
        return b""
    return unpacked(b"".join(parts), encoding)


def unpacked(body: bytes, encoding: str) -> bytes:
    """Return a body without its content encodings, or nothing where it cannot be had."""
    for name in reversed(encoding.lower().split(",")):
        match name.strip():
            case "" | "identity":
                pass
            case "gzip" | "x-gzip":
                body = inflated(body, zlib.MAX_WBITS | 16)
            case "deflate":
                # Some servers leave out the frame that the name stands for.
                body = inflated(body, zlib.MAX_WBITS) or inflated(body, -zlib.MAX_WBITS)
            case _:
                return b""
    return body


def inflated(packed: bytes, window: int) -> bytes:
    """Return what was packed; nothing where that is broken, cut short, too much, or not all that came.

    :param window: ``wbits`` of :func:`zlib.decompressobj`.
    """
    reader = zlib.decompressobj(window)
    try:
        found = reader.decompress(packed, LARGEST_ANSWER + 1)
    except zlib.error:
        return b""
    whole = reader.eof and not reader.unused_data
    return found if whole and len(found) <= LARGEST_ANSWER else b""


def never_connected(error: BaseException) -> bool:
    """Tell whether an error proves that no byte of the request left: a positive list."""
    import aiohttp

    # ClientConnectorError covers DNS, TLS and certificate kinds and an unreachable proxy; ClientHttpProxyError is a
    # proxy that refuses the tunnel.
    proofs = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
    return isinstance(error, (*proofs, aiohttp.ClientConnectorCertificateError))


def loss_code(error: BaseException) -> str:
    """Return the code of a lost answer."""
    import aiohttp

    return "timeout" if isinstance(error, aiohttp.ServerTimeoutError) else "connection_lost"
