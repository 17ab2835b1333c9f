"""The vendors: a file in this folder is one, and so is an entry point of another distribution.

``<vendor>_reads.py`` is the second half of a vendor's file, where reading back made it too long for one.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from airflow_provider_contacts.errors import ConfigError

if TYPE_CHECKING:
    from airflow_provider_contacts.vendor_kit.vendor import Vendor

GROUP = "airflow_provider_contacts.vendors"
"""Entry point group of foreign vendors: the connection type to a ``Vendor`` value."""

SECOND_HALF = "_reads"


@cache
def names() -> tuple[str, ...]:
    """Return the names of the vendors of this package, sorted; loads none of them."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in found if not name.endswith(SECOND_HALF)))


def foreign_names() -> list[str]:
    """Return the names of the vendors that other distributions bring; one of ours is never theirs."""
    return sorted({point.name for point in entry_points(group=GROUP)} - set(names()))


@cache
def load(name: str) -> Vendor:
    """Return one vendor, of this package before any other.

    :raises ConfigError: if there is none of that name, or not exactly one.
    """
    if name in names():
        vendor: Vendor = importlib.import_module(f"{__name__}.{name}").VENDOR
        return vendor
    points = list(entry_points(group=GROUP, name=name))
    if not points:
        raise ConfigError(f"there is no vendor {name!r}; there are {', '.join([*names(), *foreign_names()])}")
    if len({point.value for point in points}) > 1:
        found = ", ".join(sorted(point.value for point in points))
        raise ConfigError(f"several distributions bring a vendor {name!r}: {found}; uninstall all but one")
    return foreign(name, points[0].load())


def foreign(name: str, value: object) -> Vendor:
    """Return what an entry point names, if it is a vendor of that name.

    :raises ConfigError: else.
    """
    from airflow_provider_contacts.vendor_kit.vendor import Vendor

    if not isinstance(value, Vendor) or value.name != name:
        raise ConfigError(f"the entry point {name!r} of {GROUP} must name a Vendor whose name is {name!r}")
    return value
