from __future__ import annotations

import pytest

from airflow_provider_contacts.page.csv_rows import cell


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((f"{sign}1", f"'{sign}1") for sign in "=+-@\uff1d\uff0b\uff0d\uff20\t\r"),
        (" =1", "' =1"),
        # Behind what separates cells where the comma does not.
        *((f"a{sign}=1", f"a{sign}'=1") for sign in ";\t\r\n"),
        ("a;=1\n@b", "a;'=1\n'@b"),
        ("a=b", "a=b"),
        (-1, -1),
        (None, None),
    ],
)
def test_no_spreadsheet_computes_a_cell(value: object, shown: object) -> None:
    assert cell(value) == shown
