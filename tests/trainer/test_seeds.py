from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nucleus_app.domain.labelled import LabelledImage
from nucleus_app.domain.nuclei import Nuclei, NucleusClass
from nucleus_app.imaging.synthetic import FieldRecipe, draw_field
from nucleus_app.kinet.predictor import Predictor
from nucleus_app.kinet.preprocess import Rgb
from trainer.base.bystanders import is_told_by_absence, mark_bystanders
from trainer.base.seeds import CORE_PX, SeedFinder
from trainer.base.teacher import SURE_ALONE, Teacher
from trainer.learning.dataset import prepare_training_image


class Darkness(nn.Module):
    """Stands in for InstanSeg: its fifth map is how dark a pixel is, from -6 to 6 (after that scaling to 0..1)."""

    @torch.jit.export
    def fcn(self, image: Tensor) -> Tensor:
        dark = 6 - 12 * image.mean(dim=1, keepdim=True)
        return torch.cat([dark * 0, dark * 0, dark * 0, dark * 0, dark], dim=1)

    def forward(self, image: Tensor) -> Tensor:
        return image


@pytest.fixture
def finder(tmp_path: Path) -> SeedFinder:
    torch.jit.save(torch.jit.script(Darkness()), tmp_path / "seeds.pt")  # type: ignore[no-untyped-call]
    return SeedFinder(tmp_path / "seeds.pt", tmp_path / "cache")


def spots(*centres: tuple[int, int], side: int = 128) -> Rgb:
    rgb = np.full((side, side, 3), 240, np.uint8)
    ys, xs = np.mgrid[:side, :side]
    for x, y in centres:
        rgb[np.hypot(xs - x, ys - y) < 6] = 40
    return rgb


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_seeds_lie_on_the_nuclei_across_windows(finder: SeedFinder) -> None:
    centres = [(30, 40), (CORE_PX, 300), (600, 610), (CORE_PX, CORE_PX), (90, 500), (200, 200), (400, 90), (650, 80)]
    xy, strength = finder.find(spots(*centres, side=700))
    assert len(xy) == len(centres)
    for centre in centres:
        assert np.hypot(*(xy - centre).T).min() < 4
    assert bool((strength > 1).all())


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_what_it_said_of_an_image_is_kept(finder: SeedFinder, tmp_path: Path) -> None:
    rgb = spots((30, 40))
    first = finder.seed_map(rgb)
    (tmp_path / "seeds.pt").unlink()
    assert np.array_equal(finder.seed_map(rgb), first)


class Opinion(SeedFinder):
    """A second teacher that sees the given points, all of them clearly unless told otherwise."""

    def __init__(self, xy: np.ndarray, value: np.ndarray | None = None) -> None:
        self._xy = xy
        self._value = np.full(len(xy), 4.0, np.float32) if value is None else value

    def find(self, rgb: Rgb) -> tuple[np.ndarray, np.ndarray]:
        return self._xy, self._value


def test_where_only_one_teacher_sees_a_nucleus_nothing_is_taught(
    shipped: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = draw_field(FieldRecipe(width_px=900, height_px=900), np.random.default_rng(11))
    found, strength = Teacher(shipped).find(field.rgb)
    is_tumour = found.classes != NucleusClass.OTHER
    doubted = found.select(is_tumour & (strength < SURE_ALONE))
    assert len(doubted) > 10
    seen, unseen = doubted.xy[::2], doubted.xy[1::2]
    invented = np.array([[3.0, 3.0]], np.float32)
    teacher = Teacher(shipped, Opinion(np.concatenate([seen, invented])))
    monkeypatch.setattr(teacher, "find", lambda rgb: (found, strength))  # eight views are not asked twice
    taught = teacher.label("new_1", field.rgb, 1.0)

    def taught_at(xy: np.ndarray) -> np.ndarray:
        at = np.rint(xy).astype(int).clip(0, 899)
        return taught.weight[at[:, 1], at[:, 0]] > 0

    assert _are_among(seen, taught.nuclei).all()
    assert not _are_among(unseen, taught.nuclei).any()
    assert not taught_at(unseen).any()
    assert not taught_at(invented).any()
    assert not (taught.nuclei.classes == NucleusClass.OTHER).any()


def test_far_from_all_marked_tumour_what_it_sees_is_non_tumour() -> None:
    tumour = Nuclei.from_arrays([[30, 100], [40, 100]], [NucleusClass.NEGATIVE, NucleusClass.POSITIVE])
    near, between, far, in_doubt = [33.0, 104.0], [65.0, 100.0], [150.0, 90.0], [150.0, 40.0]
    told = LabelledImage("g_1", spots((30, 100), (40, 100), (90, 180), side=200), 0.5, tumour, None)
    assert is_told_by_absence(told)
    plain = prepare_training_image(told, 0.5, 0.25)
    opinion = Opinion(np.array([near, between, far, in_doubt], np.float32), np.array([3, 3, 2, 0.3], np.float32))
    taught = mark_bystanders(plain, opinion, 0.5, 0.75)
    others = taught.nuclei.of_class(NucleusClass.OTHER)
    assert others.xy.tolist() == [far]  # and not the stained blob that was guessed before
    assert len(plain.nuclei.of_class(NucleusClass.OTHER)) == 1
    assert len(taught.nuclei) == 3
    assert taught.weight[90, 150] == round(0.75 * 255)
    assert taught.weight[40, 150] == 0
    assert taught.weight[150, 30] == plain.weight[150, 30] == round(0.25 * 255)
    assert taught.weight[104, 33] == 255


def test_absence_tells_nothing_where_experts_marked_non_tumour_or_looked_at_a_part_only() -> None:
    field = draw_field(FieldRecipe(width_px=160, height_px=160), np.random.default_rng(0))
    assert not is_told_by_absence(field)
    tumour = field.nuclei.select(field.nuclei.classes != NucleusClass.OTHER)
    assert not is_told_by_absence(replace(field, nuclei=tumour, labelled_area=np.ones((160, 160), np.bool_)))
    assert is_told_by_absence(replace(field, nuclei=tumour, labelled_area=None))


def _are_among(xy: np.ndarray, nuclei: Nuclei) -> np.ndarray:
    return (np.abs(xy[:, None] - nuclei.xy[None]).max(axis=2) < 1e-3).any(axis=1)
