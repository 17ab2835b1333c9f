"""A contract's flat form says what the contract says."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictStr,
    computed_field,
    field_serializer,
    field_validator,
    model_validator,
)

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.records.flat import flat_validator
from airflow_provider_contacts.records.mapper import checked, plainly_checked
from airflow_provider_contacts.vendors import load, names

STRICT = ConfigDict(extra="forbid", defer_build=True)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 2100)
    | st.floats(allow_nan=False)
    | st.decimals(allow_nan=False, places=2)
    | st.text(max_size=8)
    | st.sampled_from(["ann@example.com", "2026-01-02", "2026-01-02T03:04:05Z", "MOBILE", "HOME", "+15550100"])
    | st.just("7c0f1d2e-3b4a-4c5d-8e6f-708192a3b4c5")
    | st.dates()
    | st.datetimes()
    | st.uuids()
    | st.binary(max_size=3)
)


def names_of(schema: dict[str, Any]) -> set[str]:
    """Return every name of a field in a contract, also of nested objects, as it is sent."""
    found = set(schema.get("properties", {}))
    for definition in schema.get("$defs", {}).values():
        found |= names_of(definition)
    return found


def values(names: set[str]) -> st.SearchStrategy[Any]:
    keys = st.sampled_from(sorted(names)) | st.text(max_size=3)
    return st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4) | st.tuples(inner),
        max_leaves=6,
    )


def payload_of(model: type[BaseModel], record: dict[str, Any]) -> Any:
    try:
        return checked(model, record)
    except InvalidRecordError:
        return "refused"


@pytest.mark.parametrize("name", names())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_takes_what_the_model_takes_and_makes_of_it_what_its_dump_is(name: str, data: st.DataObject) -> None:
    model = load(name).contract.model
    fields = names_of(model.model_json_schema())
    record = data.draw(st.dictionaries(st.sampled_from(sorted(fields)), values(fields), max_size=6))
    plain = plainly_checked(model, record)
    by_model = payload_of(model, record)
    if plain is not None:
        assert plain == by_model
        assert repr(sorted(plain.items())) == repr(sorted(by_model.items())), "also in its types"


@pytest.mark.parametrize("name", names())
def test_every_contract_has_a_flat_form(name: str) -> None:
    assert flat_validator(load(name).contract.model) is not None


@pytest.mark.parametrize(
    ("name", "record"),
    [
        (
            "talkdesk",
            {"first_name": "A", "last_name": "B", "phone_numbers": [{"phone_number": "1", "phone_type": "HOME"}]},
        ),
        ("intermezzo", {"name": "Ann", "phone": {"phoneNumber": "1", "phoneType": "mobile"}, "email": None}),
        ("nedzo", {"email": "ann@example.com", "dnc": 1, "custom_fields": []}),
        ("dex", {"first_name": "Ann", "contact_emails": [{"email": "ann@example.com", "ranking": 2.0}]}),
        ("apptoto", {"name": "Ann", "phone_numbers": [{"number": "1", "is_mobile": True}]}),
    ],
)
def test_a_usual_record_goes_the_short_way(name: str, record: dict[str, Any]) -> None:
    model = load(name).contract.model
    plain = plainly_checked(model, record)
    assert plain is not None
    assert plain == checked(model, record)


def test_what_is_not_plain_goes_the_long_way() -> None:
    model = load("dex").contract.model
    assert plainly_checked(model, {"coordinates": {"data": {"latitude": 1.5}}}) is None
    assert plainly_checked(model, {"linkedin_data": {"price": Decimal("1.50")}}) is None


class Whole(BaseModel):
    model_config = STRICT
    name: StrictStr

    @model_validator(mode="after")
    def check(self) -> Whole:
        return self


class Lenient(BaseModel):
    name: StrictStr


class Stripped(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True, str_strip_whitespace=True)
    name: StrictStr


class Around(BaseModel):
    model_config = STRICT
    inner: Stripped


class Computed(BaseModel):
    model_config = STRICT
    name: StrictStr

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def twice(self) -> str:
        return self.name * 2


class Serialized(BaseModel):
    model_config = STRICT
    name: StrictStr

    @field_serializer("name")
    def shout(self, value: str) -> str:
        return value.upper()


class TwoNames(BaseModel):
    model_config = STRICT
    name: StrictStr = Field(validation_alias="Name")


class Tree(BaseModel):
    model_config = STRICT
    branches: list[Tree] = Field(default_factory=list)


class Union(BaseModel):
    model_config = STRICT
    value: int | str


@pytest.mark.parametrize("model", [Whole, Lenient, Stripped, Around, Computed, Serialized, TwoNames, Tree, Union])
def test_there_is_none_of_what_takes_the_object(model: type[BaseModel]) -> None:
    assert flat_validator(model) is None


class Checked(BaseModel):
    model_config = STRICT
    first: Annotated[StrictStr, Field(alias="First")]
    second: StrictStr = "b"

    @field_validator("second")
    @classmethod
    def check(cls, value: str) -> str:
        return value + "!"


def test_is_asked_under_the_names_that_are_sent_and_leaves_out_defaults() -> None:
    assert plainly_checked(Checked, {"First": "a"}) == {"First": "a"}
    assert plainly_checked(Checked, {"First": "a", "second": "b"}) == {"First": "a", "second": "b!"}
    assert plainly_checked(Checked, {"first": "a"}) is None
    assert plainly_checked(Checked, {"First": "a", "third": "c"}) is None
    assert plainly_checked(Checked, {"second": "b"}) is None
