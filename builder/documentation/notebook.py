"""Run `docs/tutorial.ipynb` and store its outputs in it, for places that show a notebook without running it.

    python builder/documentation/notebook.py

What is stored has no times, paths or versions: on one machine it is the same each time. Pictures are stored small, and in
formats that every viewer shows: a still picture as JPEG, HTML with a picture for each image as one picture of all of them, and
an animation as PNG with few colours. The digest of the code that was run is kept in the notebook's metadata;
`tests/documentation/test_notebook.py` fails where the code has changed since.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageSequence

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"
PER_ROW, GAP, QUALITY, COLOURS = 4, 4, 85, 64


def code_digest(notebook: Any) -> str:
    """SHA-256 of the code of all cells, in hexadecimal."""
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def run(notebook: Any, folder: Path) -> None:
    """Run all cells in the folder; their outputs are then in the notebook."""
    from nbclient import NotebookClient

    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=400, kernel_name="python3", resources=resources, record_timing=False).execute()


def stored_outputs(outputs: Sequence[Any]) -> list[dict[str, Any]]:
    """A cell's outputs as they are stored: without progress, which is on stderr. What is printed one after the other is one
    output, whether or not progress came between."""
    kept: list[dict[str, Any]] = []
    for each in map(_stored, outputs):
        if each is None:
            continue
        if kept and each["output_type"] == kept[-1]["output_type"] == "stream":
            kept[-1]["text"] += each["text"]
        else:
            kept.append(each)
    return kept


def _stored(output: Any) -> dict[str, Any] | None:
    """An output as it is stored; None for stderr."""
    if output["output_type"] == "stream":
        return None if output["name"] == "stderr" else {**output, "text": output["text"].splitlines(keepends=True)}
    data = output["data"]
    kept: dict[str, Any] = {"text/plain": data["text/plain"].splitlines(keepends=True)}
    if pictures := re.findall(r"data:image/png;base64,([^\"]+)", data.get("text/html", "")):
        kept["image/jpeg"] = _jpeg(_grid([_opened(each) for each in pictures]))
    elif "image/png" in data:
        picture = _opened(data["image/png"])
        kept |= {"image/png": _animation(picture)} if getattr(picture, "is_animated", False) else {"image/jpeg": _jpeg(picture)}
    elif "text/html" in data:
        kept["text/html"] = re.sub(r"<style.*?</style>\n", "", data["text/html"], flags=re.DOTALL).splitlines(keepends=True)
    return {**output, "data": kept, "metadata": {}}


def _opened(encoded: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def _grid(pictures: Sequence[Image.Image]) -> Image.Image:
    width, height = (max(sides) + GAP for sides in zip(*(each.size for each in pictures), strict=True))
    columns = min(PER_ROW, len(pictures))
    sheet = Image.new("RGB", (columns * width + GAP, -(-len(pictures) // columns) * height + GAP), "white")
    for place, each in enumerate(pictures):
        sheet.paste(each, (place % columns * width + GAP, place // columns * height + GAP))
    return sheet


def _jpeg(picture: Image.Image) -> str:
    return _encoded(picture.convert("RGB"), "JPEG", quality=QUALITY)


def _animation(picture: Image.Image) -> str:
    """An animated PNG; all its frames share one palette."""
    frames = [each.convert("RGB") for each in ImageSequence.Iterator(picture)]
    palette = _grid(frames).quantize(COLOURS)
    first, *others = (each.quantize(palette=palette, dither=Image.Dither.NONE) for each in frames)
    durations = [80] * len(others) + [800]
    return _encoded(first, "PNG", save_all=True, append_images=others, duration=durations, loop=0, optimize=True)


def _encoded(picture: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def with_outputs(notebook: dict[str, Any], ran: Any) -> dict[str, Any]:
    """The notebook with the outputs of another in which the same cells were run."""
    count = 0
    for cell, other in zip(notebook["cells"], ran["cells"], strict=True):
        if cell["cell_type"] == "code":
            count += 1
            cell |= {"execution_count": count, "outputs": list(_numbered(stored_outputs(other["outputs"]), count))}
    notebook["metadata"]["outputs_are_of_code_sha256"] = code_digest(notebook)
    return notebook


def _numbered(outputs: Sequence[dict[str, Any]], count: int) -> Iterator[dict[str, Any]]:
    for each in outputs:
        yield {**each, "execution_count": count} if each["output_type"] == "execute_result" else each


def main() -> None:
    import nbformat

    ran = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        run(ran, Path(folder))
    notebook = with_outputs(json.loads(NOTEBOOK.read_text(encoding="utf-8")), ran)
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
