"""Whose rows they are: the run that writes them, and the destination that a ``sync_id`` belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_contacts.errors import ConfigError

# Three Airflow ids of at most 250 characters, their slashes and a map index; also what an InnoDB key can take.
RUN_LENGTH = 764
SYNC_LENGTH = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class RunIdentity:
    """One try of one task instance, by Airflow's ids of it.

    :param map_index: -1 for a task that is not mapped.
    :param region: ``region_id/region_index`` of a task in a loop, whose iterations share all other ids.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    region: str | None = None

    @property
    def sync_run_id(self) -> str:
        """The same for every try and every reschedule."""
        text = f"{self.dag_id}/{self.run_id}/{self.task_id}/{self.map_index}"
        return text if self.region is None else f"{text}/{self.region}"


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
        """Refuse what the table's columns cannot hold."""
        for name, most in (("sync_id", SYNC_LENGTH), ("destination_host", 255), ("destination_object", 255)):
            text = getattr(self, name)
            if text is None and name == "destination_object":
                continue
            if not text or len(text) > most or "\x00" in text:
                raise ConfigError(f"{name} must have 1 to {most} characters, not {len(text or '')}, and no NUL")

    def place(self) -> str:
        """Return the destination for a message."""
        return f"{self.destination} at {self.destination_host}, object {self.destination_object or '(none)'}"
