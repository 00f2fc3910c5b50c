"""8-bit RGB images: uniformity index, PSNR, hash, and PNG encoding and decoding."""

from __future__ import annotations

import hashlib
import io
import math
import zlib
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngImageFile

from amaxds.errors import NoImage

Pixels = NDArray[np.uint8]
"""(h, w, 3)"""
_IMAGES = "Give an array (h, w, 3) of uint8, an image of Pillow, or several of them."


@overload
def uniformity_index(image: NDArray[np.uint8]) -> float | NDArray[np.float64]: ...
@overload
def uniformity_index(image: Image.Image) -> float: ...
@overload
def uniformity_index(image: Sequence[NDArray[np.uint8] | Image.Image]) -> NDArray[np.float64]: ...
def uniformity_index(
    image: NDArray[np.uint8] | Image.Image | Sequence[NDArray[np.uint8] | Image.Image],
) -> float | NDArray[np.float64]:
    """How far the colour histograms of an image are from uniform: 0 perfectly uniform, 1 a constant image.

    For the 256-bin histogram h of each channel's N pixels, take the mean of |h - N/256| over bins and channels, and divide it
    by its value for a constant image, 2·N·255/256². This is the total variation distance from uniform times 256/255. It is
    the measure of the original study, whose divisor 235.6073 is the value for 174x174 pixels.

    Args:
        image: One image, as an array (h, w, 3) uint8 or a PIL image of mode RGB; or several, as an array (n, h, w, 3) uint8
            or as a sequence of such images, which may differ in size.

    Returns:
        The index of one image as a float; of several as an array (n,) float64.

    Raises:
        NoImage: For anything else, such as floating-point pixels or an image with an alpha channel; a ValueError, too.

    Examples:
        >>> row = load_dataset("demo-filter-activations")["train"][0]
        >>> amaxds.uniformity_index(row["image"]) == row["uniformity_index"]
        True
    """
    if isinstance(image, Image.Image) or (isinstance(image, np.ndarray) and image.ndim == 3):
        return _index_of_one(image)
    if isinstance(image, np.ndarray) and image.ndim != 4:
        raise NoImage(f"an array {image.shape} is neither an image nor several.", "Give (h, w, 3) or (n, h, w, 3).")
    if isinstance(image, (str, bytes)) or not isinstance(image, Iterable):
        raise NoImage(f"{type(image).__name__} is no image.", _IMAGES)
    return np.array([_index_of_one(each) for each in image], np.float64)


def _index_of_one(image: object) -> float:
    if isinstance(image, Image.Image):
        if image.mode != "RGB":
            raise NoImage(f"an image of mode {image.mode} is not RGB.", "Convert it with image.convert('RGB').")
        image = np.asarray(image)
    if not isinstance(image, np.ndarray):
        raise NoImage(f"{type(image).__name__} is no image.", _IMAGES)
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise NoImage(f"an array {image.shape} is no image.", "Give (h, w, 3) with at least one pixel.")
    if image.dtype != np.uint8:
        raise NoImage(f"pixels of type {image.dtype} are not 8-bit.", "Convert 8-bit values with astype(numpy.uint8).")
    pixels = image.shape[0] * image.shape[1]
    # Pillow counts all three histograms in one pass of C, four times faster than numpy.bincount.
    histograms = np.reshape(Image.fromarray(image).histogram(), (3, 256))
    deviation = np.abs(histograms - pixels / 256).mean()
    return float(deviation / (2 * pixels * 255 / 256**2))


def is_stretched_noise(image: Pixels) -> bool:
    """Whether a saved image is only the starting noise of the `original` recipe, judged from its pixels.

    Uniform noise that was scaled to a standard deviation of 0.15 and then stretched uses 133 of the 256 levels, so that its
    uniformity index is 123/255 whatever the noise. And its neighbouring pixels are independent.
    """
    if abs(float(uniformity_index(image)) - 123 / 255) > 1.5 / 255:
        return False
    centred = image.astype(np.float64) - image.mean(axis=(0, 1))
    variance = np.maximum(np.square(centred).mean(axis=(0, 1)), 1e-12)
    down = (centred[1:] * centred[:-1]).mean(axis=(0, 1)) / variance
    right = (centred[:, 1:] * centred[:, :-1]).mean(axis=(0, 1)) / variance
    return bool(max(np.abs(down).max(), np.abs(right).max()) < 0.1)


def psnr(image: Pixels, other: Pixels) -> float:
    """Peak signal-to-noise ratio of two images of one size, in dB; infinite where they are equal."""
    error = np.mean(np.square(image.astype(np.float64) - other))
    return float(20 * np.log10(255) - 10 * np.log10(error)) if error else math.inf


def pixels_sha256(image: Pixels) -> str:
    """SHA-256 of the RGB bytes of (h, w, 3) uint8, row by row, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def encode_png(image: Pixels) -> bytes:
    """Encode (h, w, 3) uint8 as PNG. The same pixels give the same bytes with the same version of Pillow."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def decode_png(data: bytes, max_pixels: int = 4096 * 4096) -> Pixels:
    """Decode a PNG file to (h, w, 3) uint8.

    ValueError for anything that is not an 8-bit RGB PNG, is shown otherwise than its pixels are (transparent, animated,
    turned), or has more than max_pixels pixels. The size is read from the header, before anything is decompressed.
    """
    try:
        # Pillow's `open` has a limit of its own, which contact sheets of very many layers exceed.
        with PngImageFile(io.BytesIO(data)) as image:
            if image.size[0] * image.size[1] > max_pixels:
                raise ValueError(f"{image.size[0]}x{image.size[1]} pixels, more than {max_pixels} in all")
            depth, colour = data[24], data[25]  # Pillow reads 16 bits a channel as if they were 8.
            if image.mode != "RGB" or (depth, colour) != (8, 2):
                raise ValueError(f"mode {image.mode} of {depth} bits a channel, not 8-bit RGB")
            if image.is_animated or "transparency" in image.info:
                raise ValueError("an animation" if image.is_animated else "with a transparent colour, not opaque")
            pixels = np.array(image)
            if (turned := _orientation(image)) in range(2, 9):
                raise ValueError(f"to be shown turned or mirrored (EXIF orientation {turned})")
            return pixels
    except ValueError:
        raise
    except Exception as error:  # Pillow raises many kinds of errors for broken files.
        raise ValueError(f"not a readable PNG ({error})") from error


def _orientation(image: PngImageFile) -> int | None:
    """How its EXIF data say that it is to be shown, 1 to 8; None where they do not, or cannot be read."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Pillow raises many kinds of errors for broken data, which programs that show pictures pass over.
        return None


def has_only_pixels(png: bytes) -> bool:
    """Whether an 8-bit RGB PNG is header, pixels and end, each with its right checksum, and nothing else: no other chunk,
    nothing in the end, no bytes after it, and none after the last pixel in what the pixels are packed into."""
    place, chunks = 8, []
    while place + 12 <= len(png):
        end = place + 8 + int.from_bytes(png[place : place + 4], "big")
        kind, data = png[place + 4 : place + 8], png[place + 8 : end]
        if zlib.crc32(kind + data) != int.from_bytes(png[end : end + 4], "big"):
            return False
        chunks.append((kind, data))
        place = end + 4
    kinds = [kind for kind, _ in chunks]
    if place != len(png) or len(kinds) < 3 or kinds != [b"IHDR", *[b"IDAT"] * (len(kinds) - 2), b"IEND"] or chunks[-1][1]:
        return False
    header, due = chunks[0][1], 0
    if len(header) == 13 and header[8:] == b"\x08\x02\x00\x00\x00":
        due = int.from_bytes(header[4:8], "big") * (1 + 3 * int.from_bytes(header[:4], "big"))
    unpacking = zlib.decompressobj()
    try:
        lines = unpacking.decompress(b"".join(data for _, data in chunks[1:-1]), due + 1)
    except zlib.error:
        return False
    return len(lines) == due > 0 and unpacking.eof and not unpacking.unused_data
