"""What the parts of one push share."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_contacts.engine.ports import Ledger
from airflow_provider_contacts.engine.stop_reason import Brake
from airflow_provider_contacts.pacing.adaptive import AdaptivePace
from airflow_provider_contacts.pacing.bucket import Pace
from airflow_provider_contacts.pacing.shared import Budget
from airflow_provider_contacts.records.mapper import Mapper
from airflow_provider_contacts.records.vendor_ids import VendorIds
from airflow_provider_contacts.vendor_kit.push_settings import Clock, PushSettings
from airflow_provider_contacts.vendor_kit.results import Sender
from airflow_provider_contacts.vendor_kit.vendor import Limits, Vendor


@dataclass(frozen=True, slots=True, kw_only=True)
class PushContext:
    """What one push is made of.

    :param brake: is pulled where the push cannot go on.
    :param ids: which contact each record was given.
    """

    mapper: Mapper
    ledger: Ledger
    sender: Sender
    settings: PushSettings
    clock: Clock
    pace: Pace
    brake: Brake = field(default_factory=Brake)
    ids: VendorIds = field(default_factory=VendorIds)

    @property
    def vendor(self) -> Vendor:
        """The vendor's words."""
        return self.mapper.vendor


def pace_of(limits: Limits, budget: Budget | None) -> Pace:
    """Return the pace of a push: the rate that is known, or one that adapts to the vendor's answers."""
    rate = limits.requests_per_second
    return AdaptivePace(limits.max_in_flight, budget) if rate is None else Pace(rate, limits.burst, budget)
