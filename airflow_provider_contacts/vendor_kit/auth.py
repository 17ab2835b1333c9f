"""Credentials: what a request carries, and the words by which a vendor says how an account gives it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.vendor_kit.forms import Account, ConnectionForm, Setting


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


class Auth(Protocol):
    """How an account gives a credential, and what the connection's form asks for it."""

    def __call__(self, account: Account) -> Credential:
        """Return the credential of an account.

        :raises ConfigError: for what is missing or makes no sense.
        """

    @property
    def form(self) -> ConnectionForm:
        """The part of the connection's form."""


def bearer(token: str) -> FixedHeader:
    """Return the header for a ready token or API key."""
    return FixedHeader(f"Bearer {token}")


def basic(user: str, password: str) -> FixedHeader:
    """Return the RFC 7617 header, UTF-8 and unwrapped. ``user`` must hold no colon."""
    return FixedHeader("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii"))


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A static key in the password, sent as a bearer token."""

    example: str = ""

    def __call__(self, account: Account) -> Credential:
        """Return the header of the key."""
        if not account.password:
            raise ConfigError(f"the password is missing: the API key, such as {self.example}")
        return bearer(account.password)

    @property
    def form(self) -> ConnectionForm:
        """Ask for the key alone."""
        return ConnectionForm(
            hidden=("login",), relabeling={"password": "API key"}, examples={"password": self.example}
        )


@dataclass(frozen=True, slots=True)
class Basic:
    """Login and password as they are.

    :param login: what the form calls the login.
    :param password: what the form calls the password.
    :param example: of a login.
    """

    login: str
    password: str
    example: str = ""

    def __call__(self, account: Account) -> Credential:
        """Return the Basic header."""
        if not account.login or not account.password:
            raise ConfigError(f"login ({self.login}) and password ({self.password}) are both needed")
        if ":" in account.login:
            raise ConfigError("the login must not hold a colon: Basic authentication cuts there")
        return basic(account.login, account.password)

    @property
    def form(self) -> ConnectionForm:
        """Ask for both."""
        return ConnectionForm(
            relabeling={"login": self.login, "password": self.password}, examples={"login": self.example}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth:
    """Client credentials in login and password; with an empty login the password is a ready bearer token.

    :param token_url: of an account; an extra key overrides it.
    :param where: what the form says of its default.
    :param parameters: extra keys that are sent to the token endpoint, with their defaults.
    :param scope: default of the extra key of this name; empty: no scope is asked for.
    """

    token_url: Callable[[Account], str]
    where: str
    method: Literal["client_secret_basic", "client_secret_post"] = "client_secret_post"
    encoding: Literal["form", "json"] = "form"
    parameters: tuple[tuple[str, str], ...] = ()
    scope: str = ""

    def __call__(self, account: Account) -> Credential:
        """Return the client credentials, or the ready token."""
        if not account.password:
            raise ConfigError("the password is missing: the client secret, or a bearer token if the login is empty")
        if not account.login:
            return bearer(account.password)
        return ClientCredentials(
            token_url=account.extra.get("token_url") or self.token_url(account),
            client_id=account.login,
            client_secret=account.password,
            method=self.method,
            encoding=self.encoding,
            parameters=tuple((name, account.extra.get(name) or default) for name, default in self.parameters),
            scope=(account.extra.get("scope") or self.scope) if self.scope else "",
        )

    @property
    def form(self) -> ConnectionForm:
        """Ask for client id and secret, and for what can be otherwise at the token endpoint."""
        named = dict(self.parameters)
        if self.scope:
            named["scope"] = self.scope
        return ConnectionForm(
            relabeling={"login": "Client ID", "password": "Client secret (or bearer token, with an empty client ID)"},
            settings=(
                Setting(
                    name="token_url",
                    label="Token URL",
                    description=f"Where tokens are requested. Default: {self.where}",
                    example=self.where if "://" in self.where else "",
                ),
                *(
                    Setting(
                        name=name,
                        label=name.capitalize(),
                        description=f"{name.capitalize()} of the token. Default: {default}",
                        example=default,
                    )
                    for name, default in named.items()
                ),
            ),
        )
