//! No document makes a tokenizer panic, hang, or read what is not its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::fs;
use std::time::{Duration, Instant};

use offshoot_tokens::Tokenizer;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A small BERT tokenizer.
fn document() -> Value {
    json!({
        "version": "1.0",
        "truncation": { "max_length": 3, "strategy": "LongestFirst", "stride": 0,
                        "direction": "Right" },
        "padding": { "strategy": { "Fixed": 1_000_000_000 }, "direction": "Right",
                     "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0,
                     "pad_token": "[PAD]" },
        "added_tokens": [
            { "id": 1, "content": "[CLS]", "special": true, "single_word": false,
              "lstrip": false, "rstrip": false, "normalized": false },
        ],
        "normalizer": { "type": "BertNormalizer", "clean_text": true,
                        "handle_chinese_chars": true, "strip_accents": null, "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1] },
        "decoder": null,
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": { "[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "film": 3, "good": 4, "##s": 5 },
        },
    })
}

fn loaded(document: &Value, limit: usize) -> Result<Tokenizer, String> {
    let bytes = document.to_string();
    Tokenizer::from_json("tokenizer.json", bytes.as_bytes(), limit).map_err(|e| e.to_string())
}

fn changed(pointer: &str, value: Value) -> String {
    let mut document = document();
    *document.pointer_mut(pointer).expect(pointer) = value;
    loaded(&document, 16).err().unwrap_or_else(|| format!("{pointer} was let through"))
}

#[test]
fn texts_become_tokens_without_padding_and_are_cut_at_the_limit() {
    let tokenizer = loaded(&document(), 5).unwrap();
    let encode = |text: &str| tokenizer.encode(text, None).unwrap();
    let good = encode("Good FILMS");
    assert_eq!((good.ids, good.types, good.cut), (vec![1, 4, 3, 5, 2], vec![0; 5], false));
    let empty = encode("");
    assert_eq!((empty.ids, empty.cut), (vec![1, 2], false));
    let long = encode("good film good film");
    assert_eq!((long.ids, long.cut), (vec![1, 4, 3, 4, 2], true));
    let pair = tokenizer.encode("good", Some("film film film")).unwrap();
    assert_eq!((pair.ids, pair.types, pair.cut), (vec![1, 4, 2, 3, 2], vec![0, 0, 0, 1, 1], true));
}

fn replaced(pattern: &str, content: &str) -> Value {
    json!({ "type": "Replace", "pattern": { "String": pattern }, "content": content })
}

#[test]
fn normalizers_of_real_tokenizers_are_let_through() {
    let plain = |kind: &str| json!({ "type": kind });
    let lists = [
        // Llama.
        vec![json!({ "type": "Prepend", "prepend": "▁" }), replaced(" ", "▁")],
        // ALBERT.
        vec![
            replaced("``", "\""),
            replaced("''", "\""),
            plain("NFKD"),
            plain("StripAccents"),
            plain("Lowercase"),
        ],
        // A form of Unicode leaves little to those behind it.
        vec![
            plain("NFKC"),
            plain("NFD"),
            plain("NFKD"),
            document()["normalizer"].clone(),
            plain("Lowercase"),
            plain("NFC"),
        ],
    ];
    for list in lists {
        let mut document = document();
        document["normalizer"] = json!({ "type": "Sequence", "normalizers": list });
        document["pre_tokenizer"] =
            json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always" });
        loaded(&document, 16).unwrap();
    }
}

#[test]
fn a_merge_must_have_the_prefix_that_is_taken_from_it() {
    let read = |prefix: &str, merge: Value| {
        let mut document = document();
        document["model"] = json!({
            "type": "BPE", "unk_token": "[UNK]", "continuing_subword_prefix": prefix,
            "vocab": { "[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##b": 4, "ab": 5, "é": 6 },
            "merges": [merge],
        });
        loaded(&document, 16).map(|tokenizer| tokenizer.encode("ab", None).unwrap().ids)
    };
    assert_eq!(read("##", json!("a ##b")).unwrap(), [1, 5, 2]);
    for (prefix, merge) in [
        ("#######", json!("a ##b")),
        ("#######", json!(["a", "##b"])),
        ("#", json!(["a", "é"])),
        // Longer than any token can be.
        (&"#".repeat(4097), json!("a ##b")),
    ] {
        let message = read(prefix, merge).unwrap_err();
        let expected = ["tokenizer.json: ", "`continuing_subword_prefix`"];
        assert!(expected.iter().all(|words| message.contains(words)), "{message}");
    }
}

#[test]
fn what_a_tokenizer_must_not_ask_for_is_refused_by_name() {
    let pattern = json!({ "type": "Split", "pattern": { "Regex": "(a+)+$" },
                          "behavior": "Isolated", "invert": false });
    for (pointer, value, reason) in [
        ("/model/type", json!("Unigram"), "model `Unigram`"),
        ("/model/type", json!(7), "no word"),
        ("/model/vocab", json!([]), "no `vocab`"),
        ("/model/vocab", json!({}), "0 tokens"),
        ("/model/vocab/film", json!(4_000_000_000u64), "no id below 6"),
        ("/model/vocab/film", json!(-1), "no id below 6"),
        ("/model/vocab/film", json!(4), "is taken"),
        ("/model/unk_token", json!("[WHAT]"), "`unk_token`"),
        ("/model/unk_token", Value::Null, "without `unk_token`"),
        ("/model/max_input_chars_per_word", json!(u64::MAX), "max_input_chars_per_word"),
        ("/pre_tokenizer", pattern, "regular expression of the file's own"),
        ("/pre_tokenizer", json!({ "type": "Python" }), "pre-tokenizer `Python`"),
        (
            "/normalizer",
            json!({ "type": "Precompiled", "precompiled_charsmap": "AAAA" }),
            "normalizer `Precompiled`",
        ),
        ("/normalizer", json!({ "type": "Prepend", "prepend": "x".repeat(1 << 20) }), "64 bytes"),
        (
            "/normalizer",
            json!({ "type": "Sequence", "normalizers": vec![json!({ "type": "NFC" }); 99] }),
            "at most 32",
        ),
        (
            "/normalizer",
            json!({ "type": "Sequence", "normalizers": vec![replaced("a", &"a".repeat(64)); 5] }),
            "1073741824 times as long; at most 150",
        ),
        (
            "/normalizer",
            json!({ "type": "Sequence", "normalizers": [
                { "type": "Prepend", "prepend": "a".repeat(15) },
                { "type": "Sequence", "normalizers": [replaced("a", &"e".repeat(32))] },
            ] }),
            "512 times as long",
        ),
        (
            "/normalizer",
            json!({ "type": "Sequence", "normalizers": [
                replaced("\u{644}", "\u{fdfa}"), { "type": "NFKD" },
                replaced("\u{644}", "\u{fdfa}"), { "type": "NFKD" },
                replaced("\u{644}", "\u{fdfa}"), { "type": "NFKD" },
            ] }),
            "4492 times as long",
        ),
        (
            "/pre_tokenizer",
            json!({ "type": "Sequence", "pretokenizers": vec![json!({
                "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
                "use_regex": false,
            }); 32] }),
            "times as long",
        ),
        ("/post_processor/sep", json!(["[SEP]", 99]), "id 99"),
        (
            "/post_processor",
            json!({ "type": "TemplateProcessing", "single": ["$A", "[X]"],
                                    "pair": ["$A", "$B"], "special_tokens": {} }),
            "",
        ),
        ("/added_tokens/0/id", json!(1_000_000), "without content or id"),
        ("/added_tokens/0/content", json!(""), "without content or id"),
        ("/added_tokens", json!("x"), "`added_tokens`"),
    ] {
        let message = changed(pointer, value);
        assert!(message.starts_with("tokenizer.json: ") && message.contains(reason), "{message}");
    }
    assert!(loaded(&document(), 3).err().unwrap().contains("3 special tokens"));
    assert!(loaded(&json!([1]), 9).err().unwrap().contains("expected an object"));
}

#[test]
fn a_folder_without_a_tokenizer_says_what_is_missing() {
    let root = tempfile::tempdir().unwrap();
    let read = || Tokenizer::read_folder(root.path(), 8).map_err(|e| e.to_string());
    assert!(read().err().unwrap().contains("expected tokenizer.json, vocab.txt"));
    fs::write(root.path().join("vocab.txt"), "[UNK]\n[CLS]\na\n").unwrap();
    assert!(read().err().unwrap().contains("no token `[SEP]`"));
    fs::write(root.path().join("vocab.txt"), "[UNK]\n[CLS]\n[SEP]\na\na\n").unwrap();
    assert!(read().err().unwrap().contains("twice"));
    fs::write(root.path().join("vocab.txt"), b"\xff\xfe").unwrap();
    assert!(read().err().unwrap().contains("not UTF-8"));
    fs::write(root.path().join("vocab.txt"), "[UNK]\n[CLS]\n[SEP]\na\n").unwrap();
    assert_eq!(read().unwrap().encode("a b", None).unwrap().ids, [1, 3, 0, 2]);
}

#[test]
fn long_texts_take_time_for_what_is_kept() {
    let tokenizer = loaded(&document(), 128).unwrap();
    for unit in ["good films ", "good", "字", "\u{301}", " ", "[CLS]"] {
        let text = unit.repeat((10 << 20) / unit.len());
        let start = Instant::now();
        let encoded = tokenizer.encode(&text, None).unwrap();
        let pair = tokenizer.encode("film", Some(&text)).unwrap();
        let both = tokenizer.encode(&text, Some(&text)).unwrap();
        assert!(both.ids.len() <= 128 && both.cut);
        let seconds = start.elapsed();
        println!("10 MB of {unit:?}: {} tokens, {seconds:.2?}", encoded.ids.len());
        assert!(encoded.ids.len() <= 128 && pair.ids.len() <= 128 && encoded.cut);
        assert!(seconds < Duration::from_secs(20));
    }
}

#[test]
fn a_cut_text_has_the_tokens_of_its_whole() {
    let tokenizer = loaded(&document(), 64).unwrap();
    let words: String = (0..4000).map(|i| ["good ", "films ", "film, "][i % 3]).collect();
    let ids = |text: &str, pair: Option<&str>| tokenizer.encode(text, pair).unwrap().ids;
    // Short enough to be read at once, and long enough to be cut.
    assert_eq!(ids(&words, None), ids(&words[..1000], None));
    for first in ["film", "film film ".repeat(30).as_str(), "good ".repeat(200).as_str()] {
        assert_eq!(ids(first, Some(&words)), ids(first, Some(&words[..1000])));
    }
    // Five tokens in three words; those that were not looked at are told in proportion.
    let left = tokenizer.encode(&words, None).unwrap().left as f64;
    let expected = (4000 * 5 / 3 - 62) as f64;
    assert!((left / expected - 1.0).abs() < 0.02, "{left} of {expected}");
    let whole =
        loaded(&document(), 400).unwrap().encode(&words[..300], None).unwrap().ids.len() - 2;
    let pair = tokenizer.encode(&words[..300], Some(&words[..300])).unwrap();
    assert_eq!(pair.left, 2 * whole - 61);
}

#[test]
fn pieces_are_the_tokens_and_tell_where_they_are_from() {
    let tokenizer = loaded(&document(), 8).unwrap();
    let (text, pair) = ("Good films", "a GOOD  film of films");
    let pieces = tokenizer.pieces(text, Some(pair)).unwrap();
    assert_eq!(pieces.encoded, tokenizer.encode(text, Some(pair)).unwrap());
    let words = pieces.words([text, pair]);
    let told: Vec<(usize, &str, usize)> = words
        .iter()
        .map(|word| {
            let part = word.span.part;
            (part, &[text, pair][part][word.span.bytes.clone()], word.tokens.len())
        })
        .collect();
    assert_eq!(
        told,
        [(0, "Good", 1), (0, "films", 1), (1, "a", 1), (1, "GOOD", 1), (1, "film", 1)]
    );
    let special = pieces.spans.iter().filter(|span| span.is_none()).count();
    assert_eq!((special, pieces.encoded.left), (3, 4));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn changed_documents_never_panic(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        text in ".{0,40}",
    ) {
        let mut bytes = document().to_string().into_bytes();
        for (place, value) in places {
            let at = place.index(bytes.len());
            bytes[at] = value % 95 + 32;
        }
        if let Ok(tokenizer) = Tokenizer::from_json("t", &bytes, 16)
            && let Ok(encoded) = tokenizer.encode(&text, Some("good"))
        {
            prop_assert!(encoded.ids.len() <= 16);
            prop_assert!(encoded.ids.iter().all(|id| (*id as usize) < tokenizer.ids()));
        }
    }

    #[test]
    fn any_text_has_tokens(text in "\\PC{0,200}") {
        let tokenizer = loaded(&document(), 32).unwrap();
        let encoded = tokenizer.encode(&text, None).unwrap();
        prop_assert_eq!((encoded.ids.first(), encoded.ids.last()), (Some(&1), Some(&2)));
    }
}
