//! sha256 of files, arrays and samples.

use std::fmt;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{Result, TransferError};

/// A sha256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha(pub [u8; 32]);

impl Sha {
    /// Of the concatenated parts.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// Of texts, each preceded by its length, so that no two lists of texts collide.
    pub fn of_texts(texts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for text in texts {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        Self(hash.finalize().into())
    }

    /// Of named arrays: keys, shapes and values, in order.
    pub fn of_params(params: &offshoot_nn::Params) -> Self {
        let mut hash = Sha256::new();
        for (key, array) in params {
            hash.update((key.len() as u64).to_le_bytes());
            hash.update(key.as_bytes());
            hash.update((array.shape.len() as u64).to_le_bytes());
            array.shape.iter().for_each(|&side| hash.update((side as u64).to_le_bytes()));
            array.data.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
        Self(hash.finalize().into())
    }

    /// Of a file, read in blocks.
    pub fn of_file(path: &Path) -> Result<Self> {
        let read = || -> std::io::Result<Self> {
            let mut file = std::fs::File::open(path)?;
            let mut hash = Sha256::new();
            let mut block = vec![0; 1 << 16];
            loop {
                match file.read(&mut block)? {
                    0 => return Ok(Self(hash.finalize().into())),
                    n => hash.update(&block[..n]),
                }
            }
        };
        read().map_err(|e| TransferError::io(path, e))
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digest() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Sha::of(&[b"a", b"bc"]).to_string(), expected);
    }

    #[test]
    fn the_border_between_texts_counts() {
        assert_ne!(Sha::of_texts(&["ab", "c"]), Sha::of_texts(&["a", "bc"]));
    }
}
