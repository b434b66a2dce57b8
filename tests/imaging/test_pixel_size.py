from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from nucleus_app.domain.scale import check_mpp
from nucleus_app.errors import UnknownPixelSize
from nucleus_app.imaging.reader import read_image

IMAGE = Image.new("RGB", (64, 64), "white")


def pixel_size_of(path: Path) -> tuple[float, str] | None:
    found = read_image(path, max_megapixels=1).pixel_size
    return None if found is None else (round(found.mpp, 4), found.source)


def save_tiff(path: Path, description: str = "", x_resolution: float | None = None, unit: int | None = None) -> Path:
    tags = ImageFileDirectory_v2()
    if description:
        tags.tagtype[270] = 2
        tags[270] = description.encode()
    if x_resolution is not None:
        tags[282] = tags[283] = x_resolution
    if unit is not None:
        tags[296] = unit
    IMAGE.save(path, tiffinfo=tags)
    return path


def test_tiff_resolution_in_centimetres_and_inches(tmp_path: Path) -> None:
    assert pixel_size_of(save_tiff(tmp_path / "a.tif", x_resolution=20_000, unit=3)) == (0.5, "TIFF resolution")
    assert pixel_size_of(save_tiff(tmp_path / "b.tif", x_resolution=101_600, unit=2)) == (0.25, "TIFF resolution")


def test_descriptions_of_ome_aperio_and_imagej(tmp_path: Path) -> None:
    ome = '<OME><Pixels PhysicalSizeX="0.325" PhysicalSizeXUnit="µm"/></OME>'
    assert pixel_size_of(save_tiff(tmp_path / "o.tif", ome)) == (0.325, "OME-XML")
    nanometres = '<OME><Pixels PhysicalSizeX="325" PhysicalSizeXUnit="nm"/></OME>'
    assert pixel_size_of(save_tiff(tmp_path / "n.tif", nanometres)) == (0.325, "OME-XML")
    aperio = "Aperio Image Library|AppMag = 40|MPP = 0.2520|Patient = X"
    assert pixel_size_of(save_tiff(tmp_path / "p.tif", aperio)) == (0.252, "Aperio metadata")
    imagej = "ImageJ=1.54\nunit=micron\nspacing=1"
    assert pixel_size_of(save_tiff(tmp_path / "j.tif", imagej, x_resolution=2.0, unit=1)) == (0.5, "ImageJ metadata")


def test_png_and_jpeg_density(tmp_path: Path) -> None:
    IMAGE.save(tmp_path / "a.png", dpi=(50_800, 50_800))
    assert pixel_size_of(tmp_path / "a.png") == (0.5, "PNG density")
    IMAGE.save(tmp_path / "a.jpg", dpi=(50_800, 50_800))
    assert pixel_size_of(tmp_path / "a.jpg") == (0.5, "JPEG density")


def test_screen_density_and_nonsense_are_no_pixel_size(tmp_path: Path) -> None:
    IMAGE.save(tmp_path / "screen.png", dpi=(72, 72))
    IMAGE.save(tmp_path / "print.jpg", dpi=(300, 300))
    IMAGE.save(tmp_path / "none.png")
    save_tiff(tmp_path / "zero.tif", '<OME><Pixels PhysicalSizeX="0"/></OME>')
    save_tiff(tmp_path / "absurd.tif", "MPP = 900000")
    save_tiff(tmp_path / "words.tif", '<OME><Pixels PhysicalSizeX="e-e" PhysicalSizeXUnit="parsec"/></OME>')
    for path in tmp_path.iterdir():
        assert pixel_size_of(path) is None, path.name


@pytest.mark.parametrize("mpp", [0.0, -0.5, 0.01, 5.0, float("nan"), float("inf")])
def test_a_pixel_size_that_cannot_be_is_refused_with_the_usual_ones(mpp: float) -> None:
    with pytest.raises(UnknownPixelSize, match=r"0\.5 for a 20× objective"):
        check_mpp(mpp)
