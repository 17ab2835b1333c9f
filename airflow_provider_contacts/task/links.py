"""The links that Airflow shows beside a task. It asks at the task's end, on the worker, and keeps them in XCom."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from airflow.sdk import BaseOperatorLink


class VendorDocumentationLink(BaseOperatorLink):
    """The vendor's own page about the request that creates contacts; empty for a plan."""

    name = "Vendor documentation"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002  # Airflow's signature
        """Return its address."""
        # A mapped task that could not be built has no operator of ours.
        return str(getattr(operator, "docs_url", ""))


class OutcomesLink(BaseOperatorLink):
    """The page of the run that the task was, in this package's own part of Airflow's UI; empty for a plan."""

    name = "Outcomes"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002  # Airflow's signature
        """Return its address, relative to the root of Airflow's UI: a worker need not know where that is."""
        run = getattr(operator, "identity", None)
        if run is None:
            return ""
        ids = {"run_id": run.run_id, "task_id": run.task_id, "map_index": run.map_index}
        query = urlencode(ids | ({} if run.region is None else {"region": run.region}))
        return f"contacts/dags/{quote(run.dag_id, safe='')}/task?{query}"
