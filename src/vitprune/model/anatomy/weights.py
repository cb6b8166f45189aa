"""Linear and convolutional weights: which modules have them, and which are plain parameters."""

from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED_CONVOLUTIONS = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHT = "weight"
ATTENTION_WEIGHTS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


def weights_of(module: nn.Module) -> tuple[str, ...]:
    """Return the attributes of a module that hold linear or convolutional weights.

    These are `weight` of linear layers, of convolutions and of `Conv1D` of Hugging Face, and the
    input projections of `nn.MultiheadAttention`.
    """
    if isinstance(module, nn.MultiheadAttention):
        return tuple(name for name in ATTENTION_WEIGHTS if getattr(module, name, None) is not None)
    kinds = (nn.Linear, *CONVOLUTIONS, *TRANSPOSED_CONVOLUTIONS)
    return (WEIGHT,) if isinstance(module, kinds) or is_hugging_face_conv1d(module) else ()


def is_hugging_face_conv1d(module: nn.Module) -> bool:
    """Return whether a module is a `transformers.pytorch_utils.Conv1D`, a linear layer of GPT-2."""
    # by its name, as `transformers` is slow to import
    return any(
        (base.__module__, base.__qualname__) == ("transformers.pytorch_utils", "Conv1D")
        for base in type(module).__mro__
    )


def is_transposed(module: nn.Module) -> bool:
    """Return whether the weight of a module is (in, out, ...) instead of (out, in, ...)."""
    return isinstance(module, TRANSPOSED_CONVOLUTIONS) or is_hugging_face_conv1d(module)


def obstacle(module: nn.Module, name: str) -> str | None:
    """Return why a weight is not a plain floating-point parameter; None if it is one.

    Args:
        module: Module that has the weight.
        name: Attribute of the weight, one of `weights_of(module)`.

    """
    if parametrize.is_parametrized(module, name):
        rules = module.get_submodule(f"parametrizations.{name}").children()
        return f"parametrized by {' and '.join(type(rule).__name__.lstrip('_') for rule in rules)}"
    own = dict(module.named_parameters(recurse=False))
    if name not in own:
        sources = [other for other in own if other.startswith(f"{name}_")]
        return f"recomputed from {' and '.join(sources)}" if sources else "not a parameter"
    weight = own[name]
    if is_lazy(weight):
        return "not initialized"
    # other classes hold packed or quantized values, even where their dtype is a floating-point one
    if type(weight) not in (nn.Parameter, DTensor):
        return f"stored as {type(weight).__name__}"
    if not weight.is_floating_point() or weight.element_size() == 1:
        return f"stored as {str(weight.dtype).removeprefix('torch.')}"
    if weight.ndim < 2:
        return f"sharded into pieces of shape {tuple(weight.shape)}"
    return None
