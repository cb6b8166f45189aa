"""Programs whose weights are int8: of several ways to quantize, the fastest one that is accurate.

Weights are quantized symmetrically, per output channel, so that zeros stay zeros.
"""

import shutil
import statistics
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from torch import Tensor

from vitprune.exports.conversion import ConversionError, converting
from vitprune.exports.exported import Exported
from vitprune.exports.formats.format import Program, Run
from vitprune.exports.turns import time_in_turns
from vitprune.exports.verify import compare
from vitprune.runs.format_report import FormatReport
from vitprune.runs.run_folder import ExportFolder

TIMED_IMAGES = 8
ROUNDS = 7


@dataclass(frozen=True)
class Variant:
    """A model quantized in one way.

    Attributes:
        method: How it was quantized.
        folder: Where it is.
        run: The program as a function.
        speedup: Throughput relative to the program that is not quantized.

    """

    method: str
    folder: ExportFolder
    run: Run
    speedup: float = 1.0


class Int8(Program):
    """A program in int8, made from the one of another format.

    Attributes:
        source: Format of the program that is quantized.
        methods: Ways to quantize it.

    """

    source: ClassVar[Program]
    methods: ClassVar[Sequence[str]]

    @abstractmethod
    def quantize(self, method: str, source: Path, images: Tensor, target: ExportFolder) -> None:
        """Quantize a program.

        Args:
            method: One of `methods`.
            source: Program to quantize.
            images: Images to calibrate on, (B, channels, height, width).
            target: Folder to write to.

        """

    def write(self, exported: Exported) -> FormatReport:
        """Write the fastest quantized program whose accuracy is within the limit.

        Nothing is written if none is faster than the program that is not quantized.

        Raises:
            ConversionError: If the model cannot be quantized, or loses too much accuracy.

        """
        plain, folder = self.source, exported.folder
        if not plain.is_in(folder):
            raise ConversionError(f"--dtype int8: there is no {plain.name} to quantize.")
        with TemporaryDirectory() as scratch:
            variants = self._quantize(exported, Path(scratch))
            timed = _time(plain.load_from(folder), variants, exported.images)
            faster = [variant for variant in timed if variant.speedup > 1]
            if not faster:
                fastest = max(variant.speedup for variant in timed)
                return FormatReport(
                    note=f"int8 is not faster than float32 on this CPU ({fastest:.2f} times its "
                    f"throughput): {self.source.name} stays float32"
                )
            chosen, accuracy = _choose(faster, exported, self)
            for file, target in zip(self.files(chosen.folder), self.files(folder), strict=True):
                shutil.move(file, target)
        comparison = compare(exported.logits, chosen.run(exported.images))
        return replace(
            comparison,
            bytes=self.bytes(folder),
            accuracy=accuracy,
            speedup=chosen.speedup,
            method=chosen.method,
        )

    def _quantize(self, exported: Exported, scratch: Path) -> list[Variant]:
        source, *_ = self.source.files(exported.folder)
        images = exported.needed_quantization().calibration_images()
        variants = []
        for method in self.methods:
            folder = ExportFolder(scratch / method)
            folder.path.mkdir()
            file, *_ = self.files(folder)
            with converting(f"{self.source.name} --dtype int8", file):
                self.quantize(method, source, images, folder)
                variants.append(Variant(method, folder, self.load(file)))
        return variants


def _time(plain: Run, variants: Sequence[Variant], images: Tensor) -> list[Variant]:
    """Return the variants with their speed-ups, the fastest first."""
    batch = images[:TIMED_IMAGES]
    runs = [plain, *(variant.run for variant in variants)]
    base, *seconds = time_in_turns([partial(run, batch) for run in runs], ROUNDS)
    timed = [
        replace(variant, speedup=speedup(base, own))
        for variant, own in zip(variants, seconds, strict=True)
    ]
    return sorted(timed, key=lambda variant: -variant.speedup)


def speedup(base: Sequence[float], own: Sequence[float]) -> float:
    """Return the median of the ratios of seconds in each round."""
    return statistics.median(theirs / ours for theirs, ours in zip(base, own, strict=True))


def _choose(variants: Sequence[Variant], exported: Exported, int8: Int8) -> tuple[Variant, float]:
    """Return the first variant that is accurate enough, and its accuracy.

    Raises:
        ConversionError: If none is.

    """
    limit = exported.needed_quantization()
    best = 0.0
    for variant in variants:
        accuracy = limit.accuracy_of(variant.run)
        if limit.accuracy - accuracy <= limit.max_drop:
            return variant, accuracy
        best = max(best, accuracy)
    raise ConversionError(
        f"--dtype int8: {int8.source.name} in int8 has {best:.2%} validation accuracy, "
        f"{100 * (limit.accuracy - best):.2f} points less than in float32, which is more than "
        f"--max_drop {limit.max_drop:g}. Raise --max_drop, or use --dtype float32 or float16."
    )
