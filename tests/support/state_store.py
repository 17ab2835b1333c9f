"""Airflow's task state store, as a task sees it, and what a push writes there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Trouble = Callable[[str, str], str | None]
"""Asked with the method and the key; ``"before"`` and ``"after"`` say when the call fails."""


def no_trouble(method: str, key: str) -> str | None:  # noqa: ARG001  # whatever is asked for
    return None


@dataclass
class StateStore:
    """``context["task_state_store"]``: JSON goes in and comes out, and a call may fail before or after it is done."""

    kept: dict[str, str] = field(default_factory=dict)
    history: dict[str, list[str]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    retentions: set[Any] = field(default_factory=set)
    trouble: Trouble = no_trouble
    error: Exception = field(default_factory=lambda: OSError("the store is away"))

    def get(self, key: str, default: Any = None) -> Any:
        return self._call("get", key, lambda: json.loads(self.kept[key]) if key in self.kept else default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        text = json.dumps(value, allow_nan=False)
        assert value is not None
        assert key.isascii()
        assert len(text) <= 65_535

        def write() -> None:
            self.kept[key] = text
            self.history.setdefault(key, []).append(text)
            self.retentions.add(retention)

        self._call("set", key, write)

    def _call(self, method: str, key: str, call: Callable[[], Any]) -> Any:
        self.calls.append((method, key))
        when = self.trouble(method, key)
        if when == "before":
            raise self.error
        answer = call()
        if when == "after":
            raise self.error
        return answer

    def fail(self, when: str = "before", *, on: tuple[str, ...] = ("get", "set"), key: str = "") -> None:
        """Fail from now on, for these methods, at this key or at each."""
        self.trouble = lambda method, asked: when if method in on and key in {"", asked} else None

    def heal(self) -> None:
        self.trouble = no_trouble

    def values(self) -> dict[str, Any]:
        return {key: json.loads(text) for key, text in self.kept.items()}

    def steps(self) -> dict[str, Any]:
        """Return what the log says, step by step."""
        return {key: value for key, value in self.values().items() if key.count(".") == 2}
