"""Exports a run on every family of text encoders with every pooling, and checks each with export_check.py.

    pip install torch transformers sentence-transformers tokenizers safetensors
    python export_families.py target/release/offshoot WORK

Tiny encoders with random weights are made in WORK as transformers writes them, with the modules of
sentence-transformers beside them; a run on assets/reviews is trained on each, exported by
`offshoot export --to hf`, and loaded by both libraries. Largest difference of a probability: below 1e-4.
"""

import json
import pathlib
import subprocess
import sys

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import (BertConfig, BertModel, DistilBertConfig, DistilBertModel, RobertaConfig, RobertaModel)

import export_check

HERE = pathlib.Path(__file__).resolve().parent
REVIEWS = HERE.parents[3] / "assets/reviews/reviews.csv"
SIZES = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def word_pieces(folder):
    signs = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    words = ["the", "a", "film", "movie", "good", "bad", "not", "phone", "camera", "great", "##ing", "##ed", "##s"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *signs, *words[1:]]
    vocabulary += ["##" + c for c in signs if c.isalnum() and "##" + c not in words]
    vocabulary = list(dict.fromkeys(vocabulary))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    dump(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    return len(vocabulary)


def byte_pairs(folder):
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train([str(REVIEWS)], vocab_size=600, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.save_model(str(folder))
    dump(folder / "tokenizer_config.json", {"tokenizer_class": "RobertaTokenizer"})
    return tokenizer.get_vocab_size()


def network(family, folder):
    torch.manual_seed(7)
    if family == "roberta":
        return RobertaModel(RobertaConfig(vocab_size=byte_pairs(folder), max_position_embeddings=66, type_vocab_size=1,
                                          layer_norm_eps=1e-5, **SIZES), add_pooling_layer=False)
    words = word_pieces(folder)
    if family == "bert":
        config = BertConfig(vocab_size=words, max_position_embeddings=64, **SIZES)
        return BertModel(config, add_pooling_layer=False)
    return DistilBertModel(DistilBertConfig(vocab_size=words, max_position_embeddings=64, dim=48, n_layers=2,
                                            n_heads=4, hidden_dim=64))


def encoder(folder, family, pooling, unit):
    folder.mkdir(parents=True, exist_ok=True)
    network(family, folder).save_pretrained(folder)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")] + [("2_Normalize", "Normalize")] * unit
    dump(folder / "modules.json", [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
                                   for i, (path, kind) in enumerate(kinds)])
    dump(folder / "1_Pooling/config.json", {"word_embedding_dimension": 48, "pooling_mode_cls_token": pooling == "first",
                                            "pooling_mode_mean_tokens": pooling == "mean",
                                            "pooling_mode_max_tokens": False,
                                            "pooling_mode_mean_sqrt_len_tokens": False})
    dump(folder / "sentence_bert_config.json", {"max_seq_length": 48, "do_lower_case": False})


def main(offshoot, work):
    worst = 0.0
    for family in ("bert", "roberta", "distilbert"):
        for pooling in ("mean", "first"):
            for unit in (False, True):
                name = f"{family}-{pooling}{'-unit' * unit}"
                encoder(work / name, family, pooling, unit)
                run = ["--runs-dir", str(work / "runs"), "-q"]
                train = ["train", str(REVIEWS), "--model", str(work / name), "--name", name, "--no-cache"]
                subprocess.run([offshoot, *train, *run], check=True, stdout=subprocess.DEVNULL)
                out = work / f"{name}-hf"
                subprocess.run([offshoot, "export", name, "--to", "hf", "--out", str(out), *run], check=True,
                               stdout=subprocess.DEVNULL)
                for library, error in export_check.text_classifier(out):
                    worst = max(worst, error)
                    print(f"{name:24} {library:22} {error:.1e}", flush=True)
    sys.exit(worst > 1e-4)


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]).resolve())
