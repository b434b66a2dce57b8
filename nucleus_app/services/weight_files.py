"""Where weights lie on this machine."""

from __future__ import annotations

from pathlib import Path

from nucleus_app.kinet.checkpoint import SHIPPED_WEIGHTS
from nucleus_app.settings import Settings

NETWORKS = "networks"
"""Folder in the data folder for what is made of versions; may be deleted at any time."""


def find_base_path(settings: Settings) -> Path:
    """The weights that a store begins with: those of the settings, or the shipped ones."""
    return Path(settings.weights) if settings.weights else SHIPPED_WEIGHTS
