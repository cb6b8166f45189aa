"""`config.yaml` of a run: the parts of its configuration that are read again."""

from pathlib import Path

from pydantic import BaseModel

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


class DataConfig(ImageSource, frozen=True, extra="allow"):
    """The section `data`; further arguments of the data module are kept as they are.

    Attributes:
        processor: Hub name or folder of the image processor; None for that of the model.

    """

    processor: str | None = None


class ModelConfig(BaseModel, frozen=True, extra="allow"):
    """The section `model`; further arguments of the classifier are kept as they are.

    Attributes:
        pretrained: Hub name or folder of the pretrained model; None for random weights.
        architecture: Configuration of a model with random weights.

    """

    pretrained: str | None = None
    architecture: dict[str, object] | None = None

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
