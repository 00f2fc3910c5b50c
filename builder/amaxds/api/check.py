"""The functions that check datasets: validate, audit and diff."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaxds.api.arguments import dataset_name, require_valid, run_apart, weights_file, worker_count
from amaxds.errors import whole_number

if TYPE_CHECKING:
    from amaxds.api.arguments import DatasetLike, WeightsLike
    from amaxds.checks.audit import AuditReport
    from amaxds.checks.diff import Difference
    from amaxds.checks.rules import ValidationReport


def validate(path: DatasetLike) -> ValidationReport:
    """Check every claim that a dataset makes: files, records, every image's index and hash, card, Croissant, contact sheets.

    Args:
        path: A dataset folder, a bundle as folder or zip, a URL of one such as `s3://bucket/name`, `owner/name[@revision]` on
            the Hugging Face Hub, `kaggle:owner/name[@version]`, or an opened dataset.

    Returns:
        A report: `valid`, the `findings` with rule, place and problem, and the number of `images`. It does not raise for a
            dataset that is not valid.

    Raises:
        UsageError: If nothing is there.
        HubError: If it cannot be fetched from a hub.
        StoreError: If it cannot be fetched from a store.

    Examples:
        >>> amaxds.validate("demo-filter-activations").valid
        True
    """
    from amaxds.checks.validate import validate as check
    from amaxds.hubs.locate import fetched

    name = dataset_name(path)
    with fetched(name) as found:
        return check(found, name)


def audit(
    path: DatasetLike,
    sample: int = 13,
    *,
    seed: int | None = None,
    weights: WeightsLike | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> AuditReport:
    """Make a random sample of a dataset's images again, and compare: bit by bit on the build's software and device, elsewhere
    within tolerances.

    Args:
        path: As for `validate`.
        sample: How many images to make again; as many of each layer as of any other.
        seed: Seed of the sample. Without one it is drawn anew each time; the report has it.
        weights: The file, or the `keras.Model`, that the dataset was built with, where it was one.
        workers: Programs side by side. By default one for each core.
        progress: Whether to show a progress bar.

    Returns:
        A report: `passed`, `images` with what was stored and what was made, `lines()` for a person.

    Raises:
        InvalidDataset: If validation finds something; `error.report` has it.
        UsageError: If the images were made elsewhere, or with other weights.
        NotFoundOnline: If pretrained weights cannot be downloaded.

    Examples:
        >>> amaxds.audit("demo-filter-activations", sample=26).passed
        True
    """
    numbers = whole_number(sample, "sample"), None if seed is None else whole_number(seed, "seed", 0)
    workers = worker_count(workers)
    with weights_file(weights) as file:
        return run_apart(_audit, progress, None, dataset_name(path), *numbers, file, workers)


def _audit(path: str, sample: int, seed: int | None, weights: str | None, workers: int | None) -> AuditReport:
    import secrets

    from amaxds.checks.audit import audit as make_again
    from amaxds.dataset.reader import open_dataset
    from amaxds.hubs.locate import fetched

    with fetched(path) as found:
        require_valid(found, path)
        with open_dataset(found, path) as dataset:
            return make_again(dataset, sample, secrets.randbelow(2**32) if seed is None else seed, weights, workers)


def diff(before: DatasetLike, after: DatasetLike) -> Difference:
    """What it takes to get from one dataset to another, record by record, and image by image by PSNR. They are not validated.

    Args:
        before: As for `validate`.
        after: The same.

    Returns:
        The differences: `nothing` is whether there are none, `lines()` names them for a person, `as_json()` for a program.

    Raises:
        UsageError: If one of them cannot be read.

    Examples:
        >>> amaxds.diff("demo-filter-activations", "owner/name").nothing
        False
    """
    from amaxds.checks.diff import diff as compare
    from amaxds.dataset.reader import open_dataset
    from amaxds.hubs.locate import fetched

    names = dataset_name(before), dataset_name(after)
    with (
        fetched(names[0]) as one,
        fetched(names[1]) as other,
        open_dataset(one, names[0]) as old,
        open_dataset(other, names[1]) as new,
    ):
        return compare(old, new)
