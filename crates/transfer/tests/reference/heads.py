"""Sentence vectors of encoders with a head and of static embeddings, for tests/heads.rs.

    pip install torch sentence-transformers model2vec wordllama==0.4.0.post1
    python heads.py [FOLDER of the unpacked package wordllama]

By sentence-transformers, on one padded batch of all texts: the tiny encoder of `sentences.py` under each pooling
mode, averaged layers and fully connected layers. `heads/NAME` keeps what sentence-transformers saves beside the
encoder. By model2vec: two tables of words, `tiny_table` and, with a weight for each word and rows that words
share, `tiny_table_mapped`. By wordllama: its own table, where the package's folder is named; without it that
part of `heads.json` stays as it is.
"""
import json
import pathlib
import shutil
import sys
import tempfile

import numpy as np
import torch
from model2vec import StaticModel
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import (
    Normalize,
    Pooling,
    StaticEmbedding,
    WeightedLayerPooling,
)
from sentences import TEXTS, text_of
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

HERE = pathlib.Path(__file__).parent
PLAIN = [text for text in TEXTS if not isinstance(text, list)]


def dense(inputs, outputs, act, seed):
    torch.manual_seed(seed)
    return Dense(inputs, outputs, activation_function=act)


def heads():
    pool = lambda mode: Pooling(32, mode)
    yield "cls", [pool("cls"), Normalize()]
    yield "max", [pool("max")]
    yield "sqrt", [pool("mean_sqrt_len_tokens"), dense(32, 20, torch.nn.Tanh(), 3)]
    yield "last", [pool("lasttoken"), dense(32, 12, torch.nn.Identity(), 4), Normalize()]
    yield "two", [pool("mean"), dense(32, 24, torch.nn.GELU(), 5), dense(24, 10, torch.nn.ReLU(), 6)]
    yield "layers", [WeightedLayerPooling(32, num_hidden_layers=2, layer_start=1), pool("mean"), Normalize()]


def rounded(rows):
    return [[round(float(v), 6) for v in row] for row in rows]


def with_head(name, modules):
    encoder = Transformer(str(HERE / "tiny_bert"), max_seq_length=24)
    if name == "layers":
        encoder.auto_model.config.output_hidden_states = True
    model = SentenceTransformer(modules=[encoder, *modules], device="cpu").eval()
    texts = [text_of(text) for text in PLAIN]
    together = model.encode(texts, batch_size=len(texts))
    alone = np.stack([model.encode([text])[0] for text in texts])
    assert np.abs(together - alone).max() < 1e-5, "padding changes a vector"
    target = HERE / "heads" / name
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as saved:
        model.save(saved)
        target.mkdir(parents=True)
        for entry in sorted(pathlib.Path(saved).iterdir()):
            if entry.name == "modules.json":
                shutil.copy(entry, target)
            elif entry.is_dir() and any(entry.iterdir()):
                shutil.copytree(entry, target / entry.name)
    return rounded(together)


def words():
    vocabulary = (HERE / "tiny_bert" / "vocab.txt").read_text().split("\n")[:-1]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer, len(vocabulary)


def tables():
    tokenizer, n = words()
    draws = np.random.default_rng(7)
    vectors = draws.normal(size=(n, 16)).astype(np.float32)
    yield "tiny_table", StaticModel(vectors, tokenizer, normalize=False, max_length=None)
    tokenizer, n = words()
    rows = draws.normal(size=(40, 12)).astype(np.float32)
    mapping = draws.integers(0, 40, size=n)
    weights = draws.uniform(0.1, 2.0, size=n).astype(np.float32)
    yield "tiny_table_mapped", StaticModel(
        rows, tokenizer, normalize=True, weights=weights, token_mapping=mapping, max_length=None
    )


def main():
    path = HERE / "heads.json"
    reference = json.loads(path.read_text()) if path.exists() else {}
    reference["texts"] = PLAIN
    for name, modules in heads():
        reference[name] = with_head(name, modules)
    texts = [text_of(text) for text in PLAIN]
    for name, model in tables():
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        reference[name] = rounded(model.encode(texts, max_length=None))
    # The same file as sentence-transformers reads it: unknown words count there.
    static = StaticEmbedding.load(str(HERE / "tiny_table"))
    model = SentenceTransformer(modules=[static], device="cpu")
    reference["static_embedding"] = rounded(model.encode(texts))
    if len(sys.argv) > 1:
        from safetensors.numpy import load_file
        from wordllama.inference import WordLlamaInference

        folder = pathlib.Path(sys.argv[1])
        table = load_file(folder / "weights/l2_supercat_256.safetensors")["embedding.weight"]
        tokenizer = Tokenizer.from_file(str(folder / "tokenizers/l2_supercat_tokenizer_config.json"))
        reference["wordllama"] = rounded(WordLlamaInference(table, tokenizer).embed(texts))
    lines = ",\n".join(
        f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(row, ensure_ascii=True) for row in rows) + "\n]"
        for name, rows in reference.items()
    )
    path.write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
