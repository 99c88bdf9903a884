//! Which methods can be asked for.

use offshoot_stats::adapters;

use super::network::{SHORT, WEIGHTS};
use crate::{Result, TransferError, align, source_free};

/// Leaves the method to the choice.
pub const AUTO: &str = "auto";
/// What every method is compared with.
pub const SOURCE_ONLY: &str = "source-only";

/// A method in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// The word that a user types.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
}

/// Every method but `auto`, in alphabetical order.
pub fn methods() -> Vec<Listed> {
    let shallow = adapters::all().iter().map(|a| Listed { name: a.name, summary: a.summary });
    let networks = align::all().iter().map(|t| Listed { name: t.name, summary: t.summary });
    let alone = source_free::all().iter().map(|m| Listed { name: m.name, summary: m.summary });
    let mut all: Vec<Listed> = shallow.chain(networks).chain(alone).collect();
    all.sort_by_key(|method| method.name);
    all
}

/// Whether the network learns.
pub fn tunes(name: &str) -> bool {
    name != AUTO && adapters::find(name).is_none()
}

/// What `auto` may try: methods on features as they are, and with a time some that tune the network.
pub fn tried(has_time: bool) -> Vec<&'static str> {
    let shallow = adapters::all().iter().map(|adapter| adapter.name);
    let networks = SHORT.into_iter().chain(WEIGHTS).filter(|_| has_time);
    shallow.chain(networks).collect()
}

/// Refuses a method that does not exist.
pub fn check_method(name: &str) -> Result<()> {
    let known = methods();
    if name == AUTO || known.iter().any(|method| method.name == name) {
        return Ok(());
    }
    // Several terms, or options in brackets.
    if name.contains([',', '(']) {
        return name.parse::<align::Spec>().map(drop);
    }
    let names: Vec<&str> = known.iter().map(|method| method.name).collect();
    Err(TransferError::usage(
        format!("unknown method `{name}`"),
        format!("there are {AUTO}, {}", names.join(", ")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_auto_tries_can_be_asked_for_by_name() {
        assert!(tried(true).iter().all(|name| check_method(name).is_ok()));
        // Networks, by more than one weight, only within a time.
        let networks = tried(true).len() - tried(false).len();
        assert_eq!(networks, SHORT.len() + WEIGHTS.len());
        assert!(WEIGHTS.iter().all(|name| name.contains("weight=")));
    }
}
