"""The service in the documentation runs without this package and without torch."""

import io
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import torch
from PIL import Image
from transformers import ViTImageProcessor

from tests.conftest import tiny_net
from vitprune.exports import onnx
from vitprune.runs.run_folder import ExportFolder

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[1] / "docs" / "export.md"
ALONE = "import sys\nsys.modules['vitprune'] = sys.modules['torch'] = None\n"


@pytest.fixture
def export(tmp_path):
    net = tiny_net()
    net.config.id2label = {number: f"class {number}" for number in range(10)}
    net.save_pretrained(tmp_path)
    processor = ViTImageProcessor(size={"height": 16, "width": 16})
    processor.save_pretrained(tmp_path)
    onnx.convert(net, ExportFolder(tmp_path).onnx, (3, 16, 16))
    return net, processor, tmp_path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port: int, content: bytes) -> str:
    for _ in range(300):
        try:
            return urlopen(f"http://127.0.0.1:{port}", content).read().decode()
        except URLError:  # not yet listening
            time.sleep(0.1)
    raise TimeoutError


def test_the_service_gives_the_class_of_the_model(export):
    net, processor, folder = export
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    [service] = [block for block in blocks if "HTTPServer" in block]
    port = free_port()
    code = ALONE + service.replace('("", 8000)', f'("127.0.0.1", {port})')
    images = [Image.effect_noise((40, 30), 90).convert("RGB") for _ in range(3)]
    process = subprocess.Popen([sys.executable, "-c", code], cwd=folder, stderr=subprocess.DEVNULL)
    try:
        for image in images:
            content = io.BytesIO()
            image.save(content, "png")
            with torch.no_grad():
                logits = net(**processor(image, return_tensors="pt")).logits
            assert ask(port, content.getvalue()) == f"class {int(logits.argmax())}"
    finally:
        process.terminate()
        process.wait()
