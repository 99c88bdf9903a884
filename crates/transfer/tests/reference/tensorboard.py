"""A TensorBoard event file with a few scalars, written by TensorBoard's own record and event code.

    pip install tensorboard
    python tensorboard.py     # rewrites tensorboard.json beside this file
"""

import io
import json
import pathlib
import sys

sys.path = [p for p in sys.path if pathlib.Path(p or ".").resolve() != pathlib.Path(__file__).parent.resolve()]
from tensorboard.compat.proto.event_pb2 import Event  # noqa: E402
from tensorboard.compat.proto.summary_pb2 import Summary  # noqa: E402
from tensorboard.summary.writer.record_writer import RecordWriter  # noqa: E402

SECONDS = 1_700_000_000.25
SCALARS = [["loss/batch", 1, 0.75], ["learning_rate", 1, 0.0003], ["accuracy/val", 300, 0.5], ["x", 70000, -1.5],
           ["first", 0, 2.0]]

if __name__ == "__main__":
    out = io.BytesIO()
    writer = RecordWriter(out)
    writer.write(Event(wall_time=SECONDS, file_version="brain.Event:2").SerializeToString())
    for tag, step, value in SCALARS:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        writer.write(Event(wall_time=SECONDS, step=step, summary=summary).SerializeToString())
    text = json.dumps({"seconds": SECONDS, "scalars": SCALARS, "hex": out.getvalue().hex()})
    pathlib.Path(__file__).with_suffix(".json").write_text(text + "\n")
