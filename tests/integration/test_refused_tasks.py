"""Tasks that cannot be right fail for good before anything is sent. Every literal: ``test_operator_parameters``."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_contacts.operators import PushContactsOperator
from tests.support.pushing import TABLED, World, people, push, sql_push

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "field": ({"field_map": {"mail": "e_mail"}}, "field_map names no field of Dex"),
    "destination": ({"destination": {"list": 1}}, "unknown keys ['list'] in destination"),
    "no connection": ({"contacts_conn_id": "nobody"}, "there is no connection 'nobody'"),
    "foreign": ({"contacts_conn_id": "warehouse"}, "has the type 'sqlite'; contacts go to one of"),
    "no table": ({"outcomes_conn_id": "nobody"}, "outcomes_conn_id: there is no connection 'nobody'"),
    "no SQL": ({"outcomes_conn_id": "dex_default"}, "outcomes_conn_id: connection 'dex_default' is no SQL connection"),
    # An installed package for it would not help.
    "a type that holds no table": (
        {"outcomes_conn_id": "odd"},
        "has the type 'no_such_type'; the outcome table needs one of ['sqlite', 'postgres', 'mysql']",
    ),
    "no file": ({"outcomes_conn_id": "memory"}, "sqlite:///:memory:) cannot be used"),
    "long sync_id": ({"sync_id": "{{ 's' * 513 }}"}, "sync_id has at most 512 characters"),
    **{
        f"template of {name}": ({name: "{{ '' if params.get('none') else ' ? ' }}"}, name)
        for name in ("max_rejected", "max_unknown", "plan_only", "destination", "contacts_conn_id")
    },
}


@pytest.mark.parametrize(
    ("case", "plan_only"),
    [*((case, False) for case in WRONG), *((case, True) for case in ("field", "no SQL", "no file"))],
)
def test_a_wrong_parameter(world: World, case: str, plan_only: bool) -> None:
    changed, text = WRONG[case]
    world.connect("odd", conn_type="no_such_type")
    world.connect("memory", conn_type="sqlite", host=":memory:")
    world.connect("dex_default", extra={})
    assert text in world.refused(push(people(1), **{"plan_only": plan_only, **changed}))
    assert world.sent() == 0


def test_a_mapped_value(world: World) -> None:
    with DAG("d", schedule=None):
        mapped = PushContactsOperator.partial(**TABLED, records=people(1)).expand(on_unknown=["hold", "retry"])
    world.done(mapped, map_index=0)
    result = world.run(mapped, map_index=1)
    assert result.state == "failed"
    assert "on_unknown is one of" in str(result.error)


# Every other one: ``test_column_check`` and ``test_sources``.
BAD_SQL: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown column": ("SELECT key, email, 1 AS shoe FROM people", {}, "columns ['shoe'] are no fields of Dex"),
    "no mapped": ("SELECT * FROM people", {"field_map": {"mail": "email"}}, "field_map names columns ['mail']"),
    "two columns": ("SELECT key, key FROM people", {}, "more than one column named 'key'"),
    "a write": ("DELETE FROM people", {}, "begins with DELETE"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_SQL)
def test_a_wrong_query(world: World, case: str) -> None:
    world.fill(people(3))
    query, changed, text = BAD_SQL[case]
    assert text in world.refused(sql_push(query, **changed))
    assert world.sent() == 0
    # The run's row says so too: one that is still running would look like a dead worker.
    ((_, _, status),) = world.runs()
    assert status == "aborted"


def test_a_wrong_source_connection_is_named(world: World) -> None:
    assert "sql_conn_id: there is no connection 'nobody'" in world.refused(sql_push(sql_conn_id="nobody"))


# Every other one: ``test_connection`` and ``test_preflight``.
BAD_CONNECTIONS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "extra": ("dex", {"extra": {"tokn_url": 1}}, {}, "unknown keys ['tokn_url'] in the extra"),
    "no JSON": ("dex", {"extra": "{"}, {}, "is no JSON object"),
    "an unknown book": ("apptoto", {}, {"address_book": "Typo"}, "address book"),
    "a list that is a path": ("talkdesk", {}, {"record_list_id": ".."}, "record_list_id must be an id"),
}


@pytest.mark.parametrize("case", BAD_CONNECTIONS)
def test_a_wrong_connection(world: World, case: str) -> None:
    vendor, changed, destination, text = BAD_CONNECTIONS[case]
    world.connect(f"{vendor}_default", **changed)
    op = push([{"key": "a", "email": "a@example.com"}], contacts_conn_id=f"{vendor}_default", destination=destination)
    assert text in world.refused(op)
    assert world.sent(vendor) == 0
    assert not (world.folder / "outcomes.db").exists(), "it was found out before anything was opened"


def test_many_records_without_a_table(world: World) -> None:
    op = push([{"email": "x"}] * 20_001, sync_key=None, outcomes_conn_id=None)
    assert "set outcomes_conn_id" in world.refused(op)
    assert world.sent() == 0
