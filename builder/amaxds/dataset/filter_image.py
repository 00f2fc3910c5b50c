"""The image of a filter with all that is known about it, as a program or a notebook handles it: one, or several in a row."""

from __future__ import annotations

import functools
import html
import io
import os
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Self, overload

from PIL import Image

from amaxds.dataset.record import Row
from amaxds.errors import UsageError, whole_number
from amaxds.image import Pixels, decode_png
from amaxds.storage.files import disk_errors
from amaxds.storage.location import local_path

if TYPE_CHECKING:
    import pandas

_PER_ROW, _GAP, _MOST_SHOWN = 8, 4, 64
_ANIMATIONS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG"}


@dataclass(frozen=True, repr=False)
class FilterImage:
    """The image of one filter with all that is known about it, the columns of a record. A notebook shows it as a picture.

    Two of them are equal where all their fields are, pixels included.

    Examples:
        >>> image = amaxds.open_dataset("demo-filter-activations")["block3_conv1", 5]
        >>> image
        <FilterImage demo block3_conv1/5: clear, seed 0, alive, activation 0.3587 -> 3.169>
        >>> image.pixels.shape, image.image.size, image.activation_rank
        ((112, 112, 3), (112, 112), 1)
        >>> image.save("filter-5.png")
    """

    png: bytes
    """The image as PNG, 8-bit RGB, as a dataset stores it."""
    network: str
    """The network's name."""
    layer: str
    """The layer's name; the objective in words for an image of another objective than one filter."""
    filter: int | None
    """The layer's output channel, from 0; None for an image of another objective than one filter."""
    recipe: str
    """The recipe's name."""
    seed: int | None
    """The seed; None where the image was described and not made."""
    status: str
    """`alive`, or `dead`: the ascent never saw a gradient, and the image is its own starting noise."""
    activation_start: float | None
    """The filter's mean output after ReLU over the recipe's window, for the starting noise; of another objective its value.
    None where the image was described and not made."""
    activation: float | None
    """The same for the final image, before it is made 8 bit."""
    uniformity_index: float
    """How far the colour histograms are from uniform: 0 perfectly uniform, 1 a constant image."""
    pixels_sha256: str
    """SHA-256 of the RGB bytes, row by row, in hexadecimal."""
    activation_rank: int | None = None
    """The image's place among its layer's images by its own filter's output, from 1, the best; None where it is not in a
    dataset, or was described and not made."""
    split: str | None = None
    """`train`, `validation` or `test`; None where it is not in a dataset."""
    frame_pngs: tuple[bytes, ...] = field(default=(), hash=False)
    """The images on the way as PNG, from the start to the image itself; empty unless they were asked for."""

    @classmethod
    def of_row(cls, row: Row) -> Self:
        """The image of a record."""
        known = {each.name for each in fields(cls)}
        return cls(png=row["image"], **{name: value for name, value in row.items() if name in known})

    @functools.cached_property
    def pixels(self) -> Pixels:
        """The saved pixels, (h, w, 3) uint8, not to be written to."""
        pixels = decode_png(self.png)
        pixels.flags.writeable = False
        return pixels

    @property
    def image(self) -> Image.Image:
        """The image as a PIL image of mode RGB."""
        return Image.fromarray(self.pixels)

    @property
    def frames(self) -> tuple[Image.Image, ...]:
        """The images on the way as PIL images, from the start to the image itself; empty unless they were asked for."""
        return tuple(Image.fromarray(decode_png(each)) for each in self.frame_pngs)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the image as PNG, the same bytes as in a dataset.

        Args:
            path: The file to write, which ends with .png; one that is there is replaced.

        Raises:
            UsageError: If the ending is another.
            DiskError: If the file cannot be written.
        """
        file = local_path(path)
        if file.suffix.lower() != ".png":
            raise UsageError(
                f"{file} is no PNG file by its ending.",
                "Give a name that ends with .png; `image.image` is Pillow's for others.",
            )
        with disk_errors(file):
            file.write_bytes(self.png)

    def save_animation(self, path: str | os.PathLike[str], milliseconds: int = 80) -> None:
        """Save the frames as an animation that repeats for ever and rests on the last one.

        Args:
            path: A file that ends with .gif, .webp or .png (animated PNG). GIF has 256 colours; the others lose nothing.
            milliseconds: How long each frame is seen, up to 6000; the last one ten times as long.

        Raises:
            UsageError: If the image has no frames, or the ending or the time is not possible.
            DiskError: If the file cannot be written.

        Examples:
            >>> (image,) = amaxds.synthesise("demo", "block3_conv1", 5, frames=12)
            >>> image.save_animation("filter-5.gif")
        """
        file, milliseconds = local_path(path), whole_number(milliseconds, "milliseconds", 1, 6000)
        kind = _ANIMATIONS.get(file.suffix.lower())
        if kind is None:
            raise UsageError(f"{file} is no animation by its ending.", f"Choose from {', '.join(_ANIMATIONS)}.")
        if not self.frame_pngs:
            raise UsageError("this image has no frames.", "Have them kept: synthesise(..., frames=24).")
        first, *others = self.frames
        durations = [milliseconds] * len(others) + [10 * milliseconds]
        options = {"lossless": True} if kind == "WEBP" else {}
        buffer = io.BytesIO()
        first.save(buffer, kind, save_all=True, append_images=others, duration=durations, loop=0, **options)
        with disk_errors(file):
            file.write_bytes(buffer.getvalue())

    def __repr__(self) -> str:
        known = "" if self.activation is None else f", activation {self.activation_start:.4g} -> {self.activation:.4g}"
        return f"<FilterImage {self.network} {self.title}: {self.recipe}, seed {self.seed}, {self.status}{known}>"

    @property
    def title(self) -> str:
        """Layer and filter, such as `block5_conv3/5`."""
        return self.layer if self.filter is None else f"{self.layer}/{self.filter}"

    def _repr_png_(self) -> bytes:
        return self.png


class FilterImages(Sequence[FilterImage]):
    """Several images of filters: a sequence of `FilterImage`. A notebook shows the first 64 of them in a grid.

    Examples:
        >>> images = amaxds.synthesise("demo", "block3_conv1", filters=range(8))
        >>> len(images), images[0].title, len(images[2:4])
        (8, 'block3_conv1/0', 2)
        >>> images.grid(columns=4).save("eight.png")
        >>> round(images.to_pandas().activation.mean(), 1)
        2.8
    """

    def __init__(self, images: Sequence[FilterImage]) -> None:
        self._images = tuple(images)

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, place: int) -> FilterImage: ...
    @overload
    def __getitem__(self, place: slice) -> FilterImages: ...
    def __getitem__(self, place: int | slice) -> FilterImage | FilterImages:
        return FilterImages(self._images[place]) if isinstance(place, slice) else self._images[place]

    def __iter__(self) -> Iterator[FilterImage]:
        return iter(self._images)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FilterImages) and self._images == other._images

    def __hash__(self) -> int:
        return hash(self._images)

    def __repr__(self) -> str:
        return f"<FilterImages: {len(self)}>\n" + "\n".join(f"  {each!r}" for each in self._images[:_PER_ROW])

    def grid(self, columns: int | None = None) -> Image.Image:
        """All images in one PIL image, row by row with white gaps.

        Args:
            columns: How many images side by side. By default 8, or fewer where there are not as many.

        Returns:
            The image, of mode RGB.

        Raises:
            UsageError: If there is no image.
        """
        if not self._images:
            raise UsageError("there are no images to show.", "Choose others.")
        columns = min(_PER_ROW, len(self)) if columns is None else whole_number(columns, "columns", 1, 4096)
        sides = [each.pixels.shape[:2] for each in self._images]
        height, width = (max(side[axis] for side in sides) + _GAP for axis in (0, 1))
        sheet = Image.new("RGB", (columns * width + _GAP, -(-len(self) // columns) * height + _GAP), "white")
        for place, each in enumerate(self._images):
            sheet.paste(each.image, (place % columns * width + _GAP, place // columns * height + _GAP))
        return sheet

    def to_pandas(self) -> pandas.DataFrame:
        """A table of what is known of each image, a row each, without the images themselves."""
        import pandas

        columns = [each.name for each in fields(FilterImage) if each.name not in ("png", "frame_pngs")]
        return pandas.DataFrame([{name: getattr(each, name) for name in columns} for each in self], columns=columns)

    def _repr_html_(self) -> str:
        cells = "".join(
            '<figure style="display:inline-block;margin:2px;text-align:center;font-size:small">'
            f'<img src="data:image/png;base64,{b64encode(each.png).decode()}" alt="{html.escape(each.title)}">'
            f"<figcaption>{html.escape(each.title)}{', dead' * (each.status == 'dead')}</figcaption></figure>"
            for each in self._images[:_MOST_SHOWN]
        )
        more = f"<p>{_MOST_SHOWN} of {len(self)} images</p>" if len(self) > _MOST_SHOWN else ""
        return f"<div>{cells}{more}</div>"
