"""The plugin, which Airflow loads in every process: it tells where the page is. The first request imports the page."""

from __future__ import annotations

from asyncio import to_thread
from importlib import import_module
from importlib.metadata import version
from typing import Any

from airflow.plugins_manager import AirflowPlugin

OPERATORS = (
    "PushContactsOperator",
    "FilesToContactsOperator",
    "SqlToContactsOperator",
    "ReplayContactsOperator",
    "@task.contacts",
)
"""Operators whose task instances get a tab."""

# Relative addresses, which a browser takes from the root of Airflow's UI, wherever that is.
NAVIGATION = {
    "name": "Contacts",
    "href": "contacts/",
    "url_route": "contacts",
    "destination": "nav",
    "nav_top_level": True,
    "icon": "contacts/static/icon.svg",
    "icon_dark_mode": "contacts/static/icon-dark.svg",
}
TAB = {
    "name": "Contacts",
    "href": "contacts/dags/{DAG_ID}/task?run_id={RUN_ID}&task_id={TASK_ID}&map_index={MAP_INDEX}",
    "url_route": "contact-outcomes",
    "destination": "task_instance",
    "applies_to": {"operator_name": list(OPERATORS)},
}


class LazyApp:
    """The application, which the process that serves it alone builds: a worker never pays for it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        # Its imports take a second, in which the others' requests go on.
        page = await to_thread(import_module, "airflow_provider_contacts.page.app")
        await page.app()(scope, receive, send)


def views() -> list[Any]:
    """Return what Airflow's UI shows; below 3.4 it would show the tab on the tasks of every operator."""
    major, minor, *_ = version("apache-airflow-core").split(".")
    return [NAVIGATION, TAB] if (int(major), int(minor)) >= (3, 4) else [NAVIGATION]


class ContactsPlugin(AirflowPlugin):
    """The page of outcomes in Airflow's API server and UI."""

    name = "airflow_provider_contacts"

    def __init__(self) -> None:
        self.fastapi_apps = [{"app": LazyApp(), "url_prefix": "/contacts", "name": "contacts"}]
        self.external_views = views()
