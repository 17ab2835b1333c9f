from __future__ import annotations

from itertools import product
from typing import Any

from airflow_provider_contacts.records.sync_ids import default_sync_id, refuse_renamed


def test_its_parts() -> None:
    assert default_sync_id("crm", "group.push", "dex_default", None) == "crm/group.push@dex_default"
    # A connection id cannot pass for a destination.
    assert default_sync_id("crm", "push", "a:b", None) == "crm/push@a%3Ab"
    assert default_sync_id("crm", "push", "a%3Ab", None) == "crm/push@a%253Ab"
    assert default_sync_id("crm", "push", "a", "b") == "crm/push@a:b"


def test_no_two_tasks_share_one() -> None:
    ids = ["a", "a.b", "a.b.c", "b", "b.c", "c", "a-b", "a_b"]
    connections = ["c", "c:d", "c%3Ad", "c/d", "c@d", "c.d", "c:", "%", "%25"]
    objects = [None, "d", "d:e", "@", "/", "%3A", ":d"]
    every = list(product(ids, ids, connections, objects))
    assert len({default_sync_id(*parts) for parts in every}) == len(every)


class Remembering:
    """A ledger that holds records of this sync_id."""

    def is_new(self) -> bool:
        return False

    def known_elsewhere(self, hashes: Any) -> None:
        raise AssertionError(hashes)


def test_a_task_that_is_remembered_reads_nothing_ahead() -> None:
    # What is read before a push begins has no outcome if the source hangs then.
    asked: list[int] = []
    mapper: Any = None

    def first(count: int) -> list[Any]:
        asked.append(count)
        return []

    refuse_renamed(Remembering(), "s", mapper, first)
    assert asked == []
