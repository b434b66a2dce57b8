"""Before every step: may the run go on, must it wait, or does it end here?"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.errors import LostRun
from nucleus_app.kinet.checkpoint import Version
from nucleus_app.kinet.preprocess import Rgb
from trainer.judging.remembered import Finder

WAIT_S = 0.5


class Word(Enum):
    """What is said before a step."""

    GO = auto()
    WAIT = auto()
    STOP = auto()
    CANCEL = auto()
    LOST = auto()


class Stopped(Exception):
    """The process is to end; the run stays open, and goes on when a trainer is there again."""


class Cancelled(Exception):
    """A person cancelled the run."""


class Attendance:
    """Asked before each step. Raises Stopped, Cancelled or LostRun where the run does not go on."""

    def __init__(self, decide: Callable[[], Word], wait: Callable[[float], object]) -> None:
        self._decide = decide
        self._wait = wait

    def __call__(self) -> None:
        while (word := self._decide()) is Word.WAIT:
            self._wait(WAIT_S)
        match word:
            case Word.STOP:
                raise Stopped
            case Word.CANCEL:
                raise Cancelled
            case Word.LOST:
                raise LostRun("Another trainer goes on with this training run: this one leaves it alone.")


class AttendedFinder:
    """A finder that asks before every image."""

    def __init__(self, finder: Finder, attend: Callable[[], None]) -> None:
        self._finder = finder
        self._attend = attend

    @property
    def version(self) -> Version:
        return self._finder.version

    def find(self, rgb: Rgb, mpp: float) -> Nuclei:
        self._attend()
        return self._finder.find(rgb, mpp)
