//! What the listed names mean: `REDUCE`, `BUILD` and persistent ids.

use super::globals::Global;
use super::interpret::Machine;
use super::{Handle, Node, Storage, Tensor};
use crate::Result;

/// PyTorch's own limit is 64; no layer has more than 6.
const MAX_RANK: usize = 16;

impl Machine<'_, '_> {
    /// The value that a call of a listed name stands for.
    pub(super) fn reduce(&mut self, callee: Handle, arguments: Handle) -> Result<Node> {
        let global = match self.arena.get(callee) {
            Node::Global(global) => *global,
            other => {
                let kind = other.kind();
                return Err(self.refuse(format!("a call of {kind}")));
            }
        };
        let Node::Tuple(arguments) = self.arena.get(arguments) else {
            return Err(self.refuse("arguments are not a tuple"));
        };
        let arguments = arguments.clone();
        self.charge(arguments.len() * size_of::<Handle>())?;
        match (global, &arguments[..]) {
            (Global::OrderedDict, []) => Ok(Node::Dict(Vec::new())),
            (Global::OrderedDict, &[pairs]) => self.ordered_dict(pairs),
            (Global::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                self.tensor(storage, offset, shape, strides)
            }
            (Global::RebuildParameter, &[tensor, ..]) => match self.arena.get(tensor) {
                Node::Tensor(tensor) => Ok(Node::Tensor(tensor.clone())),
                _ => Err(self.refuse("a parameter without a tensor")),
            },
            (Global::Size, &[items]) => match self.arena.sequence(items) {
                Some(items) => Ok(Node::Tuple(items.to_vec())),
                None => Err(self.refuse("a size that is not a tuple")),
            },
            _ => Err(self.refuse(format!("{global:?} with {} arguments", arguments.len()))),
        }
    }

    /// State of a dictionary is its attributes (`_metadata`), which nothing here needs.
    pub(super) fn build(&mut self, object: Handle, state: Handle) -> Result<()> {
        match (self.arena.get(object), self.arena.get(state)) {
            (Node::Dict(_), Node::Dict(_)) => Ok(()),
            (object, _) => {
                let kind = object.kind();
                Err(self.refuse(format!("BUILD would set the state of {kind}")))
            }
        }
    }

    /// `("storage", type, key, device, numel[, view])`, or the number of a tensor in the tar form.
    pub(super) fn persistent(&mut self, id: Handle) -> Result<Node> {
        let parts = match self.arena.get(id) {
            Node::Tuple(parts) => parts.clone(),
            Node::Int(number) => return Ok(Node::Reference(number.to_string().into())),
            Node::Text(text) => return Ok(Node::Reference(text.clone())),
            _ => return Err(self.refuse("a persistent id that is not a tuple")),
        };
        let [tag, kind, key, _device, numel, rest @ ..] = &parts[..] else {
            return Err(self.refuse("a persistent id that is not a storage"));
        };
        let is_storage = self.arena.text(*tag) == Some("storage");
        let dtype = match self.arena.get(*kind) {
            Node::Global(Global::Storage(dtype)) if is_storage => *dtype,
            _ => return Err(self.refuse("a persistent id that is not a storage")),
        };
        let key = match self.arena.get(*key) {
            Node::Text(key) => key.to_string(),
            Node::Int(key) => key.to_string(),
            _ => return Err(self.refuse("a storage without a key")),
        };
        let Some(numel) = self.arena.size(*numel) else {
            return Err(self.refuse("a storage without a size"));
        };
        let view = match rest {
            [] => None,
            [view] => self.view(*view, numel)?,
            _ => return Err(self.refuse("a persistent id that is not a storage")),
        };
        self.charge(size_of::<Storage>() + key.len())?;
        Ok(Node::Storage(Box::new(Storage { key, dtype, numel, view })))
    }

    /// `(key, offset, size)` of a part of a storage; legacy streams only.
    fn view(&self, view: Handle, numel: u64) -> Result<Option<(u64, u64)>> {
        if matches!(self.arena.get(view), Node::None) {
            return Ok(None);
        }
        let view = match self.arena.sequence(view) {
            Some(&[_, offset, size]) => self.arena.size(offset).zip(self.arena.size(size)),
            _ => None,
        };
        match view {
            Some((offset, size)) if offset.checked_add(size).is_some_and(|end| end <= numel) => {
                Ok(Some((offset, size)))
            }
            _ => Err(self.refuse("a view that leaves its storage")),
        }
    }

    fn ordered_dict(&mut self, pairs: Handle) -> Result<Node> {
        let Some(pairs) = self.arena.sequence(pairs) else {
            return Err(self.refuse("OrderedDict of something that is not a list"));
        };
        let all: Option<Vec<_>> = pairs
            .iter()
            .map(|&pair| match self.arena.sequence(pair) {
                Some(&[key, value]) => Some((key, value)),
                _ => None,
            })
            .collect();
        let all = all.ok_or_else(|| self.refuse("OrderedDict of something that is not pairs"))?;
        self.charge(all.len() * size_of::<(Handle, Handle)>())?;
        Ok(Node::Dict(all))
    }

    fn tensor(
        &mut self,
        storage: Handle,
        offset: Handle,
        shape: Handle,
        strides: Handle,
    ) -> Result<Node> {
        let Node::Storage(storage) = self.arena.get(storage) else {
            return Err(self.refuse("a tensor without a storage"));
        };
        let storage = (**storage).clone();
        let offset = self.arena.size(offset);
        let (Some(offset), Some(shape), Some(strides)) =
            (offset, self.sizes(shape), self.sizes(strides))
        else {
            return Err(self.refuse(format!(
                "offset, sizes and strides of a tensor must be whole, at least 0, and at most \
                 {MAX_RANK} dimensions"
            )));
        };
        if shape.len() != strides.len() {
            return Err(self.refuse(format!("{} sizes, {} strides", shape.len(), strides.len())));
        }
        self.charge(size_of::<Tensor>() + storage.key.len() + 16 * shape.len())?;
        Ok(Node::Tensor(Box::new(Tensor { storage, offset, shape, strides })))
    }

    fn sizes(&self, items: Handle) -> Option<Vec<u64>> {
        let items = self.arena.sequence(items).filter(|items| items.len() <= MAX_RANK)?;
        items.iter().map(|&item| self.arena.size(item)).collect()
    }
}
