"""Slides of scanners: read in parts, exactly, and refused with what to do."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from openslide import OpenSlide
from PIL import Image

from nucleus_app.errors import InvalidImage, NotFound, WholeSlide
from nucleus_app.imaging import slides
from nucleus_app.imaging.brown import CELL_UM, find_brown_spots, map_brown
from nucleus_app.imaging.reader import read_image
from nucleus_app.imaging.slides import Slide, find_maker
from nucleus_app.imaging.stain import DAB, HAEMATOXYLIN, density_to_rgb
from tests.imaging.slide_files import SECRET, write_slide

RGB = np.random.default_rng(0).integers(0, 255, (900, 1300, 3), dtype=np.uint8)
RGB[:600, :1000] = np.arange(1000, dtype=np.uint8)[None, :, None]  # smooth where tiles are compared as JPEG
MOST = 150


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slides") / "slide.svs", RGB)


def test_a_part_is_cut_out_pixel_by_pixel(file: Path) -> None:
    assert find_maker(file) == "Aperio"
    with Slide(file, "Aperio") as slide:
        assert (slide.width_px, slide.height_px) == (1300, 900)
        assert slide.pixel_size is not None
        assert slide.pixel_size.mpp == pytest.approx(0.25)
        assert slide.pixel_size.source == "Aperio metadata"
        for left, top, right, bottom in ((0, 0, 1300, 900), (255, 257, 300, 900), (1299, 899, 1300, 900)):
            assert np.array_equal(slide.cut((left, top, right, bottom)), RGB[top:bottom, left:right])


def test_deep_zoom_tiles_show_their_place_at_every_level(file: Path) -> None:
    with Slide(file, "Aperio") as slide:
        assert 'Width="1300" Height="900"' in slide.descriptor
        for level, smaller in ((11, 1), (10, 2), (9, 4), (8, 8)):
            tile = np.asarray(Image.open(io.BytesIO(slide.tile(level, 0, 0))), np.float32)
            side = min(512, 600 // smaller)
            expected = np.arange(0, 1000, dtype=np.float32)[: side * smaller] % 256
            smooth = (np.arange(side) * smaller % 256 > 24) & (np.arange(side) * smaller % 256 < 224)
            expected = expected.reshape(-1, smaller).mean(1)[:side]
            assert np.abs(tile[: side // 2, :side].mean((0, 2)) - expected)[smooth[: len(expected)]].max() < 6, level
        for place in ((11, 3, 0), (11, 0, 2), (12, 0, 0), (8, 1, 0)):
            with pytest.raises(NotFound):
                slide.tile(*place)


def test_nothing_of_the_file_but_pixels_is_in_a_tile(file: Path) -> None:
    with Slide(file, "Aperio") as slide:
        tiles = [slide.tile(level, 0, 0) for level in (0, 8, 11)]
    for tile in tiles:
        assert SECRET.encode() not in tile
        assert not Image.open(io.BytesIO(tile)).info.keys() & {"exif", "icc_profile", "comment", "xmp"}


def test_a_slide_that_fits_is_read_as_one_image_and_not_its_thumbnail(file: Path) -> None:
    image = read_image(file, max_megapixels=MOST)
    assert np.array_equal(image.rgb, RGB)
    assert image.format == "Aperio"
    assert image.pixel_size is not None
    assert image.pixel_size.mpp == pytest.approx(0.25)


def test_a_slide_that_does_not_fit_says_where_to_choose_fields(file: Path, tmp_path: Path) -> None:
    generic = write_slide(tmp_path / "plain.tif", RGB, is_aperio=False)
    for path in (file, generic):
        with pytest.raises(WholeSlide, match=r"1300 × 900 .* drop it on the page to choose fields"):
            read_image(path, max_megapixels=1)


def test_a_tiled_tiff_that_fits_is_read_as_every_tiff(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "plain.tif", RGB, is_aperio=False)
    assert find_maker(path) == ""
    image = read_image(path, max_megapixels=MOST)
    assert np.array_equal(image.rgb, RGB)
    assert image.format == "TIFF"
    assert image.pixel_size is not None
    with Slide(path, "") as slide:
        assert slide.pixel_size == image.pixel_size


def test_without_a_pixel_size_none_is_made_up(tmp_path: Path) -> None:
    with Slide(write_slide(tmp_path / "a.svs", RGB, mpp=None), "Aperio") as slide:
        assert slide.pixel_size is None
    with Slide(write_slide(tmp_path / "b.svs", RGB, mpp=25.0), "Aperio") as slide:
        assert slide.pixel_size is None  # no microscope gives that


def test_images_and_other_files_are_no_slides(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    Image.fromarray(RGB).save(tmp_path / "a.tif")
    (tmp_path / "a.svs").write_text("no slide")
    (tmp_path / "empty.ndpi").write_bytes(b"")
    assert [find_maker(path) for path in sorted(tmp_path.iterdir())] == [None] * 4
    with pytest.raises(InvalidImage, match="SVS, NDPI, SCN"):
        read_image(tmp_path / "a.svs", max_megapixels=MOST)
    with pytest.raises(InvalidImage, match="empty"):
        read_image(tmp_path / "empty.ndpi", max_megapixels=MOST)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_slide_cut_short_is_told(file: Path, tmp_path: Path, share: float) -> None:
    content = file.read_bytes()
    short = tmp_path / "short.svs"
    short.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InvalidImage, match=r"damaged|not an image"):
        read_image(short, max_megapixels=MOST)


def test_damage_in_the_middle_is_told_wherever_it_is_met(file: Path, tmp_path: Path) -> None:
    content = bytearray(file.read_bytes())
    content[2000:200_000] = bytes(198_000)
    (tmp_path / "broken.svs").write_bytes(content)
    with Slide(tmp_path / "broken.svs", "Aperio") as slide, pytest.raises(InvalidImage, match="damaged"):
        slide.cut((0, 0, 1300, 900))
    with Slide(tmp_path / "broken.svs", "Aperio") as slide, pytest.raises(InvalidImage, match="damaged"):
        slide.tile(11, 0, 0)


def test_a_slide_with_too_few_small_copies_is_not_browsed(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slides, "SMALL_PX", 300)
    monkeypatch.setattr(slides, "MOST_READ_PX", 700 * 700)  # to show 512 × 450 at half the size 1024 × 900 are read
    with Slide(file, "Aperio") as slide, pytest.raises(InvalidImage, match="too few small copies"):
        slide.check_can_be_browsed()
    with Slide(write_slide(tmp_path / "more.svs", RGB, levels=(2, 4)), "Aperio") as slide:
        slide.check_can_be_browsed()
        monkeypatch.setattr(slides, "MOST_SMALLEST_PX", 325 * 225 - 1)
        with pytest.raises(InvalidImage, match="too few small copies"):
            slide.check_can_be_browsed()


def test_levels_of_rounded_sizes_are_used(tmp_path: Path) -> None:
    rgb = np.full((1203, 1602, 3), 200, np.uint8)
    with Slide(write_slide(tmp_path / "odd.svs", rgb, levels=(4,)), "Aperio") as slide:
        assert slide._slide.level_downsamples[1] > 4
        assert slide._slide.get_best_level_for_downsample(4) == 1
        overview, smaller = slide.overview()
        assert overview.shape[:2] == (1203, 1602)
        assert smaller == 1


def test_what_was_scanned_of_a_larger_plane_is_the_slide(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = {"x": "300", "y": "200", "width": "800", "height": "600"}
    known = OpenSlide(file).properties
    placed = dict(known) | {f"openslide.bounds-{name}": value for name, value in bounds.items()}
    monkeypatch.setattr(OpenSlide, "properties", placed)
    with Slide(file, "Leica") as slide:
        assert (slide.width_px, slide.height_px) == (800, 600)
        assert 'Width="800" Height="600"' in slide.descriptor
        assert np.array_equal(slide.cut((10, 20, 800, 600)), RGB[220:800, 310:1100])
        tile = np.asarray(Image.open(io.BytesIO(slide.tile(10, 0, 0))), np.float32)
        assert np.abs(tile - RGB[200:712, 300:812].astype(np.float32))[:390, :200].mean() < 4
        overview, smaller = slide.overview()
        assert smaller == 1
        assert np.array_equal(overview, RGB[200:800, 300:1100])


def test_a_text_file_cannot_name_another_file_to_be_read(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    Image.fromarray(RGB).save(tmp_path / "secret" / "x.jpg", restart_marker_rows=1)
    text = "[Virtual Microscope Specimen]\nNoLayers=1\nNoJpegColumns=1\nNoJpegRows=1\nImageFile=../secret/x.jpg\nMapFile=../secret/x.jpg\n"
    (tmp_path / "up").mkdir()
    for name in ("harmless.tif", "harmless.vms"):
        (tmp_path / "up" / name).write_text(text)
        assert OpenSlide.detect_format(tmp_path / "up" / name) == "hamamatsu"  # the danger is there
        assert find_maker(tmp_path / "up" / name) is None
        with pytest.raises(InvalidImage, match="not an image"):
            read_image(tmp_path / "up" / name, max_megapixels=MOST)


def test_a_slide_without_its_makers_pixel_size_has_that_of_its_tiff(tmp_path: Path) -> None:
    with Slide(write_slide(tmp_path / "a.svs", RGB, mpp=None, resolution_mpp=0.31), "Aperio") as slide:
        assert slide.pixel_size is not None
        assert slide.pixel_size.mpp == pytest.approx(0.31, rel=1e-3)
        assert slide.pixel_size.source == "TIFF resolution"


def test_the_smaller_copies_of_a_pyramid_are_no_further_images(tmp_path: Path) -> None:
    pyramid = write_slide(tmp_path / "a.tif", RGB, is_aperio=False)
    assert read_image(pyramid, max_megapixels=MOST).notes == ()
    pages = [Image.fromarray(RGB) for _ in range(2)]
    pages[0].save(tmp_path / "b.tif", save_all=True, append_images=pages[1:])
    [note] = read_image(tmp_path / "b.tif", max_megapixels=MOST).notes
    assert "2 pages" in note


def tissue(brown: float, blue: float = 0.25) -> np.ndarray:
    """One pixel of tissue."""
    return density_to_rgb((blue * HAEMATOXYLIN + brown * DAB).astype(np.float32))


def test_the_brownest_square_millimetres_come_first_and_glass_never() -> None:
    mpp, smaller = 0.25, 16.0
    cell = round(CELL_UM / mpp / smaller)
    rgb = np.full((60 * cell, 80 * cell, 3), 243, np.uint8)
    rgb[5 * cell : 55 * cell, 10 * cell : 70 * cell] = tissue(0.05)
    rgb[20 * cell : 30 * cell, 50 * cell : 60 * cell] = tissue(0.4)
    rgb[40 * cell : 50 * cell, 15 * cell : 25 * cell] = tissue(0.25)
    rgb[:4, :4] = 0  # a pen
    brown = map_brown(rgb, smaller, mpp)
    assert brown.size_px == cell * smaller
    share = brown.share
    assert np.isnan(share[:5]).all()
    assert np.isnan(share[:, 70:]).all()
    assert share[10, 15] == 0  # what is everywhere is the slide's ground
    assert share[25, 55] > share[45, 20] > 0.2
    spots = find_brown_spots(brown, 80 * cell * 16, 60 * cell * 16)
    size = cell * 16
    assert spots[0].box == (50 * size, 20 * size, 60 * size, 30 * size)
    assert spots[1].box == (15 * size, 40 * size, 25 * size, 50 * size)
    assert spots[0].share > spots[1].share
    small = find_brown_spots(brown, 80 * cell * 16, 60 * cell * 16, side_px=3.2 * size)
    [left, top, right, bottom] = small[0].box
    assert right - left == bottom - top == round(3.2 * size)
    assert 49 * size < left < right < 61 * size  # three cells, and a little more around them
    assert 19 * size < top < bottom < 31 * size


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (700, 3), (64, 64)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_any_picture_has_a_map(shape: tuple[int, int], value: int) -> None:
    brown = map_brown(np.full((*shape, 3), value, np.uint8), 16, None)
    assert len(find_brown_spots(brown, 100, 100)) <= 5


def test_tissue_that_is_brown_for_the_greater_part_is_still_shown_brown() -> None:
    rgb = np.full((40, 100, 3), 243, np.uint8)
    rgb[:, :] = tissue(0.02)
    rgb[:, 25:] = tissue(0.4)
    share = map_brown(rgb, 16, 0.25).share
    assert np.nanmax(share) > 0.3
    assert share[0, 0] == 0


@pytest.mark.parametrize("mm2", [0.2, 0.5, 1, 2])
def test_proposed_squares_overlap_neither_each_other_nor_what_was_cut(mm2: float) -> None:
    rng = np.random.default_rng(5)
    brown = rng.uniform(0.05, 0.4, (60, 80)).repeat(25, 0).repeat(25, 1)
    shape = brown.shape
    density = 0.25 * HAEMATOXYLIN + brown[..., None] * DAB
    rgb = density_to_rgb(density.astype(np.float32))
    side = 1000 * mm2**0.5 / 0.25
    width, height = shape[1] * 16, shape[0] * 16
    first = find_brown_spots(map_brown(rgb, 16, 0.25), width, height, side)[0]
    spots = find_brown_spots(map_brown(rgb, 16, 0.25), width, height, side, [first.box])
    boxes = [first.box, *(spot.box for spot in spots)]
    assert len(spots) == 5
    for n, a in enumerate(boxes):
        assert a[2] - a[0] == a[3] - a[1] == round(side)
        assert 0 <= a[0] < a[2] <= width
        assert 0 <= a[1] < a[3] <= height
        for b in boxes[:n]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
