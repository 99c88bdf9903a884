//! What of a `tokenizer.json` is let through.

use serde_json::{Map, Value};

use crate::{Result, refused, shown};

/// A larger document is no tokenizer of a text encoder.
pub(crate) const MAX_BYTES: u64 = 64 << 20;
const MAX_VOCABULARY: usize = 2_000_000;
const MAX_MERGES: usize = 4_000_000;
const MAX_ADDED: usize = 20_000;
/// Bytes of one token.
const MAX_TOKEN: usize = 4096;
/// Characters of a word that is looked up piece by piece, which takes the square of its length.
const MAX_WORD: u64 = 1000;
/// Steps of a sequence of normalizers.
const MAX_STEPS: usize = 32;
/// How many times as long normalizer and pre-tokenizer may make a text. Those of real tokenizers come
/// to 44, as [`Growth`] reckons: NFKD, and a sign for each space.
const MAX_GROWTH: f64 = 150.0;

const MODELS: [&str; 2] = ["WordPiece", "BPE"];
const NORMALIZERS: [&str; 11] = [
    "BertNormalizer",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Prepend",
    "Replace",
    "Sequence",
    "Strip",
    "StripAccents",
];
const PRE_TOKENIZERS: [&str; 9] = [
    "BertPreTokenizer",
    "ByteLevel",
    "Digits",
    "Metaspace",
    "Punctuation",
    "Sequence",
    "Split",
    "Whitespace",
    "WhitespaceSplit",
];
const POST_PROCESSORS: [&str; 5] =
    ["BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing"];

/// Checks a document and takes out what has no say here: decoder, padding and truncation.
///
/// # Errors
/// A named reason for anything that is too large, of an unknown kind, or inconsistent.
pub(crate) fn checked(place: &str, mut document: Value) -> Result<Value> {
    let Value::Object(fields) = &mut document else {
        return Err(refused(place, "expected an object"));
    };
    for field in ["decoder", "padding", "truncation"] {
        fields.insert(field.into(), Value::Null);
    }
    let vocabulary = model(place, fields)?;
    added_tokens(place, fields, vocabulary)?;
    let step = fields.get("normalizer");
    steps(place, step, "normalizer", "normalizers", &NORMALIZERS, 0)?;
    let step = fields.get("pre_tokenizer");
    steps(place, step, "pre-tokenizer", "pretokenizers", &PRE_TOKENIZERS, 0)?;
    let mut growth = Growth { times: 1.0, forms: 1.0 };
    for step in ["normalizer", "pre_tokenizer"].iter().filter_map(|field| fields.get(*field)) {
        growth.add(step);
    }
    if growth.times > MAX_GROWTH {
        let detail = format!(
            "normalizer and pre-tokenizer could make a text {:.0} times as long; at most \
             {MAX_GROWTH}",
            growth.times
        );
        return Err(refused(place, detail));
    }
    let step = fields.get("post_processor");
    steps(place, step, "post-processor", "processors", &POST_PROCESSORS, 0)?;
    Ok(document)
}

/// Checks the model; returns the size of its vocabulary.
fn model(place: &str, fields: &mut Map<String, Value>) -> Result<usize> {
    let Some(Value::Object(model)) = fields.get_mut("model") else {
        return Err(refused(place, "no `model`"));
    };
    // Older documents leave the type out; the fields tell it.
    let guessed = if model.contains_key("merges") { "BPE" } else { "WordPiece" };
    let kind = match model.get("type") {
        None => guessed.to_owned(),
        Some(Value::String(kind)) => kind.clone(),
        Some(_) => return Err(refused(place, "the model's `type` is no word")),
    };
    if !MODELS.contains(&kind.as_str()) {
        let detail = format!("model `{}`; computed are {}", shown(&kind), MODELS.join(", "));
        return Err(refused(place, detail));
    }
    // A random choice would give a text another row each time.
    if model.get("dropout").is_some_and(|d| !d.is_null()) {
        model.insert("dropout".into(), Value::Null);
    }
    if let Some(most) = model.get("max_input_chars_per_word")
        && most.as_u64().is_none_or(|n| n > MAX_WORD)
    {
        return Err(refused(place, format!("`max_input_chars_per_word` above {MAX_WORD}")));
    }
    let Some(Value::Object(vocabulary)) = model.get("vocab") else {
        return Err(refused(place, "the model has no `vocab` of words and ids"));
    };
    let n = vocabulary.len();
    if n == 0 || n > MAX_VOCABULARY {
        return Err(refused(place, format!("{n} tokens; expected 1 to {MAX_VOCABULARY}")));
    }
    let mut seen = vec![false; n];
    for (token, id) in vocabulary {
        let slot = id.as_u64().and_then(|id| seen.get_mut(usize::try_from(id).ok()?));
        match slot {
            Some(slot) if !*slot && token.len() <= MAX_TOKEN => *slot = true,
            Some(_) => {
                let detail = format!("token `{}` is too long, or its id is taken", shown(token));
                return Err(refused(place, detail));
            }
            None => {
                let detail = format!("token `{}` has no id below {n}", shown(token));
                return Err(refused(place, detail));
            }
        }
    }
    if let Some(unknown) = model.get("unk_token")
        && !unknown.is_null()
        && unknown.as_str().is_none_or(|token| !vocabulary.contains_key(token))
    {
        return Err(refused(place, "the model's `unk_token` is not in its vocabulary"));
    }
    if kind == "WordPiece" && model.get("unk_token").is_none_or(Value::is_null) {
        return Err(refused(place, "a WordPiece model without `unk_token`"));
    }
    if let Some(merges) = model.get("merges") {
        let merges = merges.as_array().ok_or_else(|| refused(place, "`merges` is no list"))?;
        if merges.len() > MAX_MERGES {
            return Err(refused(place, format!("{} merges; at most {MAX_MERGES}", merges.len())));
        }
        let prefix = model.get("continuing_subword_prefix").and_then(Value::as_str);
        if kind == "BPE" {
            unprefixed(place, merges, prefix.unwrap_or_default())?;
        }
    }
    Ok(n)
}

/// A merge joins its second token without the prefix, which the `tokenizers` crate cuts off unseen.
fn unprefixed(place: &str, merges: &[Value], prefix: &str) -> Result<()> {
    if prefix.len() > MAX_TOKEN {
        let detail = format!("`continuing_subword_prefix` above {MAX_TOKEN} bytes");
        return Err(refused(place, detail));
    }
    for merge in merges {
        let second = match merge {
            Value::String(pair) => pair.split_once(' ').map(|(_, second)| second),
            pair => pair.get(1).and_then(Value::as_str),
        };
        if let Some(second) = second.filter(|token| token.get(prefix.len()..).is_none()) {
            let detail = format!(
                "a merge ends in `{}`, from which `continuing_subword_prefix` `{}` cannot be taken",
                shown(second),
                shown(prefix)
            );
            return Err(refused(place, detail));
        }
    }
    Ok(())
}

fn added_tokens(place: &str, fields: &Map<String, Value>, vocabulary: usize) -> Result<()> {
    let added = match fields.get("added_tokens") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(added)) if added.len() <= MAX_ADDED => added,
        Some(_) => return Err(refused(place, format!("`added_tokens`: at most {MAX_ADDED}"))),
    };
    for token in added {
        let content = token.get("content").and_then(Value::as_str).unwrap_or_default();
        let id = token.get("id").and_then(Value::as_u64);
        let most = (vocabulary + added.len()) as u64;
        if content.is_empty() || content.len() > MAX_TOKEN || id.is_none_or(|id| id >= most) {
            let detail = format!("added token `{}` without content or id", shown(content));
            return Err(refused(place, detail));
        }
    }
    Ok(())
}

/// Checks a step and the steps inside.
fn steps(
    place: &str,
    step: Option<&Value>,
    family: &str,
    inner: &str,
    kinds: &[&str],
    depth: usize,
) -> Result<()> {
    let step = match step {
        None | Some(Value::Null) => return Ok(()),
        Some(step) => step,
    };
    let kind = step.get("type").and_then(Value::as_str).unwrap_or_default();
    if !kinds.contains(&kind) {
        let detail = format!("{family} `{}`; computed are {}", shown(kind), kinds.join(", "));
        return Err(refused(place, detail));
    }
    if let Some(pattern) = step.get("pattern")
        && pattern.get("String").and_then(Value::as_str).is_none_or(str::is_empty)
    {
        let detail = format!("{family} `{kind}` with a regular expression of the file's own");
        return Err(refused(place, detail));
    }
    for field in ["content", "prepend"] {
        let long = |text: &Value| text.as_str().is_some_and(|text| text.len() > 64);
        if step.get(field).is_some_and(long) {
            return Err(refused(place, format!("{family} `{kind}` puts in more than 64 bytes")));
        }
    }
    if kind == "Sequence" {
        let list = step.get(inner).and_then(Value::as_array);
        let list = list.filter(|list| depth < 4 && list.len() <= MAX_STEPS);
        let list = list.ok_or_else(|| {
            refused(place, format!("{family} `Sequence` without a list of at most {MAX_STEPS}"))
        })?;
        for step in list {
            steps(place, Some(step), family, inner, kinds, depth + 1)?;
        }
    }
    Ok(())
}

/// How many times as many bytes the steps so far can leave, of the text that suits them worst.
struct Growth {
    times: f64,
    /// What the forms of Unicode and small letters since the last words of the file's own have come
    /// to. A character that was taken apart is not taken apart again.
    forms: f64,
}

impl Growth {
    /// Adds a step that was checked.
    fn add(&mut self, step: &Value) {
        let bytes = |text: Option<&Value>| text.and_then(Value::as_str).map_or(0, str::len) as f64;
        let times = match step.get("type").and_then(Value::as_str).unwrap_or_default() {
            "Sequence" => {
                let inner =
                    ["normalizers", "pretokenizers"].iter().find_map(|list| step.get(*list));
                let inner = inner.and_then(Value::as_array).into_iter().flatten();
                return inner.for_each(|step| self.add(step));
            }
            // A text may be as short as one byte.
            "Prepend" => 1.0 + bytes(step.get("prepend")),
            "Metaspace" => 1.0 + bytes(step.get("replacement")),
            "Replace" => {
                let pattern = step.get("pattern").and_then(|pattern| pattern.get("String"));
                (bytes(step.get("content")) / bytes(pattern).max(1.0)).max(1.0)
            }
            // Two bytes for one, with a space before.
            "ByteLevel" => 3.0,
            // The most that Unicode's Standard Annex 15 tells.
            "NFKC" | "NFKD" => return self.add_form(11.0),
            "NFC" | "NFD" => return self.add_form(3.0),
            // U+0130.
            "Lowercase" => return self.add_form(1.5),
            "BertNormalizer" => {
                // Spaces around each Chinese character, whenever it is met.
                self.times *= 5.0 / 3.0;
                return self.add_form(3.0);
            }
            _ => return,
        };
        *self = Growth { times: self.times * times, forms: 1.0 };
    }

    fn add_form(&mut self, most: f64) {
        let forms = self.forms.max(most);
        *self = Growth { times: self.times * forms / self.forms, forms };
    }
}
