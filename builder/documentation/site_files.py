"""A hook of mkdocs: the site has, besides `docs/`, the pages and files that stand elsewhere in the repository.

`metadata/`, `benchmarks/*.md`, CONTRIBUTING.md, CHANGELOG.md and the like are served under their own paths. Links to them are
written as they are in the repository, `../benchmarks/audit.md` from a page in `docs/`, so that they work there too; here the
step out of `docs/` is taken off, and mkdocs then checks them like any others.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PATTERNS = (
    "metadata/*",
    "benchmarks/*.md",
    "benchmarks/vgg16/*.csv",
    "benchmarks/vgg16/*.json",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
)
"""What the site has besides `docs/`."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of the repository that pages link to."""
    for pattern in PATTERNS:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, str(path.relative_to(ROOT)), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links that lead out of `docs/`, or into it from outside, into links within the site."""
    if Path(page.file.abs_src_path or "").is_relative_to(config.docs_dir):
        up = "../" * page.file.src_uri.count("/")
        return re.sub(rf"\]\({re.escape(up)}\.\./", f"]({up}", markdown)
    up = "../" * page.file.src_uri.count("/")
    return markdown.replace(f"]({up}docs/", f"]({up}")
