"""A connection is used again only while it is silent, and an answer counts only for the request that it follows."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

import pytest

from airflow_provider_contacts.transport.connection import Endpoint
from airflow_provider_contacts.transport.plain_client import plain_client
from airflow_provider_contacts.vendor_kit.auth import bearer
from airflow_provider_contacts.vendor_kit.results import NoAnswer
from airflow_provider_contacts.vendor_kit.vendor import Request, Response
from tests.support.sockets import Serve, Wire, client_to, fine, gather, result_of, tls_of

# Good, refused, and given up: nothing else of a status decides here.
STATUSES = [200, 422, 504]


def said(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def own(wire: Wire) -> bytes:
    """Return a body that tells whose answer it is."""
    return wire.heard.path.encode()


LATE = [*(said(status, b"late") for status in STATUSES), b"H", b"HTTP/1.1 2", b"\r\n", said(200, b"late")[:-1]]


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("late", LATE)
def test_what_comes_on_an_idle_connection_is_no_answer_to_the_next_request(
    serve: Serve, certificate: tuple[str, str], late: bytes, method: str, encrypted: bool
) -> None:
    def handle(wire: Wire) -> bool:
        wire.say(200, own(wire))
        if wire.heard.path == "/1":
            time.sleep(0.03)
            wire.socket.sendall(late)
        return True

    server = serve(handle, tls_of(certificate) if encrypted else None)
    body = b"{}" if method == "POST" else None
    with client_to(server, verify=False) as client:
        for number in (1, 2, 3):
            found = result_of(client, Request(method, f"/{number}", body))
            assert found == Response(200, {"content-length": "2"}, b"/%d" % number)
            time.sleep(0.08 if number == 1 else 0)
    assert [heard.path for heard in server.heard] == ["/1", "/2", "/3"]
    # Who has answered unasked once is not trusted with a second request on one connection. What TLS delivers together
    # with the answer, and is less than an answer, goes unseen and harms nobody.
    assert len({heard.connection for heard in server.heard}) == 3 or (encrypted and not late.endswith(b"late"))


def test_once_a_server_has_answered_unasked_no_other_idle_connection_is_used(serve: Serve) -> None:
    both = threading.Barrier(2, timeout=5)

    def handle(wire: Wire) -> bool:
        if wire.heard.path in {"/1", "/2"}:
            both.wait()
        wire.say(200, own(wire))
        if wire.heard.path == "/1":
            time.sleep(0.05)
            wire.socket.sendall(b"late")
        return True

    server = serve(handle)
    with client_to(server) as client:
        for tag in (1, 2):
            client.submit(tag, Request("POST", f"/{tag}", b"{}"), not_after=time.monotonic() + 5, timeout=5)
        gather(client, 2)
        time.sleep(0.1)
        assert isinstance(result_of(client, Request("POST", "/3", b"{}")), Response)
    assert len({heard.connection for heard in server.heard}) == 3


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_that_comes_along_with_the_one_before_is_nobodys(
    serve: Serve, certificate: tuple[str, str], chunked: bool, encrypted: bool
) -> None:
    def handle(wire: Wire) -> bool:
        if wire.heard.path != "/1":
            return wire.say(200, own(wire))
        first = (
            b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n/1\r\n0\r\n\r\n" if chunked else said(200, b"/1")
        )
        # The head first, so that the client waits for the body when both come.
        head, _, body = first.partition(b"\r\n\r\n")
        wire.socket.sendall(head + b"\r\n\r\n")
        time.sleep(0.05)
        wire.socket.sendall(body + said(200, b"late"))
        return True

    server = serve(handle, tls_of(certificate) if encrypted else None)
    with client_to(server, verify=False) as client:
        first = result_of(client, Request("POST", "/1", b"{}"))
        second = result_of(client, Request("POST", "/2", b"{}"))
    assert isinstance(first, Response)
    assert first.body == b"/1"
    assert second == Response(200, {"content-length": "2"}, b"/2")
    assert len({heard.connection for heard in server.heard}) == 2


@pytest.mark.parametrize("encrypted", [False, True])
def test_bytes_that_the_loop_has_not_read_yet_count_too(
    serve: Serve, certificate: tuple[str, str], encrypted: bool
) -> None:
    ready = threading.Event()

    def handle(wire: Wire) -> bool:
        wire.socket.sendall(said(200, own(wire)))
        if wire.heard.path == "/1":
            ready.wait(5)
            wire.socket.sendall(said(422, b"late"))
        return True

    server = serve(handle, tls_of(certificate) if encrypted else None)
    with client_to(server, verify=False) as client:
        result_of(client, Request("POST", "/1", b"{}"))

        def busy() -> None:
            # The loop does something else meanwhile, and takes up the next request before it looks at its sockets.
            ready.set()
            time.sleep(0.1)

        client._loop.call_soon_threadsafe(busy)
        assert result_of(client, Request("POST", "/2", b"{}")) == Response(200, {"content-length": "2"}, b"/2")


@pytest.mark.parametrize("status", [204, 301, 400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504])
def test_only_after_a_good_answer_a_connection_is_used_again(serve: Serve, status: int) -> None:
    # What gives up (504) may still answer: its connection is gone before it does.
    server = serve(lambda wire: wire.say(status if wire.heard.path == "/1" else 200, b"" if status == 204 else b"{}"))
    with client_to(server) as client:
        result_of(client, Request("POST", "/1", b"{}"))
        result_of(client, Request("POST", "/2", b"{}"))
        result_of(client, Request("POST", "/3", b"{}"))
    first, second, third = (heard.connection for heard in server.heard)
    assert (first == second) == (status == 204)
    assert second == third


@pytest.mark.parametrize("status", STATUSES)
def test_an_answer_that_begins_while_the_request_is_being_sent_proves_nothing(status: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    # Some systems take tens of megabytes before anybody reads them: then the answer would not be early.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    accepted: list[socket.socket] = []
    heard: list[bytes] = []

    def serve_each() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                accepted.append(connection)
                heard.append(connection.recv(1000).split(b" ")[1])
                connection.sendall(said(status, b"{}"))
                # As long as the rest cannot leave: a system that takes all of it in one call would hide the answer.
                time.sleep(0.1)
                while heard[-1] == b"/read" and connection.recv(1 << 20):
                    pass

    threading.Thread(target=serve_each, daemon=True).start()
    with client_to(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
        # What the rest of a request is taken for is the server's secret: nothing may follow it on its connection.
        for path in ("/unread", "/read"):
            found = result_of(client, Request("POST", path, b"x" * 50_000_000), timeout=10.0)
            assert found == NoAnswer("early_answer")
            assert isinstance(found, NoAnswer)
            assert str(status) in (found.message or "")
    for one in (listener, *accepted):
        one.close()
    assert heard == [b"/unread", b"/read"]


def test_an_interim_answer_before_the_end_of_the_request_is_not_the_answer(serve: Serve) -> None:
    def handle(wire: Wire) -> bool:
        wire.socket.sendall(b"HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n")
        time.sleep(0.05)
        return wire.say(200, b"{}")

    with client_to(serve(handle)) as client:
        assert result_of(client) == Response(200, {"content-length": "2"}, b"{}")


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"])
def test_of_two_answers_to_a_later_request_neither_counts(serve: Serve, more: bytes) -> None:
    def handle(wire: Wire) -> bool:
        both = said(200, b"late").replace(b"X\r\n", b"X\r\n" + more) if wire.heard.path == "/2" else b""
        wire.socket.sendall(both + said(200, own(wire)))
        return True

    with client_to(serve(handle)) as client:
        assert isinstance(result_of(client, Request("POST", "/1", b"{}")), Response)
        assert result_of(client, Request("POST", "/2", b"{}")) == NoAnswer("surplus_answer")
        assert result_of(client, Request("POST", "/3", b"{}")) == Response(200, {"content-length": "2"}, b"/3")


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 422, 429, 503])
def test_a_late_refusal_that_the_true_answer_follows_proves_nothing(serve: Serve, status: int) -> None:
    def handle(wire: Wire) -> bool:
        if wire.heard.path == "/2":
            # Both requests are here; this is said of the first one, again.
            wire.socket.sendall(said(status, b"late"))
        time.sleep(0.1)
        with suppress(OSError):
            wire.socket.sendall(said(200, own(wire)))
        return True

    with client_to(serve(handle)) as client:
        assert isinstance(result_of(client, Request("POST", "/1", b"{}")), Response)
        assert result_of(client, Request("POST", "/2", b"{}")) == NoAnswer("surplus_answer")
        assert result_of(client, Request("POST", "/3", b"{}")) == Response(200, {"content-length": "2"}, b"/3")


def test_frequent_refusals_are_not_waited_behind_and_rare_ones_keep_connections_in_use(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handle(wire: Wire) -> bool:
        return wire.say(422 if wire.heard.path == "/bad" else 200)

    server = serve(handle)
    with client_to(server) as client:
        client.warm()
        assert client._pool is not None
        # As an idle machine measures, however busy this one is: what is decided follows from the answers alone.
        monkeypatch.setattr(client._pool, "on_connected", lambda _: None)
        monkeypatch.setattr("airflow_provider_contacts.transport.pool.LONGEST_LISTENING", 0.05)
        for number in range(200):
            result_of(client, Request("POST", "/bad" if number % 2 else "/good", b"{}"))
        waited_behind = [one for place, one in enumerate(server.heard) if one.path == "/bad" and one.connection in
                         {earlier.connection for earlier in server.heard[:place]}]  # fmt: skip
        assert 0 < len(waited_behind) < 10
        for _ in range(500):
            result_of(client, Request("POST", "/good", b"{}"))
    assert len({heard.connection for heard in server.heard[-50:]}) == 1


def test_a_refusal_behind_which_the_server_closes_is_not_waited_behind(serve: Serve) -> None:
    def handle(wire: Wire) -> bool:
        return wire.say(200 if wire.heard.path == "/1" else 422) and wire.heard.path == "/1"

    with client_to(serve(handle)) as client:
        client.warm()
        assert client._pool is not None
        client._pool.slowest = 5.0
        begun = time.monotonic()
        found = [result_of(client, Request("POST", path, b"{}")) for path in ("/1", "/2")]
    assert time.monotonic() - begun < 0.9
    assert [one.status for one in found if isinstance(one, Response)] == [200, 422]


def test_a_server_that_closes_silently_after_each_answer_leaves_no_doubt(serve: Serve) -> None:
    closed = threading.Event()

    def handle(wire: Wire) -> bool:
        closed.clear()
        wire.say(200, own(wire))
        wire.socket.shutdown(socket.SHUT_RDWR)
        closed.set()
        return False

    server = serve(handle)
    with client_to(server) as client:
        for number in range(150):
            assert isinstance(result_of(client, Request("POST", f"/{number}", b"{}")), Response)
            # On a machine that has other work, the end of the connection may be long behind its answer.
            assert closed.wait(5)
    assert len(server.heard) == 150


def test_honest_connections_are_used_again_and_again(serve: Serve, certificate: tuple[str, str]) -> None:
    for tls in (None, tls_of(certificate)):
        server = serve(lambda wire: wire.say(200, own(wire)), tls)
        with client_to(server, verify=False) as client:
            for number in range(50):
                found = result_of(client, Request("POST", f"/{number}", b"x" * 100_000))
                assert isinstance(found, Response)
        assert len({heard.connection for heard in server.heard}) == 1


def test_a_connection_that_was_idle_for_long_is_not_used_again(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_contacts.transport.pool.KEEPALIVE", 0.05)
    server = serve(fine)
    with client_to(server) as client:
        for _ in range(2):
            result_of(client)
            time.sleep(0.1)
    assert len({heard.connection for heard in server.heard}) == 2


def test_a_server_that_means_to_close_gets_no_second_request(serve: Serve) -> None:
    server = serve(lambda wire: wire.say(200, own(wire), "Connection: close\r\n"))
    with client_to(server) as client:
        for number in range(3):
            assert isinstance(result_of(client, Request("POST", f"/{number}", b"{}")), Response)
    assert len({heard.connection for heard in server.heard}) == 3


def test_a_hundred_answers_at_once_are_told_apart(serve: Serve) -> None:
    all_here = threading.Barrier(100, timeout=10)

    def handle(wire: Wire) -> bool:
        all_here.wait()
        return wire.say(200, own(wire))

    server = serve(handle)
    with client_to(server) as client:
        for round_ in range(3):
            for tag in range(100):
                path = f"/{round_}-{tag}"
                client.submit(tag, Request("POST", path, b"{}"), not_after=time.monotonic() + 5, timeout=10)
            found = gather(client, 100)
            bodies = {tag: result.body for tag, result in found.items() if isinstance(result, Response)}
            assert bodies == {tag: f"/{round_}-{tag}".encode() for tag in range(100)}
    assert len({heard.connection for heard in server.heard}) == 100


@pytest.mark.parametrize("wait", [0.0, 0.05])
def test_the_plain_client_never_takes_what_was_not_its_answer(serve: Serve, wait: float) -> None:
    def handle(wire: Wire) -> bool:
        if wait:
            wire.socket.sendall(said(200, own(wire)))
            time.sleep(wait)
            wire.socket.sendall(said(404, b"late"))
        else:
            wire.socket.sendall(said(200, own(wire)) + said(404, b"late"))
        return True

    server = serve(handle)
    endpoint = Endpoint(base_url=f"http://127.0.0.1:{server.port}", credential=bearer("t"))
    with plain_client(endpoint, timeout=5.0, on_secret=lambda _: None) as client:
        for number in range(3):
            answer = client.get(f"/{number}")
            time.sleep(wait * 2)
            assert (answer.status_code, answer.content) == (200, b"/%d" % number)
