//! A chunk: up to a thousand feature rows in one immutable, checksummed file.
//!
//! ```text
//! magic 16 | rows u64 | dim u64 | scope 32 | sha256 of the head and the keys 32
//! keys   [rows, 32]        sha256 of each sample
//! values [rows, dim] f32   little-endian
//! sha256 of the values 32
//! ```

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use offshoot_nn::mapped::Mapped;
use sha2::{Digest, Sha256};

use crate::digest::Sha;
use crate::{Result, durable};

const MAGIC: &[u8; 16] = b"offshoot rows 1\n";
const HEAD: usize = 16 + 8 + 8 + 32 + 32;
/// File extension of chunks.
pub const EXTENSION: &str = "rows";

/// A chunk whose head and keys are known to be intact.
#[derive(Debug)]
pub struct Chunk {
    /// Where it is.
    pub path: PathBuf,
    /// sha256 of each row's sample.
    pub keys: Vec<Sha>,
    dim: usize,
    // Keeps the file's content alive while another process evicts its name. Untouched pages of a
    // map cost no memory.
    map: Mapped,
}

/// Why a chunk cannot be used.
#[derive(Debug)]
pub enum Refusal {
    /// The file does not hold what its checksums promise.
    Damaged,
    /// The file could not be opened: gone, or not readable.
    Unreadable,
}

impl Chunk {
    /// Writes `keys.len()` rows of `dim` values as one file in `dir`, named after its content.
    pub fn write(dir: &Path, scope: Sha, dim: usize, keys: &[Sha], values: &[f32]) -> Result<Self> {
        debug_assert_eq!(values.len(), keys.len() * dim);
        let head = head(scope, keys.len(), dim);
        let key_bytes: Vec<u8> = keys.iter().flat_map(|k| k.0).collect();
        let head_sum = Sha::of(&[&head, &key_bytes]);
        let mut sum = Sha256::new();
        let mut block = Vec::with_capacity(4 * dim);
        let path = dir.join(format!("{}.{EXTENSION}", &head_sum.to_string()[..32]));
        let expected = HEAD + key_bytes.len() + 4 * values.len() + 32;
        durable::write_with(&path, expected as u64, |w| {
            w.write_all(&head)?;
            w.write_all(&head_sum.0)?;
            w.write_all(&key_bytes)?;
            for row in values.chunks(dim.max(1)) {
                block.clear();
                block.extend(row.iter().flat_map(|v| v.to_le_bytes()));
                sum.update(&block);
                w.write_all(&block)?;
            }
            w.write_all(&sum.finalize())
        })?;
        let map = Mapped::open(&path).map_err(|e| crate::TransferError::io(&path, e))?;
        Ok(Self { path, keys: keys.to_vec(), dim, map })
    }

    /// Opens a chunk of `scope` and checks its head and keys, but not yet its values.
    pub fn open(path: &Path, scope: Sha, dim: usize) -> std::result::Result<Self, Refusal> {
        let map = Mapped::open(path).map_err(|_| Refusal::Unreadable)?;
        let rows = map.get(16..24).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
        let rows = rows.and_then(|n| usize::try_from(n).ok()).ok_or(Refusal::Damaged)?;
        let keys_end = rows.checked_mul(32).and_then(|n| n.checked_add(HEAD));
        let values = rows.checked_mul(dim).and_then(|n| n.checked_mul(4));
        let end = keys_end.zip(values).and_then(|(k, v)| k.checked_add(v)?.checked_add(32));
        let (Some(keys_end), Some(end)) = (keys_end, end) else { return Err(Refusal::Damaged) };
        if map.len() != end || map[..HEAD - 32] != head(scope, rows, dim) {
            return Err(Refusal::Damaged);
        }
        let keys = &map[HEAD..keys_end];
        if Sha::of(&[&map[..HEAD - 32], keys]).0 != map[HEAD - 32..HEAD] {
            return Err(Refusal::Damaged);
        }
        let keys = keys.as_chunks::<32>().0.iter().map(|k| Sha(*k)).collect();
        Ok(Self { path: path.into(), keys, dim, map })
    }

    /// Whether the values still have their checksum. Reads the file instead of the map, so that
    /// checking a large cache does not fill this process's memory.
    pub fn verify(&self) -> bool {
        let check = || -> io::Result<bool> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.values_start() as u64))?;
            let mut left = 4 * self.keys.len() * self.dim;
            let mut sum = Sha256::new();
            let mut block = vec![0; 1 << 16];
            while left > 0 {
                let n = left.min(block.len());
                file.read_exact(&mut block[..n])?;
                sum.update(&block[..n]);
                left -= n;
            }
            let mut expected = [0; 32];
            file.read_exact(&mut expected)?;
            Ok(<[u8; 32]>::from(sum.finalize()) == expected)
        };
        check().unwrap_or(false)
    }

    /// Copies rows to `(row, destination)` pairs. The pages read are given back afterwards.
    pub fn copy<'a>(&self, wanted: impl IntoIterator<Item = (usize, &'a mut [f32])>) {
        // A second, short-lived map bounds resident memory; the long-lived one is the fallback for
        // a file that another process has evicted meanwhile.
        let fresh = Mapped::open(&self.path).ok().filter(|m| m.len() == self.map.len());
        let bytes: &[u8] = fresh.as_deref().unwrap_or(&self.map);
        let start = self.values_start();
        for (row, out) in wanted {
            let at = start + 4 * row * self.dim;
            let row = bytes[at..at + 4 * self.dim].as_chunks::<4>().0;
            for (value, bytes) in out.iter_mut().zip(row) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
    }

    /// Marks the file as used now, which is what eviction goes by.
    pub fn touch(&self) {
        // A cache that cannot be written is still good for reading, so failure is no error.
        if let Ok(file) = File::options().append(true).open(&self.path) {
            let _ = file.set_modified(std::time::SystemTime::now());
        }
    }

    fn values_start(&self) -> usize {
        HEAD + 32 * self.keys.len()
    }
}

fn head(scope: Sha, rows: usize, dim: usize) -> [u8; HEAD - 32] {
    let mut head = [0; HEAD - 32];
    head[..16].copy_from_slice(MAGIC);
    head[16..24].copy_from_slice(&(rows as u64).to_le_bytes());
    head[24..32].copy_from_slice(&(dim as u64).to_le_bytes());
    head[32..].copy_from_slice(&scope.0);
    head
}

impl Chunk {
    /// Whether the file is a whole chunk of `scope`, values included.
    pub fn is_intact(path: &Path, scope: Sha) -> bool {
        let mut dim = [0; 8];
        let read = File::open(path).and_then(|mut f| {
            f.seek(SeekFrom::Start(24))?;
            f.read_exact(&mut dim)
        });
        let dim = usize::try_from(u64::from_le_bytes(dim));
        let (Ok(()), Ok(dim)) = (read, dim) else { return false };
        Self::open(path, scope, dim).is_ok_and(|chunk| chunk.verify())
    }
}
