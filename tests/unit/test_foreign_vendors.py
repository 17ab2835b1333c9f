"""Vendors of other distributions: which entry points count, and what is said of the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.cli.program import main
from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.provider_info import provider_info
from airflow_provider_contacts.task.connections import contacts_hook
from tests.airflow_harness import airflow_connections


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder on the path, in which distributions can be put."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(folder: Path, distribution: str, name: str, value: str) -> None:
    """Put a distribution with one entry point into a folder."""
    info = folder / f"{distribution}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{vendors.GROUP}]\n{name} = {value}\n")


def test_a_vendor_of_ours_comes_first(installed: Path) -> None:
    install(installed, "other-dex", "dex", "airflow_provider_contacts.vendors.nedzo:VENDOR")
    assert vendors.load("dex").title == "Dex"
    assert vendors.foreign_names() == []


@pytest.mark.parametrize(
    "value", ["airflow_provider_contacts.vendors.nedzo:VENDOR", "airflow_provider_contacts.hooks:HOOKS"]
)
def test_what_is_no_vendor_of_that_name_is_refused(installed: Path, value: str) -> None:
    install(installed, "mine", "crm", value)
    assert vendors.foreign_names() == ["crm"]
    with pytest.raises(ConfigError, match="a Vendor whose name is 'crm'"):
        vendors.load("crm")


def test_two_distributions_of_one_name_are_refused(installed: Path) -> None:
    install(installed, "mine", "crm", "airflow_provider_contacts.vendors.nedzo:VENDOR")
    install(installed, "yours", "crm", "airflow_provider_contacts.vendors.dex:VENDOR")
    with pytest.raises(ConfigError, match="and only one, must have an entry point 'crm'"):
        vendors.load("crm")


def test_a_name_that_nobody_brings_lists_those_there_are(installed: Path) -> None:
    install(installed, "mine", "crm", "airflow_provider_contacts.vendors.nedzo:VENDOR")
    with pytest.raises(ConfigError, match=r"there is no vendor 'zoho'; there are apptoto, .*, talkdesk, crm"):
        vendors.load("zoho")


def test_a_type_without_a_hook_in_airflow_is_told(installed: Path) -> None:
    (installed / "hookless.py").write_text(
        "from dataclasses import replace\n"
        "from airflow_provider_contacts.vendors.dex import VENDOR as DEX\n"
        "VENDOR = replace(DEX, name='hookless')\n"
    )
    install(installed, "mine", "hookless", "hookless:VENDOR")
    with (
        airflow_connections({"mine": {"conn_type": "hookless"}}),
        pytest.raises(ConfigError, match="The package that brings 'hookless' registers no hook of that type"),
    ):
        contacts_hook("mine")


def test_one_that_fails_at_import_hurts_its_own_type_alone(
    installed: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    (installed / "broken_crm.py").write_text("raise RuntimeError('no licence')\n")
    install(installed, "acme-crm", "crm", "broken_crm:VENDOR")
    why = "acme-crm brings 'crm' as broken_crm:VENDOR, which fails: RuntimeError: no licence"
    # Airflow asks for this when it is imported, and an error would end that.
    assert provider_info("acme-crm", "CRM", "A CRM.", {"crm": "acme_crm.Hook"})["connection-types"] == []
    assert why in caplog.text
    caplog.clear()
    assert main(["vendors", "--output", "json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == list(vendors.names())
    assert why in caplog.text
    with airflow_connections({"ours": {"conn_type": "dex", "password": "dex_0"}, "theirs": {"conn_type": "crm"}}):
        assert contacts_hook("ours").target().host == "api.prod.getdex.com"
        with pytest.raises(ConfigError, match=why):
            contacts_hook("theirs")
