"""Writes safetensors_files.json: a file made by the safetensors library, as hexadecimal, and its
values as the bits of f32. Run from this folder with torch and safetensors installed.
"""
import json

import numpy as np
import torch
from safetensors.torch import save

torch.manual_seed(0)
state = {
    "f32": torch.randn(2, 3),
    "f16": torch.randn(5).to(torch.float16),
    "bf16": torch.randn(5).to(torch.bfloat16),
    "f64": torch.randn(3, dtype=torch.float64),
    "i64": torch.tensor([[-3, 1 << 24]]),
    "i32": torch.tensor([-7, 70000], dtype=torch.int32),
    "i16": torch.tensor([-7, 300], dtype=torch.int16),
    "i8": torch.tensor([-7], dtype=torch.int8),
    "u8": torch.tensor([255, 0], dtype=torch.uint8),
    "bool": torch.tensor([True, False, True]),
    "scalar": torch.tensor(0.25),
    "empty": torch.zeros(0, 3),
}
expected = {
    key: {"shape": list(t.shape), "bits": t.to(torch.float32).numpy().reshape(-1).view(np.uint32).tolist()}
    for key, t in state.items()
}
with open("safetensors_files.json", "w") as out:
    json.dump({"hex": save(state, {"format": "pt"}).hex(), "expected": expected}, out)
    out.write("\n")
