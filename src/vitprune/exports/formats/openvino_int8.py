"""An OpenVINO model in int8, quantized by NNCF. Needs the extra `openvino`."""

import io
import logging
from contextlib import redirect_stdout
from pathlib import Path

from torch import Tensor

from vitprune.exports import openvino
from vitprune.exports.formats.format import Run
from vitprune.exports.formats.int8 import Int8
from vitprune.exports.formats.openvino import OpenVINO, with_weights
from vitprune.runs.run_folder import ExportFolder


class OpenVINOInt8(Int8):
    """An OpenVINO model in int8: `static` has the ranges of activations from the images."""

    name = "openvino_int8"
    title = "OpenVINO, int8"
    runtime = "openvino"
    source = OpenVINO()
    methods = ("static",)
    usage = """\
The same in int8 is in `model.int8.xml`.

"""

    def files(self, folder: ExportFolder) -> tuple[Path, ...]:
        """Return the model and its weights."""
        return with_weights(folder.openvino_int8)

    def load(self, file: Path) -> Run:
        """Return an OpenVINO model as a function."""
        return openvino.Runtime(file)

    def quantize(self, method: str, source: Path, images: Tensor, target: ExportFolder) -> None:
        """Quantize an OpenVINO model as a transformer: products of weights symmetrically."""
        import nncf  # an extra
        from openvino import Core, save_model

        nncf.set_log_level(logging.ERROR)
        dataset = nncf.Dataset(list(images.split(1)), lambda image: image.numpy())
        with redirect_stdout(io.StringIO()):  # four progress bars
            quantized = nncf.quantize(
                Core().read_model(source),
                dataset,
                preset=nncf.QuantizationPreset.MIXED,  # weights symmetric
                subset_size=len(images),
                model_type=nncf.ModelType.TRANSFORMER,
            )
        save_model(quantized, self.files(target)[0])
