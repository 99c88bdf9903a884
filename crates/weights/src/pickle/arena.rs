//! Values of a pickle, addressed by handles.

use super::globals::Global;
use crate::dtype::Dtype;

/// Place of a value in the [`Arena`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handle(u32);

/// Bytes that live on somewhere else: another record of the archive or a later part of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Storage {
    pub(crate) key: String,
    pub(crate) dtype: Dtype,
    /// Values in the whole storage.
    pub(crate) numel: u64,
    /// First value and number of values, where only a part is meant.
    pub(crate) view: Option<(u64, u64)>,
}

/// A strided view of a storage. Offset and strides count values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tensor {
    pub(crate) storage: Storage,
    pub(crate) offset: u64,
    pub(crate) shape: Vec<u64>,
    pub(crate) strides: Vec<u64>,
}

/// A plain value.
#[derive(Debug)]
pub(crate) enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// An integer that `i64` cannot hold: little-endian two's complement.
    Long(Box<[u8]>),
    Float,
    Text(Box<str>),
    /// Contents are of no use here and not kept.
    Bytes,
    Tuple(Vec<Handle>),
    /// Lists and sets.
    List(Vec<Handle>),
    /// Pairs in order of arrival; the last of equal keys counts.
    Dict(Vec<(Handle, Handle)>),
    Global(Global),
    Storage(Box<Storage>),
    Tensor(Box<Tensor>),
    /// A persistent id without a storage in it: the tar form numbers its tensors.
    Reference(Box<str>),
}

impl Node {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::Long(_) => "an integer",
            Self::Float => "a float",
            Self::Text(_) => "a string",
            Self::Bytes => "bytes",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dictionary",
            Self::Global(_) => "a name",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
            Self::Reference(_) => "a reference",
        }
    }
}

/// All values of a pickle.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    nodes: Vec<Node>,
}

impl Arena {
    /// The caller's budget keeps the number of nodes far below 2³².
    pub(super) fn add(&mut self, node: Node) -> Handle {
        let handle = Handle(self.nodes.len() as u32);
        self.nodes.push(node);
        handle
    }

    pub(crate) fn get(&self, handle: Handle) -> &Node {
        &self.nodes[handle.0 as usize]
    }

    pub(super) fn get_mut(&mut self, handle: Handle) -> &mut Node {
        &mut self.nodes[handle.0 as usize]
    }

    pub(crate) fn text(&self, handle: Handle) -> Option<&str> {
        match self.get(handle) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A size or an offset: an integer of at least zero.
    pub(crate) fn size(&self, handle: Handle) -> Option<u64> {
        match self.get(handle) {
            Node::Int(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    pub(crate) fn sequence(&self, handle: Handle) -> Option<&[Handle]> {
        match self.get(handle) {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// The number format of a storage class such as `torch.FloatStorage`.
    pub(crate) fn storage_dtype(&self, handle: Handle) -> Option<Dtype> {
        match self.get(handle) {
            Node::Global(Global::Storage(dtype)) => Some(*dtype),
            _ => None,
        }
    }

    /// Every storage that the pickle named.
    pub(crate) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Storage(storage) => Some(&**storage),
            _ => None,
        })
    }
}
