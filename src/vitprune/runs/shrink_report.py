"""What shrinking removed from a model, as stored in `report.json`."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BlockWidths:
    """Inner widths of one transformer block.

    Attributes:
        heads: Number of attention heads; 0 without attention.
        head_dim: Dimensions of a head.
        neurons: Number of neurons of the MLP; 0 without MLP.

    """

    heads: int
    head_dim: int
    neurons: int


@dataclass(frozen=True)
class ModelWidths:
    """Number of blocks of a model and its largest inner widths; most models have one width.

    Attributes:
        blocks: Number of blocks.
        heads: Largest number of attention heads of a block.
        head_dim: Largest number of dimensions of a head.
        neurons: Largest number of neurons of an MLP.
        channels: Number of channels of the residual stream; 0 if it is unknown.

    """

    blocks: int
    heads: int
    head_dim: int
    neurons: int
    channels: int = 0


@dataclass(frozen=True)
class ShrinkReport:
    """What was physically removed from the tensors, and which zeros stayed.

    Attributes:
        dropped_parameters: Number of parameters removed from the stored model.
        reason: Why nothing was removed; None if shrinking ran.
        before: Number of blocks and their widths before shrinking; None if shrinking did not run.
        after: The same after shrinking.
        blocks: Widths of every block in the smallest model.
        dropped_by_load_pruned: Further parameters that `load_pruned` removes.
        narrowed_by_load_pruned: Whether these are of `heads`, `head_dim` or `neurons`.
        stayed: Number of zeros that stayed, by reason.
        largest_logit_difference_float64: Between the pruned and the shrunk model.
        left: Why attentions or MLPs keep their width, by kind of module.
        settings_before: Settings of the configuration that shrinking changed, with their previous
            values; None for a setting that the configuration did not have.
        loads_smaller: What loads a smaller model than the dense one: `transformers`,
            `timm.create_model`, `load_pruned`.

    """

    dropped_parameters: int
    reason: str | None = None
    before: ModelWidths | None = None
    after: ModelWidths | None = None
    blocks: list[BlockWidths] = field(default_factory=list)
    dropped_by_load_pruned: int = 0
    narrowed_by_load_pruned: list[str] = field(default_factory=list)
    stayed: dict[str, int] = field(default_factory=dict)
    largest_logit_difference_float64: float | None = None
    left: dict[str, str] = field(default_factory=dict)
    settings_before: dict[str, int | float | None] = field(default_factory=dict)
    loads_smaller: list[str] = field(default_factory=list)

    @property
    def ran(self) -> bool:
        """Whether shrinking was possible and asked for."""
        return self.reason is None
