"""The parts of a URL: where a socket is opened to, and what a request asks for there."""

from __future__ import annotations

import base64
from typing import NamedTuple
from urllib.parse import quote, unquote, urlencode, urlsplit

# RFC 3986, 3.3 and 3.4: what stands for itself in a path and in a query. What is encoded already stays as it is.
IN_PATH = "%!$&'()*+,;=:@/"
IN_QUERY = f"{IN_PATH}?"


class Address(NamedTuple):
    """Where a socket is opened to."""

    host: str  # in lower case, an IPv6 address without brackets
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """Host and port, as a request for a tunnel names them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def host_header(self) -> str:
        """The same without the port that goes without saying."""
        return self.authority.removesuffix(":443" if self.tls else ":80")


def address_of(url: str) -> Address:
    """Return the address of an http or https URL."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    return Address(host=parts.hostname or "", port=parts.port or (443 if tls else 80), tls=tls)


def request_target(url: str, query: tuple[tuple[str, str], ...]) -> str:
    """Return path and query of a URL as a request line carries them; ``query`` takes the place of the URL's own."""
    if not url.isprintable():
        # Some of it would be left out silently.
        raise ValueError("no request line can carry this")
    parts = urlsplit(url)
    asked = urlencode(query) or quote(parts.query, safe=IN_QUERY)
    return quote(parts.path or "/", safe=IN_PATH) + (f"?{asked}" if asked else "")


def proxy_authorization(proxy: str) -> dict[str, str]:
    """Return the header with the user and the password of a proxy's URL."""
    userinfo = urlsplit(proxy).netloc.rpartition("@")[0]
    if not userinfo:
        return {}
    user, _, password = userinfo.partition(":")
    account = f"{unquote(user)}:{unquote(password)}".encode()
    return {"Proxy-Authorization": "Basic " + base64.b64encode(account).decode()}
