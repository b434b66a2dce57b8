"""Worker and trainer as children of the app: started with it, started again when they die, gone when the app is gone."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading

logger = logging.getLogger(__name__)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
HEALTHY_AFTER_S = 60.0


UNTIL_APP_ENDS = "--until-stdin-closes"
WORKER = (sys.executable, "-m", "nucleus_app", "worker", UNTIL_APP_ENDS)
TRAINER = (sys.executable, "-m", "trainer", "watch", UNTIL_APP_ENDS)


class Child:
    """Keeps one process alive. It reads its standard input until that closes: when this process is killed, however hard,
    the pipe closes and the child stops too, so that two never share a slot.
    """

    def __init__(self, name: str, command: tuple[str, ...]) -> None:
        self._name = name
        self._command = command
        self._stopping = threading.Event()
        self._failures = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep, name=f"{name}-keeper", daemon=True)
        self._keeper.start()

    @property
    def is_failing(self) -> bool:
        """True when it ended twice in a row without having run for a while."""
        return self._failures > 1

    def stop(self) -> None:
        """Stop it; what it had not finished goes on at the next start."""
        self._stopping.set()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._keeper.join(timeout=5)

    def _keep(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stopping.is_set():
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE)
            logger.info("%s started, process %d", self._name, self._process.pid)
            try:
                self._process.wait(timeout=HEALTHY_AFTER_S)
            except subprocess.TimeoutExpired:
                pause, self._failures = FIRST_PAUSE_S, 0
                self._process.wait()
            if not self._stopping.is_set():
                self._failures += 1
                logger.warning(
                    "%s ended with status %d; starting it again in %.0f s", self._name, self._process.returncode, pause
                )
                self._stopping.wait(pause)
                pause = min(LONGEST_PAUSE_S, 2 * pause)
