"""Losses and gradients of masked-language modelling, from Hugging Face transformers.

    pip install torch transformers numpy timm torchvision
    python masked.py            # rewrites masked.json beside this file

The small encoders of `encoders.py` with the head of their family, in double precision and evaluation mode, on a
padded batch. The head's arrays are filled under our names (`mlm.dense.weight`, ...). Token t of sequence s has
id (7919 t + 104729 s + 17) mod vocabulary; where t mod 5 = 2, that is the target, and the encoder reads
id (31 t + 3) mod vocabulary. `bare` has no transform: the logits are the features times the table of words,
plus `mlm.bias`. Kept are the loss, the mean over the targets, and of the gradient of every parameter what
`encoders.py` keeps.
"""

import json
import pathlib

import torch
from encoders import FEATURES, HEADS, HIDDEN, LAYERS, LONGEST, VOCABULARY, summary
from recipes import filled
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    RobertaConfig,
    RobertaForMaskedLM,
)

LENGTHS = [9, 33, 4]
SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": FEATURES, "num_attention_heads": HEADS,
    "intermediate_size": HIDDEN, "num_hidden_layers": LAYERS,
}  # fmt: skip
NAMES = {
    "bert": {
        "cls.predictions.transform.dense": "mlm.dense",
        "cls.predictions.transform.LayerNorm": "mlm.norm",
        "cls.predictions": "mlm",
    },
    "roberta": {"lm_head.dense": "mlm.dense", "lm_head.layer_norm": "mlm.norm", "lm_head": "mlm"},
    "distilbert": {"vocab_transform": "mlm.dense", "vocab_layer_norm": "mlm.norm", "vocab_projector": "mlm"},
}


def build(family):
    if family == "roberta":
        config = RobertaConfig(
            max_position_embeddings=LONGEST + 2, layer_norm_eps=1e-5, type_vocab_size=1, **SIZES
        )
        return RobertaForMaskedLM(config)
    if family == "distilbert":
        return DistilBertForMaskedLM(
            DistilBertConfig(
                vocab_size=VOCABULARY, max_position_embeddings=LONGEST, dim=FEATURES, n_heads=HEADS,
                hidden_dim=HIDDEN, n_layers=LAYERS,
            )
        )  # fmt: skip
    return BertForMaskedLM(BertConfig(max_position_embeddings=LONGEST, type_vocab_size=2, **SIZES))


def own_key(family, key):
    layer, field = key.rsplit(".", 1)
    if layer in NAMES[family]:
        return f"{NAMES[family][layer]}.{field}"
    return key.split(".", 1)[1]


def case(family, bare):
    model = build(family).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.copy_(filled(own_key(family, key), parameter.shape))
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None
    model = model.double()
    n, longest = len(LENGTHS), max(LENGTHS)
    ids = torch.ones((n, longest), dtype=torch.long)
    labels = torch.full((n, longest), -100)
    keep = torch.zeros((n, longest), dtype=torch.long)
    for s, length in enumerate(LENGTHS):
        t = torch.arange(length)
        words = (7919 * t + 104729 * s + 17) % VOCABULARY
        hidden = t % 5 == 2
        ids[s, :length] = torch.where(hidden, (31 * t + 3) % VOCABULARY, words)
        labels[s, :length] = torch.where(hidden, words, torch.tensor(-100))
        keep[s, :length] = 1
    arguments = {"input_ids": ids, "attention_mask": keep}
    if family == "roberta":
        arguments["position_ids"] = torch.arange(longest).expand(n, longest) + 2
    if bare:
        encoder = getattr(model, family)
        rows = encoder(**arguments).last_hidden_state
        table = encoder.embeddings.word_embeddings.weight
        bias = next(p for key, p in model.named_parameters() if own_key(family, key) == "mlm.bias")
        logits = rows @ table.T + bias
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    else:
        loss = model(**arguments, labels=labels).loss
    loss.backward()
    gradients = [
        summary(own_key(family, key), parameter.grad, 6)
        for key, parameter in model.named_parameters()
        if parameter.grad is not None
    ]
    return {"family": family, "bare": bare, "loss": loss.item(), "gradients": gradients}


def main():
    cases = [case(family, bare) for family, bare in
             [("bert", False), ("roberta", False), ("distilbert", False), ("bert", True)]]
    path = pathlib.Path(__file__).with_name("masked.json")
    path.write_text(json.dumps(cases, indent=0) + "\n")
    print(path, path.stat().st_size, [c["loss"] for c in cases])


if __name__ == "__main__":
    main()
