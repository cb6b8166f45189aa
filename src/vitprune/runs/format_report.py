"""How exported files compare with the pruned model, as stored in `report.json`."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class FormatReport:
    """One further format of an export.

    Attributes:
        bytes: Size of the file; None if the format writes no file.
        lossless: Whether the file restores the weights bit for bit.
        largest_logit_difference: From the pruned model; None if it was not compared.
        top1_agreement: Share of images with the same class, in [0, 1].
        images: Number of images compared.
        layers: Names of the converted layers.
        dense_layers: Reason why a layer was not converted, by its name.
        converted: Whether the model was converted on this machine.
        accuracy: On the validation images, in [0, 1]; None if it was not measured.
        speedup: Throughput on this machine relative to the same format in float32.
        method: How the model was quantized.
        token_merging: Tokens that each block merges; 0 for none.
        note: What was not tried, and why.

    """

    bytes: int | None = None
    lossless: bool | None = None
    largest_logit_difference: float | None = None
    top1_agreement: float | None = None
    images: int | None = None
    layers: list[str] = field(default_factory=list)
    dense_layers: dict[str, str] = field(default_factory=dict)
    converted: bool | None = None
    accuracy: float | None = None
    speedup: float | None = None
    method: str | None = None
    token_merging: int = 0
    note: str | None = None


@dataclass(frozen=True)
class Verification:
    """How the exported model compares with the pruned one.

    Attributes:
        largest_logit_difference: Between the pruned model and the folder loaded by plain
            `transformers`; 0 if nothing was physically removed.
        zeros_in_file: Number of exact zeros among the stored parameters.
        images: Number of validation images compared.

    """

    largest_logit_difference: float
    zeros_in_file: int
    images: int
