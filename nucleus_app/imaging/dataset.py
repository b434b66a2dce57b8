"""Folders of labelled images: one lossless image and one ``NAME.json`` each.

The JSON holds ``image``, ``width``, ``height``, ``mpp_estimate``, ``points`` = [[x, y, class], …] in pixels and
``labelled_area`` = file name of a 1-bit mask, or null.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.errors import InvalidDataset


def list_dataset(folder: Path) -> list[Path]:
    """The label files of a folder, by name. Raises InvalidDataset when there are none."""
    if not folder.is_dir():
        raise InvalidDataset(f"{folder} is no folder: give the folder that holds NAME.json and its image")
    labels = [p for p in sorted(folder.glob("*.json")) if "points" in _read_json(p)]
    if not labels:
        raise InvalidDataset(f"{folder} holds no labelled image: each needs a NAME.json with 'image' and 'points'")
    return labels


def is_label_file(path: Path) -> bool:
    """Whether a JSON file labels an image."""
    try:
        return "points" in _read_json(path)
    except InvalidDataset:
        return False


def read_labelled(label_file: Path) -> LabelledImage:
    """One labelled image. Raises InvalidDataset with the file's name when anything does not fit."""
    label = _read_json(label_file)
    try:
        rgb = np.asarray(Image.open(label_file.parent / label["image"]).convert("RGB"))
        points = np.asarray(label["points"], np.float32).reshape(-1, 3)
        nuclei = Nuclei.from_arrays(points[:, :2], points[:, 2])
        area = label.get("labelled_area")
        mask = None if area is None else np.asarray(Image.open(label_file.parent / area).convert("L")) > 0
        mpp = float(label["mpp_estimate"])
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise InvalidDataset(f"{label_file.name}: {error}") from error
    if mask is not None and mask.shape != rgb.shape[:2]:
        raise InvalidDataset(f"{label_file.name}: labelled area is {mask.shape}, the image {rgb.shape[:2]}")
    return LabelledImage(label_file.stem, rgb, mpp, nuclei, mask)


def read_datasets(folders: Iterable[Path]) -> Iterator[LabelledImage]:
    """All labelled images of several folders, one at a time."""
    for folder in folders:
        for label_file in list_dataset(folder):
            yield read_labelled(label_file)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidDataset(f"{path.name} is no JSON file: {error}") from error
    return content if isinstance(content, dict) else {}
