"""How hypothesis plays its examples in unit tests."""

from __future__ import annotations

from hypothesis import settings

# A machine that runs two suites at once may take a second for an example that takes a millisecond alone.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
