"""The whole app in its own process, and a real Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from playwright.sync_api import Browser, expect, sync_playwright

ROOT = Path(__file__).parent.parent.parent
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
expect.set_options(timeout=30_000)  # a busy machine is no failure
CHROMIUM_FLAGS += ["--disable-component-update", "--disable-sync"]


@dataclass
class RunningApp:
    """The app as an administrator starts it, in a data folder of its own."""

    data_dir: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        environment = os.environ | {"NUCLEUS_DATA_DIR": str(self.data_dir), "NUCLEUS_PORT": str(self.port)}
        environment |= {"NUCLEUS_DEVICE": "cpu", "NUCLEUS_TRAINER": "off"} | self.environment
        self.process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment)
        end = time.monotonic() + 90
        while time.monotonic() < end:
            assert self.process.poll() is None, "the app ended while starting"
            try:
                httpx.get(f"{self.url}nucleus/healthz", timeout=2).raise_for_status()
                return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise AssertionError("the app did not answer within 90 s")

    def kill(self) -> None:
        """kill -9, as a crash or a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)

    def images(self) -> list[dict[str, object]]:
        listed: list[dict[str, object]] = httpx.get(f"{self.url}nucleus/api/images").json()["images"]
        return listed


SEEDED = {"NUCLEUS_DEMO": "no", "NUCLEUS_WORKER": "external"}
"""Nothing is scored: cases come with their nuclei (:mod:`tests.e2e.seeding`). The app starts sooner so."""


@contextmanager
def running_app(data_dir: Path, environment: Mapping[str, str] | None = None) -> Iterator[RunningApp]:
    """The app, started, until the test has no more use for it."""
    app = RunningApp(data_dir, free_port(), dict(environment or {}))
    try:
        app.start()
        yield app
    finally:
        app.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def open_chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        installed = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        chromium = playwright.chromium.launch(executable_path=installed, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()
