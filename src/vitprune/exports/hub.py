"""Push an export to the Hugging Face hub: `vitprune push`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, ModelCard, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # of the library that it sends requests with, whose name depends on the version
    OfflineModeIsEnabled,
)

from vitprune.errors import UsageError
from vitprune.runs.run_folder import ExportFolder

TAKEN = 409


def push(folder: str | Path, repo: str, license: str | None = None) -> str:
    """Create a model on the hub from an export, with all of its files.

    Args:
        folder: Export.
        repo: Name of the model, `OWNER/NAME` or `NAME`.
        license: License in the model card, such as `apache-2.0`; None for that of the base model,
            if it is on the hub.

    Returns:
        The address of the model.

    Raises:
        UsageError: If the folder is no export, there is no token, or the hub refuses.

    """
    export = ExportFolder(Path(folder))
    if not export.config.is_file() or not export.report.is_file():
        raise UsageError(f"{str(folder)!r} is not an export of vitprune. Use the folder of one.")
    check_token()
    api = HfApi()
    with _refusals(repo):
        card = _card(export, license, api)
        created = api.create_repo(repo)
        api.create_commit(
            created.repo_id,
            [
                CommitOperationAdd(name, card.encode() if name == export.card.name else path)
                for name, path in _files(export).items()
            ],
            commit_message="Upload the export",
        )
    return str(created)


def check_token() -> None:
    """Raise `UsageError` if there is no token of the hub."""
    if get_token() is None:
        raise UsageError("the hub needs a token. Run hf auth login, or set HF_TOKEN.")


def _files(export: ExportFolder) -> dict[str, Path]:
    """Return the files of an export by their names on the hub."""
    paths = sorted(path for path in export.path.rglob("*") if path.is_file())
    names = {path.relative_to(export.path): path for path in paths}
    return {
        name.as_posix(): path
        for name, path in names.items()
        if not any(part.startswith(".") for part in name.parts)
    }


def _card(export: ExportFolder, license: str | None, api: HfApi) -> str:
    """Return the model card with a license, if one is known."""
    card = ModelCard.load(export.card)
    base = card.data.get("base_model")
    if license is None and isinstance(base, str):
        license = _license_of(base, api)
    if license is not None:
        card.data["license"] = license
    return str(card)


def _license_of(name: str, api: HfApi) -> str | None:
    """Return the license of a model on the hub; None if the hub does not know it."""
    try:
        data = api.model_info(name).card_data
    except HfHubHTTPError:
        return None
    return data.get("license") if data else None


@contextmanager
def _refusals(repo: str) -> Iterator[None]:
    """Turn what the hub refuses into `UsageError`."""
    try:
        yield
    except HFValidationError as error:
        raise UsageError(f"--repo {repo!r} is not a name on the hub: {error}") from error
    except HfHubHTTPError as error:
        if error.response.status_code == TAKEN:
            raise UsageError(
                f"--repo {repo}: a model of this name exists on the hub. Choose another name."
            ) from error
        reason = error.server_message or f"status {error.response.status_code}"
        raise UsageError(
            f"--repo {repo}: the hub refuses ({reason.splitlines()[0]}). Check the name and the "
            "permissions of the token."
        ) from error
    except RuntimeError as error:  # of an upload; its cause is the error of the connection
        raise UsageError(f"--repo {repo}: {error} Rerun the command under another name.") from error
    except (HTTPError, OfflineModeIsEnabled) as error:
        raise UsageError(
            f"--repo {repo}: the hub cannot be reached ({type(error).__name__}). Check the "
            "connection and HF_HUB_OFFLINE."
        ) from error
