"""A process of its own, since OpenLineage's provider looks at its configuration when it is imported: pushes are run."""

from __future__ import annotations

import os
from typing import Any

from tests.support.airflow_fixtures import run_stored


def main() -> None:
    from airflow.sdk import DAG
    from airflow.utils.db import initdb

    from airflow_provider_contacts.operators import FilesToContactsOperator, PushContactsOperator, SqlToContactsOperator

    initdb()
    person = {"key": "personcanary", "first_name": "personcanary", "email": "personcanary@example.com"}
    query = {"sql_conn_id": "warehouse", "sql": "SELECT * FROM sales.people WHERE email <> 'querycanary'"}
    nowhere = {**query, "sql_conn_id": "away"}
    cases: dict[str, tuple[type[Any], dict[str, Any]]] = {
        "listed": (PushContactsOperator, {"records": [person, {**person, "key": "odd", "email": 7}]}),
        "queried": (SqlToContactsOperator, query),
        "planned": (SqlToContactsOperator, {**query, "plan_only": True}),
        "read": (FilesToContactsOperator, {"path": f"{os.environ['FILES']}/[ab].csv"}),
        "refused": (SqlToContactsOperator, nowhere),
    }
    for dag_id, (operator, given) in cases.items():
        with DAG(dag_id, schedule=None) as dag:
            operator(task_id="push", contacts_conn_id="dex_default", sync_key="key", max_rejected=1, **given)
        run_stored(dag)


if __name__ == "__main__":
    main()
