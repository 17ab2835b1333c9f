"""Parameters of a push, as DAG files and templates leave them. Every refusal: ``test_operator_parameters``."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.task.parameters import PUSH_PARSERS, PushParameters, parse_all

DEX = vendors.load("dex")


def parsed(**given: Any) -> PushParameters:
    return PushParameters.of(parse_all(PUSH_PARSERS, given))


def test_empty_texts_mean_absent() -> None:
    found = parsed(outcomes_conn_id=" ", sync_id="", destination=" ")
    assert (found.outcomes_conn_id, found.sync_id, found.destination) == (None, None, None)


def test_auto_is_none_with_a_table() -> None:
    assert parsed().xcom_outcomes == "auto"
    assert parsed(outcomes_conn_id="db").xcom_outcomes == "none"
    assert parsed(outcomes_conn_id="db", xcom_outcomes="all").xcom_outcomes == "all"


@pytest.mark.parametrize("name", ["plan_only", "create_tables"])
@pytest.mark.parametrize(
    ("value", "truth"), [(True, True), (False, False), ("True", True), ("false", False), (" FALSE\n", False)]
)
def test_truth_is_strict(name: str, value: Any, truth: bool) -> None:
    assert getattr(parsed(**{name: value}), name) is truth


@pytest.mark.parametrize("name", ["plan_only", "create_tables"])
@pytest.mark.parametrize("value", ["maybe", "1", "0", "", None, 0, 1, "None"])
def test_anything_else_is_not_taken_for_true_or_false(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name} is true or false"):
        parsed(**{name: value})


@pytest.mark.parametrize(("key", "columns"), [(None, ()), ("a", ("a",)), (["a", "b"], ("a", "b")), (("a",), ("a",))])
def test_a_key_is_a_name_or_several(key: Any, columns: tuple[str, ...]) -> None:
    assert parsed(sync_key=key).sync_key == columns


@pytest.mark.parametrize("key", ["", [], [""], ["a", "a"], [1], 5, {"a": 1}, b"a"])
def test_anything_else_is_no_key(key: Any) -> None:
    with pytest.raises(ConfigError, match="sync_key is a column name, a list of different column names, or None"):
        parsed(sync_key=key)


@pytest.mark.parametrize(
    ("value", "number"), [(0, 0), (3, 3), ("3", 3), (" 3 ", 3), (3.0, 3), ("0.05", 0.05), (0.05, 0.05), ("0", 0)]
)
def test_a_tolerance_is_a_count_or_a_fraction(value: Any, number: float) -> None:
    assert parsed(max_rejected=value).max_rejected == number


@pytest.mark.parametrize("value", [-1, 1.5, "1.5", "5%", "", None, True, "True", float("nan"), "inf", [], 10**400])
def test_anything_else_is_no_tolerance(value: Any) -> None:
    with pytest.raises(ConfigError, match="max_rejected is a count or a fraction below 1"):
        parsed(max_rejected=value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 1),
        ("max_in_flight", 1),
        ("request_attempts", 1),
        ("requests_per_second", 1e6),
        ("request_timeout", 600),
        ("max_wait", 86_400),
        ("plan_rows", 0),
        ("plan_rows", 1000),
    ],
)
def test_the_ends_of_a_range_are_in_it(name: str, value: Any) -> None:
    assert getattr(parsed(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("field_map", {"a": 1}),
        ("field_map", {"": "b"}),
        ("requests_per_second", float("nan")),
        ("requests_per_second", 1e6 + 0.5),
        ("request_attempts", 1.0),
        ("request_timeout", 0),
        ("request_timeout", float("inf")),
        ("max_wait", 0),
        ("max_wait", 86_401),
        ("plan_rows", 1001),
        ("plan_rows", False),
    ],
)
def test_what_lies_beyond_names_its_parameter(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is a"):
        parsed(**{name: value})


def test_the_users_limits_lie_over_the_vendors() -> None:
    assert parsed().limits(DEX) == DEX.limits
    mine = parsed(batch_size=7, max_in_flight=50, requests_per_second=0.5).limits(DEX)
    assert (mine.batch_size, mine.max_in_flight, mine.requests_per_second) == (7, 50, 0.5)
    assert mine.body_bytes == DEX.limits.body_bytes
    assert parsed(batch_size=DEX.limits.batch_size).limits(DEX) == DEX.limits
    with pytest.raises(ConfigError, match="batch_size is at most 100 for Dex, not 101"):
        parsed(batch_size=DEX.limits.batch_size + 1).limits(DEX)
