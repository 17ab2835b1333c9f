"""Open a connection to a host as a push opens it, and tell each step: name, socket, proxy, TLS."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Literal, NamedTuple

from airflow_provider_contacts.transport.address import Address, address_of
from airflow_provider_contacts.transport.connection import Endpoint, proxy_for
from airflow_provider_contacts.transport.failure_causes import NotConnectedError, explained, too_late
from airflow_provider_contacts.transport.pool import CONNECT_TIMEOUT, Pool

REACHED = ("name", "connect", "proxy", "tls")
"""The steps of :func:`reach`, in order."""

MOST_ADDRESSES = 4

Outcome = Literal["ok", "failed", "not tried"]


class Step(NamedTuple):
    """One step of a check, what came of it, and why."""

    step: str
    at: str
    result: Outcome
    detail: str


def reach(endpoint: Endpoint, url: str, seconds: float) -> Iterator[Step]:
    """Open a connection to a URL's host within so many seconds, and close it; yield every step, up to a failed one."""
    target, proxy_url = address_of(url), proxy_for(url, endpoint.proxy)
    proxy = address_of(proxy_url) if proxy_url else None
    first = proxy or target
    places = {"name": first.host, "connect": first.authority, "proxy": (proxy or target).authority}
    words = {
        "connect": f"port {first.port} takes connections",
        "proxy": proxy_words(proxy, target),
        "tls": tls_words(endpoint, target),
    }
    failed_at, text = "name", ""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as loop:
        try:
            words["name"] = loop.run(resolved(first, proxied=proxy is not None))
            failed_at, text = loop.run(opened(Pool(endpoint, url), seconds))
        except NotConnectedError as error:
            text = str(error)
    for step in REACHED:
        failed = bool(text) and step == failed_at
        yield Step(
            step, places.get(step, target.authority), "failed" if failed else "ok", text if failed else words[step]
        )
        if failed:
            return


async def resolved(address: Address, *, proxied: bool) -> str:
    """Return the addresses of a host, in words."""
    loop = asyncio.get_running_loop()
    with explained(address, proxied=proxied):
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise NotConnectedError(too_late(address.host, CONNECT_TIMEOUT)) from None
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    more = f" and {len(addresses) - MOST_ADDRESSES} more" if len(addresses) > MOST_ADDRESSES else ""
    return f"resolves to {', '.join(addresses[:MOST_ADDRESSES])}{more}"


async def opened(pool: Pool, seconds: float) -> tuple[str, str]:
    """Return the stage at which no connection came about, and why; the reason is empty for one that did."""
    try:
        (await pool.open(seconds)).close()
        await pool.close()
    except NotConnectedError as error:
        return pool.stage, str(error)
    return pool.stage, ""


def proxy_words(proxy: Address | None, target: Address) -> str:
    """Return what the proxy does, if there is one."""
    if proxy is None:
        return "none: the connection names none, and the environment none for this host (HTTPS_PROXY, NO_PROXY)"
    return "opens a tunnel" if target.tls else "is asked with every request, since they leave without TLS"


def tls_words(endpoint: Endpoint, target: Address) -> str:
    """Return what is encrypted, and who is trusted."""
    if not target.tls:
        return "not used: plain http"
    return (
        "the certificate is not checked (verify is false)"
        if endpoint.verify is False
        else "the certificate is accepted"
    )
