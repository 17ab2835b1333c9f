"""What a push tells Airflow beside its outcomes, seen where it arrives: UDP, Airflow's database, XCom, the log."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest
from airflow.sdk import DAG, Asset, AssetAlias, task_group

from airflow_provider_contacts import vendors
from airflow_provider_contacts.operators import PushContactsOperator, ReplayContactsOperator
from tests.airflow_harness import RUN, scope_of
from tests.support.airflow_fixtures import RunDag, SetConnections, begin_metrics
from tests.support.pushing import DEX, TABLED, World, people, push

Metrics = Callable[[], list[str]]
TAGS = ",vendor=dex,dag_id=d,task_id=push"
URI = "contacts://dex/127.0.0.1"
LINK = "_link_VendorDocumentationLink"
OUTCOMES = "_link_OutcomesLink"


def odd(count: int = 1) -> list[dict[str, Any]]:
    """Return records that are invalid."""
    return [{"key": f"odd{n}", "first_name": 7} for n in range(count)]


def counted(lines: list[str], tags: str = TAGS) -> dict[str, int]:
    """Return the counters among metrics by name; the one that is left is the duration."""
    *counters, duration = lines
    assert re.fullmatch(rf"contacts\.push\.duration{tags}:\d+\.\d+\|ms", duration)
    found = [re.fullmatch(rf"contacts\.([a-z.]+){tags}:(\d+)\|c", line) for line in counters]
    return {one[1]: int(one[2]) for one in found if one}


def events(world: World) -> list[Any]:
    """Return the asset events that the last try has asked for."""
    found: list[Any] = world.api.states[-1].get("outlet_events") or []
    return found


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


def test_metrics_count_what_each_execution_did(world: World, metrics: Metrics) -> None:
    op = push([*people(3), *odd()])
    assert world.run(op).state == "failed", "its metrics are sent all the same"
    expected = {"records.succeeded": 3, "records.invalid": 1, "requests": 1}
    assert counted(metrics()) == expected
    world.done(push([*people(3), *odd()], max_rejected=1), try_number=2)
    assert counted(metrics()) == {"records.skipped": 3, "records.invalid": 1, "requests": 0}


def test_a_task_that_comes_back_counts_what_it_did_until_then(world: World, metrics: Metrics) -> None:
    world.set(http_429="next:1", retry_after="3600")
    assert world.run(push([*people(2), *odd()], max_rejected=1)).state == "up_for_reschedule"
    assert counted(metrics()) == {"records.invalid": 1, "requests": 1}, "what is sent later has not failed"
    world.simulator.reset(knobs=True)
    world.done(push([*people(2), *odd()], max_rejected=1))
    assert counted(metrics()) == {"records.succeeded": 2, "records.invalid": 1, "requests": 1}


def refuse(stat: str, *_: Any, **__: Any) -> None:
    """Fail, but not at what Airflow itself counts."""
    if stat.startswith("contacts."):
        raise ConnectionError("p0@example.com")


def test_metrics_that_cannot_be_sent_end_no_push(world: World, caplog: pytest.LogCaptureFixture) -> None:
    begin_metrics(MagicMock(incr=refuse))
    try:
        world.done(push(people(2)))
    finally:
        begin_metrics()
    assert warnings(caplog) == ["The metrics of this task could not be sent: ConnectionError"]


def test_a_plan_sends_no_signal(world: World, metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    op = push([*people(3), *odd()], plan_only=True)
    assert world.done(op)["num_invalid"] == 1
    assert metrics() == []
    assert events(world) == []
    assert world.api.xcoms[scope_of(op), LINK] == ""
    assert op.delivery is None, "nothing for OpenLineage"
    assert warnings(caplog) == []


def test_a_push_that_fails_sends_no_event(world: World) -> None:
    world.run(push([*people(3), *odd()]))
    assert events(world) == []


def test_a_tolerated_partial_push_warns_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.done(push([*people(3), *odd(2)], max_rejected=2))
    assert warnings(caplog) == ["Of 5 records 2 invalid: tolerated, not delivered; first codes: wrong_type (2)"]


def test_what_earlier_runs_hold_is_told_apart(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.set(store_then_drop="next:1")
    world.done(push(people(2), max_unknown=2), run_id="one")
    world.simulator.reset(knobs=True)
    caplog.clear()
    world.done(push([*people(2), *people(1, 5)]), run_id="two")
    (warning,) = warnings(caplog)
    assert warning.startswith("Of 3 records 2 unknown (2 of earlier runs): tolerated, not delivered; first codes: ")


@pytest.mark.parametrize("given", [{}, {"max_rejected": 0}])
def test_a_whole_push_and_a_failed_one_do_not_warn(
    world: World, given: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    world.run(push([*people(2), *(odd() if given else [])], **given))
    assert warnings(caplog) == []


def stored_events() -> list[dict[str, Any]]:
    """Return the asset events in Airflow's database, oldest first."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(AssetEvent).order_by(AssetEvent.id)).all()
        return [
            {
                "alias": [alias.name for alias in one.source_aliases],
                "dag_id": one.source_dag_id,
                "map_index": one.source_map_index,
                "uri": one.asset.uri,
                "extra": one.extra,
            }
            for one in found
        ]


def test_an_event_arrives_in_airflows_database(world: World, run_dag: RunDag, set_connections: SetConnections) -> None:
    set_connections(world.api.connections)
    known = len(stored_events())
    for new in (1, 0):
        op = push([*people(3), *odd()], "signal_event", max_rejected=1)
        run = run_dag(op.dag)
        assert run.state == "success"
        event = stored_events()[-1]
        assert (event["alias"], event["uri"]) == (["contacts/signal_event/push"], URI)
        assert (event["dag_id"], event["map_index"]) == ("signal_event", -1)
        extra = event["extra"]
        assert extra["sync_run_id"] == f"signal_event/{run.run_id}/push/-1"
        assert (extra["status"], extra["num_succeeded"], extra["num_invalid"]) == ("partial", 3 * new, 1)
        assert set(map(type, extra.values())) == {str, int}
    assert len(stored_events()) == known + 2, "also of a push that had nothing new to send"


def test_a_replay_tells_as_much(world: World, metrics: Metrics) -> None:
    world.set(reject="email~p1@")
    sync_id = world.done(push(people(2), max_rejected=1))["sync_id"]
    assert counted(metrics())["records.rejected"] == 1
    world.simulator.reset(knobs=True)
    with DAG("d", schedule=None):
        op = ReplayContactsOperator(
            task_id="again", sync_id=sync_id, contacts_conn_id="dex_default", outcomes_conn_id="outcomes"
        )
    world.done(op)
    assert counted(metrics(), TAGS.replace("push", "again")) == {"records.succeeded": 1, "requests": 1}
    (event,) = events(world)
    assert (event["source_alias_name"], event["extra"]["num_succeeded"]) == ("contacts/d/again", 1)
    assert world.api.xcoms[scope_of(op), LINK] == vendors.load("dex").docs_url


def mapped(dag_id: str, **given: Any) -> Any:
    with DAG(dag_id, schedule=None) as dag:
        parts = PushContactsOperator.partial(**DEX, **given).expand(records=[people(2), people(2, 5)])
    return dag, parts


def test_a_mapped_task_sends_events_if_its_outlets_say_so(
    world: World, run_dag: RunDag, set_connections: SetConnections
) -> None:
    set_connections(world.api.connections)
    known = len(stored_events())
    assert run_dag(mapped("signal_mapped")[0]).state == "success"
    assert len(stored_events()) == known
    alias = AssetAlias("contacts/signal_outlets/push")
    assert run_dag(mapped("signal_outlets", outlets=[alias])[0]).state == "success"
    new = stored_events()[known:]
    seen = sorted((one["map_index"], one["uri"], one["extra"]["num_succeeded"]) for one in new)
    assert seen == [(0, URI, 2), (1, URI, 2)]


def test_the_alias_is_the_default_of_outlets() -> None:
    own = Asset("mine")
    assert push([], "d").outlets == [AssetAlias("contacts/d/push")]
    assert push([], "d", outlets=[own]).outlets == [own]
    assert push([], "d", outlets=[]).outlets == []
    assert mapped("d")[1].outlets == []
    with DAG("d", schedule=None, default_args={"outlets": [own]}):
        assert PushContactsOperator(**TABLED, records=[]).outlets == [own]


def test_a_task_of_a_group_is_named_with_it_and_of_a_mapped_group_has_none() -> None:
    @task_group
    def group(records: Any) -> None:
        PushContactsOperator(**TABLED, records=records)

    with DAG("d", schedule=None) as dag:
        group([])
    assert dag.get_task("group.push").outlets == [AssetAlias("contacts/d/group.push")]
    with DAG("d", schedule=None) as dag:
        group.expand(records=[[], []])
    assert dag.get_task("group.push").outlets == []


@pytest.mark.parametrize("fails", [False, True])
def test_the_links_lead_to_the_runs_page_and_the_vendors_documentation(world: World, fails: bool) -> None:
    op = push([*people(1), *(odd() if fails else [])])
    world.run(op)
    assert world.api.xcoms[scope_of(op), LINK] == vendors.load("dex").docs_url
    page = f"contacts/dags/d/task?run_id={RUN}&task_id=push&map_index=-1"
    assert world.api.xcoms[scope_of(op), OUTCOMES] == page


def test_the_links_of_a_mapped_task_that_cannot_be_built_are_empty(world: World) -> None:
    with DAG("d", schedule=None):
        op = PushContactsOperator.partial(**TABLED).expand(records=[people(1)], on_unknown=["retry"])
    assert world.run(op, map_index=0).state == "failed"
    assert {world.api.xcoms[scope_of(op, map_index=0), one] for one in (LINK, OUTCOMES)} == {""}


def test_nobody_is_in_a_signal(world: World, metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    person = "personcanary"
    records = [{"key": f"{person}-{n}", "first_name": person, "email": f"{person}{n}@example.com"} for n in range(3)]
    world.set(reject=f"email~{person}1")
    op = push([*records, {"key": f"{person}-odd", "first_name": 5, "email": person}], max_rejected=4)
    summary = world.done(op)
    assert summary["num_undelivered"] == 2
    (event,) = events(world)
    texts = [*metrics(), *warnings(caplog), json.dumps(event), world.api.xcoms[scope_of(op), LINK], str(op.delivery)]
    assert len(texts) >= 8
    assert [text for text in texts if person in text] == []
