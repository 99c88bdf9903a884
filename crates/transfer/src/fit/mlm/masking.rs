//! Which tokens are hidden, and what the encoder reads in their place.

use offshoot_nn::TextBatch;
use offshoot_random::generator;
use offshoot_tokens::{Encoded, Tokenizer};
use rand::RngExt;

use crate::{Result, TransferError};

/// Share of the tokens that are to be guessed; of these, so many read the mask and so many another word, the
/// rest stay (Devlin et al. 2018, arXiv:1810.04805, section 3.1).
const HIDDEN: f64 = 0.15;
const MASKED: f64 = 0.8;
const OTHERS: f64 = 0.1;

/// Tokens that say nothing of a text.
const SPECIAL: [&str; 10] =
    ["[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]", "<s>", "</s>", "<pad>", "<mask>", "<unk>"];

/// Hides tokens of one tokenizer.
pub struct Masking {
    mask: u32,
    special: Vec<u32>,
    words: u32,
}

/// Texts with hidden tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hidden {
    /// What the encoder reads.
    pub batch: TextBatch,
    /// Places of the tokens that are to be guessed among all of the batch.
    pub places: Vec<usize>,
    /// What stood there.
    pub targets: Vec<u32>,
}

impl Masking {
    /// For an encoder with a table of `words`.
    ///
    /// # Errors
    /// Wrong usage for a tokenizer that has no mask.
    pub fn new(tokenizer: &Tokenizer, words: usize) -> Result<Self> {
        let mask = ["[MASK]", "<mask>"].into_iter().find_map(|name| tokenizer.id(name));
        let mask = mask.filter(|id| (*id as usize) < words).ok_or_else(|| {
            TransferError::usage(
                "the encoder's tokenizer has no token `[MASK]` or `<mask>` to hide words behind",
                "leave --adapt-mlm out, or take a source of the BERT family",
            )
        })?;
        let special = SPECIAL.into_iter().filter_map(|name| tokenizer.id(name)).collect();
        Ok(Self { mask, special, words: words as u32 })
    }

    /// Hides tokens of these texts; draws are keyed by `seed`, `purpose`, `epoch` and each text's number.
    pub fn hide<'t>(
        &self,
        texts: impl Iterator<Item = (usize, &'t Encoded)>,
        seed: u64,
        purpose: &str,
        epoch: u64,
    ) -> Result<Hidden> {
        let mut hidden = Hidden::default();
        for (number, text) in texts {
            let mut draws = generator(seed, purpose, epoch, number as u64);
            let first = hidden.batch.tokens();
            let mut ids = text.ids.clone();
            for (at, id) in ids.iter_mut().enumerate() {
                if self.special.contains(id) || draws.random::<f64>() >= HIDDEN {
                    continue;
                }
                hidden.places.push(first + at);
                hidden.targets.push(*id);
                let how: f64 = draws.random();
                if how < MASKED {
                    *id = self.mask;
                } else if how < MASKED + OTHERS {
                    *id = draws.random_range(0..self.words);
                }
            }
            hidden.batch.push_masked(&ids, &text.types, &vec![true; ids.len()])?;
        }
        Ok(hidden)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_bert_and_draws_depend_on_nothing_else() {
        let masking = Masking { mask: 4, special: vec![2, 3, 4], words: 1000 };
        let text = |n: u32| {
            let ids: Vec<u32> = [2].into_iter().chain(10..10 + n).chain([3]).collect();
            Encoded { types: vec![0; ids.len()], ids, cut: false, left: 0 }
        };
        let texts: Vec<Encoded> = (0..200).map(|_| text(200)).collect();
        let hide = |range: std::ops::Range<usize>, epoch| {
            let some = range.map(|i| (i, &texts[i]));
            masking.hide(some, 7, "test", epoch).unwrap()
        };
        let all = hide(0..200, 0);
        let n = all.places.len() as f64;
        assert!((n / 40_000.0 - HIDDEN).abs() < 0.01, "{n}");
        let now = |place: &usize| all.batch.ids()[*place];
        let masked = all.places.iter().filter(|p| now(p) == 4).count() as f64;
        let same =
            all.places.iter().zip(&all.targets).filter(|(p, t)| now(p) == **t).count() as f64;
        assert!((masked / n - MASKED).abs() < 0.02, "{masked} of {n}");
        assert!((same / n - 0.1).abs() < 0.02, "{same} of {n}");
        assert!(all.targets.iter().all(|t| (10..210).contains(t)), "special tokens stay");
        // Of a text alone, the same tokens are hidden as in company; of another epoch, others.
        let alone = hide(3..4, 0);
        assert_eq!(alone.batch.ids(), &all.batch.ids()[3 * 202..4 * 202]);
        assert_ne!(alone, hide(3..4, 1));
    }
}
