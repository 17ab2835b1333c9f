"""A stored connection becomes a target, or an error that names what is wrong and shows no secret."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import certifi
import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.transport.connection import StoredConnection, Target, is_loopback, resolve
from airflow_provider_contacts.transport.settings import settings_of
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials, FixedHeader

pytestmark = pytest.mark.usefixtures("without_proxies")

DEX = vendors.load("dex")
NEDZO = vendors.load("nedzo")
APPTOTO = vendors.load("apptoto")
TALKDESK = vendors.load("talkdesk")
INTERMEZZO = vendors.load("intermezzo")
SECRET = "dex_canary4711"


def dex(**values: Any) -> Target:
    return resolve(DEX, StoredConnection(**{"conn_id": "dex_default", "password": SECRET, **values}))


# Where.


@pytest.mark.parametrize(
    ("stored", "url", "host"),
    [
        ({}, "https://api.prod.getdex.com", "api.prod.getdex.com"),
        ({"host": "vendor.example"}, "https://vendor.example", "vendor.example"),
        ({"host": "Vendor.Example/base/"}, "https://Vendor.Example/base", "vendor.example"),
        ({"host": "vendor.example", "port": 8443}, "https://vendor.example:8443", "vendor.example"),
        ({"host": "vendor.example/base", "port": 8443}, "https://vendor.example:8443/base", "vendor.example"),
        ({"host": "vendor.example:8443", "port": 8443}, "https://vendor.example:8443", "vendor.example"),
        ({"host": "https://vendor.example:8443/b/"}, "https://vendor.example:8443/b", "vendor.example"),
        ({"host": "localhost", "schema": "http", "port": 80}, "http://localhost:80", "localhost"),
        ({"host": "http://127.0.0.1:8780/dex"}, "http://127.0.0.1:8780/dex", "127.0.0.1"),
        ({"host": "https://vendor.example/a://b", "port": 8443}, "https://vendor.example:8443/a://b", "vendor.example"),
        ({"host": "::1", "schema": "http", "port": 8780}, "http://[::1]:8780", "::1"),
        ({"host": "[::1]:8780", "schema": "http"}, "http://[::1]:8780", "::1"),
    ],
)
def test_host_schema_and_port_make_the_url(stored: dict[str, Any], url: str, host: str) -> None:
    target = dex(**stored)
    assert (target.endpoint.base_url, target.host) == (url, host)
    assert not target.plain_http


@pytest.mark.parametrize(
    "stored",
    [
        {"host": "ftp://vendor.example"},
        {"host": "vendor.example", "schema": "postgres"},
        {"host": "https://user:pass@vendor.example"},
        {"host": "https://vendor.example?a=1"},
        {"host": "https://vendor.example#a"},
        {"host": "https://"},
        {"host": "https://vendor.example:port"},
        {"host": "https://vendor.example:0"},
        {"host": "vendor.example:99999"},
        {"host": "https://ven dor.example"},
        {"host": "https://vendor.example/a\nb"},
        {"host": "https://bücher.example"},
    ],
)
def test_what_is_no_url_is_refused(stored: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="connection 'dex_default'") as caught:
        dex(**stored)
    assert SECRET not in str(caught.value)
    assert "pass" not in str(caught.value)


# Plain http.


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost.example", False),
        ("0.0.0.0", False),  # noqa: S104  # never bound
        ("", False),
        ("127.0.0.1.example", False),
    ],
)
def test_a_loopback_is_this_machine(host: str, own: bool) -> None:
    assert is_loopback(host) == own


def test_plain_http_is_refused_unless_it_is_allowed() -> None:
    with pytest.raises(ConfigError, match="allow_http"):
        dex(host="http://vendor.example")
    assert dex(host="http://vendor.example", extra={"allow_http": "True"}).plain_http
    assert not dex(host="http://localhost", extra={"allow_http": "true"}).plain_http


def test_a_token_url_is_held_to_the_same_rule() -> None:
    def of(token_url: str, **extra: Any) -> Target:
        extra = {"token_url": token_url, "organization_id": "org_1", **extra}
        return resolve(
            INTERMEZZO,
            StoredConnection(conn_id="c", login="id", password="secret", host="https://a.example", extra=extra),
        )

    with pytest.raises(ConfigError, match=r"plain http to 'token\.example'"):
        of("http://token.example/t")
    assert of("http://token.example/t", allow_http=True).plain_http
    assert not of("http://localhost/t").plain_http


# Extras.


def test_extras_are_parsed_from_text() -> None:
    extra = {
        "verify": "FALSE",
        "request_timeout": "12.5",
        "reconcile_delay": " 3 ",
        "refusals_atomic": "no",
        "retry_after_is_refusal": "0",
        "proxy": "http://user:pw@proxy.example:3128",
    }
    target = dex(extra=extra)
    assert (target.endpoint.verify, target.request_timeout, target.reconcile_delay) == (False, 12.5, 3.0)
    assert (target.assumptions.refusals_atomic, target.assumptions.retry_after_is_refusal) == (False, False)
    assert target.endpoint.proxy == extra["proxy"]
    assert "pw" not in repr(target)


@pytest.mark.parametrize(
    ("key", "value", "taken"),
    [
        *(("request_timeout", seconds, float(seconds)) for seconds in (0.001, 0.5, 1, 600, "600")),
        *(
            ("proxy", proxy, proxy)
            for proxy in ("http://a.example:3128", "https://a.example", "http://u:p@a.example:1")
        ),
        ("verify", f" {certifi.where()} ", certifi.where()),
    ],
)
def test_what_is_just_allowed_is_taken(key: str, value: Any, taken: Any) -> None:
    target = dex(extra={key: value})
    assert getattr(target if key == "request_timeout" else target.endpoint, key) == taken


@pytest.mark.parametrize("nothing", [None, "", "  ", math.nan])
def test_null_and_empty_mean_absent(nothing: Any) -> None:
    names = [setting.name for setting in settings_of(TALKDESK)]
    stored = StoredConnection(conn_id="c", password="token", extra=dict.fromkeys(names, nothing))
    target = resolve(TALKDESK, stored)
    assert (target.endpoint.verify, target.request_timeout, target.reconcile_delay) == (True, 60.0, 5.0)
    assert (target.assumptions.refusals_atomic, target.defaults, target.endpoint.proxy) == (True, {}, "")


def test_an_unknown_key_is_named_and_its_value_is_not() -> None:
    with pytest.raises(ConfigError, match=r"unknown keys \['api_key', 'vrify'\].*known are") as caught:
        dex(extra={"vrify": "canary-1", "api_key": "canary-2"})
    assert "canary" not in str(caught.value)


def test_a_proxy_of_the_environment_that_cannot_be_used_is_found_before_a_push(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:canary@proxy.example:1080")
    with pytest.raises(ConfigError) as caught:
        dex()
    assert str(caught.value) == (
        "connection 'dex_default': the environment's proxy (HTTPS_PROXY and such) is no URL of the form http://host:port"
    )
    monkeypatch.setenv("NO_PROXY", "getdex.com")
    assert dex().endpoint.proxy == ""


@pytest.mark.parametrize("name", ["absent.pem", "garbage.pem", "empty.pem", "."])
def test_certificates_of_the_environment_that_cannot_be_used_are_found_before_a_push(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "garbage.pem").write_text("no certificate", "utf-8")
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
    for host in ("", "HTTPS://vendor.example"):
        with pytest.raises(ConfigError, match=r"'dex_default': SSL_CERT_FILE names '.*', no CA bundle"):
            dex(host=host)
    for needless in (
        {"host": "http://localhost"},
        {"extra": {"verify": certifi.where()}},
        {"extra": {"verify": False}},
    ):
        assert dex(**needless).endpoint.credential == FixedHeader(f"Bearer {SECRET}")


# Credentials.


def test_a_ready_token_or_a_client() -> None:
    ready = resolve(TALKDESK, StoredConnection(conn_id="c", password="token", extra={"record_list_id": "l"}))
    assert ready.endpoint.credential == FixedHeader("Bearer token")
    extra = {"record_list_id": "l", "account": "acme", "region": "eu"}
    client = resolve(TALKDESK, StoredConnection(conn_id="c", login="id", password="sécret", extra=extra))
    assert isinstance(client.endpoint.credential, ClientCredentials)
    assert "sécret" not in repr(client)
    assert SECRET not in repr(dex())


# What stands where nothing is said, and what is just allowed.


@pytest.mark.parametrize(
    "vendor", [DEX, replace(DEX, refusals_atomic=False), replace(DEX, retry_after_is_refusal=False)]
)
def test_assumptions_are_the_vendors_unless_the_connection_says_otherwise(vendor: Any) -> None:
    found = resolve(vendor, StoredConnection(conn_id="c", password=SECRET)).assumptions
    assert found.refusals_atomic is vendor.refusals_atomic
    assert found.retry_after_is_refusal is vendor.retry_after_is_refusal


# What is said, whole: it names the connection and the field, and what is wanted.


NO_HEADER = "the password holds spaces or characters that no header can carry; enter it again, in ASCII"
NO_BUNDLE = "verify is true, false, or the path of a CA bundle that can be read"
BAD_CHARACTERS = "holds a line break, another control character, or a space at an end; enter it again"


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({"host": "https://a.example:1", "port": 2}, "host and port name two different ports"),
        (
            {"host": "http://a.example"},
            (
                "plain http to 'a.example' would show the credential and the contacts to everyone on the way; "
                'use https, or set {"allow_http": true} in the extra'
            ),
        ),
        ({"password": "k\n"}, f"password {BAD_CHARACTERS}"),
        ({"password": "a\x00b"}, f"password {BAD_CHARACTERS}"),
        ({"password": " k"}, f"password {BAD_CHARACTERS}"),
        ({"password": "dex_\u200b"}, f"password {BAD_CHARACTERS}"),
        ({"login": "a\tb"}, f"login {BAD_CHARACTERS}"),
        ({"login": "a "}, f"login {BAD_CHARACTERS}"),
        ({"password": "dex_ä"}, NO_HEADER),
        ({"password": "dex_a b"}, NO_HEADER),
        ({"extra": {"verify": "/no/such"}}, NO_BUNDLE),
        ({"extra": {"verify": __file__}}, NO_BUNDLE),
        *(
            ({"extra": {"proxy": proxy}}, "proxy is no URL of the form http://host:port")
            for proxy in ("proxy:1", "socks5://proxy:1", "http://user:canary@pro xy:1", "http://proxy:99999")
        ),
    ],
)
def test_an_error_names_the_connection_and_the_field(stored: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        dex(**stored)
    assert str(caught.value) == f"connection 'dex_default': {said}"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("verify", 2, "is neither true, nor false, nor a path"),
        ("burst", 1.5, "is no whole number from 1 to 10000"),
        ("requests_per_second", "inf", "is no number from 0.001 to 10000"),
        ("allow_http", "maybe", "is neither true nor false"),
        *(("request_timeout", value, "is no number from 0.001 to 600") for value in ("soon", 0, 600.1, "nan")),
    ],
)
def test_an_extra_of_another_type_is_told_its_own(key: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        dex(extra={key: value})
    assert str(caught.value) == f"{key!r} in the extra of connection 'dex_default' {said}"


def test_a_setting_with_few_values_names_them() -> None:
    extra = {"record_list_id": "l", "account": "acme", "region": "mars"}
    with pytest.raises(ConfigError, match=r"'region' in the extra of connection 'c' is one of \['us', "):
        resolve(TALKDESK, StoredConnection(conn_id="c", login="id", password="secret", extra=extra))
