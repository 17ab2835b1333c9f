"""Python's cyclic collector, kept from walking Airflow's own objects while a task pushes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def frozen_heap() -> Iterator[None]:
    """Leave what exists already out of every collection until the end; do nothing where somebody has frozen it before.

    An Airflow task begins with more than a hundred thousand objects that live as long as the process. A push makes so
    many new ones that all of them were walked again and again, which was a fifth of its CPU. Only for operators, whose
    process is the task's own: a hook's ``push`` runs in somebody else's code.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
