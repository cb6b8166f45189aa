"""Open a local folder or a hub data set with the `datasets` library."""

import re
from collections.abc import Callable
from typing import Any

import datasets
from datasets import DatasetDict, IterableDatasetDict
from huggingface_hub import HfApi

from vitprune.assets import local_folder
from vitprune.data.image_folders import files_by_split
from vitprune.errors import UsageError

CONVERSION = "refs/convert/parquet"  # the branch of a public data set to which the hub writes it as parquet files


def open_source(
    source: str, subset: str | None, streaming: bool = False
) -> DatasetDict | IterableDatasetDict:
    """Return the splits of a source.

    Raises:
        UsageError: In one line, if that is impossible.

    """
    try:
        return open_with(datasets.load_dataset, source, subset, streaming=streaming)
    except UsageError:
        raise
    except (
        Exception
    ) as error:  # the library raises a dozen unrelated types for "not there" and "no network"
        if several := re.search(r"available[^:]*: (\[.*\])", str(error), re.IGNORECASE):
            raise _wrong_subset(source, subset, several[1]) from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        hint = "the hub has no such data set, or cannot be reached"
        if local_folder(source, "data.source"):
            hint = "the folder holds no readable images or parquet files"
        raise UsageError(
            f"data.source {source!r} could not be loaded: {hint} ({reason})"
        ) from error


def open_with(
    opener: Callable[..., Any], source: str, subset: str | None, **options: object
) -> Any:
    """Call a function of `datasets`, `load_dataset` or one with its arguments, for a folder or a
    hub name.

    Data sets that are a script cannot be opened by `datasets` from 4.0 on; of these it opens the
    hub's conversion.
    """
    folder = local_folder(source, "data.source")
    if folder and subset and subset not in datasets.get_dataset_config_names(str(folder)):
        subset = None  # a folder without configurations would refuse it
    if folder and (files := files_by_split(folder)):
        options["data_files"] = files
    elif not folder and _is_script(source):
        return opener(source, data_dir=_converted(source, subset), revision=CONVERSION, **options)
    return opener(str(folder or source), subset, **options)


def _is_script(source: str) -> bool:
    try:
        HfApi().hf_hub_download(source, f"{source.split('/')[-1]}.py", repo_type="dataset")
    except OSError:  # not there, or the hub cannot be asked
        return False
    return True


def _converted(source: str, subset: str | None) -> str:
    """Return the folder of a configuration in the conversion, whose files are CONFIGURATION/SPLIT/NUMBER.parquet."""
    files = [
        path.split("/")
        for path in HfApi().list_repo_files(source, revision=CONVERSION, repo_type="dataset")
    ]
    folders = sorted({path[0] for path in files if path[-1].endswith(".parquet")})
    if subset is None and len(folders) == 1:
        subset = folders[0]
    if subset not in folders:
        raise _wrong_subset(source, subset, str(folders))
    if any(path[0] == subset and path[1].startswith("partial-") for path in files):
        raise UsageError(
            f"data.source {source!r} is a script, and of {subset!r} the hub keeps the first part "
            "alone as files."
        )
    return subset


def _wrong_subset(source: str, subset: str | None, valid: str) -> UsageError:
    return UsageError(
        f"data.subset must be one of the configurations of {source!r}, {valid}, not {subset!r}."
    )
