//! Bits of an entropy-coded segment, with its stuffed zeros and restart markers.

use super::{Attempt, corrupt, huffman::Table, truncated};

/// Reads bits from the most significant on.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
    /// The next bits, at the top.
    buffer: u64,
    /// How many of them are filled.
    filled: u32,
    /// How many bits behind the segment's end were made up.
    made_up: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], position: usize) -> Bits<'a> {
        Bits { bytes, position, buffer: 0, filled: 0, made_up: 0 }
    }

    /// Where the bytes that were not looked at yet begin; at most at the segment's end.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// At least 48 bits are filled afterwards; zeros follow the segment's end.
    #[inline(always)]
    fn refill(&mut self) {
        if self.filled >= 48 {
            return;
        }
        let next = self.bytes.get(self.position..self.position + 8);
        if let Some(&[a, b, c, d, e, f, g, h]) = next {
            let word = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            // A byte of 0xff is a zero in the complement; this finds one with a known trick.
            let inverse = !word;
            let has_ff = inverse.wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080;
            if has_ff == 0 {
                self.buffer |= word >> self.filled;
                let taken = (64 - self.filled) / 8;
                self.position += taken as usize;
                self.filled += taken * 8;
                // Bits of a byte that was not taken must not stay in the buffer.
                if self.filled < 64 {
                    self.buffer &= !(u64::MAX >> self.filled);
                }
                return;
            }
        }
        self.refill_slowly();
    }

    #[cold]
    fn refill_slowly(&mut self) {
        while self.filled <= 56 {
            let byte = match self.bytes.get(self.position..) {
                Some([0xff, 0x00, ..]) => {
                    self.position += 2;
                    0xff
                }
                // A marker, or the file's end.
                Some([0xff, ..] | []) | None => {
                    self.made_up += 8;
                    0
                }
                Some([byte, ..]) => {
                    self.position += 1;
                    *byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.filled);
            self.filled += 8;
        }
    }

    /// Fails if bits were read that are not there.
    #[inline(always)]
    pub(super) fn check(&self) -> Attempt<()> {
        if self.made_up > self.filled {
            return Err(self.overrun());
        }
        Ok(())
    }

    #[cold]
    fn overrun(&self) -> super::Failure {
        match self.bytes.get(self.position..) {
            Some([0xff, _, ..]) => corrupt("coded data ends before its part of the picture"),
            _ => truncated(),
        }
    }

    #[inline(always)]
    fn drop_bits(&mut self, n: u32) {
        self.buffer <<= n;
        self.filled -= n;
    }

    /// The next Huffman-coded symbol; 32 more bits can be read without a refill.
    #[inline(always)]
    pub(super) fn symbol(&mut self, table: &Table) -> Attempt<u8> {
        self.refill();
        match table.find((self.buffer >> 48) as u32) {
            Some((length, symbol)) => {
                self.drop_bits(length);
                Ok(symbol)
            }
            None => {
                self.check()?;
                Err(corrupt("an undefined Huffman code"))
            }
        }
    }

    /// `n` ≤ 16 bits behind a symbol, as the signed value that they stand for (T.81, F.2.2.1).
    #[inline(always)]
    pub(super) fn signed(&mut self, n: u32) -> i32 {
        let value = self.following(n) as i32;
        // A leading zero means a negative value.
        if n > 0 && value < 1 << (n - 1) { value - (1 << n) + 1 } else { value }
    }

    /// `n` ≤ 16 bits behind a symbol.
    #[inline(always)]
    pub(super) fn following(&mut self, n: u32) -> u32 {
        if n == 0 {
            return 0;
        }
        let value = (self.buffer >> (64 - n)) as u32;
        self.drop_bits(n);
        value
    }

    /// One bit, anywhere.
    #[inline(always)]
    pub(super) fn bit(&mut self) -> bool {
        self.refill();
        self.following(1) == 1
    }

    /// Drops the rest of this segment and goes behind the restart marker.
    pub(super) fn restart(&mut self) -> Attempt<()> {
        loop {
            match self.bytes.get(self.position..) {
                Some([0xff, 0xd0..=0xd7, ..]) => break,
                Some([0xff, 0x00, ..]) => self.position += 2,
                Some([0xff, 0xff, ..]) => self.position += 1,
                Some([0xff, _, ..]) => return Err(corrupt("a restart marker is missing")),
                Some([_, _, ..]) => self.position += 1,
                _ => return Err(truncated()),
            }
        }
        *self = Bits::new(self.bytes, self.position + 2);
        Ok(())
    }
}
