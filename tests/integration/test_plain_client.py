"""``get_conn()`` gives an httpx client that reads the connection as a push does, and a push needs no HTTP library."""

from __future__ import annotations

import builtins
import time
from collections.abc import Mapping
from typing import Any

import httpx  # noqa: TID253  # a test of its client
import pytest

from airflow_provider_contacts.hooks import DexHook, TalkdeskHook
from tests.airflow_harness import airflow_connections
from tests.support.pushing import World, callees, people, push
from tests.support.sockets import Serve, Wire, fine, tls_of

LIBRARIES = {"aiohttp", "httpcore", "httpx", "httpx2", "requests"}


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """Return what imports of HTTP libraries modules of this package make from now on; Airflow makes its own."""
    found: set[tuple[str, str]] = set()
    real = builtins.__import__

    def noted(name: str, within: Mapping[str, Any] | None = None, *more: Any, **named: Any) -> Any:
        module = str((within or {}).get("__name__"))
        if name.partition(".")[0] in LIBRARIES and module.startswith("airflow_provider_contacts."):
            found.add((module, name))
        return real(name, within, *more, **named)

    monkeypatch.setattr(builtins, "__import__", noted)
    return found


def test_a_push_needs_no_http_library_and_get_conn_needs_httpx(world: World, imports: set[tuple[str, str]]) -> None:
    assert world.done(push(people(3)))["num_succeeded"] == 3
    with airflow_connections(world.api.connections):
        # With a token, too.
        assert [one.status for one in TalkdeskHook().push(callees(2), sync_key="key")] == ["succeeded"] * 2
        assert imports == set()
        with DexHook().get_conn() as client:
            assert isinstance(client, httpx.Client)
    assert imports == {("airflow_provider_contacts.transport.plain_client", "httpx")}


def connected(port: int, scheme: str = "http", host: str = "127.0.0.1", **extra: Any) -> Any:
    """Define a connection for the duration of a block."""
    url = f"{scheme}://{host}:{port}/base"
    return airflow_connections({"dex_default": {"conn_type": "dex", "password": "key", "host": url, "extra": extra}})


def test_paths_are_relative_to_the_base_url_and_redirects_are_not_followed(serve: Serve) -> None:
    server = serve(lambda wire: wire.say(302, b"", "Location: /elsewhere\r\n"))
    with connected(server.port), DexHook().get_conn() as client:
        assert client.get("/v1/ü x", params={"a b": "c&d"}).status_code == 302
    (heard,) = server.heard
    assert heard.path == "/base/v1/%C3%BC%20x?a+b=c%26d"
    assert heard.headers["authorization"] == "Bearer key"


def test_the_time_out_is_the_connections(serve: Serve) -> None:
    def late(wire: Wire) -> bool:
        time.sleep(2.0)
        return fine(wire)

    with connected(1), DexHook().get_conn() as client:
        assert client.timeout == httpx.Timeout(60.0)
    slow = connected(serve(late).port, request_timeout=0.2)
    with slow, DexHook().get_conn() as client, pytest.raises(httpx.ReadTimeout):
        client.get("/")


def test_the_proxy_is_the_connections(serve: Serve) -> None:
    proxy = serve(fine)
    stated = f"http://user:pass@127.0.0.1:{proxy.port}"
    with connected(80, host="vendor.invalid", allow_http=True, proxy=stated), DexHook().get_conn() as client:
        assert client.get("/v1").status_code == 200
    (heard,) = proxy.heard
    assert heard.line.startswith("GET http://vendor.invalid/base/v1 ")
    assert heard.headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"


def test_certificates_are_checked_as_the_connection_says(serve: Serve, certificate: tuple[str, str]) -> None:
    port = serve(fine, tls_of(certificate)).port
    for verify in (False, certificate[0]):
        with connected(port, "https", verify=verify), DexHook().get_conn() as client:
            assert client.get("/").status_code == 200
    with connected(port, "https"), DexHook().get_conn() as client, pytest.raises(httpx.ConnectError, match="CERT"):
        client.get("/")
