"""One request and its answer over a real socket, and what each end of an exchange proves.

The body of an answer is read up to a bound, unpacked, and counted before it is parsed.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_contacts.transport.failure_causes import connection_cause, loss_cause
from airflow_provider_contacts.transport.gate import RECOUNT_AFTER
from airflow_provider_contacts.transport.transmission import TRANSMISSION, Transmission
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Response

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0

# Connections that a request is offered to: as many as may lie idle and have ended.
MOST_CONNECTIONS = 1000

# Seconds beyond the time-out after which a request ends that nothing else has ended.
GRACE = 2.0


class Bound(NamedTuple):
    """Limits on the body of an answer."""

    size: int  # bytes, unpacked
    parts: int  # values, keys and containers of its JSON: an empty list takes three bytes there, and eighty in memory


LARGEST = Bound(64 * 1024 * 1024, 4_000_000)
"""Of the answer to a read: a page, or all contacts of an account. No honest answer is larger."""

OF_A_TOKEN = Bound(1024 * 1024, 10_000)

# An honest answer to records shows them, and what the vendor keeps beside them, many times over.
SPACE = Bound(8 * 1024 * 1024, 1_000_000)
SPACE_A_BYTE = Bound(64, 4)

PACKED = "the body of the answer is packed in a way that cannot be undone"


def answer_bound(sent: bytes | None) -> Bound:
    """Return the bound of the answer to a request with this body; ``None`` for a read."""
    if sent is None:
        return LARGEST
    return Bound(
        min(LARGEST.size, SPACE.size + SPACE_A_BYTE.size * len(sent)),
        min(LARGEST.parts, SPACE.parts + SPACE_A_BYTE.parts * len(sent)),
    )


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One request, ready to be written, and what of its answer's body is read."""

    method: str
    url: URL
    headers: dict[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    bound: Bound


async def exchange(
    session: aiohttp.ClientSession,
    request: WireRequest,
    *,
    timeout: float,  # noqa: ASYNC109  # one budget for request and answer
    not_after: float = math.inf,
) -> Result:
    """Send one request once; whatever happens is a result.

    :param timeout: seconds from here to the last byte of the answer.
    :param not_after: the moment (monotonic) after which its first byte must not leave.
    """
    transmission = Transmission(host=request.url.host or "", size=len(request.body or b""), not_after=not_after)
    TRANSMISSION.set(transmission)
    began = time.monotonic()
    try:
        async with asyncio.timeout(timeout + GRACE) as alarm:
            transmission.on_leave = lambda: alarm.reschedule(began + timeout)
            for _ in range(MOST_CONNECTIONS):
                result = await attempt(transmission, session, request, max(0.001, began + timeout - time.monotonic()))
                if result is not None:
                    return result
    except TimeoutError:
        if transmission.left or not transmission.gated:
            return NoAnswer("timeout", f"no answer came within {timeout:g} s")
    finally:
        transmission.over = True
        if transmission.guard is not None:
            transmission.guard.stop_listening()
    return NotSent("not_connected", message=f"{transmission.host} lets no connection be used within {timeout:g} s")


async def attempt(
    transmission: Transmission, session: aiohttp.ClientSession, request: WireRequest, seconds: float
) -> Result | None:
    """Offer a request to one connection; return nothing where that one cannot take it, and not a byte has left."""
    import aiohttp

    limits = aiohttp.ClientTimeout(
        total=None, connect=seconds, sock_connect=min(CONNECT_TIMEOUT, seconds), ceil_threshold=math.inf
    )
    transmission.held, transmission.began = "", time.monotonic()
    try:
        options: dict[str, Any] = {"headers": request.headers, "data": request.body, "timeout": limits}
        async with session.request(request.method, request.url, allow_redirects=False, **options) as response:
            if transmission.guard is None:
                return NoAnswer("connection_lost", "the answer came on a connection that is not guarded")
            transmission.guard.head(transmission, response.status)
            answer, whole = await received(transmission, response, request.bound)
    except aiohttp.ClientError as error:
        return failure(transmission, error, seconds)
    except TimeoutError:
        raise
    except Exception as error:  # noqa: BLE001  # only a listed cause proves "not sent"; this is doubt
        if transmission.left or not transmission.gated:
            log.warning("A request ended in %s: its records are unknown", type(error).__name__)
        return failure(transmission, error, seconds)
    surplus = transmission.guard.finish(transmission, whole=whole)
    surplus = surplus or await transmission.guard.listen(answer.seconds or 0.0, seconds / 4)
    return proven(transmission, answer, whole=whole, surplus=surplus)


async def received(transmission: Transmission, response: aiohttp.ClientResponse, bound: Bound) -> tuple[Response, bool]:
    """Return the answer, and whether it was read to its end."""
    found = headers_of(response)
    content, trouble = await read_body(response, found.get("content-encoding", ""), bound)
    whole = response.content.at_eof()
    if transmission.unread:
        await asyncio.sleep(RECOUNT_AFTER)
    return Response(response.status, found, content, time.monotonic() - transmission.began, trouble), whole


def proven(transmission: Transmission, answer: Response, *, whole: bool, surplus: bool) -> Result:
    """Return the answer, or why it proves nothing about its request."""
    good = 200 <= answer.status < 300  # noqa: PLR2004  # RFC 9110
    if not whole and transmission.reused and not good:
        # Whether another answer followed is not known.
        return NoAnswer("unreadable", answer.trouble)
    if transmission.early or (good and transmission.unread):
        text = f"an answer (HTTP {answer.status}) began before the request had been received: it proves nothing"
        return NoAnswer("early_answer", text)
    if surplus and transmission.reused:
        return NoAnswer("surplus_answer", "more answers came than requests had gone out: which is whose cannot be told")
    return answer


def failure(transmission: Transmission, error: Exception, seconds: float) -> Result | None:
    """Return what an error means; nothing where another connection may be tried."""
    import aiohttp

    host = transmission.host
    # Proof that nothing left, as a positive list. ClientConnectorError covers DNS, TLS and an unreachable proxy.
    never = aiohttp.ClientConnectorError, aiohttp.ClientConnectorCertificateError
    never_either = aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError
    lost = "timeout" if isinstance(error, aiohttp.ServerTimeoutError) else "connection_lost"
    if transmission.left:
        return NoAnswer(lost, in_words(error, lambda: loss_cause(error, transmission)))
    if transmission.held == "late":
        return NotSent("mark_expired", message="the request could not leave within 5 s of its mark")
    if transmission.held == "unasked":
        text = f"{host} sent something before it was asked: this is no HTTP server, or it refuses connections"
        return NotSent("not_connected", message=text)
    if isinstance(error, (*never, *never_either)):
        return NotSent("not_connected", message=in_words(error, lambda: connection_cause(error, host, seconds)))
    if transmission.gated:
        return None
    return NoAnswer(lost, f"the HTTP client failed ({type(error).__name__})")


def in_words(error: Exception, cause: Callable[[], str]) -> str:
    """Return a cause in words; an error of an unknown kind must not cost the result."""
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


async def read_body(response: aiohttp.ClientResponse, encoding: str, bound: Bound) -> tuple[bytes, str]:
    """Return the body, or nothing and why: a half is not trusted."""
    import aiohttp

    parts: list[bytes] = []
    total = 0
    try:
        while part := await response.content.readany():
            total += len(part)
            if total > bound.size:
                return b"", too_large(f"{bound.size} bytes")
            parts.append(part)
    except aiohttp.ClientError:
        return b"", "the body of the answer broke off"
    body, trouble = unpacked(b"".join(parts), encoding, bound.size)
    if len(body) > bound.parts and sum(map(body.count, (b",", b"[", b"{"))) > bound.parts:
        return b"", too_large(f"{bound.parts} values")
    return body, trouble


def too_large(bound: str) -> str:
    """Return the message about an answer that is not read."""
    return f"the body of the answer has more than {bound}, which no answer to this request needs"


def unpacked(body: bytes, encoding: str, largest: int) -> tuple[bytes, str]:
    """Return a body without its content encoding, or nothing and why."""
    kind = encoding.strip().lower()
    found: bytes | None = body
    if kind in {"gzip", "x-gzip"}:
        found = inflated(body, largest)
    elif kind not in {"", "identity"} and body.lstrip()[:1] not in {b"{", b"["}:
        # Some servers write what is no encoding ("none", "utf-8"): plain JSON is taken as it is.
        found = None
    if found is None:
        return b"", PACKED
    return (found, "") if len(found) <= largest else (b"", too_large(f"{largest} bytes"))


def inflated(packed: bytes, largest: int) -> bytes | None:
    """Return what was packed, at most a byte more than ``largest``; ``None`` where it is broken, cut, or not all."""
    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        found = reader.decompress(packed, largest + 1)
    except zlib.error:
        return None
    whole = reader.eof and not reader.unused_data.strip(b"\0")
    return found if whole or len(found) > largest else None
