"""The fold (decision 0008): candidates and a log of edits → the nuclei that are there, and their counts.

:class:`Review` holds a folded log and takes one edit more in time that grows with what the edit touches;
:func:`fold` is nothing but a Review that was given all of them. The browser's twin is ``ui/viewer/static/review.js``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.edits import (
    Add,
    Class,
    Cut,
    Delete,
    Move,
    NucleusId,
    Redo,
    Region,
    SignedEdit,
    Undo,
)
from nucleus_app.domain.nuclei import N_CLASSES, Counts, Nuclei, NucleusClass
from nucleus_app.domain.reviewed import Decision, Origin, ReviewedNuclei, Tally
from nucleus_app.domain.tissue_layer import NO_REGION, TissueLayer
from nucleus_app.errors import InvalidEdit

Places = NDArray[np.int64]

UNDECIDED, PRESENT, DELETED = 0, 1, 2
"""What the last class or delete that stands says of a nucleus."""
_NOWHERE = np.empty(0, np.int64)


class _State(NamedTuple):
    """What the edits that stand say of one nucleus."""

    said: int
    touched: bool
    kind: int
    x: float
    y: float


@dataclass(slots=True)
class _Entry:
    """One edit of the log; ``places`` are the nuclei it names."""

    signed: SignedEdit
    places: Places
    stands: bool = True


class Review:
    """Candidates with the edits so far. Not for use by several threads at once."""

    def __init__(self, candidates: Nuclei, thresholds: Sequence[float], size: tuple[int, int]) -> None:
        """``size``: width and height of the image in pixels."""
        self.candidates = candidates
        self.thresholds = tuple(thresholds)
        self.size = size
        n = self._n_candidates = self._n = len(candidates)
        self._x, self._y = candidates.xy[:, 0].astype(np.float64), candidates.xy[:, 1].astype(np.float64)
        self._kind = candidates.classes.astype(np.int64)
        self._said = np.zeros(n, np.int8)
        self._touched = np.zeros(n, np.bool_)
        self._present = np.zeros(n, np.bool_)
        self._cover = np.full(n, NO_REGION, np.int64)
        self._left_out = np.zeros(n, np.bool_)
        self._cuts = list(self.thresholds)
        self._log: list[_Entry] = []
        self._number: dict[str, int] = {}
        self._placed: dict[str, int] = {}
        self._tissue = TissueLayer()
        self._cut_edits: tuple[list[int], ...] = tuple([] for _ in range(N_CLASSES))
        self._touches: defaultdict[int, list[int]] = defaultdict(list)
        self._sums = np.zeros(N_CLASSES + 4, np.int64)
        everything = np.arange(n)
        self._present[:] = self._reaches_cut(everything)
        self._count(everything, 1)

    # What there is.

    @property
    def tally(self) -> Tally:
        sums = [int(value) for value in self._sums]
        return Tally(Counts(*sums[:N_CLASSES]), *sums[N_CLASSES:])

    def counts(self) -> Counts:
        """Present nuclei that are not left out."""
        return self.tally.counts

    @property
    def cuts(self) -> tuple[float, ...]:
        """From which proximity on untouched candidates of each class are present."""
        return tuple(self._cuts)

    @property
    def rev(self) -> int:
        """How many edits were applied."""
        return len(self._log)

    def nuclei(self) -> ReviewedNuclei:
        """The present ones."""
        at = np.flatnonzero(self._present[: self._n])
        xy = np.stack([self._x[at], self._y[at]], axis=1)
        candidate = at < self._n_candidates
        scores = np.ones(len(at), np.float32)
        scores[candidate] = self.candidates.scores[at[candidate]]
        keys = list(self._placed)
        n = self._n_candidates
        ids: tuple[NucleusId, ...] = tuple(i if i < n else keys[i - n] for i in at.tolist())
        origins = tuple(
            Origin.PLACED if i >= n else (Origin.EDITED if touched else Origin.NETWORK)
            for i, touched in zip(at.tolist(), self._touched[at].tolist(), strict=True)
        )
        return ReviewedNuclei(Nuclei.from_arrays(xy, self._kind[at], scores), ids, origins, self._left_out[at].copy())

    def regions(self) -> list[Region]:
        """Those that stand, in order."""
        return [e.signed.edit for e in self._log if e.stands and isinstance(e.signed.edit, Region)]

    def signed_regions(self) -> list[tuple[str, Region]]:
        """Those that stand, each with its author, in order."""
        return [(e.signed.author, e.signed.edit) for e in self._log if e.stands and isinstance(e.signed.edit, Region)]

    def decisions(self) -> list[Decision]:
        """What was said of every nucleus that an edit names; nothing of placed ones that are gone."""
        found = []
        for place in sorted(self._touches):
            standing = [number for number in self._touches[place] if self._log[number].stands]
            present = bool(self._present[place])
            if not standing or (not present and place >= self._n_candidates):
                continue
            kind = NucleusClass(int(self._kind[place])) if present else None
            author = self._log[standing[-1]].signed.author
            found.append(Decision(float(self._x[place]), float(self._y[place]), kind, author))
        return found

    def are_open(self, candidates: Places) -> NDArray[np.bool_]:
        """Which of the given candidates no edit that stands names, and no region leaves out."""
        open_: NDArray[np.bool_] = ~self._touched[candidates] & ~self._left_out[candidates]
        return open_

    def are_present(self, candidates: Places) -> NDArray[np.bool_]:
        return self._present[candidates]

    # What is done to it.

    def apply(self, signed: SignedEdit) -> Any:
        """Take one edit more. Returns what was before, as JSON types: for ``class`` and ``delete`` the class of each
        nucleus, or null where it was not present; for ``move`` the place; for ``cut`` the level; null for the others.

        Raises InvalidEdit, and is as before, when the edit names what does not exist or what is not its author's.
        """
        edit, number = signed.edit, len(self._log)
        if signed.key in self._number:
            raise InvalidEdit(f"The edit {signed.key!a} is in the log already.")
        was: Any = None
        entry = _Entry(signed, _NOWHERE)
        match edit:
            case Class(ids) | Delete(ids):
                entry.places = self._find(ids)
                was = self._tell_classes(entry.places)
            case Move(id_):
                entry.places = self._find((id_,))
                was = [float(self._x[entry.places[0]]), float(self._y[entry.places[0]])]
            case Add():
                entry.places = np.array([self._n])
            case Cut(kind):
                was = self._cuts[kind]
            case Region():
                pass
            case Undo(key) | Redo(key):
                self._check_own(key, signed)
        self._log.append(entry)
        self._number[signed.key] = number
        self._take(number, entry)
        return was

    def _take(self, number: int, entry: _Entry) -> None:
        edit = entry.signed.edit
        for place in entry.places.tolist():
            self._touches[place].append(number)
        match edit:
            case Class(_, kind):
                self._say(entry.places, PRESENT, int(kind))
            case Delete():
                self._say(entry.places, DELETED, None)
            case Move():
                self._put(entry.places, [self._derive(int(entry.places[0]))])
            case Add():
                self._place(entry.signed.key)
                self._put(entry.places, [self._derive(int(entry.places[0]))])
            case Cut(kind):
                self._cut_edits[kind].append(number)
                self._cut_again(int(kind))
            case Region(label):
                if label.is_tissue:
                    self._cover_with(number, edit)
            case Undo(key):
                self._stand(self._number[key], False)
            case Redo(key):
                self._stand(self._number[key], True)

    def _find(self, ids: Sequence[NucleusId]) -> Places:
        """Where nuclei are in the arrays. Raises InvalidEdit for one that does not exist."""
        if all(type(id_) is int for id_ in ids) and max(map(int, ids)) < self._n_candidates:
            return np.array(ids, np.int64)
        places = []
        for id_ in ids:
            place = id_ if isinstance(id_, int) else self._placed.get(id_, -1)
            if place < 0 or (isinstance(id_, int) and place >= self._n_candidates):
                raise InvalidEdit(
                    f"There is no nucleus {id_!a} in this scoring: its candidates are 0 to {self._n_candidates - 1}, and "
                    "placed ones have the name of the edit that placed them."
                )
            places.append(place)
        return np.array(places, np.int64)

    def _check_own(self, key: str, signed: SignedEdit) -> None:
        number = self._number.get(key)
        if number is None:
            raise InvalidEdit(f"There is no edit {key!a} in this scoring to undo or redo.")
        target = self._log[number].signed
        if isinstance(target.edit, Undo | Redo):
            raise InvalidEdit(f"The edit {key!a} is itself an undo or redo: name the edit that it named.")
        if target.author != signed.author:
            raise InvalidEdit(f"The edit {key!a} is another reader's: everybody undoes their own edits only.")

    def _tell_classes(self, places: Places) -> list[int | None]:
        kinds, present = self._kind[places].tolist(), self._present[places].tolist()
        return [kind if there else None for kind, there in zip(kinds, present, strict=True)]

    # Nuclei.

    def _say(self, places: Places, said: int, kind: int | None) -> None:
        """The latest edit decides of these nuclei, whatever was before: no need to look at the others."""
        self._count(places, -1)
        # A placed nucleus is gone once its add is undone or a delete stands: no class brings it back.
        gone = (places >= self._n_candidates) & (self._said[places] == DELETED)
        self._said[places] = np.where(gone, DELETED, said)
        self._touched[places] = True
        if kind is not None:
            self._kind[places] = kind
        self._present[places] = self._said[places] == PRESENT
        self._count(places, 1)

    def _put(self, places: Places, states: list[_State]) -> None:
        """Give nuclei the states that the edits that stand say."""
        self._count(places, -1)
        said, touched, kind, x, y = zip(*states, strict=True)
        moved = (self._x[places] != np.array(x)) | (self._y[places] != np.array(y))
        self._said[places], self._touched[places], self._kind[places] = said, touched, kind
        self._x[places], self._y[places] = x, y
        self._present[places] = self._said[places] != DELETED
        untouched = places[~self._touched[places] & (places < self._n_candidates)]
        self._present[untouched] = self._reaches_cut(untouched)
        self._cover_again(places[moved])
        self._count(places, 1)

    def _derive(self, place: int) -> _State:
        """Fold the edits that name one nucleus, latest first."""
        placed = place >= self._n_candidates
        said, touched = UNDECIDED, False
        kind: int | None = None
        at: tuple[float, float] | None = None
        for number in reversed(self._touches[place]):
            entry = self._log[number]
            match entry.signed.edit:
                case Add(x, y, first):
                    said = said if entry.stands else DELETED
                    return _State(said, touched, int(first) if kind is None else kind, *(at or (x, y)))
                case _ if not entry.stands:
                    continue
                case Class(_, of):
                    said = said or (UNDECIDED if placed else PRESENT)  # a class does not bring a placed one back
                    kind = int(of) if kind is None else kind
                case Delete():
                    said = said or DELETED
                case Move(_, x, y):
                    at = at or (x, y)
            touched = True
        x, y = self.candidates.xy[place].tolist()
        own = int(self.candidates.classes[place])
        return _State(said, touched, own if kind is None else kind, *(at or (x, y)))

    def _place(self, key: str) -> None:
        """Room for one nucleus more."""
        if self._n == len(self._x):
            more = max(16, self._n // 2)
            for name in ("_x", "_y", "_kind", "_said", "_touched", "_present", "_cover", "_left_out"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.zeros(more, array.dtype)]))
        self._x[self._n] = self._y[self._n] = np.nan  # so that it counts as moved to where it is put
        self._cover[self._n] = NO_REGION
        self._placed[key] = self._n
        self._n += 1

    def _stand(self, number: int, stands: bool) -> None:
        """Undo or redo an edit: fold again what it touches."""
        entry = self._log[number]
        if entry.stands == stands:
            return
        entry.stands = stands
        edit = entry.signed.edit
        if isinstance(edit, Cut):
            self._cut_again(int(edit.kind))
        elif isinstance(edit, Region):
            if edit.label.is_tissue and stands:
                self._cover_with(number, edit)
            elif edit.label.is_tissue:
                self._uncover(number)
        else:
            self._put(entry.places, [self._derive(place) for place in entry.places.tolist()])

    # Cuts.

    def _reaches_cut(self, candidates: Places) -> NDArray[np.bool_]:
        return self.candidates.select(candidates).reach(self._cuts)

    def _cut_again(self, kind: int) -> None:
        self._cuts[kind] = self.thresholds[kind]
        for number in reversed(self._cut_edits[kind]):
            edit = self._log[number].signed.edit
            if self._log[number].stands and isinstance(edit, Cut):
                self._cuts[kind] = edit.level
                break
        n = self._n_candidates
        present = self.candidates.scores >= np.float32(self._cuts[kind])
        changed = np.flatnonzero(
            (self.candidates.classes == kind) & ~self._touched[:n] & (present != self._present[:n])
        )
        self._count(changed, -1)
        self._present[changed] = present[changed]
        self._count(changed, 1)

    # Regions of the tissue layer: each nucleus knows the last one that covers it.

    def _cover_with(self, number: int, region: Region) -> None:
        """A region that stands (again): it decides wherever no later one does."""
        self._tissue.add(number, region)
        places = np.flatnonzero(self._cover[: self._n] < number)
        places = places[self._tissue.find_covered(number, self._x[places], self._y[places])]
        changed = places[self._left_out[places] != region.label.leaves_out]
        self._cover[places] = number
        self._count(changed, -1)
        self._left_out[changed] = region.label.leaves_out
        self._count(changed, 1)

    def _uncover(self, number: int) -> None:
        """A region that stands no longer: where it decided, the one before it does."""
        self._tissue.remove(number)
        places = np.flatnonzero(self._cover[: self._n] == number)
        self._count(places, -1)
        self._cover_again(places)
        self._count(places, 1)

    def _cover_again(self, places: Places) -> None:
        """Look the region up that decides for each of these nuclei. They are not counted meanwhile."""
        self._cover[places], self._left_out[places] = self._tissue.look_up(self._x[places], self._y[places])

    def _count(self, places: Places, sign: int) -> None:
        """Add nuclei to the sums, or take them out before they change."""
        present, out = self._present[places], self._left_out[places]
        counted = self._kind[places[present & ~out]]
        self._sums[:N_CLASSES] += sign * np.bincount(counted, minlength=N_CLASSES)
        candidate = places < self._n_candidates
        self._sums[N_CLASSES:] += sign * np.array(
            [
                np.count_nonzero(present & out),
                np.count_nonzero(present & candidate & self._touched[places]),
                np.count_nonzero(present & ~candidate),
                np.count_nonzero((self._said[places] == DELETED) & candidate),
            ]
        )


def fold(candidates: Nuclei, thresholds: Sequence[float], size: tuple[int, int], edits: Iterable[SignedEdit]) -> Review:
    """The review that results from edits in the order in which they were accepted."""
    review = Review(candidates, thresholds, size)
    for edit in edits:
        review.apply(edit)
    return review
