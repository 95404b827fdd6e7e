"""Where base classes were before 0.2: adapters written then go on working. New ones import from ``harness``."""

from harness.core.registry import *  # noqa: F403
