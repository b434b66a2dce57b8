"""Configuration of one installation, read once from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nucleus_app.errors import NucleusAppError

PREFIX = "NUCLEUS_"
DEVICES = ("", "cpu", "cuda", "mps", "torch-cpu")
TRAINERS = ("embedded", "external", "off")
FEWEST_STEPS = 20
MOST_DAYS = 36_500
"""Fewer steps of a training run teach nothing."""
LOCAL_HOSTS = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything an administrator can set. Names in the environment: ``NUCLEUS_`` + the field in capitals."""

    data_dir: Path = Path("data")
    """Database, blobs and temporary files live here."""
    database_url: str = ""
    """SQLAlchemy URL (also read from ``DATABASE_URL``). Default: SQLite in ``data_dir``."""
    blob_url: str = ""
    """fsspec URL of the image store. Default: a folder in ``data_dir``."""
    weights: str = ""
    """Weight file to begin with. Default: the shipped one."""
    host: str = "127.0.0.1"
    port: int = 7860
    allowed_hosts: str = ""
    """Names under which browsers may reach the app, with commas. Default: this machine's own while it listens on
    localhost only (so that no web site can reach it under another name), any otherwise."""
    root_path: str = ""
    """Path prefix behind a reverse proxy, such as ``/ki67``."""
    worker: str = "embedded"
    """``embedded``: the app starts a worker; ``external``: workers are started apart."""
    worker_slot: str = "worker-1"
    """Stable name of a worker; a job interrupted in a slot resumes in the same slot."""
    device: str = ""
    """``cpu`` (OpenVINO), ``cuda``, ``mps``, ``torch-cpu``. Default: CUDA where it is, else CPU."""
    threads: int = 0
    """Threads of the network on a CPU. Default: all cores."""
    trainer: str = "embedded"
    """``embedded``: the app starts a trainer; ``external``: one is started apart; ``off``: nothing is ever learned."""
    trainer_slot: str = "trainer-1"
    """Stable name of a trainer, another than the worker's; a run interrupted in a slot goes on at once in the same slot."""
    train_after_fields: int = 8
    """So many newly signed fields begin a training run by themselves. 0: only the button does."""
    train_hours: str = ""
    """Hours of the day, local time, in which runs may begin by themselves, such as ``20-6``. Default: any."""
    train_steps: int = 0
    """Steps of a training run, 20 or more; 0: as many as suit the fields that it learns from."""
    replay_dir: str = ""
    """A folder of labelled images of the site, replayed against forgetting. Default: only what is shipped."""
    max_megapixels: int = 150
    """Largest image that is accepted."""
    max_upload_mb: int = 4096
    """Largest file that is accepted; slides are large."""
    keep_slides_days: int = 14
    """So long the file of a slide is kept after it was dropped; fields that were cut out of it stay."""
    keep_removed_days: int = 14
    """So long an image that was removed can be put back; then its pixels are deleted."""
    demo: bool = True
    """Show a synthetic field on first start."""

    @property
    def sqlalchemy_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'nucleus.sqlite'}"

    @property
    def host_names(self) -> list[str]:
        if self.allowed_hosts:  # and this machine's own names, which no web site can take: health checks use them
            return [*(name.strip() for name in self.allowed_hosts.split(",")), *LOCAL_HOSTS]
        return list(LOCAL_HOSTS) if self.host in LOCAL_HOSTS else ["*"]

    @property
    def blob_store_url(self) -> str:
        return self.blob_url or str(self.data_dir.resolve() / "blobs")

    @property
    def training_dir(self) -> Path:
        """Checkpoints of the run under way."""
        return self.data_dir.resolve() / "training"

    @property
    def answers_dir(self) -> Path:
        """What versions answered on images that judge them; may be deleted at any time."""
        return self.training_dir / "answers"

    @property
    def networks_dir(self) -> Path:
        """What is made of versions to run them; may be deleted at any time."""
        return self.data_dir.resolve() / "networks"

    @property
    def slides_dir(self) -> Path:
        """Files of slides that fields are chosen on."""
        return self.data_dir.resolve() / "slides"

    @property
    def temporary_dir(self) -> Path:
        return self.data_dir.resolve() / "tmp"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from an environment; an empty value is none. Raises NucleusAppError for an unknown name or a value of the wrong kind."""
    defaults = Settings()
    known = {PREFIX + name.upper(): name for name in Settings.__slots__}
    values: dict[str, object] = {}
    if environment.get("DATABASE_URL"):
        values["database_url"] = environment["DATABASE_URL"]
    for key in environment:
        if not key.startswith(PREFIX) or not environment[key].strip():  # an empty host would be every address
            continue
        if key not in known:
            raise NucleusAppError(f"{key} is no setting; known are {', '.join(sorted(known))}")
        values[known[key]] = _convert(key, environment[key], getattr(defaults, known[key]))
    settings = Settings(**values)  # type: ignore[arg-type]
    _check(settings)
    return settings


def parse_hours(text: str) -> tuple[int, int] | None:
    """``20-6`` as its two hours; None for no restriction. Raises NucleusAppError."""
    if not text.strip():
        return None
    found = re.fullmatch(r"\s*(\d{1,2})\s*-\s*(\d{1,2})\s*", text)
    first, last = (int(part) for part in found.groups()) if found else (0, 0)
    if first == last or max(first, last) > 24:
        raise NucleusAppError(f"NUCLEUS_TRAIN_HOURS is {text!r}: use two hours from 0 to 24 such as '20-6', or none")
    return first, last


def _check(settings: Settings) -> None:
    """Raises NucleusAppError for what no type can say."""
    if settings.worker not in ("embedded", "external"):
        raise NucleusAppError(f"NUCLEUS_WORKER is {settings.worker!r}: use 'embedded' or 'external'")
    if settings.device not in DEVICES:
        raise NucleusAppError(f"NUCLEUS_DEVICE is {settings.device!r}: use one of {', '.join(DEVICES[1:])}, or none")
    if settings.trainer not in TRAINERS:
        raise NucleusAppError(f"NUCLEUS_TRAINER is {settings.trainer!r}: use 'embedded', 'external' or 'off'")
    if settings.train_after_fields < 0:
        raise NucleusAppError(f"NUCLEUS_TRAIN_AFTER_FIELDS is {settings.train_after_fields}: use 0 or more")
    if settings.train_steps and settings.train_steps < FEWEST_STEPS:
        raise NucleusAppError(
            f"NUCLEUS_TRAIN_STEPS is {settings.train_steps}: use {FEWEST_STEPS} or more, or 0 for as many as suit the lesson"
        )
    for key, slot in (("TRAINER", settings.trainer_slot), ("WORKER", settings.worker_slot)):
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", slot):
            raise NucleusAppError(
                f"NUCLEUS_{key}_SLOT is {slot!r}: use a name of up to 40 letters, digits, dots, - and _"
            )
    if settings.trainer_slot == settings.worker_slot:
        raise NucleusAppError(
            f"NUCLEUS_TRAINER_SLOT and NUCLEUS_WORKER_SLOT are both {settings.trainer_slot!r}: use two names"
        )
    for key, days in (("SLIDES", settings.keep_slides_days), ("REMOVED", settings.keep_removed_days)):
        if not 1 <= days <= MOST_DAYS:
            raise NucleusAppError(f"NUCLEUS_KEEP_{key}_DAYS is {days}: use 1 to {MOST_DAYS}")
    if settings.replay_dir and not Path(settings.replay_dir).is_dir():
        raise NucleusAppError(
            f"NUCLEUS_REPLAY_DIR is {settings.replay_dir!r}: use a folder of labelled images, or none"
        )
    parse_hours(settings.train_hours)


def _convert(key: str, text: str, default: object) -> object:
    try:
        if isinstance(default, bool):
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        if isinstance(default, int):
            return int(text)
    except (KeyError, ValueError) as error:
        raise NucleusAppError(f"{key} is {text!r}: use a value like {default!r}") from error
    return Path(text) if isinstance(default, Path) else text
