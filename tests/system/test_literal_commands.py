"""The README's commands for publishing, as they stand there, in a fresh home that has nothing but tokens."""

from __future__ import annotations

import re
from pathlib import Path

from support.commands import ROOT, amaxds
from support.huggingface_server import HuggingFaceServer
from support.kaggle_server import KaggleServer

NAME = "demo-filter-activations"
LINES = re.findall("^amaxds publish .*$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)


def test_a_dataset_is_published_by_the_commands_of_the_readme(tmp_path: Path) -> None:
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    built = amaxds("build", "--network", "demo", "--recipe", "original", "--steps", "1", cwd=work)
    assert built.returncode == 0, built.stderr
    assert len(LINES) == 3
    with HuggingFaceServer() as hub, KaggleServer() as kaggle:
        tokens = {"HF_TOKEN": hub.token, "KAGGLE_USERNAME": kaggle.username, "KAGGLE_KEY": kaggle.key, "KAGGLE_API_TOKEN": ""}
        settings = {"HOME": str(home), "KAGGLE_API_ENVIRONMENT": "TEST", "KAGGLE_CONFIG_DIR": "", "NO_PROXY": "localhost"}
        for command in (line.split()[1:] for line in LINES):  # There is no terminal to be asked on.
            ended = amaxds(*command, *(() if "--dry-run" in command else ("--yes",)), cwd=work, **tokens | settings)
            assert ended.returncode == 0, ended.stderr
            assert "published and verified" in ended.stdout or "--dry-run" in command
        assert len(kaggle.datasets[f"owner/{NAME}"].versions[0].files) == 528 + 3
        assert kaggle.datasets[f"owner/{NAME}"].private
        assert hub.repos[f"owner/{NAME}"].private
