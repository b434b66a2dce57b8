"""What the app refuses as no Ki67 field: ``python -m benchmarks.familiarity --data DIR`` with the team's labelled images."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.scoring import VALIDATION
from nucleus_app.domain.oddities import is_refused
from nucleus_app.imaging.dataset import list_dataset, read_labelled
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.kinet.preprocess import Rgb
from nucleus_app.services.familiarity import find_oddities
from nucleus_app.services.scoring import load_predictor
from nucleus_app.settings import Settings

KI67 = ("ki67_breast", "ki67_ginet", "ki67_glioma", "ki67_pnet")
OTHERS = {"fluorescence": "dsb2018/fluo_*.png", "H&E": "dsb2018/colour_*.png", "H&E colon": "he_colon/*"}
MPP = 0.5
"""Of images that state none and are refused whatever their scale."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    predictor = load_predictor(Settings())
    known = [read_labelled(f) for folder in KI67 for f in list_dataset(data / folder)]
    rows = {
        "Ki67": [(i.rgb, i.mpp) for i in known],
        "inverted": [(255 - i.rgb, i.mpp) for i in known if i.name.startswith(VALIDATION)],
        "stated twice too large": [(i.rgb, 2 * i.mpp) for i in known],
        "stated half": [(i.rgb, i.mpp / 2) for i in known],
        **{name: [(rgb, MPP) for rgb in _read(data, pattern)] for name, pattern in OTHERS.items()},
    }
    refused = {
        name: [sum(_refuses(predictor, *image) for image in images), len(images)] for name, images in rows.items()
    }
    for name, (n, of) in refused.items():
        print(f"{name:24} {n:3} of {of:3} refused")
    print(json.dumps({"version": predictor.version.name, "sha256": predictor.version.sha256[:12], "refused": refused}))


def _read(data: Path, pattern: str) -> Iterable[Rgb]:
    for path in sorted(data.glob(pattern)):
        if path.suffix != ".json" and not path.stem.endswith("_label"):
            yield np.asarray(Image.open(path).convert("RGB"))


def _refuses(predictor: Predictor, rgb: Rgb, mpp: float) -> bool:
    return is_refused(find_oddities(predictor, predictor.prepare(rgb, mpp)))


if __name__ == "__main__":
    main()
