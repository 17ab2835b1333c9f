"""Why no connection came about, or no answer: in words, with what to do. Nothing here shows a secret or an address."""

from __future__ import annotations

import errno
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp

    from airflow_provider_contacts.transport.departure import Departure

HOST = "check the connection's host and port"
PROXY = "check the connection's proxy, or HTTPS_PROXY and NO_PROXY"

# X509_V_ERR_ codes of OpenSSL.
EXPIRED, NOT_YET, REVOKED = 10, 9, 23
UNKNOWN_CA = {2, 18, 19, 20, 21}
OTHER_NAME = {62, 63, 64}

NO_TLS = {
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "HTTPS_PROXY_REQUEST",
    "RECORD_LAYER_FAILURE",
    "PACKET_LENGTH_TOO_LONG",
}

ERRNOS = {
    errno.ECONNREFUSED: "refuses connections on port {port}: nothing listens there",
    errno.ENETUNREACH: "cannot be reached: there is no route to its network",
    errno.EHOSTUNREACH: "cannot be reached: there is no route to it",
    errno.ETIMEDOUT: "does not answer on port {port}",
    errno.EMFILE: "cannot be asked: this process has too many open files",
    errno.EADDRNOTAVAIL: "cannot be asked: this machine has no free port or address",
}


def connection_cause(error: BaseException, host: str, seconds: float) -> str:
    """Return why no connection came about, and what to do.

    :param host: the host that was asked for; a proxy has another one.
    :param seconds: how long was waited for it.
    """
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
    return connector_cause(error, host)


def connector_cause(error: aiohttp.ClientConnectorError, host: str) -> str:
    """Return why a host or a proxy could not be reached."""
    import aiohttp

    asked, port = error.host or host, error.port
    proxied = isinstance(error, aiohttp.ClientProxyConnectionError) or asked != host
    name, advice = (f"the proxy {asked}", PROXY) if proxied else (asked, HOST)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name of {name} cannot be resolved: {advice}, and the name service of the worker"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return certificate_cause(error.certificate_error, name)
    reason = error.os_error
    if isinstance(reason, ssl.CertificateError):
        return certificate_cause(reason, name)
    if isinstance(reason, ssl.SSLError):
        return tls_cause(reason, name, port)
    if isinstance(reason, ConnectionResetError):
        return (
            f"{name} ends the connection on port {port} before anything is sent: {advice}, and that it speaks TLS there"
        )
    known = errno.errorcode.get(reason.errno or 0, type(reason).__name__)
    text = ERRNOS.get(reason.errno or 0, f"cannot be connected to on port {{port}} ({known})")
    return f"{name} {text.format(port=port)}: {advice}"


def certificate_cause(error: BaseException, name: str) -> str:
    """Return what is wrong with a certificate."""
    code = getattr(error, "verify_code", 0)
    if code == EXPIRED:
        return f"the certificate of {name} has expired: who runs it must renew it, unless this machine's clock is wrong"
    if code == NOT_YET:
        return f"the certificate of {name} is not valid yet: check this machine's clock"
    if code == REVOKED:
        return f"the certificate of {name} has been revoked: ask who runs it"
    if code in OTHER_NAME:
        return f"the certificate of {name} is for another name: check the connection's host"
    if code in UNKNOWN_CA:
        advice = "name its CA bundle in the connection's verify, if it may be trusted"
        return f"the certificate of {name} is from an authority that is not known here: {advice}"
    told = getattr(error, "verify_message", "") or "no reason told"
    return f"the certificate of {name} is not accepted ({told}): check the connection's host and verify"


def tls_cause(error: ssl.SSLError, name: str, port: int | None) -> str:
    """Return why TLS did not come about."""
    reason = error.reason or ""
    if reason in NO_TLS:
        advice = "name its TLS port, or http:// where that is allowed"
        return f"{name} speaks no TLS on port {port}: {advice}"
    told = reason.replace("_", " ").lower() or type(error).__name__
    return f"TLS with {name} on port {port} failed ({told}): {HOST}"


def loss_cause(error: BaseException, departure: Departure, longest: int, most: int) -> str:
    """Return why no answer could be had once the request had left.

    :param longest: bytes of a header line that are read.
    :param most: header lines that are read.
    """
    import aiohttp

    if departure.too_long:
        return "the head of the answer is longer than 1 MiB, which is not read"
    if isinstance(error, aiohttp.ServerTimeoutError):
        return "no answer came in time"
    if isinstance(error, aiohttp.ClientResponseError):
        return unread_cause(error, longest, most)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection before it answered"
    number = getattr(error, "errno", None)
    known = errno.errorcode.get(number, "") if isinstance(number, int) else ""
    return f"the connection broke before the answer had come ({known or type(error).__name__})"


def unread_cause(error: aiohttp.ClientResponseError, longest: int, most: int) -> str:
    """Return why the head of an answer cannot be read."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    kind = type(cause).__name__
    if kind == "LineTooLong":
        return f"a header line of the answer is longer than {longest} bytes, which is not read"
    if "many" in str(error.message).lower() and "header" in str(error.message).lower():
        return f"the answer has more than {most} header lines, which is not read"
    # The parser's own words, and behind them the line, which is not repeated.
    reason, sign, _ = str(error.message).partition(":\n\n")
    return f"the answer is no HTTP that can be read ({reason if sign and reason.isprintable() else kind})"
