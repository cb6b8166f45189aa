"""Runs of the calibration data in which only some blocks compute."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from vitprune.model.anatomy.layers import Layer, block_names
from vitprune.pruning.compensation.moments import InputMoments, Moments
from vitprune.pruning.criteria.calibration import Calibration, CalibrationBatch, calibrate
from vitprune.pruning.masks.sharding import reshard


class Replay:
    """Moments of the inputs of layers, block by block, while the blocks before change.

    The outputs of all blocks are kept for each batch. Blocks before the one of interest return
    their last outputs, those after it the outputs of the first run, which no layer of interest
    reads. The rest of the model computes in every run.

    Args:
        calibration: The calibration data.

    """

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self.blocks = [
            calibration.model.get_submodule(name) for name in block_names(calibration.model)
        ]
        # by batch and block: an output for each call of the block
        self._outputs: list[list[list[Any]]] = [
            [[] for _ in self.blocks] for _ in calibration.batches
        ]
        self._first_outdated: int | None = None  # block; None before the first run

    def moments(self, layers: Sequence[Layer], block: int | None) -> dict[str, Moments]:
        """Return the moments of the inputs of layers by name, with the present weights.

        Args:
            layers: Layers of one block. Their weights may change afterwards, and those of earlier
                blocks may not.
            block: Number of the block; None outside of the blocks.

        """
        here = len(self.blocks) if block is None else block
        computing = range(len(self.blocks))
        if self._first_outdated is not None:
            computing = range(self._first_outdated, min(here + 1, len(self.blocks)))
        found = calibrate(InputMoments(), layers, self._batches(computing), self.calibration.reduce)
        reshard(self.calibration.model)
        self._first_outdated = here
        return {name: InputMoments.read(statistic) for name, statistic in found.items()}

    def _batches(self, computing: Collection[int]) -> Iterator[CalibrationBatch]:
        for batch, outputs in zip(self.calibration.batches, self._outputs, strict=True):
            yield replace(batch, loss=partial(self._run, batch, outputs, computing))

    def _run(
        self, batch: CalibrationBatch, outputs: list[list[Any]], computing: Collection[int]
    ) -> Tensor | None:
        with ExitStack() as stack:
            for number, block in enumerate(self.blocks):
                if number in computing:
                    outputs[number] = []
                    stack.enter_context(_recording(block, outputs[number]))
                else:
                    stack.enter_context(_answering(block, outputs[number]))
            return batch.loss()


@contextmanager
def _recording(block: nn.Module, outputs: list[Any]) -> Iterator[None]:
    """Append copies of what a block returns, as later code may change it in place."""

    def record(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        outputs.append(_copy(output))

    # other hooks see the output after this one, also when it is answered
    handle = block.register_forward_hook(record, prepend=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _answering(block: nn.Module, outputs: Sequence[Any]) -> Iterator[None]:
    """Let a block return copies of recorded outputs instead of computing them."""
    answers = iter(outputs)
    before = vars(block).get("forward")
    block.forward = lambda *_, **__: _copy(next(answers))
    try:
        yield
    finally:
        del block.forward  # the class has the real one
        if before is not None:
            block.forward = before


def _copy(output: Any) -> Any:
    return tree_map_only(Tensor, lambda tensor: tensor.detach().clone(), output)
