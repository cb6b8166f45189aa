"""How each form of an export is used, for the model card."""

USAGE = {
    "load_pruned": """\
Blocks differ in width. The model above fills the narrower ones up with zeros; the smallest one with the same logits is

```python
import vitprune

model = vitprune.load_pruned("path/to/this/folder")
```

""",
    "pt2": """\
With nothing but torch:

```python
import torch

logits = torch.export.load("path/to/this/folder/model.pt2").module()(pixel_values)
```

""",
    "onnx": """\
With ONNX Runtime:

```python
import onnxruntime

session = onnxruntime.InferenceSession("path/to/this/folder/model.onnx")
(logits,) = session.run(["logits"], {"pixel_values": pixel_values.numpy()})
```

""",
    "compressed": """\
`model.compressed.safetensors` has the same weights, bit for bit, without their zeros. `vitprune.load_pruned` takes a folder
that has it in place of `model.safetensors`, and this gives the tensors alone:

```python
from vitprune.export.compressed import restore

state_dict = restore("path/to/this/folder/model.compressed.safetensors")
```

""",
    "semi_structured": """\
At most 2 of 4 consecutive inputs have a weight. On a GPU of compute capability 8.0 or above:

```python
from vitprune.export.semi_structured import convert

model = convert(model.to("cuda", torch.bfloat16))
```

""",
}
