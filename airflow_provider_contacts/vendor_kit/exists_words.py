"""How vendors say that a contact is there already."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from airflow_provider_contacts.outcome import RecordError

EXISTS = re.compile("already|exists|unique|duplicat|conflict|taken", re.IGNORECASE)
"""How vendors say that a contact is there, whatever their documents call it."""


def says_exists(errors: Iterable[RecordError], http_status: int | None, codes: Collection[str]) -> bool:
    """Tell whether a refusal can mean that the contact exists.

    Asked only about records that were in doubt, where a refusal too many costs a look by a person, and one too few a
    contact that nobody knows of.

    :param codes: the vendor's own words for it.
    """
    return http_status == 409 or any(  # noqa: PLR2004  # RFC 9110
        error.code in codes or EXISTS.search(f"{error.code} {error.message or ''}") for error in errors
    )
