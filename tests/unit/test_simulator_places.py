"""Several organizations, record lists, address books, contact lists and accounts, each by a knob."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_contacts.simulator.app import Simulator
from tests.support.in_process import ask

ONE, TWO = "5f0c9b5e-6a3f-4c1e-9d38-0c8f5b1f7a10", "7d0a3c52-1111-4b6e-8f0e-2d6f1c9be002"
RECORD = {
    "first_name": "Joey",
    "last_name": "T",
    "phone_numbers": [{"phone_number": "+351929312319", "phone_type": "MOBILE"}],
}
BEARER = {"Authorization": "Bearer dex_ready"}
BASIC = ("demo@example.com", "demo-key")
# Knob, value with two places, a place's request, the first, the second, one that does not exist.
PLACES: dict[str, tuple[str, str, Any, Any, Any, Any]] = {
    "intermezzo": ("organizations", "org_a=First,org_b", lambda simulator, place, **who: ask(
        simulator, "POST", f"/intermezzo/organizations/{place}/contacts/list", json=[{"name": "Ann"}], **who),
        "org_a", "org_b", "org_demo"),
    "nedzo": ("contact_lists", f"{ONE}=First,{TWO}", lambda simulator, place, **who: ask(
        simulator, "POST", "/nedzo/v1/contact/", json={"email": "a@example.com", "contact_list_id": place}, **who),
        ONE, TWO, ONE.replace("5f", "aa")),
    "apptoto": ("address_books", "1=Demo,7=Leads", lambda simulator, place, **who: ask(
        simulator, "POST", "/apptoto/v1/contacts", json={"contacts": [{"name": "A", "address_book_id": place}]}, **who),
        1, 7, 2),
    "talkdesk": ("record_lists", "warm,cold=PHONE_NUMBER", lambda simulator, place, **who: ask(
        simulator, "POST", f"/talkdesk/record-lists/{place}/records/bulks", json={"records": [RECORD]}, **who),
        "warm", "cold", "demo-list"),
}  # fmt: skip
every_vendor = pytest.mark.parametrize("vendor", PLACES)


def credential(vendor: str) -> dict[str, Any]:
    return {"auth": BASIC} if vendor == "apptoto" else {"headers": BEARER}


@every_vendor
def test_the_places_are_those_that_the_knob_names(vendor: str) -> None:
    knob, value, create, first, second, absent = PLACES[vendor]
    simulator = Simulator({f"{vendor}.{knob}": value})
    for place in (first, second, second):
        assert create(simulator, place, **credential(vendor)).is_success
    assert create(simulator, absent, **credential(vendor)).status_code in {404, 422}
    assert simulator.vendors[vendor].state()["by_place"] == {str(first): 1, str(second): 2 - (vendor == "talkdesk")}
    simulator.reset()
    assert create(simulator, second, **credential(vendor)).is_success
    simulator.set(f"{vendor}.{knob}", [str(absent), f"{first}"])
    assert create(simulator, absent, **credential(vendor)).is_success
    assert create(simulator, second, **credential(vendor)).status_code in {404, 422}
    simulator.reset(knobs=True)
    assert create(simulator, second, **credential(vendor)).is_success


@every_vendor
def test_a_ready_connection_names_the_first_place(vendor: str) -> None:
    knob, value, _, first, *_ = PLACES[vendor]
    extra = Simulator({f"{vendor}.{knob}": value}).connections("http://127.0.0.1:1")[vendor]["extra"]
    assert first in extra.values()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("intermezzo.organizations", "a,,b", "id=name"),
        ("intermezzo.organizations", "a,a", "twice"),
        ("intermezzo.organizations", "=name", "id=name"),
        ("intermezzo.organizations", 7, "id=name"),
        ("intermezzo.organizations", [["a"]], "id=name"),
        ("nedzo.contact_lists", "leads", "UUID"),
        ("apptoto.address_books", "Leads", "whole number"),
        ("talkdesk.record_lists", "warm=UNIQUE", "NOTHING, PHONE_NUMBER, EXTERNAL"),
    ],
)
def test_a_wrong_place_is_refused_and_nothing_changes(name: str, value: Any, text: str) -> None:
    simulator = Simulator()
    with pytest.raises(ValueError, match=rf"^{name}: .*{text}"):
        simulator.set(name, value)
    assert list(simulator.intermezzo.places) == ["org_demo"]


def test_lists_of_one_kind_keep_what_is_unique_when_others_come() -> None:
    simulator = Simulator({"talkdesk.record_lists": "cold=PHONE_NUMBER"})
    create = PLACES["talkdesk"][2]
    assert create(simulator, "cold", headers=BEARER).json()["total_created"] == 1
    simulator.set("talkdesk.record_lists", "cold=PHONE_NUMBER,warm=PHONE_NUMBER")
    assert create(simulator, "cold", headers=BEARER).json()["total_created"] == 0
    assert create(simulator, "warm", headers=BEARER).json()["total_created"] == 1


def token(simulator: Simulator, vendor: str, client: str) -> dict[str, Any]:
    parameters = {"grant_type": "client_credentials"}
    if vendor == "intermezzo":
        parameters |= {"audience": "https://api.intermezzo.ai", "client_id": client, "client_secret": "s"}
        answer = ask(simulator, "POST", "/intermezzo/oauth/token", json=parameters)
    else:
        answer = ask(simulator, "POST", "/talkdesk/oauth/token", auth=(client, "s"), data=parameters)
    return {"headers": {"Authorization": f"Bearer {answer.json()['access_token']}"}} if answer.is_success else {}


def login(simulator: Simulator, vendor: str, client: str) -> dict[str, Any]:
    match vendor:
        case "intermezzo" | "talkdesk":
            return token(simulator, vendor, client)
        case "apptoto":
            return {"auth": (client, "s")}
        case _:
            return {"headers": {"Authorization": f"Bearer {client}"}}


READS = {
    "intermezzo": "/intermezzo/organizations/org_demo",
    "nedzo": "/nedzo/v1/contacts",
    "dex": "/dex/v1/contacts",
    "apptoto": "/apptoto/v1/contacts",
    "talkdesk": "/talkdesk/record-lists/demo-phone/records",
}
CREATES = {
    **{vendor: row[2] for vendor, row in PLACES.items()},
    "dex": lambda simulator, _, **who: ask(
        simulator, "POST", "/dex/v1/contacts/", json={"contacts": [{"first_name": "Ann"}]}, **who
    ),
}
HOMES = {"intermezzo": "org_demo", "nedzo": ONE, "dex": "", "apptoto": 1, "talkdesk": "demo-phone"}


@pytest.mark.parametrize("vendor", READS)
def test_each_credential_is_an_account_that_reads_its_own_contacts(vendor: str) -> None:
    pairs = vendor in {"intermezzo", "apptoto", "talkdesk"}
    simulator = Simulator({f"{vendor}.credential": "ann:s,bob:s" if pairs else "ann,bob"})
    ann, bob = (login(simulator, vendor, name) for name in ("ann", "bob"))
    for who, count in ((ann, 1), (bob, 1)):
        for _ in range(count):
            assert CREATES[vendor](simulator, HOMES[vendor], **who).is_success
    made = [str(one.id) for one in simulator.vendors[vendor].stored]
    assert len(made) == 2, "what is unique is so within an account"
    for own, (who, other) in enumerate(((ann, bob), (bob, ann))):
        shown = ask(simulator, "GET", READS[vendor], **who).text
        assert (made[own] in shown, made[1 - own] in shown) == (True, False)
        assert other is not who
    ready = simulator.connections("http://127.0.0.1:1")[vendor]
    assert (ready.get("login"), ready["password"]) == (("ann", "s") if pairs else (None, "ann"))
    nobody = login(simulator, vendor, "eve")
    assert nobody == {} or ask(simulator, "GET", READS[vendor], **nobody).status_code == 401
