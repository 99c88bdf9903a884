"""Reference outputs and gradients of small text encoders, from Hugging Face transformers.

    pip install torch transformers numpy timm torchvision
    python encoders.py            # rewrites encoders.json beside this file

Each family is built from its configuration class with the sizes below and runs in double precision and
evaluation mode on a padded batch with an attention mask, as these models are used. Weights are filled as
`recipes.py` describes. Token t of sequence s has id (7919 t + 104729 s + 17) mod vocabulary and type
t mod types; a masked sequence lacks every third token, t mod 3 = 2.

Kept are, of every stage, the tokens' features [tokens, features] of all sequences end to end, without
padding, then the mean over the tokens that count and that mean at length 1; and the gradient of every
parameter for the loss sum(embedding * d) with d filled under the key `direction`: shape, mean, root mean
square, and sampled values as in `recipes.py`. `counts` are the numbers of parameters of the networks at
their published sizes, without the pooler, which sentence encoders do not use.
"""

import json
import pathlib

import numpy as np
import torch
from recipes import filled, splitmix64
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    RobertaConfig,
    RobertaModel,
)

VOCABULARY, LONGEST, FEATURES, HEADS, HIDDEN, LAYERS = 97, 40, 36, 3, 83, 2
BATCHES = [([1], False), ([2, 17, 33], False), ([9, 33, 1], True)]


def bert(**sizes):
    return BertModel(BertConfig(**sizes), add_pooling_layer=False)


def roberta(max_position_embeddings, **sizes):
    # Two rows of the position table stand before the first token's.
    config = RobertaConfig(
        max_position_embeddings=max_position_embeddings + 2, layer_norm_eps=1e-5, **sizes
    )
    return RobertaModel(config, add_pooling_layer=False)


def distilbert(hidden_size, num_attention_heads, intermediate_size, num_hidden_layers, **sizes):
    sizes.pop("type_vocab_size")
    return DistilBertModel(
        DistilBertConfig(
            dim=hidden_size, n_heads=num_attention_heads, hidden_dim=intermediate_size,
            n_layers=num_hidden_layers, **sizes,
        )
    )  # fmt: skip


FAMILIES = {"bert": (bert, 2), "roberta": (roberta, 1), "distilbert": (distilbert, 1)}


def build(family, vocabulary, longest, types, features, heads, hidden, layers):
    return FAMILIES[family][0](
        vocab_size=vocabulary, max_position_embeddings=longest, type_vocab_size=types,
        hidden_size=features, num_attention_heads=heads, intermediate_size=hidden,
        num_hidden_layers=layers,
    )  # fmt: skip


def summary(name, x, samples):
    x = x.detach().numpy().astype(np.float64)
    at = splitmix64(np.arange(samples, dtype=np.uint64)) % np.uint64(x.size)
    return {
        "name": name,
        "shape": list(x.shape),
        "mean": float(x.mean()),
        "rms": float(np.sqrt((x**2).mean())),
        "values": [float(f"{v:.9g}") for v in x.ravel()[at.astype(np.int64)]],
    }


def case(family, lengths, masked):
    types = FAMILIES[family][1]
    model = build(family, VOCABULARY, LONGEST, types, FEATURES, HEADS, HIDDEN, LAYERS).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.copy_(filled(key, parameter.shape))
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            # Here the padding token's row is one like all others, and learns.
            module.padding_idx = None
    model = model.double()
    n, longest = len(lengths), max(lengths)
    # RoBERTa takes id 1 for padding and would not count such a token's position.
    ids = torch.full((n, longest), 1)
    kinds = torch.zeros((n, longest), dtype=torch.long)
    keep = torch.zeros((n, longest), dtype=torch.long)
    for s, length in enumerate(lengths):
        t = torch.arange(length)
        ids[s, :length] = (7919 * t + 104729 * s + 17) % VOCABULARY
        kinds[s, :length] = t % types
        keep[s, :length] = (t % 3 != 2) if masked else 1
    arguments = {"input_ids": ids, "attention_mask": keep, "output_hidden_states": True}
    if family == "bert":
        arguments["token_type_ids"] = kinds
    if family == "roberta":
        arguments["position_ids"] = torch.arange(longest).expand(n, longest) + 2
    states = model(**arguments).hidden_states
    stages = []
    for name, state in zip(["embed", *[f"layer{i}" for i in range(LAYERS)]], states):
        tokens = torch.cat([state[s, :length] for s, length in enumerate(lengths)])
        stages.append(summary(name, tokens, 24))
    weight = keep.unsqueeze(2).double()
    pooled = (states[-1] * weight).sum(1) / weight.sum(1)
    embedding = torch.nn.functional.normalize(pooled)
    stages += [summary("pool", pooled, 24), summary("normalize", embedding, 24)]
    (embedding * filled("direction", embedding.shape)).sum().backward()
    gradients = [
        summary(key, parameter.grad, 6)
        for key, parameter in model.named_parameters()
        if parameter.grad is not None
    ]
    return {
        "family": family, "lengths": lengths, "masked": masked, "stages": stages, "gradients": gradients,
    }  # fmt: skip


def count(family, *sizes):
    with torch.device("meta"):
        return sum(p.numel() for p in build(family, *sizes).parameters())


def main():
    torch.manual_seed(0)
    counts = {
        "bert_base": count("bert", 30522, 512, 2, 768, 12, 3072, 12),
        "distilbert": count("distilbert", 30522, 512, 1, 768, 12, 3072, 6),
        "minilm_l12": count("bert", 30522, 512, 2, 384, 12, 1536, 12),
        "minilm_l3": count("bert", 30522, 512, 2, 384, 12, 1536, 3),
        "minilm_l6": count("bert", 30522, 512, 2, 384, 12, 1536, 6),
        "roberta_base": count("roberta", 50265, 512, 1, 768, 12, 3072, 12),
        # A table alone.
        "wordllama": 32000 * 256,
    }
    cases = [case(family, *batch) for family in FAMILIES for batch in BATCHES]
    path = pathlib.Path(__file__).with_name("encoders.json")
    path.write_text(json.dumps({"counts": counts, "cases": cases}, indent=0) + "\n")
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
