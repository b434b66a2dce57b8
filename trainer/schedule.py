"""When a run begins by itself: enough newly signed fields, at an hour that the lab allows. Never by a mere save."""

from __future__ import annotations

from datetime import time

from nucleus_app.settings import Settings, parse_hours


def is_due(settings: Settings, newly_signed: int, local: time) -> bool:
    """``newly_signed``: fields that were signed since the last run began. ``local``: time of day."""
    enough = 0 < settings.train_after_fields <= newly_signed
    return enough and is_allowed(settings.train_hours, local)


def is_allowed(hours: str, local: time) -> bool:
    """Whether a time of day lies in ``hours`` (``20-6``); those that end before they begin go over midnight."""
    parsed = parse_hours(hours)
    if parsed is None:
        return True
    first, last = parsed
    hour = local.hour + local.minute / 60
    return first <= hour < last if first < last else hour >= first or hour < last
