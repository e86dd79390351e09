"""Builds one .rknn of the tiny reranker for several lengths: several_shapes.py MODEL.onnx OUTPUT.rknn LENGTH...

Ends with 77 where this Python has no toolkit that can (2.3.2 fails in its attention fusion).
"""
import importlib.metadata
import sys

model, output, *lengths = sys.argv[1:]
try:
    version = importlib.metadata.version("rknn-toolkit2")
except importlib.metadata.PackageNotFoundError:
    version = "0"
if tuple(int(part) for part in version.split(".")[:2]) < (2, 5):
    print(f"needs rknn-toolkit2 2.5.0, found {version}")
    sys.exit(77)

from rknn.api import RKNN

names = ["input_ids", "attention_mask", "token_type_ids"]
shapes = [[1, int(length)] for length in lengths]
rknn = RKNN(verbose=False)
steps = [
    lambda: rknn.config(target_platform="rk3588", dynamic_input=[[shape] * len(names) for shape in shapes]),
    lambda: rknn.load_onnx(model=model, inputs=names, input_size_list=[max(shapes)] * len(names)),
    lambda: rknn.build(do_quantization=False),
    lambda: rknn.export_rknn(output),
]
sys.exit(next((1 for step in steps if step() not in (0, None)), 0))
