"""The functions that show what is in a dataset: report and classify."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amaxds.api.arguments import dataset_name, flag, names, optional, require_valid, run_apart, weights_file, worker_count
from amaxds.errors import whole_number
from amaxds.storage.location import local_path

if TYPE_CHECKING:
    from amaxds.analysis.score import Result
    from amaxds.api.arguments import DatasetLike, WeightsLike


@dataclass(frozen=True)
class WrittenReport:
    """Where a report was written.

    Examples:
        >>> written = amaxds.report("demo-filter-activations")
        >>> written.page
        PosixPath('report/index.html')
        >>> summary = json.loads((written.folder / "summary.json").read_text())
    """

    folder: Path
    """The folder with the page, the figures as PNG, SVG and PDF, and their numbers in `summary.csv` and `summary.json`."""
    no_neighbours: str | None
    """Why the page does not show which images are most alike; None where it does."""

    @property
    def page(self) -> Path:
        """The page with every image, to be opened in a browser."""
        return self.folder / "index.html"


@dataclass(frozen=True)
class Classification:
    """How well models tell the layer of a dataset's images.

    Examples:
        >>> found = amaxds.classify("demo-filter-activations")
        >>> for result in found.results:
        ...     score = result.scores["living"]
        ...     print(result.recipe, result.model, f"{score.accuracy:.3f}, by chance {score.chance:.3f}")
        clear cnn 0.184, by chance 0.118
        clear linear 0.353, by chance 0.118
    """

    folder: Path
    """The folder with the scores in `classification.json` and the confusion matrices in `confusion.png`."""
    results: list[Result]
    """One for each recipe and model, and for what it was trained on, with its scores."""
    no_linear: str | None
    """Why the linear model was left out; None where it was not."""


def report(
    path: DatasetLike,
    out: str | os.PathLike[str] = "report",
    *,
    neighbours: bool | None = None,
    weights: WeightsLike | None = None,
    workers: int | None = None,
    sheets: bool = False,
    progress: bool = True,
) -> WrittenReport:
    """Write a page with every image of a dataset, to sort, search and open, and the figures of the study.

    Args:
        path: As for `validate`.
        out: Folder to write. An earlier report there is replaced.
        neighbours: Whether to show which images are most alike, which takes the network's weights. By default where these can
            be had.
        weights: The file, or the `keras.Model`, that the dataset was built with, where it was one.
        workers: Programs side by side. By default one for each core.
        sheets: Whether to draw a contact sheet per layer, with all its images, in `sheets/`.
        progress: Whether to show a progress bar.

    Returns:
        Where it is, and its page.

    Raises:
        InvalidDataset: If validation finds something; `error.report` has it.
        UsageError: If `out` holds something else, or `weights` are not the dataset's.
        DiskError: If `out` cannot be written.

    Examples:
        >>> amaxds.report("demo-filter-activations").page
        PosixPath('report/index.html')
    """
    folder, workers = local_path(out, "out"), worker_count(workers)
    neighbours, sheets = optional(flag, neighbours, "neighbours"), flag(sheets, "sheets")
    with weights_file(weights) as file:
        reason = run_apart(_report, progress, None, dataset_name(path), folder, neighbours, file, workers, sheets)
    return WrittenReport(folder, reason)


def _report(
    path: str, out: Path, neighbours: bool | None, weights: str | None, workers: int | None, sheets: bool
) -> str | None:
    from amaxds.analysis.report import write_report
    from amaxds.hubs.locate import fetched

    with fetched(path) as found:
        require_valid(found, path)
        return write_report(found, path, out, neighbours, weights, workers, sheets)


def classify(
    path: DatasetLike,
    out: str | os.PathLike[str] = "classification",
    *,
    models: str | Iterable[str] = (),
    weights: WeightsLike | None = None,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
) -> Classification:
    """Train and judge models that tell from an image which layer it is of: a small CNN on pixels, a linear model on the
    network's own features, and a decision tree on the uniformity index alone.

    Args:
        path: As for `validate`.
        out: Folder to write. An earlier classification there is replaced.
        models: `cnn`, `linear`, `index`, or several of them. By default all, `linear` where the network's weights can be had.
        weights: The file, or the `keras.Model`, that the dataset was built with, where it was one.
        seed: Of the CNN's weights, and the order and flips of its training images.
        workers: Programs side by side. By default one for each core.
        progress: Whether to show a progress bar.

    Returns:
        The results of each model under each recipe, as scored on the dataset's test split.

    Raises:
        InvalidDataset: If validation finds something; `error.report` has it.
        UsageError: If there are too few images or layers, `out` holds something else, or a model is not known.
        DiskError: If `out` cannot be written.

    Examples:
        >>> found = amaxds.classify("demo-filter-activations", models="cnn")
        >>> found.results[0].scores["living"].accuracy > 1 / 13
        True
    """
    folder, workers = local_path(out, "out"), worker_count(workers)
    chosen = () if isinstance(models, tuple) and not models else names(models, "models")
    with weights_file(weights) as file:
        options = dataset_name(path), folder, chosen, file, whole_number(seed, "seed", 0, 2**32 - 1), workers
        results, reason = run_apart(_classify, progress, None, *options)
    return Classification(folder, results, reason)


def _classify(
    path: str, out: Path, models: Sequence[str], weights: str | None, seed: int, workers: int | None
) -> tuple[list[Result], str | None]:
    from amaxds.analysis.classify import ClassificationSettings
    from amaxds.analysis.classify import classify as train
    from amaxds.hubs.locate import fetched

    with fetched(path) as found:
        require_valid(found, path)
        return train(found, path, out, models, weights, ClassificationSettings(seed, workers))
