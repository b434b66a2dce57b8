"""What an import comes to: nuclei and regions of one image, made of the annotations of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nucleus_app.domain.edits import Bounds, Region, edit_to_mapping, parse_edit
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.outlines import find_centres
from nucleus_app.domain.qupath import Annotations
from nucleus_app.domain.qupath_targets import Target
from nucleus_app.errors import InvalidAnnotations

MAX_REGIONS = 2000
"""Each is an edit that a reader can see and undo; more are cells, not regions."""


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """``nuclei`` have a score of 1. ``regions`` in the order in which they are painted. ``notes``: what was left away."""

    nuclei: Nuclei
    regions: tuple[Region, ...]
    notes: tuple[str, ...]


def plan_import(annotations: Annotations, mapping: Mapping[str, Target], bounds: Bounds) -> ImportPlan:
    """Points and centres of areas as nuclei, areas as regions within ``bounds``. ``mapping`` holds a target for every class.

    Raises InvalidAnnotations when nothing would be imported, or too many regions.
    """
    targets = [mapping[name] for name in annotations.names]
    nuclei, outside = _collect_nuclei(annotations, targets, bounds)
    regions, cut_off = _collect_regions(annotations, targets, bounds)
    outside += cut_off
    notes = list(annotations.notes)
    if outside:
        notes.append(
            f"{outside:,} objects outside of the image passed over: is the file of this image, and not of a crop?"
        )
    lost = sum(targets[name].label is not None for name in annotations.point_names.tolist())
    if lost:
        notes.append(f"{lost:,} points passed over: their class was said to be a region, and a point is none.")
    if not len(nuclei) and not regions:
        raise InvalidAnnotations(
            " ".join(["Nothing to import.", *notes, "Choose other targets, or the image of the file."])
        )
    return ImportPlan(nuclei, tuple(regions), tuple(notes))


def _collect_nuclei(annotations: Annotations, targets: list[Target], bounds: Bounds) -> tuple[Nuclei, int]:
    """Nuclei, points first, and how many lie outside of the image."""
    kinds = np.array([-1 if target.kind is None else int(target.kind) for target in targets])
    areas = [area for area in annotations.areas if kinds[area.name] >= 0]
    xy = np.concatenate([annotations.xy, find_centres([area.outline for area in areas])])
    names = np.concatenate([annotations.point_names, np.array([area.name for area in areas], np.int64)])
    wanted = kinds[names] >= 0
    inside = _are_inside(xy, bounds)
    chosen = wanted & inside
    return Nuclei.from_arrays(xy[chosen], kinds[names[chosen]]), int(np.count_nonzero(wanted & ~inside))


def _collect_regions(annotations: Annotations, targets: list[Target], bounds: Bounds) -> tuple[list[Region], int]:
    """Regions, larger ones first, so that of nested ones the inner one decides; and how many lie outside of the image."""
    areas = [area for area in annotations.areas if targets[area.name].label is not None]
    if len(areas) > MAX_REGIONS:
        raise InvalidAnnotations(
            f"{len(areas):,} areas would become regions, over {MAX_REGIONS:,}: if they are cells, map them to positive, "
            "negative or other; if not, merge them in QuPath (Objects, Annotations, Merge selected)."
        )
    regions = []
    for area in sorted(areas, key=lambda area: area.outline.area_px2, reverse=True):
        label, outline = targets[area.name].label, area.outline.clip_to(bounds.width, bounds.height)
        if label is None or outline is None:
            continue
        # By the same path as a reader's own: what is stored is what the page could have sent.
        edit = parse_edit(edit_to_mapping(Region(label, outline.to_shape(bounds))), bounds)
        if isinstance(edit, Region):
            regions.append(edit)
    return regions, len(areas) - len(regions)


def _are_inside(xy: NDArray[np.float64], bounds: Bounds) -> NDArray[np.bool_]:
    x, y = xy[:, 0], xy[:, 1]
    inside: NDArray[np.bool_] = (x >= -0.5) & (x <= bounds.width - 0.5) & (y >= -0.5) & (y <= bounds.height - 0.5)
    return inside
