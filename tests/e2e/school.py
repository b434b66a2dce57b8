"""The routes of decision 0010 with hand-made answers, put between the page and the app: what a page shows of every state of the trainer."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from playwright.sync_api import Page, Route

BASE, FIRST, SECOND = ("b" * 64, "1" * 64, "2" * 64)
Answer = dict[str, Any]


def nobody_signed() -> Answer:
    """A fresh installation."""
    return {
        "state": "idle",
        "trainer": {"is_there": True, "doing": "waiting", "is_failing": False},
        "rule": {
            "after_fields": 8,
            "hours": None,
            "signed_fields": 0,
            "sides": {"train": 0, "validation": 0, "locked": 0},
        },
        "run": None,
        "in_service": {
            "sha256": BASE,
            "name": "base-1",
            "since": None,
            "sentence": "It came with this app and has not learned from your cases yet.",
        },
        "versions": [
            {
                "sha256": BASE,
                "name": "base-1",
                "parent": None,
                "created": "2025-09-01T08:00:00+00:00",
                "run_id": None,
                "is_active": True,
                "state": "shipped",
                "sentence": "Shipped with the app.",
            }
        ],
        "activations": [],
        "runs": [],
        "disk_bytes": 21_000_000,
    }


def three_signed() -> Answer:
    told = nobody_signed()
    told["rule"] |= {"signed_fields": 3, "sides": {"train": 2, "validation": 1, "locked": 0}}
    return told


def one_runs(state: str = "training", step: int = 840) -> Answer:
    told = after_lessons()
    told["state"] = state
    told["trainer"] |= {"doing": state}
    told["run"] = {
        "id": 4,
        "state": state,
        "trigger": "fields",
        "step": step,
        "of": 2000,
        "seconds_left": 740.0,
        "device": "cpu",
        "can_cancel": True,
    }
    told["runs"].insert(0, lesson_line(4, state, "", finished=None))
    return told


def lesson_line(id: int, state: str, sentence: str, finished: str | None = "2025-11-20T14:20:00+00:00") -> Answer:
    return {
        "id": id,
        "state": state,
        "sentence": sentence,
        "started": "2025-11-20T13:40:00+00:00",
        "finished": finished,
    }


def after_lessons() -> Answer:
    """One lesson was taken, one not, one had not enough to judge by."""
    told = three_signed()
    told["rule"] |= {"hours": "20-6", "signed_fields": 5, "sides": {"train": 6, "validation": 3, "locked": 3}}
    told["in_service"] = {
        "sha256": SECOND,
        "name": "lab-2",
        "since": "2025-11-20T14:20:00+00:00",
        "sentence": "It learned from 412 corrected nuclei in 14 fields of 6 signed cases, on top of base-1.",
    }
    told["versions"] = [
        {
            "sha256": "3" * 64,
            "name": "lab-3",
            "parent": SECOND,
            "created": "2025-11-22T09:10:00+00:00",
            "run_id": 3,
            "is_active": False,
            "state": "rejected",
            "sentence": "412 corrected nuclei in 14 fields.",
        },
        {
            "sha256": SECOND,
            "name": "lab-2",
            "parent": BASE,
            "created": "2025-11-20T14:20:00+00:00",
            "run_id": 2,
            "is_active": True,
            "state": "promoted",
            "sentence": "Put in service by the judge, 2025-11-20.",
        },
        {
            "sha256": FIRST,
            "name": "lab-1",
            "parent": BASE,
            "created": "2025-11-12T19:02:00+00:00",
            "run_id": 1,
            "is_active": False,
            "state": "undecided",
            "sentence": "118 corrected nuclei in 8 fields.",
        },
        told["versions"][0] | {"is_active": False},
    ]
    told["runs"] = [
        lesson_line(3, "rejected", "Worse on non-tumour nuclei.", "2025-11-22T09:10:00+00:00"),
        lesson_line(2, "promoted", "Better on positive nuclei."),
        lesson_line(1, "undecided", "Not enough evidence.", "2025-11-12T19:02:00+00:00"),
    ]
    told["activations"] = [
        {"sha256": SECOND, "actor": "A. N.", "reason": "chosen", "at": "2025-11-20T14:20:00+00:00"},
        {"sha256": BASE, "actor": "A. N.", "reason": "chosen", "at": "2025-11-18T09:00:00+00:00"},
    ]
    told["disk_bytes"] = 412_000_000
    return told


def progress(steps: int = 840, of: int = 2000) -> list[Answer]:
    """Events of a lesson up to a step."""
    events: list[Answer] = []
    rng = np.random.default_rng(3)
    for step in range(20, steps + 1, 20):
        level = 0.34 + 0.9 * float(np.exp(-step / 350)) + float(rng.normal(0, 0.02))
        loss = {"proximity": level * 0.7, "classes": level * 0.3}
        events.append({"event": "progress", "step": step, "of": of, "loss": loss, "seconds_left": 0.6 * (of - step)})
        if step % 200 == 0:
            rise = 1 - float(np.exp(-step / 500))
            events.append(
                {
                    "event": "evaluation",
                    "step": step,
                    "detection_f1": 0.83 + 0.02 * rise,
                    "weighted_f1": 0.74 + 0.06 * rise,
                }
            )
    return events


def verdict(state: str, gallery: list[list[Any]] | None = None) -> Answer:
    """As domain/learning.py writes it."""
    good = state == "promoted"
    return {
        "state": state,
        "sentence": "On 3 locked cases it gives more nuclei the right class than base-1, and nothing got worse."
        if good
        else "It found more positive nuclei but confused lymphocytes with tumour.",
        "reasons": []
        if good
        else [
            "F1 of non-tumour nuclei fell by 0.041; 0.02 is allowed.",
            "On the shipped fields the error of the index rose by 1.4 points; 1.0 is allowed.",
        ],
        "cases": 3,
        "locked": {
            "images": 7,
            "nuclei": 2140,
            "detection_f1": [0.841, 0.846, -0.003, 0.012],
            "weighted_f1": [0.748, 0.779, 0.014, 0.049],
            "class_f1": {
                "positive": [0.71, 0.762, 0.02, 0.081],
                "negative": [0.803, 0.815, -0.004, 0.027],
                "other": [0.664, 0.671 if good else 0.623, -0.02 if good else -0.062, 0.03 if good else -0.019],
            },
            "index_error": [4.2, 2.9, -2.2, -0.3],
            "calibration": [0.061, 0.058, None, None],
        },
        "regression": {
            "images": 12,
            "nuclei": 3300,
            "detection_f1": [0.881, 0.879, -0.006, 0.003],
            "weighted_f1": [0.832, 0.83, -0.008, 0.004],
            "class_f1": {
                "positive": [0.86, 0.859, None, None],
                "negative": [0.84, 0.836, None, None],
                "other": [0.79, 0.79, None, None],
            },
            "index_error": [1.1, 1.3 if good else 2.5, None, None],
            "calibration": None,
        },
        "lesson_agreement": 0.93,
        "gallery": gallery or [],
        "effect": "on 3 locked cases it finds 7 % more of the positive nuclei (compared with base-1)" if good else "",
    }


def change_some(images: list[int]) -> list[list[Any]]:
    """Newly right: wrong class, missed, one too many. Newly wrong: one nucleus that was right."""
    return [
        [images[0], 100.0, 120.0, 0, 1, 0],
        [images[1], 210.0, 220.0, 1, None, 1],
        [images[0], 300.0, 140.0, None, 2, None],
        [images[0], 320.0, 300.0, 2, 2, 1],
    ]


def draw_tile(n: int) -> bytes:
    """A nucleus in the middle of pale tissue."""
    rng = np.random.default_rng(n)
    rgb = np.clip(rng.normal((232, 222, 228), 6, (64, 64, 3)), 0, 255).astype(np.uint8)
    image = Image.fromarray(rgb).resize((256, 256), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for x, y in [(128, 128), *(rng.integers(10, 246, (4, 2)).tolist())]:
        r = int(rng.integers(22, 32))
        draw.ellipse((x - r, y - r * 0.8, x + r, y + r * 0.8), fill=((120, 74, 40), (130, 134, 178))[(n + x) % 2])
    buffer = BytesIO()
    image.resize((96, 96)).save(buffer, "PNG")
    return buffer.getvalue()


class FakeSchool:
    """Answers for the trainer until it is told to be away. Tests change ``training``, ``lessons`` and ``worklist``."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.training: Answer = nobody_signed()
        self.lessons: dict[int, Answer] = {}
        self.worklist: Answer = {"fields": [], "unscored": 0}
        self.is_away = False
        self.asked = 0
        self.posted: list[tuple[str, Answer]] = []
        self.on_post: Callable[[str, Answer], tuple[int, Answer]] = lambda what, body: (200, {})
        page.route("**/nucleus/api/training**", self._answer)
        page.route("**/nucleus/api/training/**", self._answer)
        page.route("**/nucleus/api/worklist", self._answer)

    def ends(self, id: int, state: str, gallery: list[list[Any]] | None = None) -> None:
        """A lesson ended: with its verdict and its events."""
        self.lessons[id] = lesson_line(id, state, "") | {
            "events": progress(2000),
            "verdict": verdict(state, gallery) if state in ("promoted", "rejected") else None,
            "error": None,
        }

    def _answer(self, route: Route) -> None:
        self.asked += 1
        if self.is_away:
            return route.abort()
        request, path = route.request, route.request.url.split("/nucleus/api/", 1)[1]
        if path == "worklist":
            return route.fulfill(json=self.worklist)
        if path == "training":
            return route.fulfill(json=self.training)
        if path.endswith(".png"):
            return route.fulfill(body=draw_tile(int(path.rsplit("/", 1)[1][:-4])), content_type="image/png")
        if request.method == "POST":
            body = json.loads(request.post_data or "{}")
            self.posted.append((path.split("/")[-1], body))
            status, answer = self.on_post(*self.posted[-1])
            return route.fulfill(status=status, json=answer)
        lesson = self.lessons.get(int(path.split("/")[2]))
        return route.fulfill(json=lesson or {"detail": "There is no such run."}, status=200 if lesson else 404)
