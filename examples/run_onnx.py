"""Fuses images with a fusion exported to ONNX: python run_onnx.py fuse.onnx SOURCE SOURCE ... OUT.png."""

import sys

import numpy as np
import onnxruntime
from PIL import Image

program, *sources, output = sys.argv[1:]
session = onnxruntime.InferenceSession(program, providers=onnxruntime.get_available_providers())
mode = "RGB" if session.get_inputs()[0].shape[-1] == 3 else "L"
pixels = np.stack([np.asarray(Image.open(path).convert(mode), np.float32) / 255 for path in sources])
fused = session.run(["image"], {"sources": pixels.reshape(*pixels.shape[:3], -1)})[0]
Image.fromarray(np.rint(fused * 255).astype(np.uint8)).save(output)
