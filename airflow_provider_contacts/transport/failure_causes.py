"""Why no connection was made, and what to do. Nothing here shows a secret or an address."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_contacts.transport.address import Address

HOST = "check where the connection has this host and port from"
PROXY = "check the connection's proxy, or HTTPS_PROXY and NO_PROXY"

NO_TLS = {
    *("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
}

OF_ITS_TIME = {9, 10}
"""What OpenSSL says of a certificate that is not valid yet, or any more."""

ERRNOS = {
    errno.ECONNREFUSED: "refuses connections on port {port}: nothing listens there",
    errno.ENETUNREACH: "cannot be reached: there is no route to its network",
    errno.EHOSTUNREACH: "cannot be reached: there is no route to it",
    errno.ETIMEDOUT: "does not answer on port {port}",
    errno.EMFILE: "cannot be asked: this process has too many open files",
    errno.EADDRNOTAVAIL: "cannot be asked: this machine has no free port or address",
    errno.ECONNRESET: "ends the connection on port {port} before anything is sent; it may not speak TLS there",
}


class NotConnectedError(Exception):
    """No connection came about; the text says why, and what to do."""


@contextmanager
def explained(address: Address, *, proxied: bool) -> Iterator[None]:
    """Turn any error while a host or a proxy is connected to into :class:`NotConnectedError`."""
    try:
        yield
    except NotConnectedError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, no byte of a request has left
        name, advice = (f"the proxy {address.host}", PROXY) if proxied else (address.host, HOST)
        raise NotConnectedError(cause(error, name, address.port, advice)) from None


def too_late(host: str, seconds: float) -> str:
    """Return the words for a connection that takes too long."""
    text = f"no connection to {host} came about within {seconds:.3g} s"
    return f"{text}: {HOST}, the proxy if there is one, and that no firewall is between"


def tunnel_refusal(host: str, status: int) -> str:
    """Return the words for a proxy that makes no tunnel."""
    if status == 407:  # noqa: PLR2004  # RFC 9110
        return f"the proxy asks for a user and a password, or refuses them (HTTP 407): {PROXY}"
    return f"the proxy refuses a tunnel to {host} (HTTP {status}): {PROXY}"


def cause(error: Exception, name: str, port: int, advice: str) -> str:
    """Return why a host or a proxy could not be connected to."""
    if isinstance(error, socket.gaierror):
        return f"the name of {name} cannot be resolved: {advice}, and the name service of the worker"
    if isinstance(error, ssl.CertificateError):
        told = getattr(error, "verify_message", "") or "no reason told"
        text = f"the certificate of {name} is not accepted ({told.rstrip('.')})"
        if getattr(error, "verify_code", None) in OF_ITS_TIME:
            return f"{text}: check the clock of the worker, and tell the owner of {name}"
        return f"{text}: check the connection's host, and name its CA bundle in verify if it is one of your own"
    if isinstance(error, ssl.SSLError):
        if error.reason in NO_TLS:
            return f"{name} speaks no TLS on port {port}: name its TLS port, or http:// where that is allowed"
        told = (error.reason or "").replace("_", " ").lower() or type(error).__name__
        return f"TLS with {name} on port {port} failed ({told}): {advice}"
    number = errno.ECONNRESET if isinstance(error, ConnectionError | EOFError) else 0
    # Of several addresses that failed, asyncio keeps the texts alone.
    found = getattr(error, "errno", None) or next(iter(re.findall(r"\[Errno (\d+)\]", str(error))), number)
    known = errno.errorcode.get(int(found), type(error).__name__)
    text = ERRNOS.get(int(found), f"cannot be connected to on port {{port}} ({known})")
    return f"{name} {text.format(port=port)}: {advice}"
