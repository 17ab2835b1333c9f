"""The vendors, found by the listing of this folder: a new file is a new vendor.

``<vendor>_reads.py`` is the second half of a vendor's file, where reading back made it too long for one.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

from airflow_provider_contacts.errors import ConfigError

if TYPE_CHECKING:
    from airflow_provider_contacts.vendor_kit.vendor import Vendor

SECOND_HALF = "_reads"


@cache
def names() -> tuple[str, ...]:
    """Return the names of all vendors, sorted; loads none of them."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in found if not name.endswith(SECOND_HALF)))


def load(name: str) -> Vendor:
    """Return one vendor.

    :raises ConfigError: if there is none of that name.
    """
    if name not in names():
        msg = f"there is no vendor {name!r}; there are {', '.join(names())}"
        raise ConfigError(msg)
    vendor: Vendor = importlib.import_module(f"{__name__}.{name}").VENDOR
    return vendor
