"""Lost answers settled by reading the vendor back, in tasks against simulated vendors."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.pushing import World, callees, people
from tests.support.pushing import push as push_records

COUNT = 12
BATCHES = {"intermezzo": 4, "nedzo": 1, "dex": 4, "apptoto": 4, "talkdesk": 4}
READABLE = [name for name in BATCHES if name != "nedzo"]


def rows(vendor: str, count: int = COUNT) -> list[dict[str, Any]]:
    """Return records with every kind of field that the vendor shows when it is read back."""
    match vendor:
        case "talkdesk":
            return callees(count)
        case "dex":
            return [{**row, "phone_number": f"+4930123{n:04}"} for n, row in enumerate(people(count))]
        case "apptoto":
            return [{**row, "last_name": "Last", "phone": f"+1555010{n:04}"} for n, row in enumerate(people(count))]
        case "intermezzo":
            return [{**row, "last_name": f"Last{n}"} for n, row in enumerate(people(count))]
        case _:
            return people(count)


def push(world: World, vendor: str, records: list[dict[str, Any]], **parameters: Any) -> Any:
    found = world.api.connections[f"{vendor}_default"]
    if vendor != "nedzo":  # it has no reads, and so no such setting
        world.connect(f"{vendor}_default", extra={**found.get("extra", {}), "reconcile_delay": 0.2})
    given: dict[str, Any] = {"on_unknown": "reconcile", "request_timeout": 2.0, "requests_per_second": 200.0}
    given |= {"contacts_conn_id": f"{vendor}_default", "batch_size": BATCHES[vendor]}
    return push_records(records, **{**given, **parameters})


def times(world: World, vendor: str) -> list[int]:
    """Return how often each contact exists."""
    stored = [repr(sorted(one.items())) for one in world.stored(vendor)]
    return sorted(stored.count(one) for one in set(stored))


def check(world: World, vendor: str) -> None:
    """Check that every record is there once, under the id that the table has for it."""
    assert set(world.statuses().values()) == {"succeeded"}
    assert times(world, vendor) == [1] * COUNT
    ids = {str(one.id) for one in world.simulator.vendors[vendor].stored}
    assert {row["destination_record_id"] for row in world.query("SELECT * FROM contact_outcomes")} == ids


@pytest.mark.parametrize("vendor", READABLE)
@pytest.mark.parametrize("fault", ["store_then_drop", "close_before_store"])
@pytest.mark.parametrize("earlier", [False, True], ids=["this try", "an earlier run"])
def test_a_lost_answer_is_settled_before_the_try_ends(world: World, vendor: str, fault: str, earlier: bool) -> None:
    world.simulator.set(f"{vendor}.{fault}", "next:1")
    if earlier:
        held = push(world, vendor, rows(vendor), on_unknown="hold")
        assert world.run(held).state == "failed"
        assert world.summary(held)["num_unknown"] == BATCHES[vendor]
    before = world.sent(vendor)
    world.done(push(world, vendor, rows(vendor)), run_id="another")
    check(world, vendor)
    if earlier:
        assert world.sent(vendor) - before == (0 if fault == "store_then_drop" else 1)


@pytest.mark.parametrize("vendor", ["dex", "nedzo"])  # whose reads fail, and that has none
def test_a_vendor_that_cannot_be_read_back_holds(world: World, vendor: str) -> None:
    op = push(world, vendor, rows(vendor), request_attempts=2)
    world.simulator.update({f"{vendor}.store_then_drop": "next:1", "dex.read.http_500": "always"})
    assert world.run(op).state == "failed"
    summary = world.summary(op)
    assert (summary["num_unknown"], summary["num_succeeded"]) == (BATCHES[vendor], COUNT - BATCHES[vendor])
    assert times(world, vendor) == [1] * COUNT


def test_without_a_table_the_task_state_store_will_do(world: World) -> None:
    op = push(world, "dex", rows("dex"), outcomes_conn_id=None)
    world.simulator.set("dex.store_then_drop", "next:1")
    assert world.run(op).state == "success"
    assert times(world, "dex") == [1] * COUNT
