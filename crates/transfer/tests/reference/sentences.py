"""Sentence vectors by Hugging Face transformers, for tests/sentences.rs.

    python sentences.py [FOLDER of all-MiniLM-L6-v2]

Writes two tiny encoders with random weights (`tiny_bert`, `tiny_roberta`: less than 100 kB each) and
`sentences.json`: token ids and pooled vectors. The vectors of all-MiniLM-L6-v2 need its weights;
`fetch_minilm.sh` gets them. Without them its part of `sentences.json` stays as it is.
"""
import json
import pathlib
import sys

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, RobertaConfig, RobertaModel

HERE = pathlib.Path(__file__).parent
CORPUS = [
    "A man is playing a guitar on stage.",
    "The weather is lovely today, isn't it?",
    "oil prices rose 3.5% as OPEC cut its output; shares fell",
]
# A text, or [text, pair]; {"repeat": text, "times": n} keeps the file small.
TEXTS = [
    "A man is playing a guitar.",
    "",
    "   \n\t ",
    "我喜欢这部电影，非常好看！",
    "I ❤️ this 👩‍👩‍👧 so much 😀😀",
    "Naïve café Ångström — déjà vu… İstanbul ß ﬁ",
    "supercalifragilisticexpialidocious" * 4,
    "a\u0000b\u200bc\ufffd",
    ["A man is playing a guitar.", "Nobody is making music."],
    ["short", {"repeat": "the weather is lovely today ", "times": 400}],
    {"repeat": "the weather is lovely today ", "times": 2000},
    {"repeat": "guitar, ", "times": 130},
    "[CLS] an injected [SEP] token [MASK]",
]


def text_of(text):
    return text["repeat"] * text["times"] if isinstance(text, dict) else text


def made_bert(folder):
    folder.mkdir(exist_ok=True)
    characters = sorted({c for t in CORPUS for c in t.lower() if not c.isspace()} | set("abcdefghijklmnopqrstuvwxyz"))
    words = sorted({w for t in CORPUS for w in t.lower().split() if w.isalpha()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
    vocabulary += [w for w in words if w not in vocabulary] + ["##" + c for c in characters if c.isalnum()]
    vocabulary += ["我", "欢", "电", "！", "😀", "##ing", "##er"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, max_position_embeddings=40, type_vocab_size=2,
    )
    torch.manual_seed(1)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    dump = lambda name, value: (folder / name).write_text(json.dumps(value, indent=2) + "\n")
    dump("tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 40})
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
               for i, (path, kind) in enumerate(kinds)]
    dump("modules.json", modules)
    dump("sentence_bert_config.json", {"max_seq_length": 24, "do_lower_case": False})
    (folder / "1_Pooling").mkdir(exist_ok=True)
    dump("1_Pooling/config.json", {"word_embedding_dimension": 32, "pooling_mode_cls_token": False,
                                   "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False})


def made_roberta(folder):
    folder.mkdir(exist_ok=True)
    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(CORPUS * 4, vocab_size=330, min_frequency=2, special_tokens=special)
    tokenizer.save_model(str(folder))
    config = RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=24, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=40, max_position_embeddings=34, type_vocab_size=1, layer_norm_eps=1e-5,
    )
    torch.manual_seed(2)
    RobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "RobertaTokenizer", "model_max_length": 32}) + "\n")


def rows(folder, limit, unit_length):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval().float()
    found = []
    for text in TEXTS:
        parts = [text_of(t) for t in (text if isinstance(text, list) else [text])]
        inputs = tokenizer(*parts, truncation=True, max_length=limit, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state[0]
        row = hidden.mean(0)
        if unit_length:
            row = torch.nn.functional.normalize(row, dim=0)
        found.append({"text": text, "ids": inputs["input_ids"][0].tolist(),
                      "row": [round(v, 6) for v in row.tolist()]})
    return found


def main():
    made_bert(HERE / "tiny_bert")
    made_roberta(HERE / "tiny_roberta")
    path = HERE / "sentences.json"
    reference = json.loads(path.read_text()) if path.exists() else {}
    reference["tiny_bert"] = rows(HERE / "tiny_bert", 24, True)
    reference["tiny_roberta"] = rows(HERE / "tiny_roberta", 32, False)
    if len(sys.argv) > 1:
        reference["all-minilm-l6-v2"] = rows(pathlib.Path(sys.argv[1]), 256, True)
    lines = ",\n".join(f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(r, ensure_ascii=True) for r in found) + "\n]"
                       for name, found in reference.items())
    path.write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
