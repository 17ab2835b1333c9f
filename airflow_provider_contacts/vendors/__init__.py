"""The vendors, one file each, found by the listing of this folder: a new file is a new vendor."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

from airflow_provider_contacts.core.errors import ConfigError

if TYPE_CHECKING:
    from airflow_provider_contacts.core.vendor import Vendor


@cache
def names() -> tuple[str, ...]:
    """Return the names of all vendors, sorted; loads none of them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def load(name: str) -> Vendor:
    """Return one vendor.

    :raises ConfigError: if there is none of that name.
    """
    if name not in names():
        msg = f"there is no vendor {name!r}; there are {', '.join(names())}"
        raise ConfigError(msg)
    vendor: Vendor = importlib.import_module(f"{__name__}.{name}").VENDOR
    return vendor
