"""Whatever one row raises while it is prepared is this row's alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_contacts.vendor_kit.vendor import Payload
from tests.support.fake_vendor import VENDOR, World, names

HIDDEN = "ann@example.com"


class Hostile:
    """A value that raises whatever is done with it."""

    def __init__(self, error: type[Exception] = KeyError) -> None:
        self._error = error

    def __raise(self, *_: object) -> Any:
        raise self._error(HIDDEN)

    __str__ = __repr__ = __eq__ = __hash__ = __len__ = __iter__ = __bool__ = __float__ = __int__ = __raise


class HostileMapping(Mapping[str, Any]):
    """A record that raises as soon as it is looked at."""

    def __getitem__(self, name: str) -> Any:
        raise RuntimeError(HIDDEN)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError(HIDDEN)

    def __len__(self) -> int:
        raise RuntimeError(HIDDEN)


@pytest.mark.parametrize(
    "row",
    [
        {"name": Hostile()},
        {"name": "ann", "note": Hostile()},
        {"name": "ann", "age": Hostile(ZeroDivisionError)},
        {"name": "ann", "extra": {"deep": [Hostile()]}},
        {"name": "ann", "strange": Hostile()},
        Hostile(),
        HostileMapping(),
    ],
)
@pytest.mark.parametrize("key", [("name",), ()])
def test_a_hostile_value_leaves_its_neighbours_alone(row: Any, key: tuple[str, ...]) -> None:
    world = World()
    pushed = world.push([*names(3), row, {"name": "last"}], sync_key=key)
    assert pushed.error is None
    assert pushed.statuses() == {0: "succeeded", 1: "succeeded", 2: "succeeded", 3: "invalid", 4: "succeeded"}
    assert not any(HIDDEN in f"{one.status_message} {one.errors}" for one in pushed.outcomes)


def test_whatever_a_vendors_own_check_raises_is_one_rows_too(caplog: pytest.LogCaptureFixture) -> None:
    def coherent(payload: Payload) -> None:
        if payload["name"] in {"n1", "n3"}:
            raise ArithmeticError(HIDDEN)

    vendor = replace(VENDOR, contract=replace(VENDOR.contract, coherent=coherent))
    world = World()
    pushed = world.push(names(5), vendor=vendor)
    assert pushed.error is None
    assert pushed.statuses() == {0: "succeeded", 1: "invalid", 2: "succeeded", 3: "invalid", 4: "succeeded"}
    assert pushed.codes()[1] == "invalid_value"
    assert pushed.outcomes[1].status_message is None or HIDDEN not in pushed.outcomes[1].status_message
    assert HIDDEN not in caplog.text
    # The same rows again are the same records.
    again = world.push(names(5), vendor=vendor)
    assert (again.counts(), set(world.table.rows)) == ({"skipped": 3, "invalid": 2}, {f"n{n}" for n in range(5)})
