"""Writes small PyTorch files in every form and their values: torch/*.pt and torch_files.json.

Run from this folder with torch and numpy installed. Values are given as the bits of f32.
"""
import collections
import io
import json
import pathlib
import pickle
import struct
import tarfile

import numpy as np
import torch

OUT = pathlib.Path("torch")
OUT.mkdir(exist_ok=True)
expected = {}


def bits(tensor):
    values = tensor.detach().to(torch.float32).contiguous().numpy().reshape(-1)
    return {"shape": list(tensor.shape), "bits": values.view(np.uint32).tolist()}


def record(name, state):
    # A loader must see what torch itself sees.
    loaded = torch.load(OUT / name, weights_only=not name.startswith(("tar", "protocol")))
    for key in state:
        assert torch.equal(loaded[key].to(torch.float64), state[key].to(torch.float64)), (name, key)
    expected[name] = {key: bits(value) for key, value in state.items()}


def save(name, state, **options):
    torch.save(state, OUT / name, **options)
    record(name, state)


def both(name, state):
    save(f"{name}.zip.pt", state)
    save(f"{name}.legacy.pt", state, _use_new_zipfile_serialization=False)


torch.manual_seed(0)
base = torch.randn(4, 3, 5)
both("contiguous", {"a": torch.randn(2, 3), "b": torch.randn(7)})
both("strided", {
    "transposed": base.transpose(0, 2),
    "permuted": base.permute(1, 2, 0),
    "channels_last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
    "every_other": torch.arange(10.0)[1::2],
    "window": base[1:3, :, 2:4],
    "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 3),
    "column_of_one": torch.randn(5, 1).t().t(),
})
row = torch.randn(12)
both("shared", {"whole": row, "head": row[:4], "tail": row[8:], "tied": row})
both("dtypes", {
    "bf16": torch.randn(9).to(torch.bfloat16),
    "f16": torch.randn(700).to(torch.float16),
    "f64": torch.randn(4, dtype=torch.float64).to(torch.float32).to(torch.float64),
    "i64": torch.tensor([-3, 0, 1 << 24]),
    "i32": torch.tensor([-3, 70000], dtype=torch.int32),
    "i16": torch.tensor([-3, 300], dtype=torch.int16),
    "i8": torch.tensor([-3, 100], dtype=torch.int8),
    "u8": torch.tensor([0, 255], dtype=torch.uint8),
    "bool": torch.tensor([True, False]),
    "special": torch.tensor([0.0, -0.0, 1e-42, 3.4e38]),
})
both("shapes", {
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(0),
    "empty_rows": torch.zeros(0, 4),
    "ones": torch.randn(1, 1, 3, 1),
})
both("parameter", {"p": torch.nn.Parameter(torch.randn(3, 2)), "q": torch.randn(2)})
model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
state = model.state_dict()
for form, new in (("zip", True), ("legacy", False)):
    name = f"module.{form}.pt"
    torch.save(state, OUT / name, _use_new_zipfile_serialization=new)
    expected[name] = {k: bits(v) for k, v in state.items() if "num_batches" not in k}
    name = f"nested.{form}.pt"
    torch.save({"epoch": 3, "loss": 0.5, "state_dict": {f"module.{k}": v for k, v in state.items()},
                "optimizer": torch.optim.SGD(model.parameters(), lr=0.1).state_dict(),
                "history": [1, 2.5, "x", None, True, (1, 2), 10 ** 30]},
               OUT / name, _use_new_zipfile_serialization=new)
    expected[name] = expected[f"module.{form}.pt"]
# Protocol 0 cannot express the persistent ids that torch uses, and torch cannot read it back.
for protocol in range(1, 6):
    save(f"protocol{protocol}.pt", {"a": base.transpose(0, 1), "b": row[2:5]},
         pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    if protocol >= 2:
        save(f"protocol{protocol}.zip.pt", {"a": base[1], "b": row[2:5]}, pickle_protocol=protocol)

# The tar form is no longer written by torch, only read: storages, tensors, then the objects.
values = np.arange(12, dtype=np.float32) / 7
storages = io.BytesIO()
pickle.dump(1, storages, 2)
pickle.dump((10, "cpu", torch.FloatStorage), storages, 2)
storages.write(struct.pack("<q", 12) + values.tobytes())
pickle.dump([], storages, 2)
tensors = io.BytesIO()
views = [(20, (3, 4), (4, 1), 0), (21, (2, 3), (1, 4), 1)]
pickle.dump(len(views), tensors, 2)
for key, shape, strides, offset in views:
    pickle.dump((key, 10, torch.FloatTensor), tensors, 2)
    tensors.write(struct.pack("<q", len(shape)))
    tensors.write(struct.pack(f"<{len(shape)}q", *shape) + struct.pack(f"<{len(shape)}q", *strides))
    tensors.write(struct.pack("<q", offset))


class Numbered:
    def __init__(self, key):
        self.key = key


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        return value.key if isinstance(value, Numbered) else None


objects = io.BytesIO()
Pickler(objects, 2).dump(collections.OrderedDict(a=Numbered(20), b=Numbered(21)))
with tarfile.open(OUT / "tar.pt", "w:", format=tarfile.PAX_FORMAT) as tar:
    for name, stream in (("storages", storages), ("tensors", tensors), ("pickle", objects)):
        info = tarfile.TarInfo(name)
        info.size = len(stream.getvalue())
        tar.addfile(info, io.BytesIO(stream.getvalue()))
grid = torch.from_numpy(values).reshape(3, 4)
record("tar.pt", {"a": grid, "b": grid.reshape(-1).as_strided((2, 3), (1, 4), 1)})

with open("torch_files.json", "w") as out:
    json.dump(expected, out, separators=(",", ":"))
    out.write("\n")
