"""`config.yaml` of a run: the parts of its configuration that are read again."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, model_validator

from vitprune.runs.typed_yaml import read_yaml


class ImageSource(BaseModel, frozen=True, extra="allow"):
    """Where images come from; further settings of the data are kept as they are.

    Attributes:
        source: Hub name or folder of the data, or `digits`.
        subset: Configuration of a hub data set.

    """

    source: str
    subset: str | None = None

    def describe(self, images: int | None) -> str:
        """Return a short name for this many images; None if their number is not known."""
        subset = f" {self.subset}" if self.subset else ""
        number = f", {images} images" if images else ""
        return f"{Path(self.source).name}{subset}{number}"


class DataConfig(ImageSource, frozen=True, extra="ignore"):
    """The section `data`.

    Attributes:
        processor: Hub name or folder of the image processor; None for that of the model.
        class_path: Import path of the data module's class.
        init_args: All its arguments.

    """

    processor: str | None = None
    class_path: str = "vitprune.data.ImageData"
    init_args: dict[str, object]

    @model_validator(mode="before")
    @classmethod
    def _with_arguments(cls, section: Any) -> Any:
        section = _with_arguments(section)
        if isinstance(section, dict) and "class_path" in section:
            # a class of the user may have no such argument
            return {"source": str(section["class_path"]).rpartition(".")[2], **section}
        return section


class ModelConfig(BaseModel, frozen=True):
    """The section `model`.

    Attributes:
        pretrained: Hub name or folder of the pretrained model; None for random weights.
        architecture: Configuration of a model with random weights.
        init_args: All arguments of the classifier.

    """

    pretrained: str | None = None
    architecture: dict[str, object] | None = None
    init_args: dict[str, object]

    @model_validator(mode="before")
    @classmethod
    def _with_arguments(cls, section: Any) -> Any:
        return _with_arguments(section)

    @property
    def name(self) -> str:
        """Short name of the model."""
        family = (self.architecture or {}).get("model_type", "model")
        return Path(self.pretrained or str(family)).name


class RunConfig(BaseModel, frozen=True):
    """The configuration of a run.

    Attributes:
        model: The section `model`.
        data: The section `data`.
        trainer: The section `trainer`.
        pruning: The section `pruning`; None if nothing is pruned.

    """

    model: ModelConfig
    data: DataConfig
    trainer: dict[str, object]
    pruning: dict[str, object] | None = None

    @classmethod
    def read(cls, path: Path) -> "RunConfig":
        """Read a `config.yaml`.

        Raises:
            UsageError: If the file is missing, damaged or of another version.

        """
        return read_yaml(path, cls)


def _with_arguments(section: Any) -> Any:
    """Return a section with its arguments both beside `init_args` and in it.

    `{class_path: C, init_args: {...}}` and the arguments alone mean the same.
    """
    if not isinstance(section, dict):
        return section
    arguments = section.get("init_args", {}) if "class_path" in section else section
    return (
        {**section, **arguments, "init_args": arguments} if isinstance(arguments, dict) else section
    )
