"""The worker as a child of the app: started with it, started again when it dies, gone when the app is gone."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading

logger = logging.getLogger(__name__)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
HEALTHY_AFTER_S = 60.0


class WorkerChild:
    """Keeps one worker process alive. The worker reads its standard input until it closes: when this process is
    killed, however hard, the pipe closes and the worker stops too, so that two never share a slot.
    """

    def __init__(
        self, command: tuple[str, ...] = (sys.executable, "-m", "nucleus_app", "worker", "--until-stdin-closes")
    ) -> None:
        self._command = command
        self._stopping = threading.Event()
        self._failures = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep, name="worker-keeper", daemon=True)
        self._keeper.start()

    @property
    def process_id(self) -> int | None:
        """Of the worker that was started last."""
        return self._process.pid if self._process else None

    @property
    def is_failing(self) -> bool:
        """True when the worker ended twice in a row without having run for a while."""
        return self._failures > 1

    def stop(self) -> None:
        """Stop the worker; what it had not finished goes on at the next start."""
        self._stopping.set()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._keeper.join(timeout=5)

    def _keep(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stopping.is_set():
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE)
            logger.info("worker started, process %d", self._process.pid)
            try:
                self._process.wait(timeout=HEALTHY_AFTER_S)
            except subprocess.TimeoutExpired:
                pause, self._failures = FIRST_PAUSE_S, 0
                self._process.wait()
            if not self._stopping.is_set():
                self._failures += 1
                logger.warning(
                    "worker ended with status %d; starting it again in %.0f s", self._process.returncode, pause
                )
                self._stopping.wait(pause)
                pause = min(LONGEST_PAUSE_S, 2 * pause)
