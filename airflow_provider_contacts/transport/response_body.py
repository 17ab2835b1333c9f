"""The body of an answer: read up to a bound, unpacked, and counted before it is parsed."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import aiohttp


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
