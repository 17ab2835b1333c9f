"""Credentials as values: a fixed header, or OAuth 2 client credentials from which tokens are minted."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class FixedHeader:
    """One ``Authorization`` header that never changes."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """OAuth 2 client credentials grant (RFC 6749, 4.4).

    :param method: how client id and secret are shown to the token endpoint (RFC 7591 names).
    :param encoding: body of the token request; ``"json"`` is what Auth0 documents.
    :param parameters: further body parameters, e.g. ``audience``.
    :param scope: asked for, and checked in the reply where the reply tells.
    """

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    method: Literal["client_secret_basic", "client_secret_post"] = "client_secret_post"
    encoding: Literal["form", "json"] = "form"
    parameters: tuple[tuple[str, str], ...] = ()
    scope: str = ""


Credential = FixedHeader | ClientCredentials


def bearer(token: str) -> FixedHeader:
    """Return the header for a ready token or API key."""
    return FixedHeader(f"Bearer {token}")


def basic(user: str, password: str) -> FixedHeader:
    """Return the RFC 7617 header, UTF-8 and unwrapped. ``user`` must hold no colon."""
    return FixedHeader("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii"))
