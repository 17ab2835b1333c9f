"""Parameters of a task, as templates leave them."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.sources import rows_of_records
from airflow_provider_contacts.task.options import PushOptions
from airflow_provider_contacts.task.parameters import Checked, TaskPlan, check


def checked(**values: Any) -> Checked:
    given: dict[str, Any] = {
        "contacts_conn_id": "dex_default",
        "destination": None,
        "options": PushOptions(),
        "outcomes_conn_id": None,
        "outcomes_table": "contact_outcomes",
        "create_tables": True,
        "sync_id": None,
        "max_rejected": 0,
        "max_unknown": 0,
        "store_payload": "undelivered",
        "xcom_outcomes": "auto",
        "plan_only": False,
        "rows": lambda: rows_of_records([]),
        "source_conn_id": None,
    }
    return check(TaskPlan(**(given | values)))


def test_empty_texts_mean_absent() -> None:
    found = checked(outcomes_conn_id=" ", sync_id="")
    assert (found.outcomes_conn_id, found.sync_id) == (None, None)
    # Without a table, so auto is what it would be without one.
    assert found.xcom_outcomes == "auto"
    assert checked(outcomes_conn_id="db").xcom_outcomes == "none"
    assert checked(outcomes_conn_id="db", xcom_outcomes="all").xcom_outcomes == "all"


@pytest.mark.parametrize(
    ("value", "truth"), [(True, True), (False, False), ("True", True), ("false", False), (" FALSE\n", False)]
)
def test_truth_is_strict(value: Any, truth: bool) -> None:
    assert checked(plan_only=value, create_tables=value).plan_only is truth


@pytest.mark.parametrize("name", ["plan_only", "create_tables"])
@pytest.mark.parametrize("value", ["maybe", "1", "0", "", None, 0, 1, "None"])
def test_anything_else_is_not_taken_for_true_or_false(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name} is true or false"):
        checked(**{name: value})


@pytest.mark.parametrize("name", ["contacts_conn_id", "outcomes_table"])
def test_what_must_be_there_must_be_there(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} must not be empty"):
        checked(**{name: " "})


@pytest.mark.parametrize("name", ["contacts_conn_id", "outcomes_conn_id", "outcomes_table", "sync_id"])
def test_a_text_is_a_text(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is a text"):
        checked(**{name: 5})
