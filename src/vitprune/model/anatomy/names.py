"""The names of the parts of a transformer in each model family; no other file knows them.

Users declare the names of other families by `declare`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields

from torch import nn

from vitprune.errors import UsageError

BASE_LAYER = "base_layer"  # where peft keeps the layer that it adapts
BLOCK_PATTERN = re.compile(r"(?:.*\.)?(?:layers?|blocks?)\.(?:\w+_)?\d+(?:\.\d+)*")
# blocks of PVT and PoolFormer, and beside them the embeddings of the same stages: parent, stage
STAGE_PATTERN = re.compile(r"((?:.*\.)?)(?:block|patch_embeddings)\.(\d+)\.\w+")
CLASSIFIER_PATTERN = re.compile(r"\w*classifier|\w*heads?|fc")
ROTARY_PATTERN = re.compile(r"(?:rope|rotary)\w*")
BESIDE = "../"  # begins a name relative to the parent module
POSITIONS_PATTERN = re.compile(r"(?:.*\.)?(?:position_embeddings|pos_embed)")
Alternatives = str | tuple[str, ...]

# of a block that adds attention and MLP to its input, in the order in which they compute
PRE_NORM_PARTS = ("layernorm_before", "attention", "layernorm_after", "mlp", "dropout")
SPECIAL_TOKENS = {"vit": 1, "deit": 2}  # in front of the patches, by type of models of these blocks


def _with_inner(*names: str) -> tuple[str, ...]:
    """Return the names, and the same names in the inner modules of older families."""
    return tuple(f"{inner}{name}" for inner in ("", "self.", "attention.") for name in names)


HEAD_DIM = _with_inner("head_dim", "attention_head_size")
WIDTH = _with_inner("attn_dim", "all_head_size", "attention_dim")
SCALE = _with_inner("scaling", "scale")
HEAD_ROWS = _with_inner("logit_scale", "continuous_position_bias_mlp.2.weight", "cpb_mlp.2.weight")
HEAD_COLUMNS = (
    *_with_inner("relative_position_bias_table"),
    *_with_inner("relative_position_bias.relative_position_bias_table"),
    "rel_pos.relative_position_bias_table",
    f"{BESIDE}relative_position_bias.relative_position_bias_table",
)


@dataclass(frozen=True)
class AttentionNames:
    """Names in an attention module, relative to it; a tuple lists alternatives.

    Attributes:
        output: Layer that reads the heads and writes to the residual stream.
        query: Layer of the queries, (heads * head_dim, in).
        key: Layer of the keys.
        value: Layer of the values.
        qkv: Instead of the three, one layer of query, key and value in this order,
            (3 * heads * head_dim, in).
        kv: Instead of key and value, one layer of both in this order.
        heads: Attribute that holds the number of heads.
        score_norm: Norms of queries or keys.
        inner_norm: Norm between the heads and the output.
        head_dim: Attributes that hold the dimensions of a head.
        width: Attributes that hold the dimensions of all heads.
        scale: Attributes that hold the factor of the attention scores.
        head_rows: Parameters with a row for each head.
        head_columns: Parameters with a column for each head.

    """

    output: Alternatives
    query: Alternatives = ()
    key: Alternatives = ()
    value: Alternatives = ()
    qkv: Alternatives = ()
    kv: Alternatives = ()
    heads: Alternatives = ("num_heads", "num_attention_heads", "heads")
    score_norm: Alternatives = ()
    inner_norm: Alternatives = ()
    head_dim: Alternatives = HEAD_DIM
    width: Alternatives = WIDTH
    scale: Alternatives = SCALE
    head_rows: Alternatives = HEAD_ROWS
    head_columns: Alternatives = HEAD_COLUMNS


@dataclass(frozen=True)
class MlpNames:
    """Names in an MLP module, relative to it; a tuple lists alternatives.

    Attributes:
        up: Layer that reads the residual stream, (neurons, in), or (2 * neurons, in) with the gate.
        down: Layer that writes to the residual stream, (out, neurons).
        gate: Second layer that reads the residual stream; its output multiplies that of `up`.
        inner_norm: Norm over the neurons.
        depthwise: Depthwise convolution of the neurons.

    """

    up: Alternatives
    down: Alternatives
    gate: Alternatives = ()
    inner_norm: Alternatives = ()
    depthwise: Alternatives = ()


ATTENTION = AttentionNames(
    output=("o_proj", "out_proj", "output.dense", "proj", "to_out.0"),
    query=_with_inner("q_proj", "query", "projection_query", "to_q", "q"),
    key=_with_inner("k_proj", "key", "projection_key", "to_k", "k"),
    value=_with_inner("v_proj", "value", "projection_value", "to_v", "v"),
    qkv=("qkv", "in_proj", "to_qkv"),
    kv=("kv",),
    heads=_with_inner("num_heads", "num_attention_heads", "heads"),
    score_norm=_with_inner("q_norm", "k_norm", "logit_scale"),
    inner_norm=("norm",),
)
MLP = MlpNames(
    up=(
        *("fc1", "up_proj", "intermediate.dense", "dense1", "pwconv1", "linear1", "fc1_x"),
        *("weights_in", "output.conv1", "linear_1", "0", "net.1"),  # torchvision, vit-pytorch
    ),
    down=(
        *("fc2", "down_proj", "output.dense", "dense2", "pwconv2", "linear2"),
        *("weights_out", "output.conv2", "linear_2", "3", "net.4"),
    ),
    gate=("gate_proj", "fc1_g"),
    inner_norm=("norm", "grn"),
    depthwise=("dwconv.dwconv",),
)
_declared: dict[type[nn.Module], AttentionNames | MlpNames] = {}


def declare(module: type[nn.Module], names: AttentionNames | MlpNames) -> None:
    """Declare the names of the layers in a class of attention or MLP modules.

    Heads and neurons of these modules can then be pruned and physically removed. Call this before
    a model is pruned. A later declaration of the same class replaces the earlier one.

    Args:
        module: Class of the attention or MLP modules.
        names: Names of their parts.

    Raises:
        UsageError: If `module` is not a class.

    Examples:
        >>> class Mixer(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.expand, self.contract = nn.Linear(4, 8), nn.Linear(8, 4)
        >>> declare(Mixer, MlpNames(up="expand", down="contract"))
        >>> from vitprune.model.anatomy.layers import find_layers
        >>> [layer.role for layer in find_layers(nn.ModuleList([Mixer()]))]
        ['mlp_in', 'mlp_out']

    """
    if not isinstance(module, type):
        raise UsageError(
            f"declare needs the class of the modules, {type(module).__name__}, not an instance of "
            "it."
        )
    _declared[module] = names


def declared_names(module: nn.Module) -> AttentionNames | MlpNames | None:
    """Return the names declared for the class of a module or one of its base classes."""
    # fully_shard and parametrizations generate subclasses
    return next((_declared[kind] for kind in type(module).__mro__ if kind in _declared), None)


def attention_names(module: nn.Module) -> AttentionNames:
    """Return the names in an attention module: the declared names, else the known ones."""
    declared = declared_names(module)
    return declared if isinstance(declared, AttentionNames) else ATTENTION


def alternatives(names: Alternatives) -> tuple[str, ...]:
    """Return the alternatives of a name."""
    return (names,) if isinstance(names, str) else names


def owners(
    model: nn.Module, attention: str, names: Alternatives
) -> Iterator[tuple[nn.Module, str]]:
    """Yield each module in or beside an attention module that has an attribute of these names.

    Args:
        model: Any module.
        attention: Name of the attention module in it.
        names: Names relative to the attention module.

    Yields:
        The module, and the name of its attribute.

    """
    for name in alternatives(names):
        start = attention.rpartition(".")[0] if name.startswith(BESIDE) else attention
        path, _, attribute = f"{start}.{name.removeprefix(BESIDE)}".removeprefix(".").rpartition(
            "."
        )
        try:
            owner = model.get_submodule(path)
        except AttributeError:
            continue
        if hasattr(owner, attribute):
            yield owner, attribute


def required(names: AttentionNames | MlpNames) -> list[str]:
    """Return every name of a declaration that is not the default."""
    defaults = {field.name: field.default for field in fields(names)}
    return [
        name
        for field, default in defaults.items()
        if (given := getattr(names, field)) != default
        for name in alternatives(given)
    ]
