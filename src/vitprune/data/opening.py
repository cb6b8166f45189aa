"""Open a local folder or a hub data set with the `datasets` library."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
from datasets import DatasetDict, IterableDatasetDict
from huggingface_hub import HfApi

from vitprune.data.folder_files import files_by_folder
from vitprune.data.local_files import files_by_split
from vitprune.data.shards import other_columns
from vitprune.data.table_folders import METADATA
from vitprune.errors import UsageError
from vitprune.model.names import local_folder
from vitprune.runs.write_errors import FULL, REFUSED

CONVERSION = "refs/convert/parquet"  # the hub's branch with a data set as parquet files


def open_source(
    source: str, subset: str | None, *, streaming: bool = False
) -> DatasetDict | IterableDatasetDict:
    """Return the splits of a source.

    Args:
        source: Local folder or hub name.
        subset: Configuration of a data set that has several.
        streaming: Read without a download of the whole.

    Raises:
        UsageError: If the source cannot be loaded.
        OSError: If the cache cannot be written, as on a full disk, or a file may not be read.

    """
    if Path(source).expanduser().is_file():
        raise UsageError(
            f"data.source {source!r} is a file. Use the folder that holds the images or tables; "
            "extract archives first."
        )
    try:
        return open_with(datasets.load_dataset, source, subset, streaming=streaming)
    except UsageError:
        raise
    except Exception as error:  # the library raises a dozen unrelated types
        if several := re.search(r"available[^:]*: (\[.*\])", str(error), re.IGNORECASE):
            raise _wrong_subset(source, subset, several[1]) from error
        cause = error.__cause__ or error  # the library says that something went wrong, not what
        if isinstance(cause, OSError) and cause.errno in (*FULL, *REFUSED):
            raise _not_cached(cause, source) from error
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        hint = "the hub has no such data set, or cannot be reached"
        if folder := local_folder(source, "data.source"):
            hint = _problem_in(folder)
        raise UsageError(
            f"data.source {source!r} could not be loaded: {hint} ({reason})"
        ) from error


def _not_cached(error: OSError, source: str) -> OSError:
    """Return the error for a cache that cannot be written; that of a file of the source itself."""
    folder = local_folder(source, "data.source")
    if folder and error.filename and Path(error.filename).is_relative_to(folder.absolute()):
        return error
    cache = str(datasets.config.HF_DATASETS_CACHE)
    reason = f"{error.strerror} while data were cached (in a subfolder of HF_HOME)"
    return OSError(error.errno, reason, cache)


def _problem_in(folder: Path) -> str:
    """Return what is wrong with the files of a folder that `datasets` does not load."""
    files = files_by_folder(folder)
    if problem := other_columns(folder, files):
        return problem
    names = {name for names in files.values() for name in names}
    if metadata := sorted(names & set(METADATA)):
        return (
            f"{metadata[0]} cannot be read. It must be UTF-8 and have the columns file_name and "
            "label"
        )
    if "::" in str(folder.absolute()):
        return "its path has '::', which chains file systems. Rename the folder"
    if any(name.lower().endswith(".zip") for name in names):
        return "it holds archives, whose content cannot be read. Extract them"
    return "its files cannot be read"


def open_with(
    opener: Callable[..., Any],
    source: str,
    subset: str | None,
    *,
    quiet: bool = False,
    **options: object,
) -> Any:
    """Call `load_dataset`, or a function with its arguments, for a folder or a hub name.

    Reports what was inferred about a folder, unless `quiet`.

    `datasets` 4.0 and later does not open data sets that are a script; for them, the hub's
    conversion to parquet is opened.
    """
    folder = local_folder(source, "data.source")
    if folder and subset and subset not in datasets.get_dataset_config_names(str(folder)):
        subset = None  # a folder without configurations refuses any
    if folder and (files := files_by_split(folder, quiet=quiet)):
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
    """Return the folder of a configuration: files are CONFIGURATION/SPLIT/NUMBER.parquet."""
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
            f"data.source {source!r} is a script, and the hub has converted only the first part of "
            f"{subset!r} to parquet."
        )
    return subset


def _wrong_subset(source: str, subset: str | None, valid: str) -> UsageError:
    return UsageError(
        f"data.subset must be one of the configurations of {source!r}, {valid}, not {subset!r}."
    )
