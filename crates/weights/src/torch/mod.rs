//! PyTorch's three file formats: the pickle says which tensors there are, storages hold the values.

pub(crate) mod legacy;
mod state_dict;
pub(crate) mod tar;
mod tensor;
pub(crate) mod zip;

use std::collections::BTreeMap;

/// Where a storage's bytes are.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In the file: offset and length.
    File(u64, u64),
    /// Unpacked.
    Memory(Vec<u8>),
}

/// Places by storage key.
pub(super) type Places = BTreeMap<String, Place>;
