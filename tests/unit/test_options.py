"""What may be said of one push."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.task.options import PushOptions

DEX = vendors.load("dex")


def push_options(values: Mapping[str, Any]) -> PushOptions:
    options = PushOptions(**values)
    options.check()
    return options


@pytest.mark.parametrize(("key", "columns"), [(None, ()), ("a", ("a",)), (["a", "b"], ("a", "b")), (("a",), ("a",))])
def test_a_key_is_a_name_or_several(key: Any, columns: tuple[str, ...]) -> None:
    assert push_options({"sync_key": key}).key_columns() == columns


@pytest.mark.parametrize("key", ["", [], [""], ["a", "a"], [1], 5, {"a": 1}, b"a"])
def test_anything_else_is_no_key(key: Any) -> None:
    with pytest.raises(ConfigError, match="sync_key"):
        push_options({"sync_key": key})


@pytest.mark.parametrize(
    "given",
    [
        {"field_map": {"a": 1}},
        {"field_map": {"": "b"}},
        {"max_in_flight": True},
        {"batch_size": "5"},
        {"requests_per_second": float("nan")},
        {"requests_per_second": -1},
        {"request_attempts": 0},
        {"request_timeout": 0},
        {"request_timeout": float("inf")},
        {"max_wait": None},
        {"max_wait": 86_401},
    ],
)
def test_a_value_out_of_range_names_its_option(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(ConfigError, match=name):
        push_options(given)


@pytest.mark.parametrize("word", ["hold", "reconcile", "resend"])
def test_each_word_for_a_doubt_is_taken(word: str) -> None:
    assert push_options({"on_unknown": word}).on_unknown == word


def test_the_users_limits_lie_over_the_vendors() -> None:
    assert push_options({}).limits(DEX) == DEX.limits
    mine = push_options({"batch_size": 7, "max_in_flight": 50, "requests_per_second": 0.5}).limits(DEX)
    assert (mine.batch_size, mine.max_in_flight, mine.requests_per_second) == (7, 50, 0.5)
    assert mine.body_bytes == DEX.limits.body_bytes


def test_a_batch_larger_than_the_vendor_takes_is_refused() -> None:
    assert push_options({"batch_size": DEX.limits.batch_size}).limits(DEX) == DEX.limits
    with pytest.raises(ConfigError, match="batch_size is at most 100 for Dex"):
        push_options({"batch_size": DEX.limits.batch_size + 1}).limits(DEX)


@pytest.mark.parametrize(
    ("task", "stated", "used"), [(None, None, 60), (None, 5.0, 5), (30.0, 5.0, 30), (60.0, 5.0, 60)]
)
def test_the_task_over_the_connection(task: float | None, stated: float | None, used: float) -> None:
    assert PushOptions(request_timeout=task).timeout(stated) == used


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"unmapped": "drop"}, "unmapped is one of ['error', 'ignore']"),
        ({"on_unknown": "retry"}, "on_unknown is one of ['hold', 'reconcile', 'resend']"),
        ({"batch_size": 0}, "batch_size is a whole number of at least 1, or None for the vendor's own"),
        ({"request_attempts": 1.0}, "request_attempts is a whole number of at least 1"),
        ({"requests_per_second": 0}, "requests_per_second is a number above 0, or None for the vendor's own"),
        ({"requests_per_second": 1e6 + 0.5}, "requests_per_second is a number above 0, or None for the vendor's own"),
        (
            {"request_timeout": 600.5},
            "request_timeout is a number of seconds above 0, 600 at most, or None for the connection's own",
        ),
        ({"max_wait": 0}, "max_wait is a number of seconds above 0, 86400 at most"),
        ({"field_map": []}, "field_map is a mapping of source columns to vendor fields, both texts"),
        ({"sync_key": []}, "sync_key is a column name, a list of different column names, or None"),
        ({"sync_key": {"a"}}, "sync_key is a column name, a list of different column names, or None"),
    ],
)
def test_an_option_out_of_range_is_told_its_range(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        push_options(given)
    (value,) = given.values()
    shown = repr(value) if not isinstance(value, list | set) else f"a {type(value).__name__}"
    assert str(caught.value) == f"{said}, not {shown}"


@pytest.mark.parametrize(
    "given",
    [
        {"unmapped": "ignore"},
        {"batch_size": 1},
        {"max_in_flight": 1},
        {"request_attempts": 1},
        {"requests_per_second": 1e6},
        {"request_timeout": 600},
        {"max_wait": 86_400},
    ],
)
def test_the_ends_of_a_range_are_in_it(given: dict[str, Any]) -> None:
    ((name, value),) = given.items()
    assert getattr(push_options(given), name) == value
