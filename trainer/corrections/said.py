"""One reviewed image → statements: what stands of its corrections, and which parts of it say anything (decision 0010)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from nucleus_app.domain.edits import Add, Class, Delete, Move, NucleusId, Redo, Region, RegionLabel, SignedEdit, Undo
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.domain.regions import bound_shape
from nucleus_app.domain.review import fold
from nucleus_app.domain.sheet import FieldBox
from nucleus_app.domain.split import Split
from trainer.corrections.statement import Statement, Window, look_up_reviewed, look_up_tissue
from trainer.learning.dataset import EXCLUDED, NON_TUMOUR
from trainer.learning.example import Points

MARGIN_UM = 32.0
"""Around what was said so much of the image is kept, for the network to see it in its surroundings."""
WHOLE_UP_TO_PX = 5_000_000
"""What was said of a larger part of an image is cut into parts that lie apart."""
CELL_PX = 64
"""Parts are found on a grid of this."""
GONE, THERE = "gone", "there"
PAINTS = (RegionLabel.TUMOUR, RegionLabel.NON_TUMOUR, RegionLabel.REVIEWED)


@dataclass(frozen=True, slots=True)
class ReviewedImage:
    """An image of a signed case as its readers left it. ``case``: the smallest of its patient's. ``fields``: its counted fields,
    None for the whole of it. ``readers``: under which name an edit was made, by its key, where it was under one; an author is a
    browser, and one reader may have two.
    """

    image: int
    case: int
    split: Split
    blob: str
    mpp: float
    size: tuple[int, int]
    candidates: Nuclei
    thresholds: tuple[float, ...]
    edits: Sequence[SignedEdit]
    fields: tuple[FieldBox | None, ...]
    readers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Word:
    """What stands of one nucleus: each reader's last opinion (a class's slug, ``GONE`` or ``THERE``), where it is, the
    class that it was given last.
    """

    opinions: dict[str, str] = field(default_factory=dict)
    at: tuple[float, float] | None = None
    kind: NucleusClass | None = None
    is_placed: bool = False

    @property
    def is_disputed(self) -> bool:
        said = set(self.opinions.values())
        return len(said - {GONE, THERE}) > 1 or (GONE in said and len(said) > 1)


def list_standing(edits: Iterable[SignedEdit]) -> list[SignedEdit]:
    """The edits that are not undone, without the undoing itself, in order."""
    log = list(edits)
    stands: dict[str, bool] = {}
    for signed in log:
        if isinstance(signed.edit, Undo | Redo):
            stands[signed.edit.edit] = isinstance(signed.edit, Redo)
    return [s for s in log if not isinstance(s.edit, Undo | Redo) and stands.get(s.key, True)]


def state_image(reviewed: ReviewedImage) -> list[Statement]:
    """What an image says, a statement for each part of it that says anything; none where nobody said anything."""
    standing = list_standing(reviewed.edits)
    words = _collect_words(standing, reviewed.readers)
    regions = tuple(s.edit for s in standing if isinstance(s.edit, Region))
    said = _say(reviewed, words, regions)
    fields = tuple(box for box in reviewed.fields if _holds_any(box, said.corrected))
    return [
        Statement(
            reviewed.image, reviewed.case, reviewed.split, reviewed.blob, reviewed.mpp, window,
            said.nuclei.select(inside), said.by_person[inside],
            said.removed[window.holds(said.removed)], said.doubtful[window.holds(said.doubtful)],
            tuple(r for r in regions if _touches(r, window)), fields,
        )
        for window in _cut(reviewed, said, regions, fields)
        for inside in [window.holds(said.nuclei.xy)]
    ]  # fmt: skip


class _Said(NamedTuple):
    nuclei: Nuclei
    by_person: NDArray[np.bool_]
    removed: Points
    doubtful: Points
    corrected: Points
    """Where a person's edit stands."""


def _collect_words(standing: Sequence[SignedEdit], readers: Mapping[str, str]) -> dict[NucleusId, _Word]:
    words: defaultdict[NucleusId, _Word] = defaultdict(_Word)
    for signed in standing:
        author = readers.get(signed.key) or signed.author
        match signed.edit:
            case Add(x, y, kind):
                word = words[signed.key]
                word.at, word.kind, word.is_placed = (x, y), kind, True
                word.opinions[author] = kind.slug
            case Class(ids, kind):
                for id_ in ids:
                    words[id_].opinions[author], words[id_].kind = kind.slug, kind
            case Delete(ids):
                for id_ in ids:
                    words[id_].opinions[author] = GONE
            case Move(id_, x, y):
                words[id_].opinions.setdefault(author, THERE)
                words[id_].at = x, y
    # A placed nucleus whose adding is undone is gone, whatever else was said of it.
    return {id_: word for id_, word in words.items() if isinstance(id_, int) or word.is_placed}


def _say(reviewed: ReviewedImage, words: dict[NucleusId, _Word], regions: Sequence[Region]) -> _Said:
    review = fold(reviewed.candidates, reviewed.thresholds, reviewed.size, reviewed.edits)
    present = review.nuclei()
    disputed = {id_ for id_, word in words.items() if word.is_disputed}
    kept = np.array([id_ not in disputed for id_ in present.ids], np.bool_)
    xy = present.nuclei.xy
    codes = look_up_tissue(regions, *_columns(xy))
    kept &= codes != EXCLUDED
    weak = codes == NON_TUMOUR
    classes = np.where(weak, NucleusClass.OTHER, present.nuclei.classes).astype(np.uint8)
    by_person = np.array(
        [_is_by_person(words.get(i), w) for i, w in zip(present.ids, weak.tolist(), strict=True)], np.bool_
    )
    ids = set(present.ids)
    places = {id_: word.at or _candidate_at(reviewed.candidates, id_) for id_, word in words.items()}
    removed = [places[id_] for id_ in words if isinstance(id_, int) and id_ not in ids and id_ not in disputed]
    untouched = np.array(sorted(set(range(len(reviewed.candidates))) - words.keys() - ids), np.intp)
    hidden = reviewed.candidates.xy[untouched]
    hidden = hidden[
        ~look_up_reviewed(regions, *_columns(hidden))
    ]  # where all was looked at, what is not marked is absent
    doubtful = np.concatenate([hidden, _to_points([places[id_] for id_ in words if id_ in disputed])])
    nuclei = Nuclei(xy, classes, present.nuclei.scores).select(kept)
    corrected = [places[id_] for id_ in words if isinstance(id_, int) or id_ in ids or id_ in disputed]
    return _Said(
        Nuclei(_rounded(nuclei.xy, 2), nuclei.classes, _rounded(nuclei.scores, 4)), by_person[kept],
        *(_leave_out_excluded(points, regions) for points in (_to_points(removed), doubtful, _to_points(corrected))),
    )  # fmt: skip


def _is_by_person(word: _Word | None, is_weak: bool) -> bool:
    """In a painted non-tumour region only who said that it is non-tumour said its class."""
    return word is not None and (not is_weak or word.kind is NucleusClass.OTHER)


def _candidate_at(candidates: Nuclei, id_: NucleusId) -> tuple[float, float]:
    x, y = candidates.xy[int(id_)].tolist()
    return x, y


def _leave_out_excluded(points: Points, regions: Sequence[Region]) -> Points:
    return _rounded(points[look_up_tissue(regions, *_columns(points)) != EXCLUDED], 2)


def _columns(points: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return points[:, 0].astype(np.float64), points[:, 1].astype(np.float64)


def _rounded(values: NDArray[np.float32], digits: int) -> NDArray[np.float32]:
    """As it will be read back."""
    return np.round(values.astype(np.float64), digits).astype(np.float32)


def _to_points(places: Sequence[tuple[float, float]]) -> Points:
    return np.asarray(places, np.float32).reshape(-1, 2)


def _holds_any(box: FieldBox | None, points: Points) -> bool:
    if box is None or not len(points):
        return bool(len(points))
    left, top, right, bottom = box
    x, y = points.T
    return bool(np.any((x >= left) & (x < right) & (y >= top) & (y < bottom)))


# Which parts of an image are kept.


def _cut(
    reviewed: ReviewedImage, said: _Said, regions: Sequence[Region], fields: Sequence[FieldBox | None]
) -> list[Window]:
    """Windows, apart from each other, that hold all that was said, with a margin."""
    boxes = [_whole(reviewed) if box is None else box for box in fields]
    boxes += [FieldBox(*bound_shape(region.shape)) for region in regions if region.label in PAINTS]
    points = np.concatenate([said.nuclei.xy[said.by_person], said.removed, said.corrected])
    boxes += [FieldBox(x, y, x, y) for x, y in points.tolist()]
    if not boxes:
        return []
    margin = MARGIN_UM / reviewed.mpp
    width, height = reviewed.size
    reached = np.asarray(boxes, np.float64) + np.array([-margin, -margin, margin, margin])
    reached = np.concatenate([np.floor(reached[:, :2]), np.ceil(reached[:, 2:]) + 1], axis=1)
    edges: NDArray[np.int64] = np.clip(reached, 0, (width, height, width, height)).astype(np.int64)
    left, top = (int(value) for value in edges[:, :2].min(axis=0))
    right, bottom = (int(value) for value in edges[:, 2:].max(axis=0))
    if (right - left) * (bottom - top) <= WHOLE_UP_TO_PX:
        return [Window(left, top, right - left, bottom - top)]
    return _part(edges, reviewed.size)


def _part(edges: NDArray[np.int64], size: tuple[int, int]) -> list[Window]:
    """Boxes (N, 4) that reach each other, as the boxes around them."""
    rows, columns = (math.ceil(length / CELL_PX) for length in (size[1], size[0]))
    grid = np.zeros((rows, columns), np.bool_)
    cells = np.stack([*(edges[:, :2] // CELL_PX).T, *(-(-edges[:, 2:] // CELL_PX)).T], axis=1)
    for left, top, right, bottom in np.unique(cells, axis=0).tolist():
        grid[top:bottom, left:right] = True
    while True:
        parts = [part for part in find_objects(label(grid, np.ones((3, 3)))[0]) if part is not None]
        before = int(grid.sum())
        for part in parts:
            grid[part] = True  # boxes around crooked parts may reach others
        if int(grid.sum()) == before:
            break
    windows = []
    for y, x in parts:
        left, top = x.start * CELL_PX, y.start * CELL_PX
        right, bottom = min(size[0], x.stop * CELL_PX), min(size[1], y.stop * CELL_PX)
        windows.append(Window(left, top, right - left, bottom - top))
    return windows


def _whole(reviewed: ReviewedImage) -> FieldBox:
    return FieldBox(-0.5, -0.5, reviewed.size[0] - 0.5, reviewed.size[1] - 0.5)


def _touches(region: Region, window: Window) -> bool:
    box = bound_shape(region.shape)
    return (
        box.left <= window.left + window.width
        and box.right >= window.left
        and box.top <= window.top + window.height
        and box.bottom >= window.top
    )
