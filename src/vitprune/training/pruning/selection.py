"""Which layers of a module are pruned in a training."""

from collections.abc import Container

from lightning import LightningModule, Trainer

from vitprune.model.anatomy.layers import Layer
from vitprune.training.pruning.settings import PruningSettings
from vitprune.training.trained import trained_parameters


def select_layers(
    trainer: Trainer,
    module: LightningModule,
    settings: PruningSettings,
    resumed: Container[str] | None,
) -> list[Layer]:
    """Return the layers to prune.

    Args:
        trainer: Its optimizers determine which parameters are trained.
        module: The module to train.
        settings: Settings with the selection of layers.
        resumed: On a resume, names of the parameters that have masks in the checkpoint: these stay
            the pruned ones if optimizers train others as well meanwhile. None in a new training.

    Raises:
        UsageError: If the selection matches no layer that is trained.

    """
    if resumed is None:
        candidates = trained_parameters(trainer)
    else:
        named = module.named_parameters(remove_duplicate=False)
        candidates = {parameter for name, parameter in named if name in resumed}
    granularity = settings.method.granularity
    return settings.layers.select(
        module, granularity.roles, candidates, only_blocks=granularity.only_blocks
    )
