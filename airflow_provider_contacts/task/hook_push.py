"""``push`` of a hook: parameters are checked at the call, and an iterator pushes while it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from airflow_provider_contacts.task.push_iterator import Outcomes, ReachingHook


class PushingHook:
    """A hook that pushes."""

    def push(
        self: ReachingHook,
        records: Any,
        *,
        destination: Mapping[str, Any] | str | None = None,
        sync_key: str | Sequence[str] | None = None,
        field_map: Mapping[str, str] | None = None,
        unmapped: Literal["error", "ignore"] = "error",
        outcomes_conn_id: str | None = None,
        outcomes_table: str = "contact_outcomes",
        create_tables: bool = True,
        sync_id: str | None = None,
        on_unknown: Literal["hold", "reconcile", "resend"] = "hold",
        batch_size: int | None = None,
        max_in_flight: int | None = None,
        requests_per_second: float | None = None,
        request_attempts: int = 5,
        request_timeout: float | None = None,
        max_wait: float = 60.0,
        store_payload: Literal["undelivered", "all", "never"] = "undelivered",
    ) -> Outcomes:
        """Check the parameters at once, and return an iterator that pushes while it is read.

        It yields one outcome a record, as they settle, in no particular order. Nothing is sent before the first one
        is asked for; one that nobody iterates does nothing but warn. Closing it early (or leaving its ``with``)
        stops the push; what is in flight gets three seconds.

        Without ``outcomes_conn_id`` nothing is remembered: a retry of the task, or the next run, sends the same records
        again, and what was lost in a crash is not known. With it, ``sync_id`` is required, and marks and outcomes are
        in the table as with ``PushContactsOperator``. Within a task, the rows belong to its run and try, so that a
        retry knows what the tries before it have sent; one such push at a time can be read, and the table of runs shows
        the last one. Outside of a task, each call is a run of its own.

        :param records: an iterable of mappings, or a pandas DataFrame.
        :param destination: the vendor's destination keys, over those in the connection's extra.
        :param sync_key: column or columns that identify a record; ``None``: the digest of its payload does, and equal
            payloads are duplicates.
        :param field_map: source column to vendor field, applied first.
        :param unmapped: ``"error"`` or ``"ignore"``: what a column is that means nothing to the vendor.
        :param outcomes_conn_id: SQL connection with the outcome table; ``None``: nothing is remembered.
        :param outcomes_table: name of the table, ``schema.table`` allowed.
        :param create_tables: create what is missing, else the error prints the DDL.
        :param sync_id: what records are remembered under.
        :param on_unknown: ``"hold"``, ``"reconcile"`` or ``"resend"``: what to do with a record that may already exist.
        :param batch_size: records a request; default and upper bound: the vendor's.
        :param max_in_flight: requests at the same time; default: the vendor's.
        :param requests_per_second: sustained rate; default: the vendor's.
        :param request_attempts: requests for a record, as long as it is certain that none created it.
        :param request_timeout: seconds for a request and its answer; ``None``: the connection's, else 60.
        :param max_wait: seconds that a ``Retry-After`` is waited for; a longer one raises ``RetryLaterError``.
        :param store_payload: payloads that the table keeps: ``"undelivered"``, ``"all"`` or ``"never"``.
        :raises ConfigError: at the call, for a wrong parameter or connection.
        :raises ContactsError: from the iterator, when the push cannot go on; every record that was read has been
            yielded before.
        """
        from airflow_provider_contacts.task.options import PushOptions
        from airflow_provider_contacts.task.push_iterator import Memory, Outcomes, checked_plan

        options = PushOptions(
            sync_key=sync_key,
            field_map=field_map,
            unmapped=unmapped,
            on_unknown=on_unknown,
            batch_size=batch_size,
            max_in_flight=max_in_flight,
            requests_per_second=requests_per_second,
            request_attempts=request_attempts,
            request_timeout=request_timeout,
            max_wait=max_wait,
        )
        memory = Memory(
            outcomes_conn_id=outcomes_conn_id,
            outcomes_table=outcomes_table,
            create_tables=create_tables,
            sync_id=sync_id,
            store_payload=store_payload,
        )
        return Outcomes(checked_plan(self, records, destination, options, memory))
