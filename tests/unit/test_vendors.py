"""Where each vendor is, what it asks there, and how its credential is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_contacts.cli.vendor_facts import kind_of
from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.transport.settings import parse_settings, settings_of
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials, Credential, FixedHeader
from airflow_provider_contacts.vendor_kit.forms import Account
from airflow_provider_contacts.vendors import load

INTERMEZZO = ClientCredentials(
    token_url="https://auth.intermezzo.ai/oauth/token", client_id="me", client_secret="hidden", encoding="json",
    parameters=(("audience", "https://api.intermezzo.ai"),),
)  # fmt: skip
TALKDESK = ClientCredentials(
    token_url="https://acme.talkdeskid.com/oauth/token",
    client_id="me",
    client_secret="hidden",
    method="client_secret_basic",
    scope="record-lists:manage",
)
STATED = "https://t.example/token"


def account_of(name: str, extra: Mapping[str, Any], **stated: str) -> Account:
    return Account(**stated, extra=parse_settings(extra, settings_of(load(name)), "the extra"))


@pytest.mark.parametrize(
    ("name", "login", "extra", "host", "credential"),
    [
        ("apptoto", "ö@example.com", {}, "api.apptoto.com", FixedHeader("Basic w7ZAZXhhbXBsZS5jb206aGlkZGVu")),
        ("dex", "", {}, "api.prod.getdex.com", FixedHeader("Bearer hidden")),
        ("nedzo", "", {}, "api.nedzo.ai", FixedHeader("Bearer hidden")),
        ("intermezzo", "", {}, "preview.intermezzo.ai", FixedHeader("Bearer hidden")),
        ("intermezzo", "me", {}, "preview.intermezzo.ai", INTERMEZZO),
        ("intermezzo", "me", {"token_url": STATED, "audience": "a"}, "preview.intermezzo.ai",
            replace(INTERMEZZO, token_url=STATED, parameters=(("audience", "a"),))),
        ("talkdesk", "me", {"account": "acme"}, "api.talkdeskapp.com", TALKDESK),
        ("talkdesk", "me", {"account": "acme-2", "region": "eu"}, "api.talkdeskapp.eu",
            replace(TALKDESK, token_url="https://acme-2.talkdeskid.eu/oauth/token")),
        ("talkdesk", "me", {"account": "acme", "region": "ca", "scope": "a b"}, "api.talkdeskappca.com",
            replace(TALKDESK, token_url="https://acme.talkdeskidca.com/oauth/token", scope="a b")),
        ("talkdesk", "me", {"token_url": STATED}, "api.talkdeskapp.com", replace(TALKDESK, token_url=STATED)),
    ],
)  # fmt: skip
def test_host_and_credential(
    name: str, login: str, extra: Mapping[str, Any], host: str, credential: Credential
) -> None:
    vendor, account = load(name), account_of(name, extra, login=login, password="hidden")
    assert vendor.base_url(account) == f"https://{host}"
    found = vendor.auth.credential(account)
    assert found == credential
    assert "hidden" not in repr(found)


@pytest.mark.parametrize(
    ("name", "account", "missing"),
    [
        ("apptoto", account_of("apptoto", {}, password="k"), "login"),
        ("apptoto", account_of("apptoto", {}, login="a"), "login"),
        ("apptoto", account_of("apptoto", {}, login="a:b", password="k"), "colon"),
        ("nedzo", account_of("nedzo", {}, login="k"), "API key"),
        ("intermezzo", account_of("intermezzo", {}, login="me"), "password"),
        *(
            ("talkdesk", account_of("talkdesk", extra, login="me", password="s"), "account")
            for extra in ({}, {"account": "evil.example/"}, {"account": "-a"})
        ),
    ],
)
def test_what_is_missing_is_a_configuration_error(name: str, account: Account, missing: str) -> None:
    with pytest.raises(ConfigError, match=missing):
        load(name).auth.credential(account)


@pytest.mark.parametrize(
    ("name", "destination", "path"),
    [
        ("apptoto", {}, "/v1/address_books"),
        ("dex", {}, "/v1/users/me"),
        ("nedzo", {}, "/v1/workspaces"),
        ("intermezzo", {}, "/organizations"),
        ("intermezzo", {"organization_id": "a/b?c#d é%"}, "/organizations/a%2Fb%3Fc%23d%20%C3%A9%25"),
        ("talkdesk", {}, "/record-lists"),
        ("talkdesk", {"record_list_id": "a b"}, "/record-lists/a%20b"),
    ],
)
def test_what_a_connection_test_asks(name: str, destination: Mapping[str, Any], path: str) -> None:
    check = load(name).check
    assert check is not None
    assert check(destination).path == path


@pytest.mark.parametrize("climbing", [".", "..", ""])
def test_an_id_that_climbs_is_a_configuration_error(climbing: str) -> None:
    with pytest.raises(ConfigError, match="organization_id"):
        load("intermezzo").request_path({"organization_id": climbing})


def test_limits_that_a_vendor_states() -> None:
    # No more than a hundred requests in any minute.
    apptoto = load("apptoto").limits
    assert apptoto.burst + 60 * (apptoto.requests_per_second or 99) <= 100
    assert (load("nedzo").limits.batch_size, load("nedzo").limits.requests_per_second) == (1, 1.0)
    assert load("talkdesk").limits.batch_size == load("dex").limits.batch_size == 100
    # The request sample of the vendor's page has this many members.
    assert len(load("dex").contract.fields) == 61


@pytest.mark.parametrize(
    ("bounds", "words"),
    [({"minLength": 1}, "at least 1"), ({"maxLength": 9}, "0 to 9"), ({"minLength": 1, "maxLength": 9}, "1 to 9")],
)
def test_the_bounds_of_a_text_in_words(bounds: dict[str, Any], words: str) -> None:
    assert kind_of({"type": "string", **bounds}, {}) == f"string ({words})"
