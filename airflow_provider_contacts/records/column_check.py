"""The source's columns against the vendor's fields, before anything is sent: what is wrong, and what was meant."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.records.columns import nearest, shorthand_target
from airflow_provider_contacts.records.refused import Reasons
from airflow_provider_contacts.vendor_kit.vendor import Vendor

log = logging.getLogger(__name__)

FEW = 20
"""Names that an error lists; of more it names the nearest alone."""

CASE = 'only the case differs: name them in field_map, or give them lower-case aliases in quotes (AS "first_name")'


def knows(vendor: Vendor, name: str) -> bool:
    """Tell whether a name is a native field or a shorthand of the vendor."""
    return name in vendor.contract.fields or shorthand_target(vendor.contract.shorthands, name) is not None


def check_targets(vendor: Vendor, field_map: Mapping[str, str]) -> None:
    """Check that columns are mapped to fields that exist.

    :raises ConfigError: naming those that do not.
    """
    if strange := sorted({name for name in field_map.values() if not knows(vendor, name)}):
        raise ConfigError(
            f"field_map names no field of {vendor.title}: {cut(strange)}{meant(strange, fields_of(vendor))}"
        )


def check_columns(
    vendor: Vendor, columns: Sequence[str], *, sync_key: Sequence[str], field_map: Mapping[str, str], unmapped: str
) -> None:
    """Check the source's columns.

    :raises ConfigError: naming the parameter, the columns, and what was probably meant.
    """
    check_present("sync_key", sync_key, columns)
    check_present("field_map", field_map, columns)
    targets = [field_map.get(column, column) for column in columns]
    if twice := sorted({target for target in targets if targets.count(target) > 1}):
        raise ConfigError(f"more than one column becomes the field {twice} of {vendor.title}")
    extra = [one for one in columns if one not in field_map and one not in sync_key and not knows(vendor, one)]
    if not extra:
        return
    near = differing_in_case(extra, fields_of(vendor))
    if unmapped == "error":
        ways = CASE if near == extra else 'name them in field_map, leave them out, or set unmapped="ignore"'
        told = meant(extra, fields_of(vendor))
        raise ConfigError(f"columns {cut(extra)} are no fields of {vendor.title}{told}: {ways}")
    if near and not any(knows(vendor, target) for target in targets):
        raise ConfigError(f"no column is a field of {vendor.title}{meant(near, fields_of(vendor))}: {CASE}")
    if near:
        log.warning('unmapped="ignore" leaves out columns %s: %s', near, CASE)


def check_present(parameter: str, wanted: Iterable[str], columns: Collection[str]) -> None:
    """Check that the source has the columns that a parameter names.

    :raises ConfigError: naming those that it has not.
    """
    absent = [column for column in wanted if column not in columns]
    if absent:
        hint = "; only the case differs" if differing_in_case(absent, columns) == absent else ""
        told = meant(absent, columns)
        raise ConfigError(f"{parameter} names columns {cut(absent)} that the source does not have{told}{hint}")


def meant(names: Sequence[str], known: Collection[str]) -> str:
    """Return, in brackets, the nearest known name of each; where one has none, the known ones if they are few."""
    near = {name: nearest(name, known) for name in names[:FEW]}
    parts = [f"did you mean {one!r} instead of {name!r}?" for name, one in near.items() if one is not None]
    if None in near.values() and len(known) <= FEW:
        parts.append(f"there are {sorted(known)}")
    return f" ({' '.join(parts)})" if parts else ""


def cut(names: Sequence[str]) -> str:
    """Return the first names of many."""
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return f"{list(names[:FEW])}{more}"


def differing_in_case(names: Iterable[str], known: Collection[str]) -> list[str]:
    """Return the names that are known ones but for their case."""
    folded = {one.casefold() for one in known}
    return [name for name in names if name not in known and name.casefold() in folded]


def fields_of(vendor: Vendor) -> list[str]:
    """Return the vendor's fields and shorthands."""
    return sorted({*vendor.contract.fields, *vendor.contract.shorthands})


def about_the_key(errors: Reasons, sync_key: Sequence[str], field_map: Mapping[str, str], title: str) -> Reasons:
    """Return the reasons; where one is about the key's column because it is a field, too, with the way out."""
    fields = {field_map.get(column, column): column for column in sync_key}
    return tuple(
        (code, where, f"{text or code}; {way_out(fields[where], title)}" if where in fields else text)
        for code, where, text in errors
    )


def way_out(column: str, title: str) -> str:
    """Return how a column can be the key without being sent."""
    return (
        f"the sync_key's column {column!r} is a field of {title}, too: give the key another name "
        f"(SELECT {column} AS contact_{column})"
    )
