"""The data module of a run, built again from its configuration."""

from jsonargparse import ArgumentError, ArgumentParser

from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.runs.run_config import RunConfig


def image_data(config: RunConfig) -> ImageData:
    """Return the data of a run, with the image processor of its model unless it has another one.

    Raises:
        UsageError: If the configuration has a key that is not known.

    """
    processor = config.data.processor or config.model.pretrained
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(ImageData)
    try:
        settings = parser.parse_object({**config.data.model_dump(), "processor": processor})
        return ImageData(**vars(parser.instantiate(settings)))
    except (ArgumentError, TypeError) as error:
        raise UsageError(
            "the data settings of the run are not valid in this version of vitprune"
        ) from error
