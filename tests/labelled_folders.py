"""Folders of labelled images, written as ``nucleus_app/imaging/dataset.py`` reads them."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from nucleus_app.domain.labelled import LabelledImage


def write_labelled(folder: Path, image: LabelledImage) -> Path:
    """Write an image (PNG), its mask and its labels; returns the label file."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.rgb).save(folder / f"{image.name}.png")
    area = image.labelled_area
    if area is not None:
        Image.fromarray(area).save(folder / f"{image.name}_roi.png")
    points = [
        [round(float(x), 2), round(float(y), 2), int(c)]
        for (x, y), c in zip(image.nuclei.xy, image.nuclei.classes, strict=True)
    ]
    label = {
        "image": f"{image.name}.png",
        "width": image.rgb.shape[1],
        "height": image.rgb.shape[0],
        "mpp_estimate": image.mpp,
        "labelled_area": None if area is None else f"{image.name}_roi.png",
        "points": points,
    }
    path = folder / f"{image.name}.json"
    path.write_text(json.dumps(label), "utf-8")
    return path
