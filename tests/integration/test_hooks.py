"""The five hooks, as a task uses them, against a real socket."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import BaseHook
from airflow.sdk._shared.secrets_masker import redact

from airflow_provider_contacts.errors import ConfigError, LookupFailedError, RefusedError
from airflow_provider_contacts.hooks import (
    HOOKS,
    ContactsHook,
    DexHook,
    IntermezzoHook,
    NedzoHook,
    TalkdeskHook,
)
from airflow_provider_contacts.outcome import Outcome
from tests.airflow_harness import airflow_connections
from tests.support.alarms import OutOfTime, raising
from tests.support.pushing import Served, callees, people

pytestmark = pytest.mark.usefixtures("vendor_connections")

NAMED = [{"key": f"k{n}", "name": f"N{n}", "email": f"n{n}@example.com"} for n in range(3)]
ROWS = {"apptoto": NAMED, "dex": people(3), "intermezzo": NAMED, "nedzo": people(3), "talkdesk": callees(3)}
READS = {
    "apptoto": "/v1/address_books",
    "dex": "/v1/users/me",
    "intermezzo": "/organizations",
    "nedzo": "/v1/workspaces",
    "talkdesk": "/record-lists",
}


@pytest.fixture
def vendor_connections(served: Served) -> Iterator[dict[str, dict[str, Any]]]:
    found = {f"{name}_default": value for name, value in served.simulator.connections(served.url).items()}
    with airflow_connections(found):
        yield found


def changed(connections: dict[str, dict[str, Any]], conn_id: str, **values: Any) -> dict[str, dict[str, Any]]:
    return {conn_id: {**connections[conn_id], **values}}


@pytest.mark.parametrize("name", HOOKS)
def test_push_yields_one_outcome_a_record(name: str, served: Served, caplog: pytest.LogCaptureFixture) -> None:
    hook = HOOKS[name]()
    rows = [*ROWS[name], ROWS[name][0], {"key": "odd", "no_such_field": 1}]
    outcomes = sorted(hook.push(rows, sync_key="key", requests_per_second=500), key=lambda one: one.row_index)
    assert [one.status for one in outcomes] == ["succeeded"] * 3 + ["duplicate", "invalid"]
    stored = served.simulator.vendors[name].stored
    assert {one.destination_record_id for one in outcomes[:3]} <= {str(one.id) for one in stored} | {None}
    assert len(stored) == 3
    warned = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert any("nothing of this push is remembered" in text for text in warned)


@pytest.mark.parametrize("name", HOOKS)
def test_get_conn_is_authenticated(name: str, served: Served) -> None:
    vendor = served.simulator.vendors[name]
    with HOOKS[name]().get_conn() as client:
        assert [client.get(READS[name]).status_code for _ in range(2)] == [200, 200]
    assert vendor.counts["token"] == (1 if name in {"intermezzo", "talkdesk"} else 0), "one token for both"
    assert not client.follow_redirects


def test_the_credential_does_not_follow_a_link_to_another_host(served: Served) -> None:
    elsewhere = served.url.replace("127.0.0.1", "localhost")
    with DexHook().get_conn() as client:
        own = client.build_request("GET", "/v1/users/me")
        client.send(own)
        foreign = client.build_request("GET", f"{elsewhere}/dex/v1/users/me")
        refused = client.send(foreign)
    assert own.headers["authorization"].startswith("Bearer ")
    assert "authorization" not in foreign.headers
    assert refused.status_code == 401


def test_get_conn_tells_a_refused_credential_from_an_endpoint_that_is_away(served: Served) -> None:
    served.simulator.set("talkdesk.token.http_401", "next:1")
    served.simulator.set("intermezzo.token.http_500", "next:1")
    with TalkdeskHook().get_conn() as client, pytest.raises(RefusedError, match="check login"):
        client.get("/record-lists")
    with IntermezzoHook().get_conn() as client, pytest.raises(LookupFailedError, match="token_unavailable"):
        client.get("/organizations")


@pytest.mark.parametrize("name", HOOKS)
def test_a_connection_is_tested_by_a_real_read(name: str, served: Served) -> None:
    hook = HOOKS[name]()
    assert hook.test_connection() == (True, f"{hook.vendor.title} accepts the credential")
    assert served.simulator.vendors[name].counts["read"] == 1
    assert served.simulator.vendors[name].counts["write"] == 0


@pytest.mark.parametrize("name", HOOKS)
def test_a_refused_credential_is_told_without_showing_it(
    name: str, served: Served, vendor_connections: dict[str, dict[str, Any]]
) -> None:
    secret = "dex_canary4711"
    served.simulator.set(f"{name}.credential", "right:right")
    with airflow_connections(changed(vendor_connections, f"{name}_default", password=secret)):
        works, text = HOOKS[name]().test_connection()
    assert not works
    assert f"connection '{name}_default'" in text
    assert secret not in text


@pytest.mark.parametrize(
    ("conn_id", "values", "said"),
    [
        ("nobody", {}, "there is no connection 'nobody'; make it under"),
        ("dex_default", {"password": ""}, "password"),
        ("dex_default", {"host": "http://127.0.0.1:9"}, "not_connected"),
    ],
)
def test_a_connection_that_makes_no_sense_is_told(
    vendor_connections: dict[str, dict[str, Any]], conn_id: str, values: dict[str, Any], said: str
) -> None:
    with airflow_connections(changed(vendor_connections, "dex_default", **values)):
        works, text = DexHook(conn_id).test_connection()
    assert (works, said in text) == (False, True)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"on_unknown": "ask"}, "on_unknown is one of"),
        ({"batch_size": 1000}, "batch_size is at most 100"),
        ({"destination": {"list": 1}}, "unknown keys ['list'] in destination for Dex, connection 'dex_default'"),
        ({"field_map": {"a": "no_such"}}, "field_map names no field"),
        ({"outcomes_conn_id": "outcomes"}, "sync_id must be given with outcomes_conn_id"),
        ({"outcomes_conn_id": "outcomes", "sync_id": " "}, "sync_id must be given with outcomes_conn_id"),
        ({"outcomes_conn_id": "nobody", "sync_id": "s"}, "outcomes_conn_id: there is no connection 'nobody'"),
        ({"outcomes_conn_id": "dex_default", "sync_id": "s"}, "is no SQL connection"),
        ({"records": {"email": "a@example.com"}}, "wrap it in a list"),
        ({"records": "a@example.com"}, "records must be a list"),
    ],
)
def test_a_wrong_parameter_raises_at_the_call(served: Served, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DexHook().push(**{"records": people(1), **options})
    assert text in str(caught.value)
    assert served.simulator.dex.counts["write"] == 0


def test_columns_of_a_frame_are_checked_at_the_call() -> None:
    import pandas as pd  # here, since it is slow

    frame = pd.DataFrame([{"e_mail": "a@example.com"}])
    with pytest.raises(ConfigError, match="columns \\['e_mail'\\] are no fields of Dex"):
        DexHook().push(frame)
    with pytest.raises(ConfigError, match="sync_key names columns \\['key'\\]"):
        DexHook().push(frame, sync_key="key", unmapped="ignore")


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (DexHook("nobody"), r"there is no connection 'nobody'; make it under .*AIRFLOW_CONN_NOBODY"),
        (
            NedzoHook("dex_default"),
            r"'dex_default' has the type 'dex'; NedzoHook takes 'nedzo': .*use the hook of its type",
        ),
        (TalkdeskHook(), "talkdesk_default"),
    ],
)
def test_a_wrong_connection_raises_at_the_call(
    vendor_connections: dict[str, dict[str, Any]], hook: ContactsHook, said: str
) -> None:
    without_a_list = changed(vendor_connections, "talkdesk_default", extra={})
    with airflow_connections(without_a_list), pytest.raises(ConfigError, match=said):
        hook.push([])


def test_a_push_that_nobody_reads_sends_nothing_and_says_so(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    assert list(DexHook().push(None)) == list(DexHook().push([])) == []
    caplog.clear()
    DexHook().push(people(3), sync_key="key")
    (text,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert "DexHook('dex_default').push(...) was called, and nobody read its outcomes: nothing was sent" in text
    assert served.simulator.dex.counts["write"] == 0
    caplog.clear()
    assert len(list(DexHook().push(people(3), sync_key="key"))) == 3
    assert "nobody read" not in caplog.text


def test_time_that_is_up_while_a_push_is_read_costs_no_outcome(served: Served) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield from people(150)
        signal.raise_signal(signal.SIGALRM)

    given: list[Outcome] = []
    with raising(), pytest.raises(OutOfTime):
        given.extend(DexHook().push(rows(), sync_key="key", requests_per_second=500))
    assert sorted(outcome.row_index for outcome in given) == list(range(150))
    delivered = [outcome for outcome in given if outcome.status == "succeeded"]
    assert len(delivered) == len(served.simulator.vendors["dex"].stored)


def test_time_that_is_up_in_the_callers_own_code_is_up_at_once() -> None:
    with raising(), DexHook().push(people(3), sync_key="key", requests_per_second=500) as outcomes:
        next(outcomes)
        with pytest.raises(OutOfTime):
            signal.raise_signal(signal.SIGALRM)
        assert len(list(outcomes)) == 2


def test_a_refused_push_yields_every_outcome_and_then_raises(served: Served) -> None:
    served.simulator.set("dex.http_403", "always")
    outcomes = DexHook().push(people(250), sync_key="key")
    assert [next(outcomes).status for _ in range(250)] == ["failed"] * 250
    with pytest.raises(RefusedError, match="http_403"):
        next(outcomes)


def test_plain_http_to_this_machine_is_no_warning(
    vendor_connections: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    list(DexHook().push(people(1), sync_key="key"))
    assert not any("without TLS" in text for text in caplog.messages)
    # A name that may lead anywhere; .invalid leads nowhere.
    host = {"host": "http://vendor.invalid", "extra": {"allow_http": "true"}}
    with airflow_connections(changed(vendor_connections, "dex_default", **host)):
        outcomes = list(DexHook().push(people(1), sync_key="key", request_attempts=1))
    assert any("dex_default sends contacts and credentials without TLS" in text for text in caplog.messages)
    assert [(one.status, one.error_code) for one in outcomes] == [("failed", "not_connected")]


def test_a_proxy_is_masked_in_logs(vendor_connections: dict[str, dict[str, Any]]) -> None:
    proxy = "http://user:pass-4711@proxy.example:3128"
    with airflow_connections(changed(vendor_connections, "dex_default", extra={"proxy": proxy})):
        DexHook().target()
    assert redact(f"sent through {proxy} today") == "sent through *** today"


def test_no_proxy_is_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://proxy.invalid:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert [one.status for one in DexHook().push(people(1), sync_key="key")] == ["succeeded"]
    with DexHook().get_conn() as client:
        assert client.get("/v1/users/me").status_code == 200


def test_airflow_resolves_a_connection_to_its_hook() -> None:
    for name, hook in HOOKS.items():
        found = BaseHook.get_hook(f"{name}_default")
        assert type(found) is hook
        assert isinstance(found, ContactsHook)
        assert found.contacts_conn_id == f"{name}_default"
        assert repr(found) == f"{hook.__name__}('{name}_default')"
