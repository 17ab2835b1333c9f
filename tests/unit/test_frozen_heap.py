from __future__ import annotations

import gc

import pytest

from airflow_provider_contacts.task.execution import frozen_heap


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
