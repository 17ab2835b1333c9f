"""The body of an answer: read as far as it may go, unpacked, and counted before it is parsed."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer's body that are read, whatever was asked; a longer one is nobody's honest answer."""

LARGEST_TOKEN_ANSWER = 1024 * 1024

# An honest answer to records shows them, and what the vendor keeps beside them, a few times over.
SPACE, SPACE_A_BYTE = 2 * 1024 * 1024, 64

BROKEN_OFF = "the body of the answer broke off"
PACKED = "the body of the answer is packed in a way that cannot be undone"


def answer_limit(sent: bytes | None) -> int:
    """Return how many bytes of an answer are read.

    :param sent: the records of a request; nothing for a question, whose answer may be a whole page.
    """
    return LARGEST_ANSWER if sent is None else min(LARGEST_ANSWER, SPACE + SPACE_A_BYTE * len(sent))


async def read_body(response: aiohttp.ClientResponse, encoding: str, largest: int) -> tuple[bytes, str]:
    """Return the body, or nothing and why: the status is known, and no reader trusts a half."""
    import aiohttp

    parts: list[bytes] = []
    total = 0
    try:
        while part := await response.content.readany():
            total += len(part)
            if total > largest:
                return b"", too_large(largest)
            parts.append(part)
    except aiohttp.ClientError:
        return b"", BROKEN_OFF
    return unpacked(b"".join(parts), encoding, largest)


def too_large(largest: int) -> str:
    """Return what is said of an answer that is not read to its end."""
    return f"the body of the answer is longer than {largest} bytes, more than an honest answer to this request needs"


def unpacked(body: bytes, encoding: str, largest: int) -> tuple[bytes, str]:
    """Return a body without its content encodings, or nothing and why."""
    for name in reversed(encoding.lower().split(",")):
        match name.strip():
            case "" | "identity":
                found: bytes | None = body
            case "gzip" | "x-gzip":
                found = inflated(body, zlib.MAX_WBITS | 16, largest)
            case "deflate":
                # Some servers leave out the frame that the name stands for.
                found = inflated(body, zlib.MAX_WBITS, largest) or inflated(body, -zlib.MAX_WBITS, largest)
            case _:
                found = None
        if found is None:
            return b"", PACKED
        if len(found) > largest:
            return b"", too_large(largest)
        body = found
    return body, ""


def inflated(packed: bytes, window: int, largest: int) -> bytes | None:
    """Return what was packed, a byte more than ``largest`` at most; nothing where it is broken, cut, or not all.

    :param window: ``wbits`` of :func:`zlib.decompressobj`.
    """
    reader = zlib.decompressobj(window)
    try:
        found = reader.decompress(packed, largest + 1)
    except zlib.error:
        return None
    return found if len(found) > largest or (reader.eof and not reader.unused_data) else None
