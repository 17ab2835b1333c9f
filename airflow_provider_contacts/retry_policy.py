"""Decide by its error whether and when Airflow tries a task again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts import errors

if TYPE_CHECKING:
    from airflow.sdk import Context, RetryDecision, RetryPolicy
else:
    try:
        from airflow.sdk import RetryDecision, RetryPolicy
    except ImportError:  # Airflow 3.2
        RetryPolicy = object

DELAY = timedelta(minutes=1)
LONGEST = timedelta(hours=1)
LONGEST_WAIT = timedelta(hours=24)


class ContactsRetryPolicy(RetryPolicy):
    """Decide by the kind of a failure whether and when Airflow tries a task again: ``retry_policy=`` of any task.

    Airflow asks it after each failed try, and never gives more tries than ``retries``. It needs Airflow 3.3. It is made
    for the operators of this package and for tasks that use a hook of it; for other exceptions Airflow decides.

    - The vendor asks for a wait: the next try begins at that moment. From Airflow 3.4 on this costs no try where the
      outcome table remembers the push.
    - Another failure that a further try may mend: the next try begins after ``delay``, then twice that, and so on.
    - Wrong configuration, a refused credential, or records that no try can deliver: the task fails at once.

    :param delay: wait after the first try.
    :param longest: the longest wait of this kind; not shorter than ``delay``.
    :param longest_wait: the longest wait that a vendor may ask for.
    :raises ConfigError: on Airflow 3.2, which has no retry policies.
    :raises ValueError: if a wait is no timedelta above zero.
    """

    def __init__(
        self, delay: timedelta = DELAY, longest: timedelta = LONGEST, longest_wait: timedelta = LONGEST_WAIT
    ) -> None:
        if RetryPolicy is object:
            raise errors.ConfigError(
                f"ContactsRetryPolicy needs Airflow 3.3; this is {version('apache-airflow-core')}. Leave retry_policy "
                "out, and give the task retries, retry_delay and retry_exponential_backoff instead"
            )
        given: dict[str, Any] = {"delay": delay, "longest": longest, "longest_wait": longest_wait}
        for name, value in given.items():
            if not isinstance(value, timedelta) or value <= timedelta(0):
                raise ValueError(f"{name} is a timedelta above zero, not {value!r}")
        if longest < delay:
            raise ValueError(f"longest is not shorter than delay, which is {delay}, not {longest}")
        self.delay, self.longest, self.longest_wait = delay, longest, longest_wait

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,  # noqa: ARG002  # Airflow's signature; it counts the tries itself
        context: Context | None = None,  # noqa: ARG002  # likewise
    ) -> RetryDecision:
        """Return what Airflow is to do after a failure."""
        if isinstance(exception, errors.RetryLaterError):
            return self._wait(exception)
        if isinstance(exception, errors.ConfigError):
            return RetryDecision.fail(reason="configured wrongly: a further try would find the same")
        if isinstance(exception, errors.RefusedError):
            return RetryDecision.fail(reason="the vendor refuses credential, right or address")
        if isinstance(exception, errors.UndeliveredError) and not exception.retryable:
            return RetryDecision.fail(reason="no further try can deliver what is left")
        # Of an execution that was superseded, the newer one's end is what counts.
        if isinstance(exception, errors.ContactsError) and not isinstance(exception, errors.SupersededError):
            # Twice as long fifty times is beyond every limit, and a thousand times no longer fits a timedelta.
            seconds = self.delay.total_seconds() * 2 ** min(max(try_number, 1) - 1, 50)
            wait = timedelta(seconds=min(seconds, self.longest.total_seconds()))
            return RetryDecision.retry(wait, reason="a further try may deliver more")
        return RetryDecision.default()

    def _wait(self, error: errors.RetryLaterError) -> RetryDecision:
        delay = min(max(error.until - datetime.now(UTC), timedelta(0)), self.longest_wait)
        reason = f"{error}; the wait ends then"
        reschedule = getattr(RetryDecision, "reschedule", None)  # from Airflow 3.4 on
        # A push without a memory would send everything again up to a hundred times a try.
        if reschedule is None or not error.remembered:
            return RetryDecision.retry(delay, reason=reason)
        decision: RetryDecision = reschedule(delay, max_reschedules=errors.MOST_RESCHEDULES, reason=reason)
        return decision

    def serialize(self) -> dict[str, Any]:
        """Return the three lengths in seconds."""
        return {
            "__type": f"{type(self).__module__}.{type(self).__qualname__}",
            **{name: getattr(self, name).total_seconds() for name in ("delay", "longest", "longest_wait")},
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> ContactsRetryPolicy:
        """Return the policy that was serialized."""
        return cls(**{name: timedelta(seconds=data[name]) for name in ("delay", "longest", "longest_wait")})
