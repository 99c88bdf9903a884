//! Huffman codes (T.81, annexes C and F.2.2.3).

use super::{Attempt, corrupt};

/// Codes of up to this many bits are found in one look-up.
const LOOK_AHEAD: u32 = 9;

/// A decoding table.
pub(super) struct Table {
    /// By the next [`LOOK_AHEAD`] bits: `length << 8 | symbol`, or 0 for a longer code.
    quick: Box<[u16; 1 << LOOK_AHEAD]>,
    /// By length: the first code that is longer, aligned to 16 bits.
    limits: [u32; 17],
    /// By length: what is added to a code to give its symbol's index.
    offsets: [i32; 17],
    symbols: Box<[u8]>,
}

impl Table {
    /// `counts[i]` codes have `i + 1` bits.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Attempt<Table> {
        let mut table = Table {
            quick: Box::new([0; 1 << LOOK_AHEAD]),
            limits: [0; 17],
            offsets: [0; 17],
            symbols: symbols.into(),
        };
        let mut code = 0u32;
        let mut index = 0usize;
        for length in 1..=16u32 {
            table.offsets[length as usize] = index as i32 - code as i32;
            for _ in 0..counts[length as usize - 1] {
                if code >> length != 0 {
                    return Err(corrupt("a Huffman table with too many codes"));
                }
                if length <= LOOK_AHEAD {
                    let free = LOOK_AHEAD - length;
                    let first = (code << free) as usize;
                    let entry = (length as u16) << 8 | u16::from(symbols[index]);
                    table.quick[first..first + (1 << free)].fill(entry);
                }
                code += 1;
                index += 1;
            }
            table.limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Ok(table)
    }

    /// Length and symbol of the code that `next` (16 bits) begins with.
    #[inline(always)]
    pub(super) fn find(&self, next: u32) -> Option<(u32, u8)> {
        let entry = self.quick[(next >> (16 - LOOK_AHEAD)) as usize & ((1 << LOOK_AHEAD) - 1)];
        if entry != 0 {
            return Some((u32::from(entry >> 8), entry as u8));
        }
        self.find_long(next)
    }

    #[cold]
    fn find_long(&self, next: u32) -> Option<(u32, u8)> {
        let length = (LOOK_AHEAD + 1..=16).find(|&l| next < self.limits[l as usize])?;
        let index = (next >> (16 - length)) as i32 + self.offsets[length as usize];
        let symbol = self.symbols.get(usize::try_from(index).ok()?)?;
        Some((length, *symbol))
    }
}
