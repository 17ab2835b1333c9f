"""``plan_only``: everything is checked and counted, nothing is sent and nothing is remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_contacts.outcome import digest_of
from tests.support.by_hand import change
from tests.support.pushing import World, file_push, people, push, sql_push

BAD = {"key": "bad", "email": "none"}


def test_a_plan_counts_what_a_push_then_does(world: World) -> None:
    world.done(push([*people(3), {"key": "lost", "email": "l@example.com"}]), run_id="first")
    change(world, "lost", status="'unknown'")
    changed = {**people(1)[0], "first_name": "New"}
    records = [changed, *people(40, start=1), *people(2), {"key": "lost", "email": "l@example.com"}, BAD, BAD]
    # In chunks of 100, so that copies meet in different ones too.
    records = [*records, *people(100, start=41), BAD, *people(1, start=41)]
    parameters: dict[str, Any] = {"batch_size": 10, "max_in_flight": 1, "max_rejected": 5}
    before = world.query("SELECT * FROM contact_outcomes ORDER BY 1, 2"), world.runs(), world.sent()
    planned = world.done(push(records, **parameters, plan_only=True), run_id="second")
    assert (world.query("SELECT * FROM contact_outcomes ORDER BY 1, 2"), world.runs(), world.sent()) == before
    done = world.done(push(records, **parameters), run_id="second")
    same = ("num_planned", "num_requests", "num_skipped", "num_duplicate", "num_invalid", "num_changed", "num_held")
    assert {name: planned[name] for name in same} == {name: done[name] for name in same}
    assert planned["num_to_send"] == done["num_succeeded"] == 138
    assert (done["num_duplicate"], done["num_changed"], done["num_held"]) == (3, 1, 1)
    assert set(planned) == set(done) | {"num_to_send", "num_new", "estimated_minutes"}


@pytest.mark.parametrize("how", ["digest", "clear"])
def test_a_plan_lists_the_first_keys_of_each_kind(world: World, how: str) -> None:
    world.set(http_429="next:1")
    world.run(push(people(1, start=8), request_attempts=1), run_id="first")
    world.done(push(people(1)), run_id="second")
    listing: dict[str, Any] = {"plan_only": True, "plan_rows": 3, "plan_identifiers": how}
    op = push([*people(9), BAD], **listing, batch_size=2, requests_per_second=0.1)
    summary = world.done(op, run_id="third")
    show = digest_of if how == "digest" else str
    assert summary["plan"] == {
        "new": [show(f"p{n}") for n in (1, 2, 3)],
        "again": [show("p8")],
        "skipped": [show("p0")],
        "invalid": [show("bad")],
    }
    assert (summary["num_to_send"], summary["num_new"], summary["num_requests"]) == (8, 7, 4)
    # 4 requests, one in ten seconds.
    assert summary["estimated_minutes"] == 0.67


def test_a_plan_says_what_a_push_would_do(world: World, said: Callable[[], list[str]]) -> None:
    world.connect("dex_default", extra={"allow_http": True, "rate_limit_conn_id": "rates", "requests_per_second": 0.5})
    summary = world.done(push([*people(5), BAD], plan_only=True, batch_size=1))
    assert summary["estimated_minutes"] == 0.18, "five requests at the rate that the account's tasks share"
    told = (
        "Plan only, nothing was sent: of 6 records a push would send 5 (5 new) in 5 requests, about 0.18 min, "
        "invalid 1; first codes: invalid_email (1)"
    )
    assert any(told in text for text in said())


@pytest.mark.parametrize("source", ["a query", "a file"])
def test_a_plan_of_another_source_does_nothing_either(world: World, source: str) -> None:
    rows = [*people(3), {**people(1)[0], **BAD}, *people(1)]
    world.fill(rows)
    file = world.folder / "people.csv"
    file.write_text("\n".join(",".join(one) for one in (rows[0], *(row.values() for row in rows))), "utf-8")

    def task(**parameters: Any) -> Any:
        given: dict[str, Any] = {"plan_rows": 9, "max_rejected": 1, **parameters}
        return sql_push(**given) if source == "a query" else file_push(file, **given)

    planned = world.done(task(plan_only=True))
    assert (world.sent(), world.query("SELECT name FROM sqlite_master")) == (0, [])
    done = world.done(task(), run_id="then")
    assert (planned["num_planned"], planned["num_to_send"], planned["num_new"]) == (5, 3, 3)
    assert {kind: len(keys) for kind, keys in planned["plan"].items()} == {"new": 3, "invalid": 1, "duplicate": 1}
    assert (done["num_planned"], done["num_succeeded"], done["num_requests"]) == (5, 3, planned["num_requests"])


def test_a_plan_creates_no_table_and_lists_nothing_unless_asked(world: World) -> None:
    summary = world.done(push(people(3), plan_only=True))
    assert (summary["num_to_send"], "plan" in summary) == (3, False)
    assert world.query("SELECT name FROM sqlite_master") == []
    assert "CREATE TABLE missing" in world.refused(
        push(people(1), outcomes_table="missing", create_tables=False, plan_only=True)
    )


def test_a_plan_without_outcomes_conn_id_counts_too(world: World, caplog: pytest.LogCaptureFixture) -> None:
    summary = world.done(push([*people(3), *people(1)], outcomes_conn_id=None, plan_only=True, batch_size=2))
    assert (summary["num_planned"], summary["num_to_send"], summary["num_requests"]) == (4, 3, 2)
    assert (summary["num_duplicate"], "outcomes" in summary) == (1, False)
    assert not any("the memory ends with the dag run" in text for text in caplog.messages)


@pytest.mark.parametrize("has_store", [True, False])
def test_a_plan_is_tried_again_where_nothing_remembers_the_first_try(world: World, *, has_store: bool) -> None:
    if not has_store:
        world.api.refuse = lambda call: 403 if call.path[0] == "store" else None
    summary = world.done(push(people(3), outcomes_conn_id=None, plan_only="{{ 'True' }}"), 2)
    assert (summary["num_to_send"], world.sent()) == (3, 0)
    # It has left nothing from which a push could take that nothing was sent.
    assert world.run(push(people(3), outcomes_conn_id=None), 3).error is not None
    assert world.sent() == 0
