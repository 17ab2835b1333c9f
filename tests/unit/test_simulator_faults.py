"""What every vendor has in common: faults, refusals, places, accounts, and the pages behind it all."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import httpx  # noqa: TID253  # a test of its errors
import pytest

from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.simulator.faults import STATUSES, STORED_STATUSES
from tests.support.simulated import BEARER, CASES, RECORD, ask, create, path_of, simulated

LISTED = [vendor for vendor in CASES if vendor != "nedzo"]
SENT = {vendor: len(case.records(case.place)) for vendor, case in CASES.items()}
every_vendor = pytest.mark.parametrize("vendor", CASES)


def returned(vendor: str, answer: httpx.Response) -> list[dict[str, Any]]:
    return CASES[vendor].returned(answer.json())


@every_vendor
def test_without_faults_everything_is_stored_and_kept_as_it_was_received(vendor: str) -> None:
    simulator = Simulator()
    answer = create(simulator, vendor)
    assert answer.status_code == (201 if vendor == "talkdesk" else 200)
    stored = simulator.vendors[vendor].stored
    assert [one.received for one in stored] == CASES[vendor].records(CASES[vendor].place)
    assert [one.id for one in stored] == [one["id"] for one in returned(vendor, answer)]
    assert simulator.vendors[vendor].state()["received"] == SENT[vendor]
    assert [seen.status for seen in simulator.vendors[vendor].requests] == [answer.status_code]


@every_vendor
def test_a_status_is_answered_with_nothing_or_with_everything_stored(vendor: str) -> None:
    simulator = Simulator()
    for status in STATUSES:
        simulator.set(f"{vendor}.http_{status}", "next:1")
        answer = create(simulator, vendor)
        assert (answer.status_code, "<html>" in answer.text) == (status, status >= 500)
    assert simulator.vendors[vendor].stored == []
    for times, status in enumerate(STORED_STATUSES, 1):
        simulator.set(f"{vendor}.store_then_{status}", "next:1")
        assert create(simulator, vendor).status_code == status
        assert simulator.vendors[vendor].counts["stored"] == times * SENT[vendor]


@every_vendor
@pytest.mark.parametrize(
    ("fault", "form", "error", "stores"),
    [("close_before_read", "fin", httpx.RemoteProtocolError, False),
     ("close_before_store", "rst", httpx.ReadError, False), ("hang", "fin", httpx.ReadTimeout, False),
     ("store_then_drop", "fin", httpx.RemoteProtocolError, True), ("store_then_drop", "rst", httpx.ReadError, True),
     ("store_then_hang", "fin", httpx.ReadTimeout, True), ("truncated", "fin", httpx.RemoteProtocolError, True)],
)  # fmt: skip
def test_a_dropped_connection_is_an_error_without_a_socket_too(
    vendor: str, fault: str, form: str, error: type[Exception], *, stores: bool
) -> None:
    simulator = simulated(vendor, **{fault: "always", "drop_form": form})
    with pytest.raises(error):
        create(simulator, vendor)
    assert len(simulator.vendors[vendor].stored) == (SENT[vendor] if stores else 0)


@pytest.mark.parametrize("vendor", LISTED)
def test_returned_records_can_be_left_out_added_relabelled_and_reordered(vendor: str) -> None:
    simulator = Simulator()

    def faulty(fault: str) -> list[str]:
        simulator.reset(knobs=True)
        simulator.set(f"{vendor}.{fault}", "always")
        records = returned(vendor, create(simulator, vendor))
        assert len(simulator.vendors[vendor].stored) == 2
        return [record["id"] for record in records]

    assert len(faulty("short")) == 1
    assert len(faulty("foreign_record")) == 3
    assert len(set(faulty("duplicate_ids"))) == 1
    assert {faulty("shuffled") == [one.id for one in simulator.vendors[vendor].stored] for _ in range(20)} == {
        True,
        False,
    }
    simulator.update({f"{vendor}.store_then_502": "always", f"{vendor}.store_share": "0.5"})
    simulator.vendors[vendor].reset()
    assert create(simulator, vendor).status_code == 502
    assert (len(simulator.vendors[vendor].stored), simulator.vendors[vendor].state()["received"]) == (1, 2)


@every_vendor
def test_answers_can_be_damaged_as_json_and_as_bytes(vendor: str) -> None:
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
    assert ("html" in wrong.headers["content-type"]) is (vendor != "talkdesk")
    assert wrong.json()
    more = faulty("extra_fields")
    assert "x_request_id" in more.json()
    assert all("x_revision" in record for record in returned(vendor, more)) is (vendor in LISTED)
    assert not any("x_revision" in one.view for one in simulator.vendors[vendor].stored)
    plain = create(simulator, vendor, headers={**CASES[vendor].credential.get("headers", {}), "Accept-Encoding": "x"})
    assert "content-encoding" not in plain.headers


def test_empty_arrays_can_be_null_and_counters_text() -> None:
    simulator = Simulator({"all.nulls": "always"})
    body = create(simulator, "intermezzo").json()
    assert (body["errors"], body["data"][0]["roles"]) == (None, None)
    assert create(simulator, "talkdesk").json()["_embedded"]["records"][0]["errors"] is None
    assert create(simulator, "nedzo").json()["data"]["contact"]["custom_fields"] is None
    simulator = Simulator({"all.stringly": "always"})
    assert create(simulator, "intermezzo").json()["succeeded"] == "2"
    assert create(simulator, "dex").json()["error"] == "false"
    assert create(simulator, "nedzo").json()["status_code"] == "200"


@every_vendor
def test_redirects_store_nothing(vendor: str) -> None:
    simulator = simulated(vendor, redirect="next:2", redirect_status="302")
    path = path_of(vendor, CASES[vendor].create)
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    answer = create(simulator, vendor)
    assert (answer.status_code, answer.headers["location"]) == (302, f"http://simulator{other}")
    simulator.set(f"{vendor}.redirect_to", "https://elsewhere.example/")
    assert create(simulator, vendor).headers["location"] == "https://elsewhere.example/"
    assert simulator.vendors[vendor].stored == []


@pytest.mark.parametrize(
    ("vendor", "status"), [("intermezzo", 307), ("nedzo", 307), ("dex", 200), ("apptoto", 404), ("talkdesk", 404)]
)
def test_the_other_form_of_the_slash(vendor: str, status: int) -> None:
    simulator = Simulator()
    case, path = CASES[vendor], path_of(vendor, CASES[vendor].create)
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    body = case.wrap(case.records(case.place))
    answer = ask(simulator, "POST", other, **case.credential, json=body)
    assert (answer.status_code, answer.headers.get("location")) == (status, path if status == 307 else None)
    for form, wanted in (("404", {404, 405}), ("redirect", {307}), ("accept", {200, 201})):  # Dex reads at the other
        simulator.set(f"{vendor}.slash", form)
        assert ask(simulator, "POST", other, **case.credential, json=body).status_code in wanted


def test_the_rate_lets_a_burst_pass_and_then_one_an_interval_and_says_how_long_to_wait() -> None:
    now = [1000.0]
    simulator = Simulator({"nedzo.rate": "60/min", "nedzo.burst": "2"}, now=lambda: now[0], clock=lambda: now[0])

    def statuses(times: int, key: str = "dex_ready_token") -> list[int]:
        headers = {"Authorization": f"Bearer {key}"}
        return [create(simulator, "nedzo", headers=headers).status_code for _ in range(times)]

    assert statuses(4) == [200, 200, 429, 429]
    assert statuses(1, "another") == [200]
    assert create(simulator, "nedzo").headers["retry-after"] == "1"
    assert ask(simulator, "GET", path_of("nedzo", CASES["nedzo"].read), **BEARER).status_code == 200
    now[0] += 1
    assert statuses(2) == [200, 429]
    now[0] += 3600
    assert statuses(3) == [200, 200, 429]
    assert len(simulator.nedzo.stored) == 6


def test_a_503_may_carry_a_retry_after() -> None:
    simulator = Simulator({"dex.http_503": "always"})
    assert "retry-after" not in create(simulator, "dex").headers
    simulator.set("dex.retry_after_503", "30")
    assert create(simulator, "dex").headers["retry-after"] == "30"


def test_latency_is_slept_before_and_the_reply_delay_after_storing() -> None:
    slept: list[tuple[float, int]] = []

    async def sleep(seconds: float) -> None:
        slept.append((seconds, len(simulator.dex.stored)))

    simulator = Simulator({"dex.latency": "80ms", "dex.reply_delay": "1s-2s"}, sleep=sleep)
    create(simulator, "dex")
    assert 0.079 < slept[0][0] < 0.081
    assert 1 <= slept[1][0] <= 2
    assert [stored for _, stored in slept] == [0, 2]


def test_reads_and_tokens_have_faults_of_their_own() -> None:
    simulator = Simulator({"apptoto.read.http_500": "nth:1", "talkdesk.token.http_401": "always"})
    assert create(simulator, "apptoto").is_success
    path, credential = path_of("apptoto", CASES["apptoto"].read), CASES["apptoto"].credential
    assert [ask(simulator, "GET", path, **credential).status_code for _ in range(2)] == [500, 200]
    token = ask(simulator, "POST", "/talkdesk/oauth/token", auth=("a", "b"), data={"grant_type": "client_credentials"})
    assert token.status_code == 401


def test_the_same_seed_gives_the_same_faults() -> None:
    def statuses(seed: int) -> list[int]:
        simulator = Simulator({"dex.http_502": "0.3", "dex.http_429": "0.3"}, seed=seed)
        return [create(simulator, "dex").status_code for _ in range(40)]

    assert statuses(7) == statuses(7) != statuses(8)
    assert set(statuses(7)) == {200, 429, 502}


@every_vendor
def test_what_is_no_request_is_refused(vendor: str) -> None:
    simulator = Simulator()
    case = CASES[vendor]
    typed = {**case.credential.get("headers", {}), "Content-Type": "application/json"}
    for content in (b"{", b'{"a": NaN}', b"\xff", b'"text"', b"[" * 100_000, b""):
        assert create(simulator, vendor, json=None, headers=typed, content=content).status_code in {400, 422}
    good = json.dumps(case.wrap(case.records(case.place))).encode()
    assert create(simulator, vendor, json=None, content=good).status_code in {400, 422}, "without a content type"
    assert ask(simulator, "GET", f"/{vendor}/nothing", **case.credential).status_code == 404
    read = path_of(vendor, case.read)
    assert ask(simulator, "GET", read).status_code == 401
    assert ask(simulator, "DELETE", read, **case.credential).status_code == 405
    simulator.set("all.max_body", 20)
    assert create(simulator, vendor).status_code == 413
    assert simulator.vendors[vendor].stored == []


def test_an_encoded_slash_stays_in_its_place() -> None:
    simulator = Simulator()
    answer = create(simulator, "talkdesk", place="x%2Frecords")
    assert (answer.status_code, answer.json()["message"]) == (404, "Record list not found")
    simulator.set("talkdesk.record_lists", "x/records")
    assert create(simulator, "talkdesk", place="x%2Frecords").status_code == 201


def test_forgetting_counts_only() -> None:
    simulator = Simulator(forget=True)
    for vendor in CASES:
        for _ in range(3):
            assert create(simulator, vendor).is_success
        assert simulator.vendors[vendor].state()["stored"] == 3 * SENT[vendor]
        assert simulator.vendors[vendor].stored == []


# Behind it.


def test_the_state_tells_duplicates_by_any_field() -> None:
    simulator = Simulator()
    create(simulator, "talkdesk")
    create(simulator, "talkdesk")
    assert simulator.talkdesk.duplicates("first_name") == {"Joey": 2, "Jane": 2}
    assert simulator.talkdesk.duplicates("phone_number") == {"+351929312319": 4}
    assert list(simulator.talkdesk.duplicates().values()) == [2, 2]
    state = ask(simulator, "GET", "/_simulator/state?vendor=talkdesk&duplicates_by=last_name&limit=1&offset=3").json()
    assert (state["duplicates"], state["by_place"]) == ({"Tribbiani": 4}, {"demo-list": 4})
    assert [one["received"]["first_name"] for one in state["contacts"]] == ["Jane"]
    summary = ask(simulator, "GET", "/_simulator/summary").json()
    assert [summary[name]["identical"] for name in ("talkdesk", "dex")] == [2, 0]


def test_requests_faults_and_knobs_are_seen_and_forgotten() -> None:
    simulator = Simulator({"dex.plan": "free"})
    ask(simulator, "POST", "/_simulator/faults", json={"dex": {"http_502": "next:1", "plan": "other"}})
    assert [create(simulator, "dex").status_code for _ in range(2)] == [502, 200]
    state = ask(simulator, "GET", "/_simulator/state?vendor=dex&requests=true").json()
    assert [(one["status"], one["faults"]) for one in state["request_log"]] == [(502, ["http_502"]), (200, [])]
    assert ask(simulator, "GET", "/_simulator/faults").json()["dex"]["http_502"] == "next:0"
    ask(simulator, "POST", "/_simulator/reset")
    assert ask(simulator, "GET", "/_simulator/state?vendor=dex").json()["contacts"] == []
    assert simulator.dex.knobs["plan"] == "other"
    ask(simulator, "POST", "/_simulator/reset", json={"knobs": True})
    assert (simulator.dex.knobs["plan"], simulator.dex.knobs.shown()["http_502"]) == ("free", "never")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/_simulator/state?vendor=nobody", None, 400),
        ("GET", "/_simulator/state?vendor=dex&limit=x", None, 400),
        ("GET", f"/_simulator/state?vendor=dex&limit={'9' * 5000}", None, 400),
        ("POST", "/_simulator/faults", {"dex.nothing": 1}, 400),
        ("POST", "/_simulator/faults", {"dex": {"plan": ["free"]}}, 400),
        *(("POST", "/_simulator/faults", content, 400) for content in
          (b"{", b"[1]", b"[" * 50_000, b"\xff", b"", b"7" * 5000, b'{"dex.plan": NaN}')),
        ("POST", "/_simulator/reset", {"all": True}, 400),
        ("POST", "/_simulator/reset", {"knobs": "yes"}, 400),
        ("POST", "/_simulator/reset", [1], 400),
        ("DELETE", "/_simulator/faults", None, 405),
        ("GET", "/_simulator/reset", None, 405),
        ("GET", "/_simulator/nothing", None, 404),
        ("GET", "/nobody", None, 404),
    ],
)  # fmt: skip
def test_wrong_control_requests_are_explained(method: str, path: str, body: Any, status: int) -> None:
    sent = {"content": body} if isinstance(body, bytes | None) else {"json": body}
    answer = ask(Simulator(), method, path, **sent)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_the_root_explains_itself_under_its_own_name_alone() -> None:
    assert "/_simulator/state" in ask(Simulator(), "GET", "/").text
    assert ask(Simulator(), "GET", "/_simulator/summary", headers={"Host": "evil.example"}).status_code == 403


def test_what_was_set_is_answered_and_nothing_else() -> None:
    simulator = Simulator()

    def post(settings: dict[str, Any]) -> httpx.Response:
        return ask(simulator, "POST", "/_simulator/faults", json=settings)

    assert post({"dex.store_then_drop": "next:1"}).json() == {"dex": {"store_then_drop": "next:1"}}
    assert post({"all.read.latency": "80ms", "nedzo": {"dnc": 0}}).status_code == 400
    answer = post({"all.read.latency": "80ms", "nedzo": {"write.http_500": 1}}).json()
    assert answer.pop("nedzo") == {"read.latency": "80ms", "http_500": "1"}
    assert answer == {name: {"read.latency": "80ms"} for name in ("intermezzo", "dex", "apptoto", "talkdesk")}
    assert post({}).json() == {}


VALUES: list[Any] = [None, True, 0, -1, 1.5, 10**30, "", "x", "\ud800", [], [[]], {}, {"a": 1}, [None]]
FIELDS = (
    "id", "contacts", "records", "emails", "where", "external_id", "address_book_id", "address_book", "name",
    "first_name", "phone", "phone_numbers", "email", "email_addresses", "custom_fields", "contact_list_id", "roles",
    "contact_emails", "contact_phone_numbers", "timezone", "priority", "extra_data", "birthday", "linkedin",
)  # fmt: skip


@every_vendor
def test_no_value_of_any_type_breaks_a_route(vendor: str) -> None:
    """An exception here would be the simulator's own, and fail the request."""
    settings = {"apptoto.known_external_id": "reject", "intermezzo.duplicates": "reject", "all.reject": "id~x"}
    simulator = Simulator(settings)
    names = {"org": "org_demo", "list_id": "demo-external", "record_id": "x", "id": "x"}
    odd = {"offset": "x", "limit": "\u00b2", "page": "9" * 5000, "per_page": "0", "cursor": "c\u0663"}
    case, credential = CASES[vendor], CASES[vendor].credential
    typed = {**credential, "headers": {**credential.get("headers", {}), "Content-Type": "application/json"}}
    for route in simulator.vendors[vendor].routes:
        path = f"/{vendor}{route.template.format(**names)}"
        if route.method == "GET":
            assert ask(simulator, "GET", path, **credential, params=odd).status_code < 500
            continue
        for field, value in product(FIELDS, VALUES):
            one = {"name": "A", "email": "a@example.com", "address_book_id": 1, field: value}
            for body in ({field: value}, case.wrap([one])):
                assert ask(simulator, route.method, path, **typed, content=json.dumps(body).encode()).status_code < 500


# Places and accounts.

OTHER_LIST = "7d0a3c52-1111-4b6e-8f0e-2d6f1c9be002"
# Knob, two places as its value and as they are named in requests, one that does not exist.
PLACES: dict[str, tuple[str, str, Any, Any, Any]] = {
    "intermezzo": ("organizations", "org_a=First,org_b", "org_a", "org_b", "org_demo"),
    "nedzo": ("contact_lists", f"{CASES['nedzo'].place}=First,{OTHER_LIST}", CASES["nedzo"].place, OTHER_LIST,
              OTHER_LIST.replace("7d", "aa")),
    "apptoto": ("address_books", "1=Demo,7=Leads", 1, 7, 2),
    "talkdesk": ("record_lists", "warm,cold=PHONE_NUMBER", "warm", "cold", "demo-list"),
}  # fmt: skip


@pytest.mark.parametrize("vendor", PLACES)
def test_the_places_are_those_that_the_knob_names(vendor: str) -> None:
    knob, value, first, second, absent = PLACES[vendor]
    simulator = simulated(vendor, **{knob: value})
    assert first in simulator.connections("http://127.0.0.1:1")[vendor]["extra"].values()
    for place in (first, second):
        assert create(simulator, vendor, place=place).is_success
    assert create(simulator, vendor, place=absent).status_code == 404
    assert simulator.vendors[vendor].state()["by_place"].keys() == {str(first), str(second)}
    simulator.reset()
    assert create(simulator, vendor, place=second).is_success
    simulator.set(f"{vendor}.{knob}", [str(absent), f"{first}"])
    assert create(simulator, vendor, place=absent).is_success
    assert create(simulator, vendor, place=second).status_code == 404
    simulator.reset(knobs=True)
    assert create(simulator, vendor, place=second).is_success


def test_lists_of_one_kind_keep_what_is_unique_when_others_come() -> None:
    simulator = Simulator({"talkdesk.record_lists": "cold=PHONE_NUMBER"})
    assert create(simulator, "talkdesk", RECORD, place="cold").json()["total_created"] == 1
    simulator.set("talkdesk.record_lists", "cold=PHONE_NUMBER,warm=PHONE_NUMBER")
    assert create(simulator, "talkdesk", RECORD, place="cold").json()["total_created"] == 0
    assert create(simulator, "talkdesk", RECORD, place="warm").json()["total_created"] == 1


def login(simulator: Simulator, vendor: str, client: str) -> dict[str, Any]:
    sent: dict[str, Any] = {"grant_type": "client_credentials"}
    match vendor:
        case "apptoto":
            return {"auth": (client, "s")}
        case "intermezzo":
            sent |= {"audience": "https://api.intermezzo.ai", "client_id": client, "client_secret": "s"}
            word = ask(simulator, "POST", "/intermezzo/oauth/token", json=sent).json().get("access_token", "")
        case "talkdesk":
            answer = ask(simulator, "POST", "/talkdesk/oauth/token", auth=(client, "s"), data=sent)
            word = answer.json().get("access_token", "")
        case _:
            word = client
    return {"headers": {"Authorization": f"Bearer {word}"}}


@every_vendor
def test_each_credential_is_an_account_that_reads_its_own_contacts(vendor: str) -> None:
    pairs = vendor in {"intermezzo", "apptoto", "talkdesk"}
    simulator = simulated(vendor, credential="ann:s,bob:s" if pairs else "ann,bob")
    place = "demo-phone" if vendor == "talkdesk" else CASES[vendor].place
    record = CASES[vendor].records(place)[0]
    people = [login(simulator, vendor, name) for name in ("ann", "bob")]
    for who in people:
        assert create(simulator, vendor, record, place=place, **who).is_success
    made = [str(one.id) for one in simulator.vendors[vendor].stored]
    assert len(made) == 2, "what is unique is so within an account"
    read = path_of(vendor, CASES[vendor].read, place)
    for own, who in enumerate(people):
        shown = ask(simulator, "GET", read, **who).text
        # Nedzo's contacts are not read.
        assert (made[own] in shown, made[1 - own] in shown) == (vendor != "nedzo", False)
    ready = simulator.connections("http://127.0.0.1:1")[vendor]
    assert (ready.get("login"), ready["password"]) == (("ann", "s") if pairs else (None, "ann"))
    assert ask(simulator, "GET", read, **login(simulator, vendor, "eve")).status_code == 401
