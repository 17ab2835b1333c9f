"""One request and its answer over a real socket, and what each end of an exchange proves.

The body of an answer is read up to a bound, unpacked, and counted before it is parsed.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import zlib
from functools import partial
from typing import NamedTuple

from airflow_provider_contacts.transport.failure_causes import NotConnectedError
from airflow_provider_contacts.transport.http_connection import RECOUNT_AFTER, HttpConnection, Transfer, too_large
from airflow_provider_contacts.transport.pool import Pool
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Response

log = logging.getLogger(__name__)


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


async def exchange(
    pool: Pool,
    data: bytes,
    bound: Bound,
    *,
    timeout: float,  # noqa: ASYNC109  # one budget for request and answer
    not_after: float = math.inf,
) -> Result:
    """Send one request once, as it stands; whatever happens is a result.

    :param bound: how much of its answer's body is read.
    :param timeout: seconds from here to the last byte of the answer.
    :param not_after: the moment (monotonic) after which its first byte must not leave.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + timeout
    try:
        connection = pool.idle() or await pool.open(timeout)
    except NotConnectedError as error:
        return NotSent("not_connected", message=str(error))
    except Exception as error:  # noqa: BLE001  # whatever it is, nothing has left
        return NotSent("not_connected", message=f"the HTTP client failed ({type(error).__name__})")
    transfer = Transfer(data, bound.size, loop.create_future())
    try:
        if not connection.send(transfer, not_after):
            return NotSent("mark_expired", message="the request could not leave within 5 s of its mark")
        alarm = loop.call_at(ends_at, partial(connection.end, f"no answer came within {timeout:g} s", expired=True))
        await transfer.done
        alarm.cancel()
        return await concluded(connection, transfer, bound, timeout / 4)
    except Exception as error:  # noqa: BLE001  # whatever it is, the request may have left
        log.warning("A request ended in %s: its records are unknown", type(error).__name__)
        return NoAnswer("connection_lost", f"the HTTP client failed ({type(error).__name__})")
    finally:
        connection.end("nobody waits for the answer")


async def concluded(connection: HttpConnection, transfer: Transfer, bound: Bound, most: float) -> Result:
    """Return the answer, or why it proves nothing about its request; wait ``most`` seconds for another one."""
    took = time.monotonic() - transfer.left_at
    if transfer.unread:
        await asyncio.sleep(RECOUNT_AFTER)
    surplus = await connection.finish(most)
    if transfer.expired:
        return NoAnswer("timeout", transfer.trouble)
    if not transfer.status:
        return NoAnswer("connection_lost", transfer.trouble)
    if not transfer.whole and transfer.reused and not transfer.good:
        # Whether another answer followed is not known.
        return NoAnswer("unreadable", transfer.trouble)
    if transfer.early or (transfer.good and transfer.unread):
        text = f"an answer (HTTP {transfer.status}) began before the request had been received: it proves nothing"
        return NoAnswer("early_answer", text)
    if surplus and transfer.reused:
        return NoAnswer("surplus_answer", "more answers came than requests had gone out: which is whose cannot be told")
    headers = headers_of(transfer)
    body, trouble = b"", transfer.trouble
    if transfer.whole:
        body, trouble = body_of(bytes(transfer.body), headers.get("content-encoding", ""), bound)
    return Response(transfer.status, headers, body, took, trouble)


def headers_of(transfer: Transfer) -> dict[str, str]:
    """Return the answer's headers, names in lower case; one that came repeatedly is joined as HTTP allows."""
    found: dict[str, str] = {}
    for raw_name, raw_text in transfer.headers:
        name, text = raw_name.decode("latin-1").lower(), raw_text.decode("utf-8", "replace")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def body_of(packed: bytes, encoding: str, bound: Bound) -> tuple[bytes, str]:
    """Return a body, or nothing and why."""
    body, trouble = unpacked(packed, encoding, bound.size)
    if len(body) > bound.parts and sum(map(body.count, (b",", b"[", b"{"))) > bound.parts:
        return b"", too_large(f"{bound.parts} values")
    return body, trouble


def unpacked(body: bytes, encoding: str, largest: int) -> tuple[bytes, str]:
    """Return a body without its content encoding, or nothing and why: it is broken, cut, not all, or too large."""
    kind = encoding.strip().lower()
    if kind in {"gzip", "x-gzip"}:
        reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            body = reader.decompress(body, largest + 1)
        except zlib.error:
            return b"", PACKED
        if len(body) <= largest and (not reader.eof or reader.unused_data.strip(b"\0")):
            return b"", PACKED
    elif kind not in {"", "identity"} and body.lstrip()[:1] not in {b"{", b"["}:
        # Some servers write what is no encoding ("none", "utf-8"): plain JSON is taken as it is.
        return b"", PACKED
    return (body, "") if len(body) <= largest else (b"", too_large(f"{largest} bytes"))
