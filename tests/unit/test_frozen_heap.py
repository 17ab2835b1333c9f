from __future__ import annotations

import gc

import pytest

from airflow_provider_contacts.task.execution import FROZEN_BY_PYTHON, frozen_heap


def test_what_exists_is_left_out_of_collections_until_the_end() -> None:
    before = gc.get_freeze_count()
    assert before <= FROZEN_BY_PYTHON, "somebody else has frozen this process"
    with frozen_heap():
        assert gc.get_freeze_count() > before + FROZEN_BY_PYTHON
    assert gc.get_freeze_count() == 0


def test_the_heap_thaws_where_a_push_fails() -> None:
    with pytest.raises(RuntimeError), frozen_heap():
        raise RuntimeError
    assert gc.get_freeze_count() == 0


def test_who_has_frozen_before_keeps_it_frozen() -> None:
    gc.freeze()
    try:
        with frozen_heap():
            assert gc.get_freeze_count() > 1000
        # A few of what was frozen may have died meanwhile; none is thawed.
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()


def test_what_a_push_makes_is_collected_all_the_same() -> None:
    class Node:
        def __init__(self) -> None:
            self.itself = self

    with frozen_heap():
        for _ in range(10):
            Node()
        assert gc.collect() >= 10
