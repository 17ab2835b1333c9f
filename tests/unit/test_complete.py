"""What a new vendor needs beside its file; each test names what is missing."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

from airflow_provider_contacts import vendors
from airflow_provider_contacts.hooks import HOOKS

ROOT = Path(__file__).resolve().parents[2]
NAMES = vendors.names()
# What no vendor lacks without a reason.
NOT_READ_BACK = {"nedzo": "the generation that is spoken documents no read of contacts; its file says more"}


def test_there_are_vendors() -> None:
    assert len(NAMES) >= 5


@pytest.mark.parametrize("name", NAMES)
def test_a_vendor_has_a_hook(name: str) -> None:
    hook, vendor = HOOKS.get(name), vendors.load(name)
    assert hook is not None, f"HOOKS of hooks.py names no class with conn_type {name!r}"
    expected = (f"{name.capitalize()}Hook", f"{name}_default", vendor.title)
    assert (hook.__name__, hook.default_conn_name, hook.hook_name) == expected
    assert hook.__doc__
    assert vendor.name == name


def test_a_hook_has_a_vendor() -> None:
    assert sorted(HOOKS) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_vendor_has_an_example_exchanges_and_tests(name: str) -> None:
    example = (ROOT / "example_dags" / f"example_{name}.py").read_text("utf-8")
    assert f'contacts_conn_id="{name}_default"' in example
    assert ast.get_docstring(ast.parse(example))
    assert len(list((ROOT / "tests" / "exchanges" / name).glob("*.json"))) >= 5, f"tests/exchanges/{name} holds too few"
    for file in (f"test_vendor_{name}.py", f"test_simulator_{name}.py"):
        assert (ROOT / "tests" / "unit" / file).exists(), f"tests/unit/{file} is missing"


@pytest.mark.parametrize("name", NAMES)
def test_a_vendor_is_simulated(name: str) -> None:
    from airflow_provider_contacts.simulator.app import Simulator

    assert importlib.util.find_spec(f"airflow_provider_contacts.simulator.{name}"), f"simulator/{name}.py is missing"
    found = Simulator().connections("http://127.0.0.1:1").get(name)
    assert found is not None, f"simulator/app.py does not serve {name}"
    assert found["conn_type"] == name


@pytest.mark.parametrize("name", NAMES)
def test_the_assumptions_of_a_vendor_can_be_switched(name: str) -> None:
    from airflow_provider_contacts.transport.settings import settings_of

    vendor = vendors.load(name)
    settings = [setting.name for setting in settings_of(vendor)]
    assert {"refusals_atomic", "retry_after_is_refusal"} <= set(settings)
    assert len(settings) == len(set(settings)), "a setting is declared twice"


@pytest.mark.parametrize("name", NAMES)
def test_a_vendor_is_read_back_or_says_why_not(name: str) -> None:
    read_back = vendors.load(name).read_back
    assert (read_back is None) == (name in NOT_READ_BACK), (
        f'{name} needs a read_back, so that on_unknown="reconcile" settles what is in doubt, or a reason here'
    )
    if read_back is not None:
        assert read_back.identity, f"{name} does not say what tells one person from another"
        assert (ROOT / "tests" / "unit" / f"test_read_back_{name}.py").exists()
        assert list((ROOT / "tests" / "exchanges" / name / "reads").glob("*.json")), "no reading is documented"


@pytest.mark.parametrize("name", NAMES)
def test_what_tells_persons_apart_is_a_field(name: str) -> None:
    vendor = vendors.load(name)
    for path in vendor.read_back.identity if vendor.read_back is not None else ():
        assert path.partition(".")[0] in vendor.contract.fields, path


def test_no_reason_is_left_over() -> None:
    assert set(NOT_READ_BACK) <= set(NAMES)


def test_the_second_half_of_a_vendor_is_no_vendor() -> None:
    folder = ROOT / "airflow_provider_contacts" / "vendors"
    halves = {path.stem.removesuffix("_reads") for path in folder.glob("*_reads.py")}
    assert halves <= set(NAMES)
    assert {path.stem for path in folder.glob("*.py")} == {"__init__", *NAMES, *(f"{name}_reads" for name in halves)}
