"""One request and its answer over a real socket: the way to a host, and what each end of an exchange proves."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from airflow_provider_contacts.transport.departure import DEPARTURE, Departure
from airflow_provider_contacts.transport.failure_causes import connection_cause, loss_cause
from airflow_provider_contacts.transport.response_body import LARGEST, Bound, read_body
from airflow_provider_contacts.vendor_kit.auth import Credential
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.sanitize import Secrets, secrets_of
from airflow_provider_contacts.vendor_kit.vendor import Response

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0

# Servers close idle connections, often after five seconds; a request on a connection that is just being closed is a
# doubt for nothing. So ours are closed first.
KEEPALIVE = 2.0

# Bytes of one header line, and lines, that are read: what curl reads, and more than any HTTP client of Python.
LONGEST_LINE = 256 * 1024
MOST_LINES = 5000

LARGEST_ANSWER = LARGEST.size
"""Bytes of an answer's body that are read at most."""

MOST_CONNECTIONS = 1000
"""Connections that a request is offered to: as many as may lie idle and have ended."""

# Seconds beyond the time-out after which a request ends that nothing else has ended.
GRACE = 2.0

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
    :param secrets: what must not show of it; tokens are added as they are minted.
    """

    base_url: str
    credential: Credential
    verify: bool | str = True
    proxy: str = field(default="", repr=False)
    secrets: Secrets = field(default_factory=Secrets, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Know what must be masked from now on."""
        self.secrets.add(*secrets_of(self.credential, (self.proxy, *getproxies().values())))


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
        **head_limits(),
    )


def head_limits() -> dict[str, Any]:
    """Return what the head of an answer may hold, in the words of the installed aiohttp."""
    import inspect

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


async def exchange(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    *,
    headers: dict[str, str],
    body: bytes | None,
    timeout: float,  # noqa: ASYNC109  # one budget for request and answer
    not_after: float = math.inf,
    bound: Bound = LARGEST,
) -> Result:
    """Send one request once, and say what came of it; whatever happens is a result.

    :param timeout: seconds from here to the last byte of the answer.
    :param not_after: the moment (monotonic) after which its first byte must not leave.
    :param bound: what of the answer's body is read.
    """
    departure = Departure(host=url.host or "", size=len(body or b""), not_after=not_after)
    DEPARTURE.set(departure)
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(timeout + GRACE) as alarm:
            departure.on_leave = lambda: alarm.reschedule(began + timeout)
            for _ in range(MOST_CONNECTIONS):
                departure.held = ""
                left = max(0.001, began + timeout - asyncio.get_running_loop().time())
                result = await attempt(
                    departure, session, method, url, headers=headers, body=body, left=left, bound=bound
                )
                if result is not None:
                    return result
    except TimeoutError:
        if departure.left or not departure.gated:
            return NoAnswer("timeout", f"no answer came within {timeout:g} s")
    finally:
        departure.over = True
        if departure.guard is not None:
            departure.guard.let_go()
    return NotSent("not_connected", message=f"{departure.host} lets no connection be used within {timeout:g} s")


async def attempt(
    departure: Departure,
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    *,
    headers: dict[str, str],
    body: bytes | None,
    left: float,
    bound: Bound,
) -> Result | None:
    """Offer a request to one connection; return nothing where that one cannot take it, and not a byte has left.

    :param left: seconds in which a connection must be made.
    """
    import aiohttp

    limits = aiohttp.ClientTimeout(
        total=None, connect=left, sock_connect=min(CONNECT_TIMEOUT, left), ceil_threshold=math.inf
    )
    began = time.monotonic()
    try:
        async with session.request(
            method, url, headers=headers, data=body, allow_redirects=False, timeout=limits
        ) as response:
            guard = departure.guard
            if guard is None:
                return NoAnswer("connection_lost", "the answer came on a connection that is not guarded")
            guard.head(departure, response.status)
            found = headers_of(response)
            content, trouble = await read_body(response, found.get("content-encoding", ""), bound)
            whole = response.content.at_eof()
    except aiohttp.ClientError as error:
        return failure(departure, error, left)
    except TimeoutError:
        raise
    except Exception as error:  # noqa: BLE001  # only a listed cause proves "not sent"; this is doubt
        if departure.left or not departure.gated:
            log.warning("A request ended in %s: its records are unknown", type(error).__name__)
        return failure(departure, error, left)
    answer = Response(response.status, found, content, time.monotonic() - began, trouble)
    surplus = guard.finish(departure, whole=whole) or await guard.listen(answer.seconds or 0.0, left / 4)
    if not whole and departure.reused and not 200 <= answer.status < 300:  # noqa: PLR2004  # RFC 9110
        # Nobody has heard whether another answer comes behind it.
        return NoAnswer("unreadable", trouble)
    return unproven(departure, answer, surplus=surplus) or answer


def unproven(departure: Departure, answer: Response, *, surplus: bool) -> NoAnswer | None:
    """Return why an answer proves nothing about its request, if so.

    :param surplus: more than one answer had come.
    """
    good = 200 <= answer.status < 300  # noqa: PLR2004  # RFC 9110
    if departure.early or (good and departure.unread):
        text = f"an answer (HTTP {answer.status}) began before the request had been received: it proves nothing"
        return NoAnswer("early_answer", text)
    if surplus and departure.reused:
        return NoAnswer("surplus_answer", "more answers came than requests had gone out: which is whose cannot be told")
    return None


def failure(departure: Departure, error: Exception, seconds: float) -> Result | None:
    """Return what an error means; nothing where another connection may be tried.

    :param seconds: in which a connection had to be made.
    """
    if departure.left:
        return NoAnswer(
            loss_code(error), in_words(error, lambda: loss_cause(error, departure, LONGEST_LINE, MOST_LINES))
        )
    if departure.held == "late":
        return NotSent("mark_expired", message="the request could not leave within 5 s of its mark")
    if departure.held == "unasked":
        text = f"{departure.host} sent something before it was asked: this is no HTTP server, or it refuses connections"
        return NotSent("not_connected", message=text)
    if never_connected(error):
        return NotSent(
            "not_connected", message=in_words(error, lambda: connection_cause(error, departure.host, seconds))
        )
    if departure.gated:
        return None
    return NoAnswer(loss_code(error), f"the HTTP client failed ({type(error).__name__})")


def in_words(error: Exception, cause: Callable[[], str]) -> str:
    """Return a cause in words; one that has none must not cost the result."""
    try:
        return cause()
    except Exception:  # noqa: BLE001  # an error of another aiohttp may lack what is looked at
        return f"{type(error).__name__}, which says no more"


def headers_of(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Return the answer's headers, names in lower case; one that came repeatedly is joined as HTTP allows."""
    found: dict[str, str] = {}
    for raw_name, raw_text in response.raw_headers:
        name, text = raw_name.decode("latin-1").lower(), raw_text.decode("utf-8", "replace")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


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
