//! An interpreter for pickles that builds plain values and never calls anything.
//!
//! It is our own because the readers of other crates either trust lengths or take the zip form only.
//!
//! A pickle is a program for a stack machine. Names of functions and classes in it (`GLOBAL`,
//! `STACK_GLOBAL`) become members of [`Global`], a closed list; every other name ends the reading
//! with an error that tells it. "Calling" (`REDUCE`) a listed name matches on that list. All opcodes
//! of protocols 0–5 are known. Values live in an arena and refer to each other by [`Handle`], so
//! nothing is recursive and sharing costs nothing; a budget bounds steps and memory together.

mod arena;
mod globals;
mod input;
mod interpret;
mod reduce;
mod scalar;

pub(crate) use arena::{Arena, Handle, Node, Storage, Tensor};
pub(crate) use input::Input;
pub(crate) use interpret::load;
