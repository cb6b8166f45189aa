"""The JSON files in the folder of a model: values for which `transformers` has no clear error."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

INTERPOLATIONS = range(6)  # of PIL


def _numbers(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else [value]


def _check_positive(value: Any) -> Any:
    for number in _numbers(value):
        if number is not None and not (isinstance(number, int | float) and number > 0):
            raise ValueError(f"must be above 0, not {number!r}")
    return value


def _check_numbers(value: Any) -> Any:
    for number in _numbers(value):
        if number is not None and not isinstance(number, int | float):
            raise ValueError(f"must be a number, not {number!r}")
    return value


def _check_interpolation(value: Any) -> Any:
    if isinstance(value, int) and value not in INTERPOLATIONS:
        raise ValueError(f"must be one of {list(INTERPOLATIONS)}, not {value!r}")
    return value


class ModelFile(BaseModel):
    """Content of `config.json`; keys without a field are not checked.

    Attributes:
        id2label: Class names by number.

    """

    id2label: dict[int, Any] | None = Field(None, min_length=1)


class ProcessorFile(BaseModel):
    """Content of `preprocessor_config.json`; keys without a field are not checked.

    Attributes:
        size: Size that images are resized to, in pixels, in any of the forms of `transformers`.
        resample: Number of PIL's interpolation.
        image_mean: Mean per channel.
        image_std: Standard deviation per channel.

    """

    size: Annotated[Any, AfterValidator(_check_positive)] = None
    resample: Annotated[Any, AfterValidator(_check_interpolation)] = None
    image_mean: Annotated[Any, AfterValidator(_check_numbers)] = None
    image_std: Annotated[Any, AfterValidator(_check_positive)] = None
