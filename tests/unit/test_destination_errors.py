"""A wrong destination: the error names the connection, the key, and what there is."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.transport.preflight import exact_destination
from airflow_provider_contacts.vendor_kit.vendor import Request, Response

CASES: list[tuple[str, Any, dict[str, Any], list[str]]] = [
    ("dex", {"list": 1}, {}, ["unknown keys ['list']", "Dex", "known are none"]),
    ("talkdesk", {"list_id": "a"}, {}, ["unknown keys ['list_id']", "did you mean 'record_list_id'?", "Talkdesk"]),
    ("talkdesk", {}, {}, ["Talkdesk needs the destination ['record_list_id']", "destination={'record_list_id': …}"]),
    ("talkdesk", {"record_list_id": ".."}, {}, ["record_list_id must be the id of a Talkdesk record list"]),
    ("talkdesk", "list", {}, ["is a mapping, or the JSON text of one, with the keys ['record_list_id']"]),
    ("intermezzo", None, {}, ["Intermezzo needs the destination ['organization_id']", "in the extra of"]),
    ("intermezzo", {"organization_id": ".."}, {}, ["organization_id must be the id of an Intermezzo organization"]),
    ("intermezzo", {"organizationId": "x"}, {}, ["did you mean 'organization_id'?"]),
    ("nedzo", {"contact_list_id": "12"}, {}, ["contact_list_id must be the UUID of a Nedzo contact list"]),
    ("nedzo", {"contact_list": "12"}, {}, ["did you mean 'contact_list_id'?", "known are ['contact_list_id']"]),
    ("apptoto", {}, {}, ["exactly one of ['address_book_id', 'address_book']", "there is none"]),
    ("apptoto", {"address_book_id": 1, "address_book": "Demo"}, {}, ["there is ['address_book_id', 'address_book']"]),
    ("apptoto", {"address_book_id": "one"}, {}, ["'address_book_id' in destination", "is no whole number"]),
    ("apptoto", {"address_book": "demo "}, {}, ["there is no Apptoto address book 'demo'", "did you mean 'Demo'?"]),
    ("apptoto", {"address_book": "Typo"}, {}, ["there is no Apptoto address book 'Typo'", "there are: 'Demo'"]),
]


class Books:
    """Answers the one read that a name needs."""

    def call(self, request: Request) -> Response:
        assert request.method == "GET"
        return Response(200, {}, b'{"address_books": [{"id": 1, "name": "Demo"}]}')


@pytest.mark.parametrize(("name", "given", "defaults", "texts"), CASES)
def test_the_error_names_the_connection_and_what_there_is(
    name: str, given: Any, defaults: dict[str, Any], texts: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        exact_destination(vendors.load(name), Books(), given, defaults, "connection 'mine'")
    said = str(caught.value)
    assert "connection 'mine'" in said
    assert [text for text in texts if text not in said] == [], said


def test_every_vendor_is_among_them() -> None:
    assert {name for name, *_ in CASES} == set(vendors.names())
