"""Whose rows they are: the run that writes them, and the destination that a ``sync_id`` belongs to."""

from __future__ import annotations

from dataclasses import dataclass, fields

from airflow_provider_contacts.errors import ConfigError

# Three Airflow ids of at most 250 characters, their slashes and a map index; also what an InnoDB key can take.
RUN_LENGTH = 764
SYNC_LENGTH = 512

LENGTHS = {"sync_id": SYNC_LENGTH, "destination": 64, "destination_host": 255, "destination_object": 255}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunIdentity:
    """One try of one task instance, by Airflow's ids of it.

    :param sync_run_id: the same for every try and every reschedule, see :meth:`of`.
    :param map_index: -1 for a task that is not mapped.
    :param region: of a task loop's pass, where Airflow has them (from 3.4 on).
    """

    sync_run_id: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    region: str | None = None

    @classmethod
    def of(cls, *, dag_id: str, run_id: str, task_id: str, map_index: int, try_number: int) -> RunIdentity:
        """Return the identity whose ``sync_run_id`` is ``dag_id/run_id/task_id/map_index``."""
        return cls(
            sync_run_id=f"{dag_id}/{run_id}/{task_id}/{map_index}",
            dag_id=dag_id,
            run_id=run_id,
            task_id=task_id,
            map_index=map_index,
            try_number=try_number,
        )

    def check(self) -> None:
        """Refuse what the table's key cannot hold.

        :raises ConfigError: naming what is too long.
        """
        if (length := len(self.sync_run_id)) > RUN_LENGTH:
            raise ConfigError(
                f"the ids of dag, run and task have {length} characters together, and the outcome table's key holds "
                f"{RUN_LENGTH}: shorten one, such as the run_id of a triggered run"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A ``sync_id`` and the one place whose records it remembers.

    :param destination: the vendor's name.
    :param destination_object: list, book or organisation within it; ``None`` where the vendor has none.
    """

    sync_id: str
    destination: str
    destination_host: str
    destination_object: str | None

    def check(self) -> None:
        """Refuse what the table's columns cannot hold.

        :raises ConfigError: naming the parameter.
        """
        for field in fields(self):
            text = getattr(self, field.name)
            if text is None and field.name == "destination_object":
                continue
            if not text or len(text) > LENGTHS[field.name] or "\x00" in text:
                msg = f"{field.name} must have 1 to {LENGTHS[field.name]} characters, not {len(text or '')}, and no NUL"
                raise ConfigError(msg)

    def place(self) -> str:
        """Return the destination for a message."""
        return f"{self.destination} at {self.destination_host}, object {self.destination_object or '(none)'}"
