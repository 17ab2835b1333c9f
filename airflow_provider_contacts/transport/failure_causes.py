"""Why no connection was made, or no answer came, and what to do. Nothing here shows a secret or an address."""

from __future__ import annotations

import errno
import ssl
from typing import TYPE_CHECKING

from airflow_provider_contacts.transport.connection import LONGEST_LINE, MOST_LINES

if TYPE_CHECKING:
    import aiohttp

    from airflow_provider_contacts.transport.transmission import Transmission

HOST = "check the connection's host and port"
PROXY = "check the connection's proxy, or HTTPS_PROXY and NO_PROXY"

NO_TLS = {
    *("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
}

ERRNOS = {
    errno.ECONNREFUSED: "refuses connections on port {port}: nothing listens there",
    errno.ENETUNREACH: "cannot be reached: there is no route to its network",
    errno.EHOSTUNREACH: "cannot be reached: there is no route to it",
    errno.ETIMEDOUT: "does not answer on port {port}",
    errno.EMFILE: "cannot be asked: this process has too many open files",
    errno.EADDRNOTAVAIL: "cannot be asked: this machine has no free port or address",
    errno.ECONNRESET: "ends the connection on port {port} before anything is sent; it may not speak TLS there",
}


def connection_cause(error: BaseException, host: str, seconds: float) -> str:
    """Return why no connection to a host, or to its proxy, was made within these seconds, and what to do."""
    import aiohttp

    if isinstance(error, aiohttp.ClientHttpProxyError):
        if error.status == 407:  # noqa: PLR2004  # RFC 9110
            return f"the proxy asks for a user and a password, or refuses them (HTTP 407): {PROXY}"
        return f"the proxy refuses a tunnel to {host} (HTTP {error.status}): {PROXY}"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        text = f"no connection to {host} came about within {seconds:.3g} s"
        return f"{text}: {HOST}, the proxy if there is one, and that no firewall is between"
    if not isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection to {host} came about ({type(error).__name__}): {HOST}"
    asked = error.host or host
    proxied = isinstance(error, aiohttp.ClientProxyConnectionError) or asked != host
    name, advice = (f"the proxy {asked}", PROXY) if proxied else (asked, HOST)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name of {name} cannot be resolved: {advice}, and the name service of the worker"
    return socket_cause(getattr(error, "certificate_error", None) or error.os_error, name, error.port, advice)


def socket_cause(reason: Exception, name: str, port: int | None, advice: str) -> str:
    """Return why a host or a proxy with a known address could not be connected to."""
    if isinstance(reason, ssl.CertificateError):
        told = getattr(reason, "verify_message", "") or "no reason told"
        text = f"the certificate of {name} is not accepted ({told.rstrip('.')})"
        return f"{text}: check the connection's host, and name its CA bundle in verify if it is one of your own"
    if isinstance(reason, ssl.SSLError):
        if reason.reason in NO_TLS:
            return f"{name} speaks no TLS on port {port}: name its TLS port, or http:// where that is allowed"
        told = (reason.reason or "").replace("_", " ").lower() or type(reason).__name__
        return f"TLS with {name} on port {port} failed ({told}): {HOST}"
    number = errno.ECONNRESET if isinstance(reason, ConnectionResetError) else getattr(reason, "errno", None) or 0
    known = errno.errorcode.get(number, type(reason).__name__)
    text = ERRNOS.get(number, f"cannot be connected to on port {{port}} ({known})")
    return f"{name} {text.format(port=port)}: {advice}"


def loss_cause(error: BaseException, transmission: Transmission) -> str:
    """Return why no answer could be had once the request had left."""
    import aiohttp

    if transmission.too_long:
        return "the head of the answer is longer than 1 MiB, which is not read"
    if isinstance(error, aiohttp.ServerTimeoutError):
        return "no answer came in time"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection before it answered"
    if not isinstance(error, aiohttp.ClientResponseError):
        known = errno.errorcode.get(getattr(error, "errno", None) or 0, type(error).__name__)
        return f"the connection broke before the answer had come ({known})"
    return unread_cause(error)


def unread_cause(error: aiohttp.ClientResponseError) -> str:
    """Return why the head of an answer cannot be read."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    kind, message = type(cause).__name__, str(error.message)
    if kind == "LineTooLong":
        return f"a header line of the answer is longer than {LONGEST_LINE} bytes, which is not read"
    if "many" in message.lower() and "header" in message.lower():
        return f"the answer has more than {MOST_LINES} header lines, which is not read"
    # The parser's own words; the line behind them is not repeated.
    reason, separator, _ = message.partition(":\n\n")
    return f"the answer is no HTTP that can be read ({reason if separator and reason.isprintable() else kind})"
