"""One peer at one picture work, in a process of its own; `run.py` starts it.

    python benches/peers/vision.py ENGINE MODEL features|step BATCH THREADS REPEATS

"eager" is what users run: default memory format and allocator. The others are channels-last, and
`run.py` gives them an allocator that keeps its pages. Weights are random: speed does not depend on
them. A training step is forward in training mode, cross-entropy over 10 classes, backward, AdamW.
"""

import subprocess
import sys
import tempfile

import measured

SIZE, CLASSES = 224, 10


def build(model, classes):
    """The network with a head of that many classes; 0 leaves the pooled features."""
    if model == "efficientnet_lite0":
        import timm

        return timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=classes)
    import torch
    import torchvision

    network = getattr(torchvision.models, model)(weights=None, num_classes=max(classes, 1))
    if classes == 0:
        setattr(network, "fc" if hasattr(network, "fc") else "classifier", torch.nn.Identity())
    return network


def export(model, batch, path):
    import torch

    network, x = build(model, 0).eval(), torch.randn(batch, 3, SIZE, SIZE)
    torch.onnx.export(network, (x,), path, input_names=["x"], dynamo=False)


def onnx_features(model, batch, threads):
    # torch exports in another process, so that its memory is not counted as ONNX Runtime's.
    import numpy
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.onnx"
        subprocess.run([sys.executable, __file__, "export", model, str(batch), path], check=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    x = numpy.random.default_rng(0).standard_normal((batch, 3, SIZE, SIZE), dtype=numpy.float32)
    return lambda: session.run(None, {"x": x})


def torch_step(engine, model, work, batch, threads):
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layout = torch.contiguous_format if engine == "eager" else torch.channels_last
    x = torch.randn(batch, 3, SIZE, SIZE).contiguous(memory_format=layout)
    network = build(model, CLASSES if work == "step" else 0).to(memory_format=layout)
    if work == "features":
        # Freezing folds norms and casts into the weights once, as a user who compiles would have it.
        torch._inductor.config.freezing = True
        forward = measured.compiled(engine, network.eval())

        def features():
            with torch.no_grad(), measured.autocast(engine):
                forward(x)

        return features
    forward, labels = measured.compiled(engine, network.train()), torch.arange(batch) % CLASSES

    def loss():
        with measured.autocast(engine):
            return torch.nn.functional.cross_entropy(forward(x), labels)

    return measured.training_step(loss, network.parameters(), engine)


def main():
    if sys.argv[1] == "export":
        return export(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    engine, model, work = sys.argv[1:4]
    batch, threads, repeats = map(int, sys.argv[4:])
    if engine == "onnxruntime":
        step = onnx_features(model, batch, threads)
    else:
        step = torch_step(engine, model, work, batch, threads)
    measured.measure(step, repeats)


if __name__ == "__main__":
    main()
