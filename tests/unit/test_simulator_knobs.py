from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_contacts.simulator.__main__ import knob_lines, main, settings_of
from airflow_provider_contacts.simulator.app import Simulator
from airflow_provider_contacts.simulator.knobs import duration, patterns, rate, trigger
from tests.support.simulated import RECORD, At


def fired(value: Any, seed: str = "s", requests: int = 12) -> list[int]:
    condition = trigger(value, seed)
    return [number for number in range(1, requests + 1) if condition.fires(number)]


EVERY = list(range(1, 13))


@pytest.mark.parametrize(
    ("value", "numbers"),
    [("never", []), (0, []), (False, []), ("always", EVERY), (1.0, EVERY), (True, EVERY), ("nth:3", [3]),
     ("nth:2,7", [2, 7]), ("every:5", [5, 10]), ("next:2", [1, 2])],
)  # fmt: skip
def test_a_trigger_fires_at_these_requests(value: Any, numbers: list[int]) -> None:
    assert fired(value) == numbers


def test_a_chance_is_repeatable_and_differs_by_seed() -> None:
    assert fired(0.3, "a", 500) == fired("0.3", "a", 500) != fired(0.3, "b", 500)
    assert 100 < len(fired(0.3, "a", 500)) < 200


@pytest.mark.parametrize(
    "value", ["sometimes", "1.5", "-0.1", "nth:", "every:2,3", "next:x", "next:" + "9" * 5000, "nan", None]
)
def test_a_wrong_trigger_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="nth:3"):
        trigger(value, "s")


@pytest.mark.parametrize(
    ("reader", "text", "value"),
    [(duration, "80ms", pytest.approx((0.08, 0.08))), (duration, "1.5s", (1.5, 1.5)), (duration, "2", (2.0, 2.0)),
     (duration, "20-200ms", pytest.approx((0.02, 0.2))), (duration, "1s-3s", (1.0, 3.0)),
     (rate, "60/min", (60.0, 60.0)), (rate, "2/s", (2.0, 1.0)), (rate, "none", None)],
)  # fmt: skip
def test_durations_and_rates(reader: Callable[[str], Any], text: str, value: Any) -> None:
    assert reader(text) == value


@pytest.mark.parametrize(
    ("record", "hit"),
    [
        ({"email": "a@bad.example"}, True),
        ({"email": "a@good.example"}, False),
        ({"contact_emails": [{"email": "x@y.z"}, {"email": "a@bad.example"}]}, True),
        ({"email": {"values": ["bad"]}}, True),
        ({"email": None}, False),
        ({"name": "bad"}, False),
    ],
)
def test_a_pattern_finds_its_field_at_any_depth(record: dict[str, Any], *, hit: bool) -> None:
    assert patterns("email~bad")[0].hits(record) is hit


def test_several_patterns_come_as_json_or_as_a_list() -> None:
    assert [one.field for one in patterns('["a~x", "b~y"]')] == ["a", "b"]
    assert [one.field for one in patterns(["a~x"])] == ["a"]
    assert patterns("") == ()


@pytest.mark.parametrize(
    ("expression", "text"),
    [(r"@bad\.example$", "a@bad.example"), (r"^\+1|^\+44", "+44 20"), (r"\(\d{3}\)", "(555)"), (".*a.*b", "xaxb")],
)
def test_the_patterns_that_people_write_are_taken(expression: str, text: str) -> None:
    (pattern,) = patterns([f"phone~{expression}"])
    assert (pattern.hits({"phone": text}), pattern.hits({"phone": "-"})) == (True, False)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("talkdesk.store_then_dorp", "1", "did you mean talkdesk.store_then_drop"),
     ("salesforce.rate", "1/s", "there is no knob"), ("talkdesk.token.expire_token", "1", "there is no knob"),
     ("talkdesk.latency", "soon", "a duration such as"), ("talkdesk.rate", "fast", "a rate such as"),
     ("intermezzo.mode", "quantum", "all_or_nothing, stop_at_first, partial"),
     ("dex.max_batch", "many", "a whole number"), ("dex.atomic", "perhaps", "true or false"),
     ("dex.reject", "email", "field~regex"), ("dex.reject", "email~(", "regular expression"),
     ("dex.reject", "email~a{99999999999}", "regular expression"), ("dex.reject", '["email~a", 7]', "field~regex"),
     ("dex.reject", "[" * 100_000, "field~regex"), ("dex.reject", 7, "field~regex"),
     ("latency", "80ms", "did you mean all.latency"), ("all.latencyy", "80ms", "did you mean all.latency"),
     ("dex.max_batch", -1, "a whole number from 0"), ("dex.max_batch", 1.5, "a whole number from 0"),
     ("dex.max_batch", True, "a whole number from 0"), ("dex.max_batch", "9" * 5000, "a whole number from 0"),
     ("dex.read_lag", "nan", "a number from 0"), ("dex.read_lag", "inf", "a number from 0"),
     ("dex.plan", ["free"], "a text, a number or a boolean"), ("dex.atomic", {}, "a text, a number or a boolean"),
     ("dex.latency", "9" * 400 + "s", "a duration such as"), ("dex.success_status", 99999, "an HTTP status"),
     ("dex.redirect_to", "/a\r\nSet-Cookie: b", "into a header"), ("dex.retry_after", "\u221e", "into a header"),
     ("dex.credential", "a,,b", "a list of texts"),
     ("intermezzo.organizations", "a,,b", "id=name"), ("intermezzo.organizations", "a,a", "twice"),
     ("intermezzo.organizations", "=name", "id=name"), ("intermezzo.organizations", 7, "id=name"),
     ("intermezzo.organizations", [["a"]], "id=name"), ("nedzo.contact_lists", "leads", "UUID"),
     ("apptoto.address_books", "Leads", "whole number"),
     ("talkdesk.record_lists", "warm=UNIQUE", "NOTHING, PHONE_NUMBER, EXTERNAL")],
)  # fmt: skip
def test_a_wrong_knob_is_named_and_nothing_is_set(name: str, value: Any, text: str) -> None:
    simulator = Simulator()
    before = {name: vendor.knobs.shown() for name, vendor in simulator.vendors.items()}
    with pytest.raises(ValueError, match=text.replace(".", r"\.").replace("(", r"\(")):
        simulator.update({"dex.plan": "free", name: value})
    assert {name: vendor.knobs.shown() for name, vendor in simulator.vendors.items()} == before


def test_all_sets_every_vendor_that_has_the_knob() -> None:
    simulator = Simulator({"all.read.http_500": 1, "all.token_life": 30})
    assert {vendor.knobs.shown()["read.http_500"] for vendor in simulator.vendors.values()} == {"1"}
    assert simulator.talkdesk.knobs["token_life"] == simulator.intermezzo.knobs["token_life"] == 30


@pytest.mark.parametrize(
    ("form", "header"),
    [("wait", "3"), ("date", "Thu, 01 Jan 1970 00:16:43 GMT"), ("zero", "0"), ("negative", "-5"), ("garbage", "soon"),
     ("absurd", "999999999999"), ("1.5", "1.5"), ("none", None)],
)  # fmt: skip
def test_retry_after_has_every_form(form: str, header: str | None) -> None:
    faults = Simulator({"dex.retry_after": form}, clock=lambda: 1000.0).dex.faults["write"]
    assert faults.retry_after("retry_after", 2.1).get("Retry-After") == header


def test_every_knob_is_listed_with_a_meaning_and_a_default_that_it_takes() -> None:
    simulator = Simulator()
    listing = "\n".join(knob_lines(simulator))
    for name, knob in simulator.all_knobs():
        assert knob.meaning
        assert knob.name in listing
        simulator.set(name, knob.default)


PLAIN = {"first_name": "Joey", "last_name": "Tribbiani"}


@pytest.mark.parametrize(
    ("vendor", "knobs", "sent", "status", "shown"),
    [("intermezzo", {"ready_tokens": "another"}, [], 401, ""), ("dex", {"success_status": 201}, [], 201, ""),
     ("dex", {"max_batch": 1, "oversize_status": 413}, [], 413, ""),
     ("dex", {"short": "always", "short_by": 2}, [], 200, '"contacts":[]'),
     ("apptoto", {"unknown_book_status": 422}, [{"name": "A", "address_book_id": 9}], 422, ""),
     ("apptoto", {"country": "PT"}, [{"name": "A", "address_book_id": 1, "phone": "929312319"}], 200, "+351929312319"),
     ("talkdesk", {"max_batch": 1}, [], 400, ""), ("talkdesk", {"list_capacity": 1, "full_list": "400"}, [], 400, ""),
     ("talkdesk", {"default_priority": 5}, [], 201, '"priority":5'),
     ("talkdesk", {"created_errors": "null"}, [], 201, '"errors":null'),
     ("talkdesk", {"same_phone_type": "refuse"}, [{**RECORD, "phone_numbers": RECORD["phone_numbers"] * 2}], 201,
      "PHONE_NUMBER_INVALID"),
     ("talkdesk", {"deprecated_phone": "refuse"}, [{**PLAIN, "phone_number": "+351929312319"}], 201,
      "PHONE_NUMBER_MISSING")],
)  # fmt: skip
def test_a_knob_changes_the_answer(
    vendor: str, knobs: dict[str, Any], sent: list[Any], status: int, shown: str
) -> None:
    without, turned = (At(vendor, **given).create(*sent) for given in ({}, knobs))
    assert (turned.status_code, shown in turned.text) == (status, True)
    assert (without.status_code, shown in without.text) != (status, True)


def test_a_connection_through_a_network_allows_plain_http() -> None:
    for url, extra in (("http://127.0.0.1:1", None), ("http://[::1]:1", None), ("http://10.0.0.7:8780", True)):
        found = Simulator().connections(url)
        assert {one.get("extra", {}).get("allow_http") for one in found.values()} == {extra}


@pytest.mark.parametrize("argument", ["dex.http_500", "dex.http_500=maybe", "dex.nothing=1"])
def test_the_command_refuses_a_wrong_setting(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--set", argument]) == 2
    assert "error: " in capsys.readouterr().err


def test_the_command_splits_settings_once_and_lists_knobs(capsys: pytest.CaptureFixture[str]) -> None:
    assert settings_of(["dex.reject=email~a=b"]) == {"dex.reject": "email~a=b"}
    assert main(["--list-knobs"]) == 0
    assert "intermezzo.mode" in capsys.readouterr().out
