"""What Airflow stores of a DAG and of its tasks shows no record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from airflow.sdk import DAG, task, task_group

from airflow_provider_contacts.operators import PushContactsOperator, SettleContactsOperator
from tests.airflow_harness import scope_of
from tests.support.pushing import World, push

CANARY = "canary@example.com"
PUSH: dict[str, Any] = {"task_id": "t", "contacts_conn_id": "dex_default", "sync_key": "key", "retries": 3}
SETTLE: dict[str, Any] = {
    "task_id": "t", "sync_id": "s", "verdict": "succeeded", "settled_by": "ada", "outcomes_conn_id": "outcomes",
}  # fmt: skip
ROWS = [{"key": CANARY, "email": CANARY}]
IDS: list[Any] = [
    {CANARY: "id-1"},
    {CANARY: "{{ 'id-1' }}"},
    json.dumps({CANARY: "id-1"}),
    "{{ {'" + CANARY + "': 'id-1'} | tojson }}",
]


def stored(dag: Any) -> str:
    """Return a DAG as Airflow's database has it."""
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    data = LazyDeserializedDAG.from_dag(dag)
    assert data.data
    return json.dumps(data.data)


def plain(kind: Any, given: Mapping[str, Any], records: Any) -> Any:
    return kind(**given, records=records)


def fixed(kind: Any, given: Mapping[str, Any], records: Any) -> Any:
    return kind.partial(**given, records=records).expand(outcomes_table=["one", "other"])


def expanded(kind: Any, given: Mapping[str, Any], records: Any) -> Any:
    return kind.partial(**given).expand(records=[records, records])


def expanded_with_others(kind: Any, given: Mapping[str, Any], records: Any) -> Any:
    return kind.partial(**given).expand_kwargs([{"records": records, "outcomes_table": name} for name in ("a", "b")])


Form = Callable[[Any, Mapping[str, Any], Any], Any]
FORMS: list[Form] = [plain, fixed, expanded, expanded_with_others]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("kind", "given", "records"),
    [(PushContactsOperator, PUSH, ROWS), *((SettleContactsOperator, SETTLE, ids) for ids in IDS)],
    ids=["push", "ids", "a template in them", "text", "a template"],
)
def test_a_stored_dag_shows_no_record(form: Form, kind: Any, given: Mapping[str, Any], records: Any) -> None:
    with DAG("d", schedule=None) as dag:
        op = form(kind, given, records)
    text = stored(dag)
    assert "canary" not in text
    assert "(records)" in text
    assert op.task_id == "t"
    assert "canary" not in repr(op)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ids", IDS, ids=["ids", "a template in them", "text", "a template"])
def test_hidden_records_are_settled_as_they_are(
    world: World, form: Form, ids: Any, said: Callable[[], list[str]]
) -> None:
    world.simulator.set("dex.store_then_drop", "next:1")
    table = {"fixed": "one", "expanded_with_others": "a"}.get(form.__name__, "contact_outcomes")
    world.done(push(ROWS, **PUSH, sync_id="s", outcomes_table=table, max_unknown=9), run_id=table)
    with DAG("d", schedule=None):
        op = form(SettleContactsOperator, SETTLE, ids)
    index = -1 if form is plain else 0
    assert world.run(op, map_index=index).error is None
    (row,) = world.query(f"SELECT * FROM {table}")
    assert (row["status"], row["destination_record_id"]) == ("succeeded", "id-1")
    rendered = world.api.rendered[scope_of(op, map_index=index)]
    assert rendered["records"] == "(records)"
    shown = [json.dumps(rendered), json.dumps(world.api.xcoms[scope_of(op, map_index=index), "return_value"])]
    assert [text for text in [*shown, *said()] if "canary" in text] == []


@pytest.mark.parametrize("form", FORMS)
def test_hidden_records_are_pushed_as_they_are(world: World, form: Form) -> None:
    given = {**PUSH, "outcomes_conn_id": "outcomes"}
    with DAG("d", schedule=None):
        op = form(PushContactsOperator, given, [{"key": CANARY, "first_name": "{{ 1 }}"}])
    assert world.run(op, map_index=-1 if form is plain else 1).error is None
    assert [one["first_name"] for one in world.stored()] == ["{{ 1 }}"]
    (rendered,) = world.api.rendered.values()
    assert rendered["records"] == "(records)"
    assert CANARY not in json.dumps(rendered)


def test_an_upstreams_output_is_seen_in_whatever_form_it_is_given() -> None:
    def upstream() -> Any:
        return task(task_id="up")(lambda: 1)()

    with DAG("d", schedule=None):
        assert SettleContactsOperator(**SETTLE, records={CANARY: upstream()}).upstream_task_ids == {"up"}
    with DAG("d", schedule=None):
        mapped = SettleContactsOperator.partial(**SETTLE).expand(records=[upstream(), {CANARY: "1"}])
        assert mapped.upstream_task_ids == {"up"}
    with DAG("d", schedule=None) as dag:
        mapped = PushContactsOperator.partial(**PUSH, records=upstream()).expand(outcomes_table=["a"])
        assert mapped.upstream_task_ids == {"up"}
    assert "up" in stored(dag)


@pytest.mark.filterwarnings("ignore:Task .* was never mapped")
@pytest.mark.parametrize("kind", [PushContactsOperator, SettleContactsOperator])
def test_what_airflow_could_not_see_any_more_is_refused_when_the_dag_is_parsed(kind: Any) -> None:
    given = PUSH if kind is PushContactsOperator else SETTLE
    with DAG("d", schedule=None):
        upstream = task(task_id="up")(lambda: 1)()
        with pytest.raises(ValueError, match="give one output"):
            kind.partial(**given, records={"a": upstream})
        if kind is PushContactsOperator:
            with pytest.raises(ValueError, match="give one output"):
                kind(**given, records=[upstream])
        with pytest.raises(ValueError, match="give a list"):
            kind.partial(**given).expand(records={"a": "b"})


def test_what_an_upstream_gives_is_no_template(world: World) -> None:
    world.simulator.set("dex.store_then_drop", "next:1")
    name = "{{ 1 + 1 }}"
    world.done(push([{"key": name, "email": "a@x.yz"}], **PUSH, sync_id="s", max_unknown=9))
    with DAG("d", schedule=None):
        output = task(task_id="up")(lambda: 1)()
        op = SettleContactsOperator.partial(**{**SETTLE, "task_id": "u"}).expand(records=output)
    world.api.xcoms[("d", "run", "up", -1), "return_value"] = [{name: "{{ 2 + 2 }}"}]
    assert world.run(op, map_index=0).error is None
    assert world.one("SELECT destination_record_id FROM contact_outcomes") == "{{ 2 + 2 }}"


def test_records_of_a_mapped_task_group_are_read() -> None:
    @task_group
    def each(rows: Any) -> None:
        PushContactsOperator(**PUSH, records=rows)

    with DAG("d", schedule=None) as dag:
        each.expand(rows=task(task_id="up")(lambda: 1)())
    op: Any = dag.task_dict["each.t"]
    assert op.upstream_task_ids == {"up"}
    assert op.records.__class__.__name__ != "str", "Airflow resolves it"
