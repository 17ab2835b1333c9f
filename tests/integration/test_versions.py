"""What the package is without the newest Airflow's features."""

from __future__ import annotations

import logging
from importlib.metadata import version

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.retry_policy import ContactsRetryPolicy
from tests.airflow_harness import AIRFLOW
from tests.support.pushing import World, people, push


@pytest.mark.skipif(AIRFLOW >= (3, 3), reason="this Airflow has retry policies")
def test_a_retry_policy_says_which_airflow_it_needs_where_it_is_made() -> None:
    with pytest.raises(ConfigError, match=r"needs Airflow 3\.3; this is 3\.2") as raised:
        ContactsRetryPolicy()
    assert version("apache-airflow-core") in str(raised.value)
    assert "retry_exponential_backoff" in str(raised.value)


@pytest.mark.skipif(AIRFLOW >= (3, 3), reason="this Airflow has a task state store")
def test_without_table_and_state_store_a_push_warns_and_its_retry_is_refused(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    world.simulator.set("dex.http_429", "always")
    op = push(people(2), outcomes_conn_id=None, request_attempts=1, retries=3)
    assert world.run(op).state == "up_for_retry"
    assert "this Airflow has no task state store, which comes with 3.3. Nothing is remembered" in caplog.text
    again = world.run(op, 2)
    assert "this Airflow has no task state store, which comes with 3.3" in str(again.error)
    assert isinstance(again.error, AirflowFailException)
