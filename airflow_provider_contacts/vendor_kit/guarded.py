"""Readers of a vendor's answers that fail cost no outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from airflow_provider_contacts.vendor_kit.vendor import (
    Vendor,
)

log = logging.getLogger(__name__)

T = TypeVar("T")


def guarded(vendor: Vendor, read: Callable[[], T], otherwise: T) -> T:
    """Return what a reader of the vendor makes of an answer, or ``otherwise`` where it fails.

    Readers must not raise; one that does all the same must not cost the outcomes of a whole push, and its failure is
    shown (without the text, which may quote the answer).
    """
    try:
        return read()
    except Exception as error:  # noqa: BLE001  # any bug of a reader: logged, and never a lost outcome
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        line = trace.tb_lineno if trace is not None else 0
        log.error(  # noqa: TRY400  # a traceback may quote the answer
            "A reader of %s failed: %s in line %s; its answer counts as unreadable",
            vendor.name,
            type(error).__name__,
            line,
        )
    return otherwise
