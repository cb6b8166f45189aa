"""Run a model from one of its stages on, on the recorded outputs of the stage before."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Run = Callable[[nn.Module], object]


def run_once(model: nn.Module, modules: Sequence[nn.Module], run: Run) -> bool:
    """Return whether each of these modules is called once, in their order."""
    called: list[nn.Module] = []
    handles = [
        module.register_forward_hook(lambda module, *_: called.append(module)) for module in modules
    ]
    try:
        with torch.compiler.set_stance("force_eager"):
            run(model)
    finally:
        for handle in handles:
            handle.remove()
    return called == list(modules)


class StageRuns:
    """A model that runs from one stage on, on the recorded outputs of the stage before.

    Args:
        model: The model.
        names: Names of its stages.
        runs: Each runs the model on a batch.

    """

    def __init__(self, model: nn.Module, names: Sequence[str], runs: Sequence[Run]) -> None:
        self.model = model
        self.stages = [model.get_submodule(name) for name in names]
        self.runs = runs
        self.done = 0
        self.outputs: list[Any] = [None] * len(runs)

    def stream(self, batch: int) -> Tensor:
        """Return the residual stream before the next stage."""
        if self.done == 0:
            return first_tensor(self.call(batch, self.stages[0]).inputs)
        return first_tensor(self.outputs[batch])

    def call(self, batch: int, module: nn.Module) -> "_Call":
        """Return the first call of a module on a batch; what comes after it is not run."""
        found: list[_Call] = []

        def stop(
            _: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any
        ) -> None:
            found.append(_Call(next(iter((*args, *kwargs.values()))), output))
            raise _Reached

        handle = module.register_forward_hook(stop, with_kwargs=True)
        try:
            with (
                _answering(self.stages[: self.done], self.outputs[batch]),
                torch.compiler.set_stance("force_eager"),
                suppress(_Reached),
            ):
                self.runs[batch](self.model)
        finally:
            handle.remove()
        return found[0]

    def advance(self) -> None:
        """Run the next stage."""
        stage = self.stages[self.done]
        self.outputs = [self.call(batch, stage).output for batch in range(len(self.runs))]
        self.done += 1


class _Reached(Exception):  # noqa: N818  # no error
    """The module was called."""


@dataclass(frozen=True)
class _Call:
    """A call of a module.

    Attributes:
        inputs: Its first argument.
        output: What it returned.

    """

    inputs: Any
    output: Any


@contextmanager
def _answering(stages: Sequence[nn.Module], output: object) -> Iterator[None]:
    """Let stages return a copy of an output instead of computing theirs."""
    try:
        for stage in stages:
            stage.forward = lambda *_, **__: copy.deepcopy(output)
        yield
    finally:
        for stage in stages:
            stage.__dict__.pop("forward", None)  # the class has the real one


def first_tensor(output: Any) -> Tensor:
    """Return the tensor in the output of a stage, or the first one."""
    found: Tensor = output if isinstance(output, Tensor) else output[0]
    return found
