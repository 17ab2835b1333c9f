"""Reading the rows of a source to its error, and telling it to stop."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_contacts.errors import SourceError

CANARY = "personcanary"


def read(begin: Callable[[], Iterator[Any]]) -> tuple[list[Any], str]:
    """Return what comes before the error, and its text; nothing of a person is in it, nor in what is chained to it."""
    seen: list[Any] = []
    with pytest.raises(SourceError) as caught:
        seen.extend(begin())
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert CANARY not in f"{caught.value!r} {getattr(caught.value, '__notes__', [])}"
    return seen, str(caught.value)


def after(count: int) -> Callable[[], bool]:
    """Return what tells to stop when it has been asked so often."""
    asked = iter(range(count))
    return lambda: next(asked, None) is None
