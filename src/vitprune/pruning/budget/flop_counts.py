"""FLOPs of a model and of its modules, counted by torch while it runs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def count_flops(run: Callable[[], object], model: nn.Module) -> dict[str, float]:
    """Return the FLOPs of all calls of each module for one image, by its name in the model.

    A module that was not called is missing, except the model itself, under the name "": if its
    `forward` was not called, that is all that ran.

    Args:
        run: Runs the model on some images.
        model: The model.

    Raises:
        ValueError: If no module of the model is called.

    """
    counts: dict[str, int] = {}
    starts: dict[str, list[int]] = {}
    images: list[int] = []
    # The counter misses the fused attention kernels of a CPU. It needs gradients: without them it
    # fails where a module returns a parameter, such as position embeddings.
    with (
        torch.enable_grad(),
        torch.compiler.set_stance("force_eager"),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):

        def enter(name: str) -> Callable[..., None]:
            def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                starts.setdefault(name, []).append(counter.get_total_flops())
                given = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
                if given and not images:
                    images.append(len(given[0]))

            return hook

        def leave(name: str) -> Callable[..., None]:
            def hook(*_: Any) -> None:
                spent = counter.get_total_flops() - starts[name].pop()
                counts[name] = counts.get(name, 0) + spent

            return hook

        hooks = [
            hook
            for name, module in model.named_modules()
            for hook in (
                module.register_forward_pre_hook(enter(name), with_kwargs=True),
                module.register_forward_hook(leave(name)),
            )
        ]
        try:
            run()
        finally:
            for hook in hooks:
                hook.remove()
        counts.setdefault("", counter.get_total_flops())
    if not images:
        raise ValueError("the model was not called")
    return {name: count / images[0] for name, count in counts.items()}
