from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import httpx  # noqa: TID253  # a test of its errors
import pytest

from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.simulator.nedzo import DEMO_LIST
from tests.support.in_process import ask, transport

TALKDESK = {
    "phone_numbers": [{"phone_number": "+351929312319", "phone_type": "MOBILE"}],
    "first_name": "Joey",
    "last_name": "Tribbiani",
}
BEARER = {"Authorization": "Bearer dex_ready_token"}
BASIC = {"Authorization": "Basic YUBiLmM6a2V5"}

CREATES: dict[str, tuple[str, dict[str, str], Any]] = {
    "intermezzo": ("/intermezzo/organizations/org_demo/contacts/list", BEARER, [{"name": "A"}, {"name": "B"}]),
    "nedzo": ("/nedzo/v1/contact/", BEARER, {"email": "a@b.example", "contact_list_id": DEMO_LIST}),
    "dex": ("/dex/v1/contacts/", BEARER, {"contacts": [{"full_name": "A"}, {"full_name": "B"}]}),
    "apptoto": (
        "/apptoto/v1/contacts",
        BASIC,
        {"contacts": [{"name": "A", "address_book_id": 1}, {"name": "B", "address_book_id": 1}]},
    ),
    "talkdesk": (
        "/talkdesk/record-lists/demo-list/records/bulks",
        BEARER,
        {"records": [TALKDESK, {**TALKDESK, "first_name": "Jane"}]},
    ),
}
READS = {
    "intermezzo": ("/intermezzo/organizations/org_demo", BEARER),
    "nedzo": ("/nedzo/v1/workspaces", BEARER),
    "dex": ("/dex/v1/users/me", BEARER),
    "apptoto": ("/apptoto/v1/address_books", BASIC),
    "talkdesk": ("/talkdesk/record-lists/demo-list", BEARER),
}
SENT = {"intermezzo": 2, "nedzo": 1, "dex": 2, "apptoto": 2, "talkdesk": 2}
LISTED = ("intermezzo", "dex", "apptoto", "talkdesk")

every_vendor = pytest.mark.parametrize("vendor", list(CREATES))


def create(simulator: Simulator, vendor: str, **more: Any) -> httpx.Response:
    path, headers, body = CREATES[vendor]
    return ask(simulator, "POST", path, **{"headers": headers, "json": body, **more})


def returned(vendor: str, answer: httpx.Response) -> list[dict[str, Any]]:
    body = answer.json()
    match vendor:
        case "intermezzo":
            return list(body["data"])
        case "dex":
            return list(body["data"]["contacts"])
        case "apptoto":
            return list(body["contacts"])
        case "talkdesk":
            return list(body["_embedded"]["records"])
        case _:
            return [body["data"]["contact"]]


@every_vendor
def test_without_faults_everything_is_stored_and_kept_as_it_was_received(vendor: str) -> None:
    simulator = Simulator()
    answer = create(simulator, vendor)
    assert answer.status_code == (201 if vendor == "talkdesk" else 200)
    stored = simulator.vendors[vendor].stored
    sent = CREATES[vendor][2]
    records = sent if isinstance(sent, list) else next((v for v in sent.values() if isinstance(v, list)), [sent])
    assert [one.received for one in stored] == records
    assert [str(one.id) for one in stored] == [str(one["id"]) for one in returned(vendor, answer)]
    assert simulator.vendors[vendor].state()["received"] == SENT[vendor]
    assert [seen.status for seen in simulator.vendors[vendor].requests] == [answer.status_code]


@every_vendor
def test_the_read_of_test_connection_answers(vendor: str) -> None:
    path, headers = READS[vendor]
    assert ask(Simulator(), "GET", path, headers=headers).status_code == 200
    assert ask(Simulator(), "GET", path).status_code == 401


@every_vendor
@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 415, 422, 425, 429, 500, 502, 503, 504])
def test_a_status_is_answered_and_nothing_stored(vendor: str, status: int) -> None:
    simulator = Simulator({f"{vendor}.http_{status}": "next:1"})
    answer = create(simulator, vendor)
    assert answer.status_code == status
    assert ("<html>" in answer.text) is (status >= 500)
    assert simulator.vendors[vendor].stored == []
    assert create(simulator, vendor).is_success


@every_vendor
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_status_is_answered_although_everything_is_stored(vendor: str, status: int) -> None:
    simulator = Simulator({f"{vendor}.store_then_{status}": "always"})
    assert create(simulator, vendor).status_code == status
    assert len(simulator.vendors[vendor].stored) == SENT[vendor]


@every_vendor
@pytest.mark.parametrize(
    ("fault", "form", "error", "stores"),
    [
        ("close_before_read", "fin", httpx.RemoteProtocolError, False),
        ("close_before_store", "rst", httpx.ReadError, False),
        ("hang", "fin", httpx.ReadTimeout, False),
        ("store_then_drop", "fin", httpx.RemoteProtocolError, True),
        ("store_then_drop", "rst", httpx.ReadError, True),
        ("store_then_hang", "fin", httpx.ReadTimeout, True),
        ("truncated", "fin", httpx.RemoteProtocolError, True),
    ],
)
def test_a_dropped_connection_is_an_error_without_a_socket_too(
    vendor: str, fault: str, form: str, error: type[Exception], *, stores: bool
) -> None:
    simulator = Simulator({f"{vendor}.{fault}": "always", f"{vendor}.drop_form": form})
    with pytest.raises(error):
        create(simulator, vendor)
    assert len(simulator.vendors[vendor].stored) == (SENT[vendor] if stores else 0)


@pytest.mark.parametrize("vendor", LISTED)
def test_a_fault_can_store_a_part_of_a_batch(vendor: str) -> None:
    simulator = Simulator({f"{vendor}.store_then_502": "always", f"{vendor}.store_share": "0.5"})
    assert create(simulator, vendor).status_code == 502
    assert len(simulator.vendors[vendor].stored) == 1
    assert simulator.vendors[vendor].state()["received"] == 2


@pytest.mark.parametrize("vendor", LISTED)
def test_returned_records_can_be_left_out_added_relabelled_and_reordered(vendor: str) -> None:
    simulator = Simulator()

    def faulty(fault: str) -> list[str]:
        simulator.reset(knobs=True)
        simulator.set(f"{vendor}.{fault}", "always")
        records = returned(vendor, create(simulator, vendor))
        assert len(simulator.vendors[vendor].stored) == 2
        return [str(record["id"]) for record in records]

    assert len(faulty("short")) == 1
    assert len(faulty("foreign_record")) == 3
    assert len(set(faulty("duplicate_ids"))) == 1
    orders = set()
    for _ in range(20):
        ids = faulty("shuffled")
        orders.add(ids == [str(one.id) for one in simulator.vendors[vendor].stored])
    assert orders == {True, False}


@every_vendor
def test_unknown_fields_reach_the_answer_and_not_the_store(vendor: str) -> None:
    simulator = Simulator({f"{vendor}.extra_fields": "always"})
    answer = create(simulator, vendor)
    assert "x_request_id" in answer.json()
    if vendor in LISTED:
        assert all("x_revision" in record for record in returned(vendor, answer))
    assert not any("x_revision" in one.view for one in simulator.vendors[vendor].stored)


def test_empty_arrays_can_be_null() -> None:
    simulator = Simulator({"all.nulls": "always"})
    body = create(simulator, "intermezzo").json()
    assert body["errors"] is None
    assert body["data"][0]["roles"] is None
    assert create(simulator, "talkdesk").json()["_embedded"]["records"][0]["errors"] is None
    assert create(simulator, "nedzo").json()["data"]["contact"]["custom_fields"] is None


def test_counters_and_flags_can_be_text() -> None:
    simulator = Simulator({"all.stringly": "always"})
    assert create(simulator, "intermezzo").json()["succeeded"] == "2"
    assert create(simulator, "dex").json()["error"] == "false"
    assert create(simulator, "nedzo").json()["status_code"] == "200"


@every_vendor
def test_answers_can_be_damaged_as_bytes(vendor: str) -> None:
    simulator = Simulator()

    def faulty(fault: str) -> httpx.Response:
        simulator.reset(knobs=True)
        simulator.set(f"{vendor}.{fault}", "always")
        answer = create(simulator, vendor)
        assert answer.is_success
        assert len(simulator.vendors[vendor].stored) == SENT[vendor]
        return answer

    for fault in ("garbage", "cut_json", "empty_body", "html_200"):
        with pytest.raises(ValueError, match=r".*"):
            json.loads(faulty(fault).content)
    assert faulty("bom").content.startswith(b"\xef\xbb\xbf")
    assert faulty("gzip").headers["content-encoding"] == "gzip"
    assert faulty("gzip").json()
    wrong = faulty("wrong_content_type")
    assert "html" in wrong.headers["content-type"] or vendor == "talkdesk"
    assert wrong.json()


def test_gzip_is_left_to_those_who_accept_it() -> None:
    simulator = Simulator({"dex.gzip": "always"})
    answer = create(simulator, "dex", headers={**BEARER, "Accept-Encoding": "identity"})
    assert "content-encoding" not in answer.headers


@every_vendor
def test_redirects_store_nothing(vendor: str) -> None:
    simulator = Simulator({f"{vendor}.redirect": "next:2", f"{vendor}.redirect_status": "302"})
    answer = create(simulator, vendor)
    path = CREATES[vendor][0]
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    assert (answer.status_code, answer.headers["location"]) == (302, f"http://simulator{other}")
    simulator.set(f"{vendor}.redirect_to", "https://elsewhere.example/")
    assert create(simulator, vendor).headers["location"] == "https://elsewhere.example/"
    assert simulator.vendors[vendor].stored == []


@pytest.mark.parametrize(
    ("vendor", "status"), [("intermezzo", 307), ("nedzo", 307), ("dex", 200), ("apptoto", 404), ("talkdesk", 404)]
)
def test_the_other_form_of_the_slash(vendor: str, status: int) -> None:
    simulator = Simulator()
    path, headers, body = CREATES[vendor]
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    answer = ask(simulator, "POST", other, headers=headers, json=body)
    assert answer.status_code == status
    if status == 307:
        assert answer.headers["location"] == path
    simulator.set(f"{vendor}.slash", "accept")
    assert ask(simulator, "POST", other, headers=headers, json=body).is_success


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


def test_the_rate_answers_429_with_the_true_wait() -> None:
    clock = Clock()
    simulator = Simulator({"nedzo.rate": "1/s", "nedzo.burst": "2"}, now=clock, clock=clock)
    assert [create(simulator, "nedzo").status_code for _ in range(3)] == [200, 200, 429]
    assert create(simulator, "nedzo").headers["retry-after"] == "1"
    assert ask(simulator, "GET", READS["nedzo"][0], headers=BEARER).status_code == 200
    clock.seconds += 1
    assert create(simulator, "nedzo").status_code == 200
    assert len(simulator.nedzo.stored) == 3


def test_a_503_may_carry_a_retry_after() -> None:
    simulator = Simulator({"dex.http_503": "always"})
    assert "retry-after" not in create(simulator, "dex").headers
    simulator.set("dex.retry_after_503", "30")
    assert create(simulator, "dex").headers["retry-after"] == "30"


def test_latency_is_slept_before_and_the_reply_delay_after_storing() -> None:
    clock = Clock()
    simulator = Simulator({"dex.latency": "80ms", "dex.reply_delay": "1s-2s"}, sleep=clock.sleep)
    create(simulator, "dex")
    assert clock.slept[0] == pytest.approx(0.08)
    assert 1 <= clock.slept[1] <= 2


def test_reads_and_tokens_have_faults_of_their_own() -> None:
    simulator = Simulator({"apptoto.read.http_500": "nth:1", "talkdesk.token.http_401": "always"})
    path, headers = READS["apptoto"]
    assert create(simulator, "apptoto").is_success
    assert [ask(simulator, "GET", path, headers=headers).status_code for _ in range(2)] == [500, 200]
    token = ask(simulator, "POST", "/talkdesk/oauth/token", auth=("a", "b"), data={"grant_type": "client_credentials"})
    assert token.status_code == 401


def test_the_same_seed_gives_the_same_faults() -> None:
    def statuses(seed: int) -> list[int]:
        simulator = Simulator({"dex.http_502": "0.3", "dex.http_429": "0.3"}, seed=seed)
        return [create(simulator, "dex").status_code for _ in range(40)]

    assert statuses(7) == statuses(7) != statuses(8)
    assert set(statuses(7)) == {200, 429, 502}


@every_vendor
def test_what_is_no_json_or_no_object_is_refused(vendor: str) -> None:
    simulator = Simulator()
    path, headers, _ = CREATES[vendor]
    typed = {**headers, "Content-Type": "application/json"}
    for content in (b"{", b'{"a": NaN}', b"\xff", b'"text"', b"[" * 100_000, b""):
        assert ask(simulator, "POST", path, headers=typed, content=content).status_code in {400, 422}
    untyped = ask(simulator, "POST", path, headers=headers, content=json.dumps(CREATES[vendor][2]).encode())
    assert untyped.status_code in {400, 422}
    assert simulator.vendors[vendor].stored == []


@every_vendor
def test_unknown_paths_methods_and_oversize_bodies(vendor: str) -> None:
    simulator = Simulator({"all.max_body": 20})
    assert ask(simulator, "GET", f"/{vendor}/nothing", headers=BEARER).status_code == 404
    assert ask(simulator, "DELETE", READS[vendor][0], headers=BEARER).status_code == 405
    assert create(simulator, vendor).status_code == 413


def test_an_encoded_slash_stays_in_its_place() -> None:
    simulator = Simulator()
    path = "/talkdesk/record-lists/x%2Frecords/records/bulks"
    answer = ask(simulator, "POST", path, headers=BEARER, json={"records": [TALKDESK]})
    assert (answer.status_code, answer.json()["message"]) == (404, "Record list not found")
    simulator.talkdesk.add_list("x/records")
    assert ask(simulator, "POST", path, headers=BEARER, json={"records": [TALKDESK]}).status_code == 201


def test_forgetting_counts_only() -> None:
    simulator = Simulator(forget=True)
    for vendor in CREATES:
        for _ in range(3):
            assert create(simulator, vendor).is_success
        assert simulator.vendors[vendor].state()["stored"] == 3 * SENT[vendor]
        assert simulator.vendors[vendor].stored == []


def test_a_transport_serves_requests_side_by_side() -> None:
    simulator = Simulator()
    path, headers, body = CREATES["dex"]

    async def send_all() -> set[int]:
        async with httpx.AsyncClient(transport=transport(simulator), base_url="http://simulator") as client:
            answers = await asyncio.gather(*(client.post(path, headers=headers, json=body) for _ in range(10)))
            return {answer.status_code for answer in answers}

    assert asyncio.run(send_all()) == {200}
    assert simulator.dex.state()["stored"] == 20


def test_another_server_may_start_and_stop_it() -> None:
    told = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": next(told)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])

    asyncio.run(Simulator().app({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_the_state_tells_duplicates_by_any_field() -> None:
    simulator = Simulator()
    create(simulator, "talkdesk")
    create(simulator, "talkdesk")
    assert simulator.talkdesk.duplicates("first_name") == {"Joey": 2, "Jane": 2}
    assert simulator.talkdesk.duplicates("phone_number") == {"+351929312319": 4}
    assert list(simulator.talkdesk.duplicates().values()) == [2, 2]
    state = ask(simulator, "GET", "/_simulator/state?vendor=talkdesk&duplicates_by=last_name&limit=1&offset=3").json()
    assert state["duplicates"] == {"Tribbiani": 4}
    assert [one["received"]["first_name"] for one in state["contacts"]] == ["Jane"]
    assert state["by_place"] == {"demo-list": 4}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/_simulator/state?vendor=nobody", None),
        ("GET", "/_simulator/state?vendor=dex&limit=x", None),
        ("POST", "/_simulator/faults", {"dex.nothing": 1}),
        ("POST", "/_simulator/faults", [1]),
        ("POST", "/_simulator/faults", {"dex.reject": "email~(a+)+$"}),
        ("POST", "/_simulator/faults", {"dex": {"plan": ["free"]}}),
        ("POST", "/_simulator/reset", {"all": True}),
        ("POST", "/_simulator/reset", {"knobs": "yes"}),
        ("POST", "/_simulator/reset", [1]),
        ("GET", f"/_simulator/state?vendor=dex&limit={'9' * 5000}", None),
    ],
)
def test_wrong_control_requests_are_explained(method: str, path: str, body: Any) -> None:
    answer = ask(Simulator(), method, path, json=body) if body is not None else ask(Simulator(), method, path)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_what_was_set_is_answered_and_nothing_else() -> None:
    simulator = Simulator()
    assert ask(simulator, "POST", "/_simulator/faults", json={"dex.store_then_drop": "next:1"}).json() == {
        "dex": {"store_then_drop": "next:1"}
    }
    several = {"all.read.latency": "80ms", "nedzo": {"write.http_500": 1, "dnc": 0}}
    assert ask(simulator, "POST", "/_simulator/faults", json=several).status_code == 400
    del several["nedzo"]["dnc"]  # type: ignore[attr-defined]  # the second value is the nested form
    answer = ask(simulator, "POST", "/_simulator/faults", json=several).json()
    assert answer.pop("nedzo") == {"read.latency": "80ms", "http_500": "1"}
    assert answer == {name: {"read.latency": "80ms"} for name in ("intermezzo", "dex", "apptoto", "talkdesk")}
    assert ask(simulator, "POST", "/_simulator/faults", json={}).json() == {}


@pytest.mark.parametrize("content", [b"{", b"[" * 50_000, b"\xff", b"", b"7" * 5000, b'{"dex.plan": NaN}'])
def test_a_control_body_that_is_no_object_is_explained(content: bytes) -> None:
    answer = ask(Simulator(), "POST", "/_simulator/faults", content=content)
    assert (answer.status_code, answer.json()["error"]) == (400, "the body must be a JSON object of knobs")


def test_control_routes_refuse_other_methods_and_names() -> None:
    assert ask(Simulator(), "DELETE", "/_simulator/faults").status_code == 405
    assert ask(Simulator(), "GET", "/_simulator/reset").status_code == 405
    assert ask(Simulator(), "GET", "/_simulator/nothing").status_code == 404
    assert ask(Simulator(), "GET", "/_simulator/summary", headers={"Host": "evil.example"}).status_code == 403


VALUES: list[Any] = [None, True, 0, -1, 1.5, 10**30, "", "x", "\ud800", [], [[]], {}, {"a": 1}, [None]]
FIELDS = (
    "id", "contacts", "records", "emails", "where", "external_id", "address_book_id", "address_book", "name",
    "first_name", "phone", "phone_numbers", "email", "email_addresses", "custom_fields", "contact_list_id", "roles",
    "contact_emails", "contact_phone_numbers", "timezone", "priority", "extra_data", "birthday", "linkedin",
    "unique_identifier_type",
)  # fmt: skip


@every_vendor
def test_no_value_of_any_type_breaks_a_route(vendor: str) -> None:
    """An exception here would be the simulator's own, and fail the request."""
    simulator = Simulator(
        {"apptoto.known_external_id": "reject", "intermezzo.duplicates": "reject", "all.reject": "id~x"}
    )
    names = {"org": "org_demo", "list_id": "demo-external", "record_id": "x", "id": "x"}
    odd = {"offset": "x", "limit": "\u00b2", "page": "9" * 5000, "per_page": "0", "cursor": "c\u0663"}
    headers = {**CREATES[vendor][1], "Content-Type": "application/json"}
    for route in simulator.vendors[vendor].routes:
        path = f"/{vendor}{route.template.format(**names)}"
        if route.method == "GET":
            assert ask(simulator, "GET", path, headers=headers, params=odd).status_code < 500
            continue
        for field in FIELDS if "bulks" in path or path.count("/") < 5 else FIELDS[:3]:
            ones = [{"name": "A", "email": "a@example.com", "address_book_id": 1, field: value} for value in VALUES]
            bodies = [ones[0], *ones, *({"contacts": [one]} for one in ones), *({"records": [one]} for one in ones)]
            for body in (*bodies, ones, *({field: value} for value in VALUES)):
                answer = ask(simulator, route.method, path, headers=headers, content=json.dumps(body).encode())
                assert answer.status_code < 500


def test_the_root_explains_itself() -> None:
    assert "/_simulator/state" in ask(Simulator(), "GET", "/").text
    assert ask(Simulator(), "GET", "/nobody").status_code == 404
