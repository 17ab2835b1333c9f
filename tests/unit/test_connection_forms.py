"""The connection's form, as Airflow shows it and saves it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.provider_info import connection_type, get_provider_info
from airflow_provider_contacts.transport.connection import StoredConnection, Target, resolve
from airflow_provider_contacts.vendor_kit.forms import BOOLEAN, INTEGER, NUMBER, Kind, Setting
from airflow_provider_contacts.vendor_kit.vendor import Vendor

TYPES = {one["connection-type"]: one for one in get_provider_info()["connection-types"]}
FIELDS = [(name, key, field) for name, one in TYPES.items() for key, field in one["conn-fields"].items()]
IDS = [f"{name}.{key}" for name, key, _ in FIELDS]
BOUNDED = [one for one in FIELDS if "minimum" in one[2]["schema"]]
LOGINS = {"apptoto": "owner@company.example", "intermezzo": "id", "talkdesk": "id"}
DESTINATIONS: dict[str, dict[str, Any]] = {
    "apptoto": {"address_book_id": 7},
    "dex": {},
    "intermezzo": {"organization_id": "org_1"},
    "nedzo": {},
    "talkdesk": {"record_list_id": "list"},
}


def shown(name: str) -> dict[str, Any]:
    """Return what a new form holds; this, as it stands, is saved into the extra."""
    return {key: field["schema"].get("default") for key, field in TYPES[name]["conn-fields"].items()}


def read(vendor: Vendor, extra: dict[str, Any]) -> Target:
    name = vendor.name
    account = {"account": "my-company"} if name == "talkdesk" else {}
    stored = StoredConnection(
        conn_id="c", login=LOGINS.get(name, ""), password="p", extra={**extra, **DESTINATIONS[name], **account}
    )
    return resolve(vendor, stored)


@pytest.mark.parametrize("name", TYPES)
def test_a_form_that_is_saved_as_it_stands_changes_nothing(name: str) -> None:
    vendor = vendors.load(name)
    assert read(vendor, shown(name)) == read(vendor, {})
    emptied = dict.fromkeys(shown(name))
    assert read(vendor, emptied) == read(vendor, {}), "null is absent"


@pytest.mark.parametrize(("name", "key", "field"), FIELDS, ids=IDS)
def test_every_description_says_the_default(name: str, key: str, field: dict[str, Any]) -> None:
    if key in {*vendors.load(name).destination.required, *vendors.load(name).destination.exactly_one}:
        assert "required" in field["label"]
        return
    found = re.search(r"Default: (\S.*)$", field["description"])
    assert found, field["description"]
    default = field["schema"].get("default")
    if default is not None:
        assert found[1] == ({True: "on", False: "off"}[default] if isinstance(default, bool) else str(default))


SECONDS = {"type": ["number", "null"], "minimum": 0.001, "maximum": 600}


@pytest.mark.parametrize(
    ("name", "key", "schema"),
    [
        ("dex", "request_timeout", {**SECONDS, "default": 60}),
        ("dex", "reconcile_delay", {**SECONDS, "default": 5}),
        ("dex", "verify", {"type": ["string", "null"], "default": "true"}),
        ("dex", "proxy", {"type": ["string", "null"], "format": "password"}),
        ("dex", "allow_http", {"type": ["boolean", "null"], "default": False}),
        ("dex", "rate_limit_conn_id", {"type": ["string", "null"]}),
        ("dex", "requests_per_second", {"type": ["number", "null"], "minimum": 0.001, "maximum": 10_000}),
        ("dex", "burst", {"type": ["integer", "null"], "minimum": 1, "maximum": 10_000}),
        ("talkdesk", "region", {"type": ["string", "null"], "enum": ["us", "eu", "ca"], "default": "us"}),
        ("talkdesk", "scope", {"type": ["string", "null"], "default": "record-lists:manage"}),
        ("talkdesk", "record_list_id", {"type": ["string", "null"], "section": "Destination"}),
        ("apptoto", "address_book_id", {"type": ["integer", "null"], "section": "Destination"}),
        ("intermezzo", "audience", {"type": ["string", "null"], "default": "https://api.intermezzo.ai"}),
        ("intermezzo", "token_url", {"type": ["string", "null"]}),
    ],
)
def test_type_bounds_and_default_are_in_the_form(name: str, key: str, schema: dict[str, Any]) -> None:
    assert TYPES[name]["conn-fields"][key]["schema"] == schema


@pytest.mark.parametrize(
    ("name", "hidden", "placeholders"),
    [
        ("dex", ["login"], {"host": "https://api.prod.getdex.com", "password": "dex_…"}),
        ("apptoto", [], {"host": "https://api.apptoto.com", "login": "owner@company.example"}),
        ("talkdesk", [], {"host": "https://api.talkdeskapp.com"}),
    ],
)
def test_the_standard_fields(name: str, hidden: list[str], placeholders: dict[str, str]) -> None:
    shown = TYPES[name]["ui-field-behaviour"]
    assert (shown["hidden-fields"], shown["placeholders"]) == (hidden, placeholders)
    assert set(shown["relabeling"]) | set(hidden) == {"login", "password"}


READ: list[tuple[Kind, Any, list[Any]]] = [
    (BOOLEAN, True, [True, 1, "1", "Yes", " on ", "TRUE"]),
    (BOOLEAN, False, [False, 0, "0", "no", "OFF", "false"]),
    (BOOLEAN, None, [2, "maybe", None, []]),
    (INTEGER, -5, [-5, " -5 "]),
    (INTEGER, None, [True, 1.0, "1.0", "1" * 19, "\u0663", []]),
    (NUMBER, -0.5, [-0.5, "-0.5"]),
    (NUMBER, None, [True, "inf", "nan", 10**400, []]),
]


@pytest.mark.parametrize(("kind", "parsed", "values"), READ)
def test_a_value_is_read_by_its_kind(kind: Kind, parsed: Any, values: list[Any]) -> None:
    found = [kind.parse(value) for value in values]
    assert found == [parsed] * len(values)
    assert {type(one) for one in found} == {type(parsed)}


def test_a_number_is_no_switch() -> None:
    assert [Setting("key", "", "", default=one).otherwise for one in (1, True, 0.5)] == ["1", "on", "0.5"]


def test_the_form_shows_what_the_vendor_assumes() -> None:
    fields = connection_type(replace(vendors.load("dex"), refusals_atomic=False), "x.Hook")["conn-fields"]
    defaults = [fields[key]["schema"]["default"] for key in ("refusals_atomic", "retry_after_is_refusal")]
    assert defaults == [False, True]
    assert fields["refusals_atomic"]["description"].endswith("Default: off")


@pytest.mark.parametrize(("name", "key", "field"), BOUNDED)
def test_the_form_and_the_parser_have_the_same_bounds(name: str, key: str, field: dict[str, Any]) -> None:
    vendor, bounds = vendors.load(name), (field["schema"]["minimum"], field["schema"]["maximum"])
    rest = {"rate_limit_conn_id": "store", "requests_per_second": 1}
    told = "from {:g} to {:g}".format(*bounds)
    assert told in field["description"]
    for taken in bounds:
        assert read(vendor, {**rest, key: taken}) == read(vendor, {**rest, key: f" {taken} "})
    for refused in (bounds[0] / 2, bounds[1] * 2, 0, -1):
        with pytest.raises(ConfigError, match=rf"'{key}' in the extra of connection 'c' is no (whole )?number {told}$"):
            read(vendor, {**rest, key: refused})


@pytest.mark.parametrize("name", TYPES)
def test_the_destination_comes_first_in_a_part_of_its_own_and_says_whether_it_must_be_given(name: str) -> None:
    form = vendors.load(name).destination
    fields = TYPES[name]["conn-fields"]
    keys = [setting.name for setting in form.settings]
    assert list(fields)[: len(keys)] == keys
    assert [key for key, field in fields.items() if field["schema"].get("section") == "Destination"] == keys
    for key in keys:
        marked = "required" if key in {*form.required, *form.exactly_one} else "optional"
        assert marked in fields[key]["label"]
        # A task can give it instead: the form must let such a connection be saved.
        assert "null" in fields[key]["schema"]["type"]


def test_a_setting_is_there_only_where_it_means_something() -> None:
    assert {name for name, key, _ in FIELDS if key == "reconcile_delay"} == {
        "apptoto", "dex", "intermezzo", "talkdesk",
    }  # fmt: skip
    assert {name for name, key, _ in FIELDS if key == "token_url"} == {"intermezzo", "talkdesk"}
    single = {name for name in TYPES if vendors.load(name).limits.batch_size == 1}
    assert {name for name, key, _ in FIELDS if key == "refusals_atomic"} == set(TYPES) - single
    assert single


def test_a_delay_before_reads_is_unknown_where_nothing_is_read_and_null_of_an_old_form_is_not() -> None:
    nedzo = vendors.load("nedzo")
    with pytest.raises(ConfigError, match=r"unknown keys \['reconcile_delay'\] in the extra of connection 'c'"):
        read(nedzo, {"reconcile_delay": 5})
    assert read(nedzo, {"reconcile_delay": None}) == read(nedzo, {})


def test_the_nearest_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"\['request_timeuot'\] in .*; did you mean 'request_timeout'\?; known are"):
        read(vendors.load("dex"), {"request_timeuot": 5})
    with pytest.raises(ConfigError, match="did you mean 'record_list_id'"):
        read(vendors.load("talkdesk"), {"Record-List-ID": "x"})
