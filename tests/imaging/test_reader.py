"""Whatever a browser may send: pixels, or an error that says what to do."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nucleus_app.errors import InvalidImage
from nucleus_app.imaging.reader import decode_png, encode_png, read_image

RGB = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)


def write(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def chunk(kind: bytes, body: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bomb(width: int, height: int) -> bytes:
    """A valid small PNG that claims to be huge."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10_000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.tif", {}),
        ("a.tiff", {"compression": "tiff_lzw"}),
        ("a.bmp", {}),
        ("a.webp", {"lossless": True}),
    ],
)
def test_lossless_formats_give_the_very_pixels(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    path = write(tmp_path / name, Image.fromarray(RGB), **options)
    image = read_image(path, max_megapixels=1)
    assert np.array_equal(image.rgb, RGB)
    assert image.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (image.width_px, image.height_px) == (64, 48)
    assert image.notes == ()


def test_jpeg_is_read_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90°, as phones write it
    image = read_image(write(tmp_path / "a.jpg", Image.fromarray(RGB), exif=exif), max_megapixels=1)
    assert (image.width_px, image.height_px) == (48, 64)


def test_the_extension_does_not_matter(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "JPEG")
    (tmp_path / "really_a_jpeg.png").write_bytes(buffer.getvalue())
    assert read_image(tmp_path / "really_a_jpeg.png", max_megapixels=1).format == "JPEG"


def test_odd_modes_become_rgb_and_say_so(tmp_path: Path) -> None:
    rgb = Image.fromarray(RGB)
    clear = rgb.convert("RGBA")
    clear.putalpha(Image.new("L", rgb.size, 0))
    sixteen = Image.fromarray((np.arange(48 * 64).reshape(48, 64) * 20).astype(np.uint16))
    cases = {
        "cmyk.jpg": (rgb.convert("CMYK"), "CMYK"),
        "palette.png": (rgb.quantize(32), None),
        "opaque.png": (rgb.convert("RGBA"), None),
        "clear.png": (clear, "white"),
        "sixteen.png": (sixteen, "more than 8 bits"),
        "grey.png": (rgb.convert("L"), "grey"),
        "bits.png": (rgb.convert("1"), "grey"),
    }
    for name, (image, note) in cases.items():
        found = read_image(write(tmp_path / name, image), max_megapixels=1)
        assert found.rgb.shape == (48, 64, 3), name
        assert found.rgb.dtype == np.uint8
        assert len(found.notes) == (note is not None), name
        assert note is None or note in found.notes[0]
    assert read_image(tmp_path / "clear.png", max_megapixels=1).rgb.min() == 255
    assert np.ptp(read_image(tmp_path / "sixteen.png", max_megapixels=1).rgb) == 255


def test_planes_of_sixteen_bits_are_refused(tmp_path: Path) -> None:
    """Written by hand: Pillow writes none, and reads them wrong."""
    planes = (np.moveaxis(RGB, 2, 0).astype("<u2") * 257).tobytes()
    height, width = RGB.shape[:2]
    size = len(planes) // 3
    shorts = {
        256: [width],
        257: [height],
        258: [16] * 3,
        259: [1],
        262: [2],
        273: None,
        277: [3],
        278: [height],
        279: None,
        284: [2],
    }
    extra = 8 + 2 + 12 * len(shorts) + 4
    longs = {273: [extra + 32 + size * i for i in range(3)], 279: [size] * 3}
    entries, values = b"", b""
    for tag, value in shorts.items():
        kind, numbers = ("H", value) if value is not None else ("I", longs[tag])
        packed = struct.pack(f"<{len(numbers)}{kind}", *numbers)
        if len(packed) > 4:
            place = extra + len(values)
            values += packed
            packed = struct.pack("<I", place)
        entries += struct.pack("<HHI", tag, 3 if kind == "H" else 4, len(numbers)) + packed.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<IH", 8, len(shorts)) + entries + b"\0" * 4 + values.ljust(32, b"\0")
    path = tmp_path / "planes.tif"
    path.write_bytes(head + planes)
    with pytest.raises(InvalidImage, match="save it as 8-bit RGB"):
        read_image(path, max_megapixels=1)


def test_colours_of_twelve_bits_in_sixteen_come_with_advice(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + (row.astype("u2") * 16).astype(">u2").tobytes() for row in RGB)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *RGB.shape[1::-1], 16, 2, 0, 0, 0))
    path = tmp_path / "twelve.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    assert "its brightest pixel has 15 of 255" in read_image(path, max_megapixels=1).notes[0]


def test_an_animation_is_read_as_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    path = tmp_path / "moving.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    image = read_image(path, max_megapixels=1)
    assert "2 pages or frames" in image.notes[0]
    assert image.rgb[20, 20].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"patient,age\n1,50\n" * 50, "Accepted are PNG"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 200, "Accepted are PNG|damaged"),
        (png_bomb(60_000, 60_000), "3600 megapixels; up to 100"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "Accepted are PNG"),
        (b"PK\x03\x04" + b"\0" * 100, "Accepted are PNG"),
    ],
    ids=["zero bytes", "text", "broken png", "bomb", "svg", "zip"],
)
def test_what_is_no_image_is_refused_with_advice(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(InvalidImage, match=expected):
        read_image(tmp_path / "x.png", max_megapixels=100)


def test_a_truncated_image_is_refused(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.tif", "a.webp"):
        path = write(tmp_path / name, Image.fromarray(np.kron(RGB, np.ones((8, 8, 1), np.uint8))))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(InvalidImage, match=r"export it again|Accepted are"):
            read_image(path, max_megapixels=1)


def test_too_small_and_too_large_images_name_their_size(tmp_path: Path) -> None:
    with pytest.raises(InvalidImage, match="1 × 1 pixels"):
        read_image(write(tmp_path / "dot.png", Image.new("RGB", (1, 1))), max_megapixels=1)
    with pytest.raises(InvalidImage, match=r"2000 × 600 .* up to 1 are allowed"):
        read_image(write(tmp_path / "big.png", Image.new("RGB", (2000, 600))), max_megapixels=1)
    with pytest.raises(InvalidImage, match="cannot be opened"):
        read_image(tmp_path / "missing.png", max_megapixels=1)


@settings(max_examples=150)
@given(st.data())
def test_random_damage_never_escapes_as_another_error(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF"]))
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, kind)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 12))):
        content[data.draw(st.integers(0, min(len(content), 600) - 1))] = data.draw(st.integers(0, 255))
    path = Path(f"/tmp/nucleus-fuzz-{hashlib.sha256(content).hexdigest()[:16]}")
    path.write_bytes(content)
    try:
        outcome = read_image(path, max_megapixels=5).rgb.dtype.name
    except InvalidImage as error:
        outcome = "refused with advice" if len(str(error)) > 20 else str(error)
    finally:
        path.unlink()
    assert outcome in ("uint8", "refused with advice")


def test_stored_pixels_carry_no_metadata() -> None:
    stored = encode_png(RGB)
    assert np.array_equal(decode_png(stored), RGB)
    with Image.open(io.BytesIO(stored)) as image:
        assert image.info == {}
        assert not image.getexif()
