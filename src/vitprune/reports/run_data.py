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
    arguments = dict(config.data.init_args)
    if arguments.get("processor", "") is None:  # a class of the user may have no such argument
        arguments["processor"] = config.model.pretrained
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--data", type=ImageData)
    section = {"class_path": config.data.class_path, "init_args": arguments}
    try:
        return parser.instantiate(parser.parse_object({"data": section})).data
    except (ArgumentError, TypeError) as error:
        raise UsageError(
            "the data settings of the run are not valid in this version of vitprune"
        ) from error
