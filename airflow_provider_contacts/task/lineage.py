"""What a push tells OpenLineage: the tables or files that it reads, and how many records arrived where."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_contacts.sources.file_paths import fixed_part
from airflow_provider_contacts.task.connections import sql_hook

if TYPE_CHECKING:
    from airflow_provider_contacts.task.base_operator import ContactsOperator

log = logging.getLogger(__name__)


def lineage_of(operator: ContactsOperator) -> Any:
    """Return input and output datasets: none of a plan, or of a task that has not begun to push."""
    from airflow.providers.common.compat.openlineage.facet import OutputDataset, OutputStatisticsOutputDatasetFacet
    from airflow.providers.openlineage.extractors import OperatorLineage

    if (delivery := operator.delivery) is None:
        return OperatorLineage()
    place = urlsplit(delivery.uri)
    output = OutputDataset(
        namespace=f"{place.scheme}://{place.netloc}",
        name=place.path.removeprefix("/"),
        outputFacets={"outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=delivery.num_succeeded)},
    )
    inputs = [*tables_of(getattr(operator, "sql", None), operator), *files_of(getattr(operator, "path", None))]
    return OperatorLineage(inputs=inputs, outputs=[output])


def tables_of(sql: Any, operator: Any) -> list[Any]:
    """Return the tables of a query, read from its text; the text itself may name a person, and is left out."""
    if not sql:
        return []
    from airflow.providers.openlineage.sqlparser import get_openlineage_facets_with_sql

    conn_id = operator.sql_conn_id
    try:
        hook = sql_hook(conn_id, "sql_conn_id")
        found = get_openlineage_facets_with_sql(hook, sql, conn_id, database=None, use_connection=False)
    except Exception as error:  # noqa: BLE001  # the hook may ask its database, and any driver may answer
        log.warning("The tables of the query stay unknown to OpenLineage: %s", type(error).__name__)
        return []
    return list(found.inputs) if found else []


def files_of(path: str | None) -> list[Any]:
    """Return the file of a path; of a pattern, the folder where it begins."""
    if not path:
        return []
    from airflow.providers.common.compat.openlineage.facet import InputDataset

    protocol, found, rest = fixed_part(path).rpartition("://")
    if protocol in {"", "file"}:
        return [InputDataset(namespace="file", name=rest)]
    bucket, _, name = rest.rpartition("@")[2].partition("/")
    return [InputDataset(namespace=f"{protocol}{found}{bucket}", name=name or "/")]
