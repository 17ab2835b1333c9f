"""The vendor gives one id to two records, in one answer or in two: neither more than one of them has it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_contacts.engine.memory_ledger import MemoryLedger
from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.outcome import Status
from airflow_provider_contacts.records.vendor_ids import MOST_IDS, VendorIds
from airflow_provider_contacts.vendor_kit.vendor import Created, Doubt, Limits, Replies
from tests.support.fake_vendor import ALONE, APPLIED_AND_LOST, LOST, READABLE, Deed, FakeLedger, World, first, names

SAME = Deed(edit=lambda rows: [{**row, "id": "id-n0"} for row in rows])
"""The vendor stores what it gets, and says that it is the first contact."""


def outcomes(pushed: Any) -> list[tuple[str, str | None, str | None]]:
    found = sorted(pushed.outcomes, key=lambda one: one.row_index)
    return [(one.status.value, one.error_code, one.destination_record_id) for one in found]


@pytest.mark.parametrize("with_table", [True, False])
def test_the_later_record_is_in_doubt_and_the_first_keeps_its_id(with_table: bool) -> None:
    world = World(first(Deed(), SAME))
    ledger: Ledger = FakeLedger(world.table) if with_table else MemoryLedger("t")
    pushed = world.push(names(3), limits=ALONE, ledger=ledger)
    assert outcomes(pushed) == [
        ("succeeded", None, "id-n0"),
        ("unknown", "id_twice", "id-n0"),
        ("succeeded", None, "id-n2"),
    ]
    assert pushed.outcomes[1].status_message is not None
    if with_table:
        assert world.table.statuses() == {"n0": "succeeded", "n1": "unknown", "n2": "succeeded"}
        later = world.push(names(3), limits=ALONE, run="run-2")
        assert later.counts() == {"skipped": 2, "unknown": 1}


def test_many_in_flight_have_one_holder() -> None:
    world = World(lambda _index, _sent: SAME)
    pushed = world.push(names(6), limits=Limits(batch_size=1, max_in_flight=6))
    assert pushed.counts() == {"succeeded": 1, "unknown": 5}


def test_a_vendor_that_says_nothing_else_is_left_alone() -> None:
    world = World(lambda _index, _sent: SAME)
    pushed = world.push(names(60), limits=ALONE)
    assert pushed.counts() == {"succeeded": 1, "unknown": 20, "failed": 39}


def test_two_of_one_answer_are_both_in_doubt() -> None:
    world = World(first(Deed(edit=lambda rows: [{**row, "id": "x" if row["at"] < 2 else "y"} for row in rows])))
    assert outcomes(world.push(names(3))) == [
        ("unknown", "id_twice", "x"),
        ("unknown", "id_twice", "x"),
        ("succeeded", None, "y"),
    ]


def test_a_record_that_is_sent_again_may_be_given_its_own_id() -> None:
    ids = VendorIds()
    ids.give("1", "a")
    assert ids.sift(Replies.of([Created("1")]), ["a"]) == Replies.of([Created("1")])


def test_no_id_is_no_id_twice() -> None:
    assert VendorIds().sift(Replies.of([Created(), Created()]), ["a", "b"]) == Replies.of([Created(), Created()])


def test_the_oldest_id_is_forgotten_first() -> None:
    ids = VendorIds(most=2)
    for number in "123":
        assert ids.sift(Replies.of([Created(number)]), [f"record {number}"]) == Replies.of([Created(number)])
    assert [type(one) for one in ids.sift(Replies.of([Created("3"), Created("2")]), ["x", "y"])] == [Doubt, Doubt]
    assert ids.sift(Replies.of([Created("1")]), ["z"]) == Replies.of([Created("1")])
    assert MOST_IDS == 10_000


def test_the_case_of_a_uuid_says_nothing_and_that_of_another_id_may() -> None:
    ids = VendorIds()
    ids.give("0b5c9d8e-1f2a-4b3c-8d4e-5f6a7b8c9d0e", "a")
    ids.give("aB", "b")
    [reply] = ids.sift(Replies.of([Created("0B5C9D8E-1F2A-4B3C-8D4E-5F6A7B8C9D0E")]), ["c"])
    assert isinstance(reply, Doubt)
    assert ids.sift(Replies.of([Created("Ab")]), ["c"]) == Replies.of([Created("Ab")])


# Read-back.


def test_an_id_found_by_reading_is_held_too() -> None:
    # n0 is found by reading, as id-n0, and its doubt is over before n1 is sent.
    world = World(first(APPLIED_AND_LOST))
    world.push(names(1), vendor=READABLE)
    world.later()
    world.server.script = lambda _index, _sent: SAME
    pushed = world.push(names(2), vendor=READABLE, limits=ALONE, on_unknown="reconcile", run="run-2")
    found = {one.record_identifier: one for one in pushed.outcomes}
    assert (found["n0"].status, found["n0"].destination_record_id) == (Status.SUCCEEDED, "id-n0")
    # And that one is looked for in its turn, and is another contact.
    assert (found["n1"].status, found["n1"].destination_record_id) == (Status.SUCCEEDED, "id-n1")
    assert world.server.created() == {"n0": 1, "n1": 1}


def test_a_reading_gives_no_record_an_id_that_another_one_holds() -> None:
    # Two records of one content: the first is given its contact, and the answer about the second is lost unread.
    world = World(first(Deed(), LOST, APPLIED_AND_LOST))
    rows = [{"name": "n", "key": "1"}, {"name": "n", "key": "2"}]
    pushed = world.push(
        rows, vendor=READABLE, limits=ALONE, on_unknown="reconcile", sync_key=("key",), ledger=Forgetful("t")
    )
    given = [one.destination_record_id for one in pushed.outcomes if one.status is Status.SUCCEEDED]
    assert given == ["id-n", "id-n#1"]


class Forgetful(MemoryLedger):
    """A ledger that does not say who holds a contact."""

    def holders(self, record_ids: Any) -> Any:  # noqa: ARG002  # the protocol's signature
        return []


def test_a_contact_that_looks_like_the_record_and_is_anothers_proves_no_absence() -> None:
    # The first answer is about the second record: its contact is not there, and the second one's is held by the first.
    swapped = Deed(edit=lambda rows: [{**row, "id": "id-n1"} for row in rows], applies=False)
    world = World(first(swapped))
    pushed = world.push(names(2), vendor=READABLE, limits=ALONE, on_unknown="reconcile")
    assert outcomes(pushed) == [("succeeded", None, "id-n1"), ("unknown", "id_twice", "id-n1")]
    assert world.server.created() == {"n1": 1}
