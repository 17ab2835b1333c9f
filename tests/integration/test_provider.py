"""What Airflow finds of this package."""

from __future__ import annotations

import importlib
import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import airflow
import jsonschema  # type: ignore[import-untyped]  # ships no types
import pytest
from pydantic.fields import FieldInfo

from airflow_provider_contacts import vendors
from airflow_provider_contacts.provider_info import get_provider_info
from airflow_provider_contacts.transport.settings import settings_of

NAME = "airflow-provider-contacts"
INFO = get_provider_info()
TYPES = {one["connection-type"]: one for one in INFO["connection-types"]}
SCHEMA = next(folder for folder in map(Path, airflow.__path__) if (folder / "provider_info.schema.json").exists())

installed = pytest.mark.skipif(
    not any(point.dist and point.dist.name == NAME for point in entry_points(group="apache_airflow_provider")),
    reason=f"{NAME} is not installed, so that Airflow cannot find it",
)


def test_the_description_is_what_airflow_wants() -> None:
    jsonschema.validate(INFO, json.loads((SCHEMA / "provider_info.schema.json").read_text()))
    assert json.loads(json.dumps(INFO)) == INFO, "built-in types alone"


def test_every_vendor_has_a_connection_type_with_its_form() -> None:
    assert set(TYPES) == set(vendors.names())
    for name, found in TYPES.items():
        vendor = vendors.load(name)
        silent = {"refusals_atomic"} if vendor.limits.batch_size == 1 else set[str]()
        assert set(found["conn-fields"]) == {setting.name for setting in settings_of(vendor)} - silent
        assert all(field["label"] and field["description"] for field in found["conn-fields"].values())
        module, _, attribute = found["hook-class-name"].rpartition(".")
        hook = getattr(importlib.import_module(module), attribute)
        assert (hook.conn_type, hook.hook_name) == (name, found["hook-name"])
        assert hook.default_conn_name == f"{name}_default"


def test_every_named_module_is_there() -> None:
    named = [name for key in ("hooks", "operators") for one in INFO[key] for name in one["python-modules"]]
    assert len(named) == 2 * len(TYPES)
    for name in named:
        assert importlib.import_module(name).__doc__
    for module, _, name in (link.rpartition(".") for link in INFO["extra-links"]):
        assert getattr(importlib.import_module(module), name)().name in {"Outcomes", "Vendor documentation"}
    titles = {one["integration-name"] for one in INFO["integrations"]}
    assert {one["integration-name"] for key in ("hooks", "operators") for one in INFO[key]} <= titles


@installed
def test_airflow_finds_hooks_forms_and_behaviours() -> None:
    from airflow._shared.secrets_masker import redact
    from airflow.providers_manager import ProvidersManager
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    manager: Any = ProvidersManager()  # type: ignore[no-untyped-call]  # Airflow's own
    runtime: Any = ProvidersManagerTaskRuntime()  # type: ignore[no-untyped-call]  # likewise
    assert NAME in manager.providers
    for name, found in TYPES.items():
        hook: Any = runtime.hooks[name]
        assert (hook.hook_class_name, hook.package_name) == (found["hook-class-name"], NAME)
        assert hook.connection_id_attribute_name == "contacts_conn_id"
        assert name in manager.field_behaviours
        widgets = {
            widget.field_name: widget
            for key, widget in manager.connection_form_widgets.items()
            if key.startswith(f"extra__{name}__")
        }
        assert set(widgets) == set(found["conn-fields"])
        masked = {key for key, widget in widgets.items() if widget.is_sensitive}
        assert masked == {"proxy"} == {setting.name for setting in settings_of(vendors.load(name)) if setting.secret}
    # And so is what is shown of a saved one.
    assert redact({"proxy": "http://u:p@proxy.example"}) == {"proxy": "***"}


@installed
@pytest.mark.filterwarnings("ignore:ProvidersManager.hooks is deprecated")  # says Airflow 3.2 of its own call
@pytest.mark.skipif(
    not hasattr(FieldInfo, "_copy"), reason="the API server of Airflow needs a newer pydantic than our lowest one"
)
def test_airflows_form_gets_types_bounds_defaults_and_parts() -> None:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    forms = {one.connection_type: one for one in HookMetaService.hook_meta_data()}
    for name, found in TYPES.items():
        fields: Any = forms[name].extra_fields
        assert list(fields) == list(found["conn-fields"]), "in their order"
        for key, field in found["conn-fields"].items():
            assert fields[key]["value"] == field["schema"].get("default")
            assert fields[key]["schema"] == {**field["schema"], "title": field["label"]}
            assert fields[key]["description"] == field["description"]
        standard: Any = forms[name].standard_fields
        assert standard.host.placeholder.startswith("https://")
        assert standard.password.title == found["ui-field-behaviour"]["relabeling"]["password"]
    dex: Any = forms["dex"].extra_fields
    assert dex["refusals_atomic"]["value"] is True
    timeout = dex["request_timeout"]["schema"]
    assert (timeout["type"], timeout["minimum"], timeout["maximum"], timeout["default"]) == (
        ["number", "null"], 0.001, 600, 60,
    )  # fmt: skip
