"""What a vendor's answer may cost: it is bounded by what was sent, and counted before it is parsed."""

from __future__ import annotations

import gzip
import json
import tracemalloc

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.engine.policy import judge
from airflow_provider_contacts.transport.http_exchange import LARGEST, PACKED, SPACE, answer_bound, unpacked
from airflow_provider_contacts.vendor_kit.push_settings import Assumptions
from airflow_provider_contacts.vendor_kit.results import NoAnswer
from airflow_provider_contacts.vendor_kit.vendor import Doubt, Request, Response
from tests.support.fake_vendor import EPOCH
from tests.support.sockets import POST, Serve, client_to, gather, result_of

READ = Request("GET", "/contacts/")


def lists(count: int) -> bytes:
    return b"[" + b"[]," * (count - 1) + b"[]]"


def served(serve: Serve, body: bytes, request: Request, *, packed: bool = True) -> Response:
    said = gzip.compress(body, 1) if packed else body
    head = "Content-Encoding: gzip\r\n" if packed else ""
    with client_to(serve(lambda wire: wire.say(200, said, head))) as client:
        found = result_of(client, request, timeout=60.0)
    assert isinstance(found, Response)
    return found


@pytest.mark.parametrize("packed", [True, False])
def test_a_small_request_has_no_huge_answer(serve: Serve, packed: bool) -> None:
    found = served(serve, b" " * (answer_bound(POST.body).size + 1), POST, packed=packed)
    assert found.body == b""
    assert "has more than" in found.trouble
    assert "bytes" in found.trouble
    assert served(serve, b" " * SPACE.size, POST, packed=packed).trouble == ""


@pytest.mark.parametrize(("request_", "most"), [(POST, answer_bound(POST.body).parts), (READ, LARGEST.parts)])
@pytest.mark.parametrize("body", [b"[],", b"0,", b"{},", b"[[["])
def test_many_small_values_are_counted_before_they_are_parsed(
    serve: Serve, request_: Request, most: int, body: bytes
) -> None:
    found = served(serve, b"[" + body * (most + 1) + b"0]", request_)
    assert found.body == b""
    assert f"has more than {most} values" in found.trouble


def test_a_packed_bomb_costs_little(serve: Serve) -> None:
    bomb = gzip.compress(lists(20_000_000), 9)
    assert len(bomb) < 100_000
    with client_to(serve(lambda wire: wire.say(200, bomb, "Content-Encoding: gzip\r\n"))) as client:
        tracemalloc.start()
        try:
            for tag in range(8):
                client.submit(tag, POST, not_after=float("inf"), timeout=30.0)
            found = gather(client, 8)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert {result.body for result in found.values() if isinstance(result, Response)} == {b""}
    assert peak < 200_000_000


@pytest.mark.parametrize("status", [200, 400, 422, 500])
def test_the_rest_of_an_answer_that_is_too_long_is_no_second_one(
    serve: Serve, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    long = b"x" * 20_000_000
    server = serve(lambda wire: wire.say(status, long) if wire.heard.path == "/2" else wire.say(200))
    with client_to(server) as client:
        _, found, *_ = (result_of(client, Request("POST", f"/{number}", b"{}")) for number in range(1, 6))
    if status == 200:
        assert isinstance(found, Response)
    else:
        # It may have been another request's, and what follows it cannot be heard.
        assert found == NoAnswer("unreadable")
        assert isinstance(found, NoAnswer)
    assert "has more than" in str(found.trouble if isinstance(found, Response) else found.message)
    assert "more answers" not in caplog.text
    # The long one ends its connection, and the others are trusted as before.
    assert [heard.connection for heard in server.heard] == [0, 0, 1, 1, 1]


PLAIN = b'{"a": 1}'
ZIPPED = gzip.compress(PLAIN)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (ZIPPED, "gzip"),
        (ZIPPED, "X-GZip"),
        (ZIPPED + bytes(8), "gzip"),
        (PLAIN, "identity"),
        (PLAIN, "none"),
        (PLAIN, "utf-8"),
    ],
)
def test_what_other_clients_unpack_is_unpacked(body: bytes, encoding: str) -> None:
    assert unpacked(body, encoding, 100) == (PLAIN, "")
    assert unpacked(gzip.compress(b""), "gzip", 100) == (b"", "")


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        *((body, "gzip") for body in (ZIPPED[:-1], ZIPPED[:-4], ZIPPED + b"junk", ZIPPED + ZIPPED[:9], ZIPPED[:10])),
        *((body, "gzip") for body in (bytes(3), b"", b"no gzip at all", gzip.compress(b"") * 1000)),
        (b"\x78\x9c", "deflate"),
        (b"\x1b{}", "br"),
        (gzip.compress(ZIPPED), "gzip, gzip"),
    ],
)
def test_what_is_packed_in_part_is_not_read(body: bytes, encoding: str) -> None:
    assert unpacked(body, encoding, 100) == (b"", PACKED)


@pytest.mark.parametrize("name", vendors.names())
def test_an_answer_over_the_bound_is_doubt_with_its_cause(name: str) -> None:
    answer = Response(200, {}, b"", None, "the body of the answer has more than 7 bytes")
    verdict = judge(answer, [{"a": 1}, {"a": 2}], vendors.load(name), Assumptions(), EPOCH)
    assert list(verdict.replies) == [Doubt("unreadable", answer.trouble)] * 2


def test_a_batch_that_is_echoed_many_times_over_is_an_honest_answer(serve: Serve) -> None:
    records = [
        {"first_name": f"N{n}", "emails": [{"email": f"n{n}@example.com"}], "note": "x" * 200} for n in range(500)
    ]
    sent = json.dumps({"contacts": records}).encode()
    echo = json.dumps({"data": [records] * 40, "links": {str(n): {"href": None} for n in range(5000)}}).encode()
    found = served(serve, echo, Request("POST", "/contacts/", sent))
    assert (found.trouble, len(found.body)) == ("", len(echo))


def test_a_page_of_a_whole_account_is_an_honest_answer(serve: Serve) -> None:
    contact = {
        "id": "c-1",
        "name": "Ann Lee",
        "phones": [{"number": "+1", "type": "mobile"}],
        "tags": [],
        "notes": None,
    }
    page = json.dumps({"contacts": [contact] * 150_000}).encode()
    assert served(serve, page, READ).trouble == ""
