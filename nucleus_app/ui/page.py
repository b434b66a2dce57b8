"""The page: upload and case details on the left, the viewer on the right."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr

from nucleus_app import RESEARCH_USE_ONLY, __version__
from nucleus_app.errors import NotFound, NucleusAppError, WholeSlide
from nucleus_app.services.intake import MAX_LABEL, rename, say_twin, score_at, take_in
from nucleus_app.services.scored_images import ScoredImage, get_scored_image, list_scored_images
from nucleus_app.services.slides import reopen_slide, take_in_slide
from nucleus_app.services.workplace import Workplace
from nucleus_app.ui.viewer.component import create_viewer

logger = logging.getLogger(__name__)

ALONE, TOGETHER, TO_OPEN = "Each image is a case", "All are one case", "Add to the open case"
CSS = """
.gradio-container > main, .gradio-container .fillable { padding: 4px 14px !important; max-width: none !important; }
#title { padding: 2px 4px 0; } #title .html-container { padding: 0 !important; }
#title h3 { display: flex; align-items: baseline; gap: 16px; margin: 0; font-size: 16px; font-weight: 600; line-height: 1.3; }
#title small { font-size: 13px; font-weight: 600; } #title a { margin-left: auto; padding: 0; font-size: 13px; }
#details .block, #upload-into { padding: 8px 10px; }
#upload-into label { padding: 3px 8px; }
#score-all { min-height: 34px; padding: 4px 8px; font-size: 13px; }
footer { display: none !important; }
"""
DROPPED_ON = """(files, into, _, waiting) =>
  [files, into, Number(document.querySelector('#viewer .nv-root').dataset.droppedOn) || null, waiting]"""
"""The image that was open when the files were dropped: by the time they are uploaded another one may be."""
NO_PIXEL_SIZE = "Give the pixel size in µm/px: about 0.5 for 20×, 0.25 for 40×."
QUEUE_PAUSE_S = 0.05
"""Between two looks for events. Gradio's own millisecond takes 8 % of a core for ever."""
Notice = dict[str, str]
Fields = list[Any]


def build_page(workplace: Workplace) -> gr.Blocks:
    """The Gradio Blocks, wired to the services of a workplace."""
    handlers = Handlers(workplace)
    with gr.Blocks(title="Ki67 scoring", fill_width=True, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        # The link is the address of the page about learning; the viewer opens it without leaving this one.
        title = f'<h3>Ki67 scoring <small>{__version__} · {RESEARCH_USE_ONLY}</small><a href="?learning=1">Learning</a></h3>'
        gr.HTML(title, elem_id="title")  # in Markdown the link would open another window
        image_id, dropped_on = (gr.Number(visible=False, precision=0) for _ in range(2))
        # Images dropped on this page whose pixel size nobody has stated. No State: one keeps a connection of every tab open.
        waiting = gr.JSON([], visible=False)
        with gr.Row(equal_height=False):
            with gr.Column(scale=0, min_width=270):
                files = gr.File(
                    label="Drop Ki67 images or slides here",
                    file_count="multiple",
                    height=164,
                    elem_id="upload",
                    type="filepath",
                )
                into = gr.Radio([ALONE, TOGETHER, TO_OPEN], value=ALONE, label="Dropped images", elem_id="upload-into")
                with gr.Group(elem_id="details"):
                    label = gr.Textbox(
                        label="Image label", max_length=MAX_LABEL, elem_id="label",
                        info="Also names the case in its report until you give it another. Use a pseudonym.",
                    )  # fmt: skip
                    mpp = gr.Number(
                        label="Pixel size, µm/px", step=0.001, minimum=0, elem_id="mpp",
                        info="20× is about 0.5, 40× about 0.25.",
                    )  # fmt: skip
                    score = gr.Button("Score", variant="primary", elem_id="score")
                    score_all = gr.Button(visible=False, elem_id="score-all")
            with gr.Column(scale=1, min_width=500):
                viewer = create_viewer(elem_id="viewer")
        shown, offered = [viewer, image_id, label, mpp], [waiting, score_all]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
        page.load(handlers.load, None, shown, **quiet)
        files.upload(
            handlers.upload,
            [files, into, dropped_on, waiting],
            [*shown, *offered, files],
            js=DROPPED_ON,
            **(quiet | {"show_progress": "minimal"}),
        )
        # One at a time and in order, so that the fields end on the case that was chosen last.
        viewer.select(handlers.select, None, shown, trigger_mode="multiple", **(quiet | {"concurrency_limit": 1}))
        for done in (label.submit, label.blur):
            done(handlers.rename, [image_id, label], viewer, **quiet)
        score.click(handlers.score, [image_id, mpp, waiting], [*shown, *offered], **quiet)
        score_all.click(handlers.score_all, [image_id, mpp, waiting], [*shown, *offered], **quiet)
    page._queue.sleep_when_free = page._queue.progress_update_sleep_when_free = QUEUE_PAUSE_S
    return page


class Handlers:
    """Gradio events → services → what the page shows. The only place where errors become notices."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace

    def load(self, request: gr.Request) -> Fields:
        """Open the case named in the address, else the latest."""
        wanted = dict(request.query_params).get("image", "")
        if wanted.isdecimal():
            return self._guarded(lambda: get_scored_image(self._workplace, int(wanted)))
        cases = list_scored_images(self._workplace)
        return self._show(cases[0] if cases else None, [])

    def upload(self, paths: list[str] | None, into: str, dropped_on: float | None, waiting: Sequence[int]) -> Fields:
        """Take every file in; what cannot be read is named with the reason, the others go on. ``into``: whether each
        becomes a case, all of them one, or all go into the case of the image they were dropped on. A slide waits for fields to
        be chosen on it; the viewer opens the last one.
        """
        notices: list[Notice] = []
        taken: list[int] = []
        slides: list[int] = []
        new_slides = 0
        whole: list[Path] = []
        case_id = self._find_case(dropped_on) if into == TO_OPEN else None
        files = [Path(path) for path in dict.fromkeys(paths or [])]  # the same file twice has one place in the cache
        for path in files:
            with _taken(path, notices):
                try:
                    stored = take_in(self._workplace, path, path.name, case_id=case_id)
                except WholeSlide:
                    whole.append(path)
                    continue
                path.unlink(missing_ok=True)  # out of Gradio's cache at once: it has no owner there
                taken.append(stored.id)
                if twin := say_twin(self._workplace, stored):
                    notices.append(_notice("info", f"{path.name}: {twin}"))
                if into != ALONE:
                    case_id = stored.case_id
        for path in whole:  # after the images, whose case theirs may be
            with _taken(path, notices):
                if slide := reopen_slide(self._workplace, path, case_id):
                    words = f"{path.name}: the same slide is kept already, as “{slide.label}”. It was opened, not kept twice."
                    notices.append(_notice("info", words))
                else:
                    slide = take_in_slide(self._workplace, path, path.name, case_id)
                    new_slides += 1
                slides.append(slide.id)
        if into == TOGETHER and case_id is None and new_slides > 1:
            notices.append(
                _notice(
                    "info",
                    "The fields of each slide become a case of their own. “Move or remove this image” brings them together.",
                )
            )
        for path in files:
            path.unlink(missing_ok=True)
        case = get_scored_image(self._workplace, taken[-1]) if taken else None
        shown = self._show(case, notices, opens=True) if case else self._only_notices(notices)
        shown[0] |= {"slide": slides[-1] if slides else None}
        return [*shown, *_offer([*waiting, *(id_ for id_ in taken if self._waits(id_))]), None]

    def _find_case(self, image_id: float | None) -> int | None:
        """The case of an image that is open; None where none is, and the first file then begins one."""
        try:
            return get_scored_image(self._workplace, int(image_id)).image.case_id if image_id else None
        except NucleusAppError:
            return None

    def select(self, event: gr.EventData) -> Fields:
        """A case was opened in the viewer: fill its details."""
        image_id = (getattr(event, "_data", None) or {}).get("id", 0)
        return self._guarded(lambda: get_scored_image(self._workplace, int(image_id)), shows=False)

    def rename(self, image_id: float | None, label: str) -> dict[str, Any] | Any:
        """Keep the label as typed, made harmless. Answers with notices only: by the time it arrives another case may
        be open, and its fields must not be touched.
        """
        if not image_id:
            return gr.skip()
        try:
            rename(self._workplace, int(image_id), label or "")
        except NucleusAppError as error:
            return _value(None, [_notice("error", str(error))])
        return _value(None, None)

    def score(self, image_id: float | None, mpp: float | None, waiting: Sequence[int]) -> Fields:
        """Score the open image (again) at the pixel size in the field."""
        if not image_id:
            return [*self._only_notices([_notice("info", "Drop an image first.")]), *_offer(waiting)]
        if mpp is None:
            return [*self._only_notices([_notice("error", NO_PIXEL_SIZE)]), *_offer(waiting)]

        def act() -> ScoredImage:
            score_at(self._workplace, int(image_id), float(mpp))
            return get_scored_image(self._workplace, int(image_id))

        return [*self._guarded(act), *_offer([id_ for id_ in waiting if self._waits(id_)])]

    def score_all(self, image_id: float | None, mpp: float | None, waiting: Sequence[int]) -> Fields:
        """Score every image that waits for a pixel size at the one in the field. What cannot be is named and waits on."""
        if mpp is None:
            return [*self._only_notices([_notice("error", NO_PIXEL_SIZE)]), *_offer(waiting)]
        notices: list[Notice] = []

        def act() -> ScoredImage:
            for id_ in filter(self._waits, waiting):
                try:
                    score_at(self._workplace, id_, float(mpp))
                except NucleusAppError as error:
                    notices.append(_notice("error", f"{get_scored_image(self._workplace, id_).image.label}: {error}"))
            return get_scored_image(self._workplace, int(image_id or waiting[0]))

        return [*self._guarded(act, notices), *_offer([id_ for id_ in waiting if self._waits(id_)])]

    def _waits(self, image_id: int) -> bool:
        """Whether an image has no pixel size to be scored at. One that was removed waits for nothing."""
        try:
            return get_scored_image(self._workplace, image_id).scoring is None
        except NotFound:
            return False

    def _guarded(self, act: Callable[[], ScoredImage], notices: Sequence[Notice] = (), *, shows: bool = True) -> Fields:
        try:
            return self._show(act(), list(notices), shows=shows)
        except NucleusAppError as error:
            return self._only_notices([_notice("error", str(error))])
        except Exception:
            logger.exception("a page event failed")
            return self._only_notices(
                [_notice("error", "That did not work. The server's log has the reason; try again.")]
            )

    def _show(
        self, case: ScoredImage | None, notices: list[Notice], *, opens: bool = False, shows: bool = True
    ) -> Fields:
        """``shows`` False: fill the details of an image that the viewer has open already."""
        if case is None:
            return [_value(None, notices), None, "", None]
        image, scoring = case.image, case.scoring
        pixel_size = scoring.pixel_size if scoring else image.pixel_size
        value = _value(image.id, notices, opens=opens) if shows else _value(None, None)
        return [value | {"details": image.id}, image.id, image.label, round(pixel_size.mpp, 5) if pixel_size else None]

    def _only_notices(self, notices: list[Notice]) -> Fields:
        return [_value(None, notices), gr.skip(), gr.skip(), gr.skip()]


@contextmanager
def _taken(path: Path, notices: list[Notice]) -> Iterator[None]:
    """What keeps a file from being taken in is told; the others go on."""
    try:
        yield
    except NucleusAppError as error:
        notices.append(_notice("error", f"{path.name}: {error}"))
    except Exception:
        logger.exception("an upload could not be stored")
        notices.append(_notice("error", f"{path.name}: it could not be stored. The server's log has the reason."))


def _offer(waiting: Sequence[int]) -> Fields:
    """The images that wait for a pixel size, and the button that gives them all the same."""
    return [list(waiting), gr.Button(f"Score all {len(waiting)} that wait, at this size", visible=len(waiting) > 1)]


def _notice(kind: str, text: str) -> Notice:
    return {"kind": kind, "text": text}


def _value(image_id: int | None, notices: list[Notice] | None, *, opens: bool = False) -> dict[str, Any]:
    """``notices`` None leaves those on the page. ``opens``: also where the reader has another image open by now.
    ``rev`` only has to differ: equal values would not reach the browser. ``details``, where it is there: whose were filled.
    """
    return {"image": image_id, "notices": notices, "opens": opens, "rev": time.time_ns() // 1000}
