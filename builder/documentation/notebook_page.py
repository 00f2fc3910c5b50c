"""A hook of mkdocs: the site has `docs/tutorial.ipynb` as a page, `notebook.md`, with its code and its stored outputs.

Links to the notebook lead to that page; on GitHub, which shows notebooks, they lead to the notebook itself.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

NOTEBOOK, PAGE = "tutorial.ipynb", "notebook.md"
HEAD = f"""---
title: Tutorial in a notebook
---

*This page shows [the notebook](./{NOTEBOOK}){{ download }}, to be downloaded and run, with its outputs.*

"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    notebook = json.loads((Path(config.docs_dir) / NOTEBOOK).read_text(encoding="utf-8"))
    files.append(File.generated(config, PAGE, content=HEAD + as_markdown(notebook)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to the notebook into links to the page."""
    return markdown if page.file.src_uri == PAGE else markdown.replace(f"]({NOTEBOOK})", f"]({PAGE})")


def as_markdown(notebook: Any) -> str:
    """All cells, with what each of code has put out: text, a picture, or a table."""
    return "\n\n".join(part for cell in notebook["cells"] for part in _cell(cell)) + "\n"


def _cell(cell: Any) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        data = output.get("data", {})
        picture = next((kind for kind in ("image/png", "image/jpeg") if kind in data), None)
        if picture:
            yield f'<img alt="Output of the code above" src="data:{picture};base64,{data[picture]}">'
        elif "text/html" in data:
            yield re.sub(r' border="1" class="dataframe"| style="[^"]*"|\n\s*', "", "".join(data["text/html"]))
        else:
            text = "".join(output["text"] if output["output_type"] == "stream" else data["text/plain"]).rstrip("\n")
            lines = [part for line in text.split("\n") for part in textwrap.wrap(line, 100) or [""]]
            yield "\n".join(["```text", *lines, "```"])
