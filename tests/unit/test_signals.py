from __future__ import annotations

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.ledgers.run_identity import Binding
from airflow_provider_contacts.task.signals import alias_name, asset_uri


def binding(destination: str, host: str, place: str | None) -> Binding:
    return Binding(sync_id="s", destination=destination, destination_host=host, destination_object=place)


@pytest.mark.parametrize(
    ("host", "place", "path"),
    [
        ("api.example.com", "list-7", "api.example.com/list-7"),
        ("api.example.com", None, "api.example.com"),
        ("::1", "a/b", "%3A%3A1/a%2Fb"),
        ("bücher.example", "7?x=1#top", "b%C3%BCcher.example/7%3Fx%3D1%23top"),
        ("h", "..", "h/.."),
        ("h", "user:secret@there", "h/user%3Asecret%40there"),
    ],
)
def test_the_uri_of_an_asset_is_one_that_airflow_leaves_alone(host: str, place: str | None, path: str) -> None:
    from airflow.sdk import Asset

    uri = asset_uri(binding("some_vendor", host, place))
    assert uri == f"contacts://some_vendor/{path}"
    assert uri.isascii(), "MySQL takes no other"
    assert (Asset(uri).uri, Asset(uri).name) == (uri, uri)


def test_two_places_are_two_assets() -> None:
    places = [("h", "a/b"), ("h/a", "b"), ("h", "a%2Fb"), ("h", "a"), ("h", None), ("h", "A")]
    assert len({asset_uri(binding("v", host, place)) for host, place in places}) == len(places)


def test_an_alias_is_one_that_airflow_takes_on_every_database() -> None:
    assert alias_name("a.dag-1", "group.push_it") == "contacts/a.dag-1/group.push_it"
    assert alias_name("größe", "t") == "contacts/gr%C3%B6%C3%9Fe/t"


@pytest.mark.parametrize("name", vendors.names())
def test_the_documentation_of_a_vendor_is_a_page(name: str) -> None:
    assert vendors.load(name).docs_url.startswith("https://")
