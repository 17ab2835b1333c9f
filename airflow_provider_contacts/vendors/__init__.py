"""The vendors: a file in this folder is one, and so is an entry point of another distribution.

``<vendor>_reads.py`` is the second half of a vendor's file, where reading back made it too long for one.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from airflow_provider_contacts.errors import ConfigError

if TYPE_CHECKING:
    from airflow_provider_contacts.vendor_kit.vendor import Vendor

log = logging.getLogger(__name__)

GROUP = "airflow_provider_contacts.vendors"
"""Entry point group of foreign vendors: the connection type to a ``Vendor`` value."""


@cache
def names() -> tuple[str, ...]:
    """Return the names of the vendors of this package, sorted; loads none of them."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in found if not name.endswith("_reads")))


def foreign_names() -> list[str]:
    """Return the names of the vendors that other distributions bring; one of ours is never theirs."""
    return sorted({point.name for point in entry_points(group=GROUP)} - set(names()))


@cache
def load(name: str) -> Vendor:
    """Return one vendor, of this package before any other.

    :raises ConfigError: if there is none of that name, not exactly one, or one that cannot be loaded.
    """
    from airflow_provider_contacts.vendor_kit.vendor import Vendor

    if name in names():
        found = [importlib.import_module(f"{__name__}.{name}").VENDOR]
    else:
        # One distribution may be found twice on the path.
        points = {point.value: point for point in entry_points(group=GROUP, name=name)}
        found = [loaded(point) for point in points.values()]
    if not found:
        raise ConfigError(f"there is no vendor {name!r}; there are {', '.join([*names(), *foreign_names()])}")
    vendor = found[0]
    if len(found) > 1 or not isinstance(vendor, Vendor) or vendor.name != name:
        raise ConfigError(
            f"one installed distribution, and only one, must have an entry point {name!r} of {GROUP}, and it must name "
            f"a Vendor whose name is {name!r}"
        )
    return vendor


def loaded(point: EntryPoint) -> object:
    """Return what a foreign entry point names; whatever its module raises is a ``ConfigError`` with the cause."""
    try:
        return point.load()
    except Exception as error:
        brought_by = point.dist.name if point.dist else "another distribution"
        cause = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{brought_by} brings {point.name!r} as {point.value}, which fails: {cause}") from error


def usable(names: Iterable[str]) -> list[Vendor]:
    """Return the vendors of these names; of a foreign one that cannot be loaded, a warning says why."""
    found = []
    for name in names:
        try:
            found.append(load(name))
        except ConfigError as error:
            log.warning("A vendor is left out: %s", error)
    return found
