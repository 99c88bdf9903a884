"""One peer at one MiniLM-L6 work, in a process of its own; `run.py` starts it.

    python benches/peers/text.py ENGINE full|mixed|sorted|step THREADS REPEATS

Peers pad to the longest of a batch of 32; of the 256 sentences of mixed lengths, "mixed" takes the
batches as they come, "sorted" by length. Vectors are masked means of unit length. A training step is
forward, backward from a given gradient of the vectors, and AdamW on every parameter, without dropout.
Weights are random: speed does not depend on them.
"""

import math
import random
import subprocess
import sys
import tempfile

import measured

BATCH, STEP_BATCH, TOKENS, SENTENCES = 32, 16, 128, 256


def lengths(work):
    """Tokens of each sentence: full, or log-normal around 22 word pieces, cut to 4..=128."""
    if work in ("full", "step"):
        return [TOKENS] * (BATCH if work == "full" else STEP_BATCH)
    rng = random.Random(0)
    drawn = [min(max(round(rng.lognormvariate(math.log(22), 0.7)), 4), TOKENS) for _ in range(SENTENCES)]
    return sorted(drawn) if work == "sorted" else drawn


def batches(work):
    """Token ids and mask of each padded batch, as numpy int64 arrays [sentences, longest]."""
    import numpy

    rng, own = numpy.random.default_rng(0), lengths(work)
    for first in range(0, len(own), BATCH):
        n = numpy.array(own[first : first + BATCH])
        ids = rng.integers(1000, 30000, (len(n), n.max()))
        yield ids, (numpy.arange(n.max()) < n[:, None]).astype(numpy.int64)


def encoder():
    """MiniLM-L6 that gives one vector a sentence."""
    import torch
    from transformers import BertConfig, BertModel

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
                                intermediate_size=1536, hidden_dropout_prob=0.0,
                                attention_probs_dropout_prob=0.0)
            self.model = BertModel(config, add_pooling_layer=False)

        def forward(self, ids, mask):
            states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
            weight = mask.unsqueeze(2)
            return torch.nn.functional.normalize((states * weight).sum(1) / weight.sum(1))

    return Encoder()


def export(path):
    import torch

    inputs = torch.ones(2, 7, dtype=torch.long), torch.ones(2, 7, dtype=torch.long)
    axes = {name: {0: "sentences", 1: "tokens"} for name in ("ids", "mask")}
    torch.onnx.export(encoder().eval(), inputs, path, input_names=["ids", "mask"], dynamic_axes=axes, dynamo=False)


def onnx_features(work, threads):
    # torch exports in another process, so that its memory is not counted as ONNX Runtime's.
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.onnx"
        subprocess.run([sys.executable, __file__, "export", path], check=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    padded = list(batches(work))
    return lambda: [session.run(None, {"ids": ids, "mask": mask}) for ids, mask in padded]


def torch_step(engine, work, threads):
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = encoder().train(work == "step")
    padded = [tuple(map(torch.from_numpy, batch)) for batch in batches(work)]
    if work != "step":
        torch._inductor.config.freezing = True
    # One program serves every padded length; full batches get one of their exact shape.
    forward = measured.compiled(engine, model, dynamic=len(padded) > 1)
    if work == "step":
        def loss():
            with measured.autocast(engine):
                return sum((forward(ids, mask) * 0.01).sum() for ids, mask in padded)

        return measured.training_step(loss, model.parameters(), engine)

    def features():
        with torch.no_grad(), measured.autocast(engine):
            for ids, mask in padded:
                forward(ids, mask)

    return features


def main():
    if sys.argv[1] == "export":
        return export(sys.argv[2])
    engine, work = sys.argv[1:3]
    threads, repeats = map(int, sys.argv[3:])
    step = onnx_features(work, threads) if engine == "onnxruntime" else torch_step(engine, work, threads)
    measured.measure(step, repeats)


if __name__ == "__main__":
    main()
