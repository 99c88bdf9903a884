//! The stack machine.

use std::collections::BTreeMap;

use super::globals::Global;
use super::input::Input;
use super::scalar::{integer, unquote};
use super::{Arena, Handle, Node};
use crate::error::shown;
use crate::{Result, WeightsError};

/// Steps and memory together, in bytes: a step costs 8, a value its size.
const BUDGET: usize = 12 << 20;
const MAX_STACK: usize = 1 << 18;
/// Python writes integers of any length; seeds and hashes stay below this.
const MAX_INTEGER: usize = 256;

/// Reads one pickle and returns its value in `arena`.
pub(crate) fn load(input: &mut Input<'_>, arena: &mut Arena) -> Result<Handle> {
    input.start();
    let mut machine = Machine {
        arena,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        budget: BUDGET,
        input,
    };
    loop {
        let opcode = machine.input.byte()?;
        machine.charge(8)?;
        if opcode == b'.' {
            return machine.pop();
        }
        machine.step(opcode)?;
    }
}

pub(super) struct Machine<'m, 'r> {
    pub(super) arena: &'m mut Arena,
    stack: Vec<Handle>,
    /// Heights of the stack at which `MARK` was met.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Handle>,
    budget: usize,
    input: &'m mut Input<'r>,
}

impl Machine<'_, '_> {
    fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            // Constants.
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'K' => {
                let value = self.input.byte()?;
                self.push(Node::Int(value.into()))
            }
            b'M' => {
                let value = u16::from_le_bytes(self.input.array()?);
                self.push(Node::Int(value.into()))
            }
            b'J' => {
                let value = i32::from_le_bytes(self.input.array()?);
                self.push(Node::Int(value.into()))
            }
            b'I' | b'L' => self.decimal(opcode == b'I'),
            0x8a => {
                let len = self.len(1)?;
                self.long(len)
            }
            0x8b => {
                let len = self.len(4)?;
                self.long(len)
            }
            b'F' => {
                self.input.line()?;
                self.push(Node::Float)
            }
            b'G' => {
                self.input.array::<8>()?;
                self.push(Node::Float)
            }
            // Strings and bytes.
            b'S' => {
                let line = self.input.line()?;
                let quoted = unquote(&line).ok_or_else(|| self.input.refuse("unquoted string"))?;
                self.push_text(quoted)
            }
            b'V' => {
                let line = self.input.line()?;
                self.push_text(String::from_utf8_lossy(&line).into_owned())
            }
            b'T' => self.string(4),
            b'U' => self.string(1),
            b'X' => self.string(4),
            0x8c => self.string(1),
            0x8d => self.string(8),
            b'B' => self.raw(4),
            b'C' => self.raw(1),
            0x8e | 0x96 => self.raw(8),
            // Containers.
            b')' => self.push(Node::Tuple(Vec::new())),
            b']' | 0x8f => self.push(Node::List(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b'(' => {
                self.charge(8)?;
                self.marks.push(self.stack.len());
                Ok(())
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push_items(items, Node::Tuple)
            }
            b'l' | 0x91 => {
                let items = self.pop_mark()?;
                self.push_items(items, Node::List)
            }
            b'd' => {
                let items = self.pop_mark()?;
                self.push(Node::Dict(Vec::new()))?;
                self.extend_dict(items)
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0..opcode - 0x84 {
                    items.insert(0, self.pop()?);
                }
                self.push_items(items, Node::Tuple)
            }
            b'a' => {
                let item = self.pop()?;
                self.extend_list(vec![item])
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.extend_list(items)
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend_dict(vec![key, value])
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.extend_dict(items)
            }
            // Stack and memo.
            b'0' => {
                // Python lets POP remove a mark as well.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                    return Ok(());
                }
                self.pop().map(drop)
            }
            b'1' => self.pop_mark().map(drop),
            b'2' => {
                let top = self.top()?;
                self.push_handle(top)
            }
            b'p' => {
                let id = self.memo_line()?;
                self.remember(id)
            }
            b'q' => {
                let id = self.input.byte()?;
                self.remember(id.into())
            }
            b'r' => {
                let id = u32::from_le_bytes(self.input.array()?);
                self.remember(id)
            }
            0x94 => self.remember(self.memo.len() as u32),
            b'g' => {
                let id = self.memo_line()?;
                self.recall(id)
            }
            b'h' => {
                let id = self.input.byte()?;
                self.recall(id.into())
            }
            b'j' => {
                let id = u32::from_le_bytes(self.input.array()?);
                self.recall(id)
            }
            // Names and what is done with them.
            b'c' => {
                let (module, name) = (self.text_line()?, self.text_line()?);
                self.global(&module, &name)
            }
            0x93 => {
                let name = self.pop()?;
                let module = self.pop()?;
                match (self.arena.text(module), self.arena.text(name)) {
                    (Some(module), Some(name)) => {
                        let (module, name) = (module.to_owned(), name.to_owned());
                        self.global(&module, &name)
                    }
                    _ => Err(self.refuse("a name must be two strings")),
                }
            }
            b'R' => {
                let arguments = self.pop()?;
                let callee = self.pop()?;
                let node = self.reduce(callee, arguments)?;
                self.push(node)
            }
            b'b' => {
                let state = self.pop()?;
                let object = self.top()?;
                self.build(object, state)
            }
            b'Q' => {
                let id = self.pop()?;
                let node = self.persistent(id)?;
                self.push(node)
            }
            b'P' => {
                let id = self.text_line()?;
                self.charge(id.len())?;
                self.push(Node::Reference(id.into()))
            }
            b'i' => {
                let (module, name) = (self.text_line()?, self.text_line()?);
                self.global(&module, &name)?;
                Err(self.refuse(format!("object of `{}.{}`", shown(&module), shown(&name))))
            }
            b'o' => Err(self.refuse("OBJ would create an object")),
            0x81 => Err(self.refuse("NEWOBJ would create an object")),
            0x92 => Err(self.refuse("NEWOBJ_EX would create an object")),
            0x82..=0x84 => Err(self.refuse("an extension code would import a name")),
            0x97 | 0x98 => Err(self.refuse("out-of-band buffers do not belong in a file")),
            // Frames only help readers that read ahead.
            0x95 => self.input.array::<8>().map(drop),
            0x80 => match self.input.byte()? {
                0..=5 => Ok(()),
                version => Err(self.refuse(format!("pickle protocol {version}, at most 5"))),
            },
            _ => Err(self.refuse(format!("no opcode 0x{opcode:02x}"))),
        }
    }

    pub(super) fn refuse(&self, detail: impl std::fmt::Display) -> WeightsError {
        self.input.refuse(format!("{detail}; refused, nothing in a file is executed"))
    }

    pub(super) fn charge(&mut self, bytes: usize) -> Result<()> {
        self.budget = self
            .budget
            .checked_sub(bytes)
            .ok_or_else(|| self.input.refuse("more values than a checkpoint has"))?;
        Ok(())
    }

    fn push(&mut self, node: Node) -> Result<()> {
        self.charge(size_of::<Node>())?;
        let handle = self.arena.add(node);
        self.push_handle(handle)
    }

    fn push_handle(&mut self, handle: Handle) -> Result<()> {
        if self.stack.len() == MAX_STACK {
            return Err(self.input.refuse(format!("more than {MAX_STACK} values on the stack")));
        }
        self.stack.push(handle);
        Ok(())
    }

    fn push_text(&mut self, text: String) -> Result<()> {
        self.charge(text.len())?;
        self.push(Node::Text(text.into_boxed_str()))
    }

    fn push_items(&mut self, items: Vec<Handle>, node: fn(Vec<Handle>) -> Node) -> Result<()> {
        self.charge(items.len() * size_of::<Handle>())?;
        self.push(node(items))
    }

    /// Values above the innermost mark belong to it; those below are out of reach until it is gone.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Handle> {
        match self.stack.last() {
            Some(top) if self.stack.len() > self.floor() => Ok(*top),
            _ => Err(self.input.refuse("the stack is empty")),
        }
    }

    fn pop(&mut self) -> Result<Handle> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_mark(&mut self) -> Result<Vec<Handle>> {
        let mark = self.marks.pop().ok_or_else(|| self.input.refuse("no mark on the stack"))?;
        Ok(self.stack.split_off(mark))
    }

    fn extend_list(&mut self, items: Vec<Handle>) -> Result<()> {
        self.charge(2 * items.len() * size_of::<Handle>())?;
        let list = self.top()?;
        match self.arena.get_mut(list) {
            Node::List(all) => {
                all.extend(items);
                Ok(())
            }
            other => {
                let kind = other.kind();
                Err(self.refuse(format!("{kind} is extended like a list")))
            }
        }
    }

    fn extend_dict(&mut self, items: Vec<Handle>) -> Result<()> {
        self.charge(2 * items.len() * size_of::<Handle>())?;
        let dict = self.top()?;
        let (pairs, odd) = items.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(self.input.refuse("a key without a value"));
        }
        match self.arena.get_mut(dict) {
            Node::Dict(all) => {
                all.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            other => {
                let kind = other.kind();
                Err(self.refuse(format!("{kind} is extended like a dictionary")))
            }
        }
    }

    fn remember(&mut self, id: u32) -> Result<()> {
        self.charge(64)?;
        let top = self.top()?;
        self.memo.insert(id, top);
        Ok(())
    }

    fn recall(&mut self, id: u32) -> Result<()> {
        match self.memo.get(&id) {
            Some(&handle) => self.push_handle(handle),
            None => Err(self.input.refuse(format!("nothing was remembered as {id}"))),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        match Global::find(module, name) {
            Some(global) => self.push(Node::Global(global)),
            None => {
                let (module, name) = (shown(module), shown(name));
                Err(self.refuse(format!("`{module}.{name}` is not part of a plain checkpoint")))
            }
        }
    }

    /// A little-endian length of 1, 4 or 8 bytes.
    fn len(&mut self, width: usize) -> Result<u64> {
        Ok(match width {
            1 => self.input.byte()?.into(),
            4 => u32::from_le_bytes(self.input.array()?).into(),
            _ => u64::from_le_bytes(self.input.array()?),
        })
    }

    fn string(&mut self, width: usize) -> Result<()> {
        let len = self.len(width)?;
        // Charged before it is read: a length is only a promise.
        self.charge(usize::try_from(len).unwrap_or(usize::MAX))?;
        let bytes = self.input.bytes(len)?;
        // Python 2 wrote text as bytes, mostly ASCII.
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|e| e.as_bytes().iter().map(|&b| char::from(b)).collect());
        self.push(Node::Text(text.into_boxed_str()))
    }

    fn raw(&mut self, width: usize) -> Result<()> {
        let len = self.len(width)?;
        self.charge(usize::try_from(len).unwrap_or(usize::MAX))?;
        self.input.bytes(len)?;
        self.push(Node::Bytes)
    }

    fn long(&mut self, len: u64) -> Result<()> {
        if len > MAX_INTEGER as u64 {
            return Err(self.input.refuse(format!("integer of {len} bytes")));
        }
        let bytes = self.input.bytes(len)?;
        self.charge(bytes.len())?;
        self.push(integer(bytes))
    }

    /// `INT` and `LONG` of protocol 0; `I00` and `I01` are truth values.
    fn decimal(&mut self, truth: bool) -> Result<()> {
        let line = self.text_line()?;
        let digits = line.strip_suffix('L').unwrap_or(&line);
        match digits {
            "00" if truth => self.push(Node::Bool(false)),
            "01" if truth => self.push(Node::Bool(true)),
            _ => match digits.parse::<i128>() {
                Ok(value) => self.push(integer(value.to_le_bytes().to_vec())),
                Err(_) => Err(self.input.refuse(format!("`{}` is no integer", shown(digits)))),
            },
        }
    }

    fn text_line(&mut self) -> Result<String> {
        let line = self.input.line()?;
        String::from_utf8(line).map_err(|_| self.input.refuse("text that is not UTF-8"))
    }

    fn memo_line(&mut self) -> Result<u32> {
        let line = self.text_line()?;
        line.parse().map_err(|_| self.input.refuse("memo number expected"))
    }
}
