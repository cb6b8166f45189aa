"""Fast: training steps of large models, dense, masked and with a teacher."""

import copy
from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from scripts.bench.on_gpu.figures import Figure, attempted
from scripts.bench.on_gpu.scale import Scale
from scripts.bench.on_gpu.timing import take_turns
from vitprune.pruning import LayerSelection, Masks, Method
from vitprune.pruning.update import update_masks

SPARSITY = 0.8
WARM_UP = 2  # steps, the first of which compiles
MASKED = 0.99  # of the dense rate, at least
# bytes that masks move for each weight of 4 bytes and byte of mask: gradients are read and written
# when they are accumulated and before the step, weights after it and in `restore`
MASK_BYTES = 2 * 9 + 9 + 5


class Training:
    """A compiled model that trains on one batch, in bfloat16 by autocast.

    Args:
        scale: Device and sizes.
        name: Architecture.
        batch: Images and labels.
        masked: Whether masks are enforced.
        teacher: A model whose logits are learned, too.

    """

    def __init__(
        self,
        scale: Scale,
        name: str,
        batch: tuple[Tensor, Tensor],
        *,
        masked: bool = False,
        teacher: PreTrainedModel | None = None,
    ) -> None:
        self.device = scale.device
        self.net = scale.build(name).train().to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-5, fused=True)
        self.masks = Masks([])
        if masked:
            self.masks = Masks(LayerSelection().select(self.net))
            update_masks(self.masks, Method(), SPARSITY)
            self.masks.enforce(self.optimizer)
        self.net.compile(backend=scale.backend, dynamic=False)
        self.teacher = teacher
        images, self.labels = batch
        self.images = images.to(memory_format=torch.channels_last)

    def step(self) -> None:
        """Train for one step."""
        self.masks.apply()
        with torch.autocast(self.device, torch.bfloat16):
            logits = self.net(pixel_values=self.images).logits
            loss = F.cross_entropy(logits, self.labels)
            if self.teacher:
                with torch.no_grad():
                    target = self.teacher(pixel_values=self.images).logits.float()
                student = logits.float().log_softmax(1)
                loss = loss + F.kl_div(
                    student, target.log_softmax(1), reduction="batchmean", log_target=True
                )
        loss.backward()
        self.masks.before_step(self.optimizer)
        self.optimizer.step()
        self.optimizer.zero_grad()


def steps(scale: Scale, name: str) -> Iterator[Figure]:
    """Measure training steps of an architecture."""
    batch = scale.batch(name, scale.batch_size)
    trainings: dict[str, Training] = {}
    teacher = copy.deepcopy(scale.build(name)).requires_grad_(requires_grad=False)
    for label, options in {
        "dense": {},
        "masked": {"masked": True},
        "masked, teacher": {"masked": True, "teacher": teacher},
    }.items():
        before = _allocated(scale)
        trainings[label] = Training(scale, name, batch, **options)
        for _ in range(WARM_UP):
            trainings[label].step()
        if scale.on_gpu:
            peak = torch.cuda.max_memory_allocated() - before
            yield Figure(f"{name}, {label}: peak memory", peak / 2**30, "GiB")
    times = take_turns(
        {label: training.step for label, training in trainings.items()},
        scale.device,
        scale.repeats,
        scale.steps,
    )
    forward = scale.forward_flops(name) * scale.batch_size
    for label in trainings:
        flops = 3 * forward + (forward if label.endswith("teacher") else 0)
        floor = scale.floor_ms(flops)
        rate = 1e3 * scale.batch_size / times.median(label)
        best = 1e3 * scale.batch_size / floor if floor else None
        share = f"{rate / best:.2f} of the matrix peak" if best else ""
        yield Figure(f"{name}, {label}", rate, "images/s", best, note=share)
    ratio = times.ratio("dense", "masked")
    yield Figure(
        f"{name}, masked / dense images/s",
        ratio.median,
        passed=ratio.median >= MASKED if scale.on_gpu else None,
        note=str(ratio),
    )
    weights = sum(layer.shape.numel() for layer in trainings["masked"].masks.layers)
    extra = times.median("masked") - times.median("dense")
    floor = scale.floor_ms(bytes_moved=MASK_BYTES * weights)
    yield Figure(f"{name}, masked - dense", extra, "ms", floor)


def _allocated(scale: Scale) -> int:
    if not scale.on_gpu:
        return 0
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def base_steps(scale: Scale) -> Iterator[Figure]:
    """Measure the smallest of the large models."""
    return steps(scale, scale.large_models[0])


def large_steps(scale: Scale) -> Iterator[Figure]:
    """Measure the other large models."""
    for name in scale.large_models[1:]:
        yield from attempted(name, partial(steps, scale, name))
