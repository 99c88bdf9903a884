//! The tokenizer of a Hugging Face folder, whatever files it is in.

use std::path::Path;

use serde_json::{Value, json};

use crate::document::MAX_BYTES;
use crate::{Result, TokenError, refused, shown};

/// The document of a folder with `tokenizer.json`, `vocab.txt`, or `vocab.json` and `merges.txt`.
/// Returns it with the file's name for messages.
pub(crate) fn document(folder: &Path) -> Result<(String, Value)> {
    let file = |name: &str| folder.join(name);
    let place = |name: &str| file(name).display().to_string();
    if file("tokenizer.json").is_file() {
        return Ok((place("tokenizer.json"), json_of(&file("tokenizer.json"))?));
    }
    if file("vocab.txt").is_file() {
        let config = match file("tokenizer_config.json") {
            path if path.is_file() => json_of(&path)?,
            _ => Value::Null,
        };
        let vocabulary = text_of(&file("vocab.txt"))?;
        return Ok((place("vocab.txt"), word_piece(&place("vocab.txt"), &vocabulary, &config)?));
    }
    if file("vocab.json").is_file() && file("merges.txt").is_file() {
        let vocabulary = json_of(&file("vocab.json"))?;
        let merges = text_of(&file("merges.txt"))?;
        return Ok((place("vocab.json"), byte_pairs(&place("vocab.json"), vocabulary, &merges)?));
    }
    let detail = "no tokenizer: expected tokenizer.json, vocab.txt, or vocab.json and merges.txt";
    Err(refused(&folder.display().to_string(), detail))
}

fn bytes_of(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| TokenError::Io { path: path.into(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_BYTES {
        let detail = format!("{size} bytes; a tokenizer has at most {MAX_BYTES}");
        return Err(refused(&path.display().to_string(), detail));
    }
    std::fs::read(path).map_err(failed)
}

fn json_of(path: &Path) -> Result<Value> {
    serde_json::from_slice(&bytes_of(path)?)
        .map_err(|error| refused(&path.display().to_string(), shown(&error.to_string())))
}

fn text_of(path: &Path) -> Result<String> {
    String::from_utf8(bytes_of(path)?)
        .map_err(|_| refused(&path.display().to_string(), "not UTF-8"))
}

/// BERT's `vocab.txt`: a token a line, its id the line's number from 0 (Devlin et al. 2018). The
/// settings are those of `tokenizer_config.json`, with the defaults of BERT.
fn word_piece(place: &str, vocabulary: &str, config: &Value) -> Result<Value> {
    let tokens: serde_json::Map<String, Value> =
        vocabulary.lines().enumerate().map(|(id, token)| (token.to_owned(), json!(id))).collect();
    if tokens.len() != vocabulary.lines().count() {
        return Err(refused(place, "a token occurs twice"));
    }
    let word = |field: &str, usual: &str| {
        config.get(field).and_then(Value::as_str).unwrap_or(usual).to_owned()
    };
    let id = |token: &str| {
        tokens.get(token).cloned().ok_or_else(|| {
            refused(place, format!("no token `{}`, which every text needs", shown(token)))
        })
    };
    let (unknown, first, last) =
        (word("unk_token", "[UNK]"), word("cls_token", "[CLS]"), word("sep_token", "[SEP]"));
    let switch = |field: &str, usual: bool| config.get(field).map_or(json!(usual), Value::clone);
    id(&unknown)?;
    // Written in a text, they are these tokens too.
    let (padding, mask) = (word("pad_token", "[PAD]"), word("mask_token", "[MASK]"));
    let added: Vec<Value> = [&padding, &unknown, &first, &last, &mask]
        .into_iter()
        .filter_map(|token| Some(special_token(token, tokens.get(token)?.clone())))
        .collect();
    Ok(json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": switch("tokenize_chinese_chars", true),
            // Where nothing is said, accents go with capitals.
            "strip_accents": config.get("strip_accents").cloned().unwrap_or(Value::Null),
            "lowercase": switch("do_lower_case", true),
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "BertProcessing",
            "sep": [&last, id(&last)?],
            "cls": [&first, id(&first)?],
        },
        "model": {
            "type": "WordPiece",
            "unk_token": unknown,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": tokens,
        },
    }))
}

/// RoBERTa's `vocab.json` and `merges.txt`: byte pairs on bytes shown as characters (Radford et
/// al. 2019, Liu et al. 2019).
fn byte_pairs(place: &str, vocabulary: Value, merges: &str) -> Result<Value> {
    let merges: Vec<&str> =
        merges.lines().filter(|l| !l.starts_with("#version") && !l.trim().is_empty()).collect();
    let id = |token: &str| {
        vocabulary
            .get(token)
            .cloned()
            .ok_or_else(|| refused(place, format!("no token `{token}`, which every text needs")))
    };
    let added: Vec<Value> = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        .iter()
        .filter_map(|token| Some(special_token(token, vocabulary.get(*token)?.clone())))
        .collect();
    Ok(json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                           "use_regex": true },
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": ["</s>", id("</s>")?],
            "cls": ["<s>", id("<s>")?],
            "trim_offsets": true,
            "add_prefix_space": false,
        },
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": false,
            "vocab": vocabulary,
            "merges": merges,
        },
    }))
}

fn special_token(content: &str, id: Value) -> Value {
    json!({
        "id": id, "content": content, "special": true, "normalized": false,
        "single_word": false, "lstrip": false, "rstrip": false,
    })
}
