//! The tile product: up to 2×2 tiles of sums over a list of blocks of 32 values each.

use std::arch::asm;

use super::{Multiplier, vectors};

/// Rows and columns of a tile of sums.
pub(super) const SIDE: usize = 16;

/// Values that one product sums over.
pub(super) const DEPTH: usize = 32;

/// Bytes of a tile.
pub(super) const TILE_BYTES: usize = 1024;

/// Operands of a product.
pub(super) struct Product {
    /// High parts of the left operand: a tile is 16 rows of 64 bytes.
    pub left: *const u8,
    /// Bytes from a row to the next, and from a tile to the next.
    pub left_row: usize,
    pub left_tile: usize,
    /// Bytes from the high to the next lower parts.
    pub low: usize,
    /// For each block of 32 values, bytes from `left` to its rows.
    pub offsets: *const usize,
    /// Blocks, at least one.
    pub blocks: usize,
    /// For each block, the high parts of the tiles side by side, then the lower parts.
    pub right: *const u8,
    /// The sums, and bytes from a row to the next; tiles lie as in a matrix.
    pub sums: *mut f32,
    pub sums_row: usize,
    /// Whether to add to the sums instead of replacing them.
    pub add: bool,
}

/// Multiplies one tile by another, or two where `tall` (rows of the left operand) or `wide` (columns of the
/// right one).
///
/// # Safety
/// The multiplier was made ready on this thread, and every address that `p` describes is valid.
pub(super) unsafe fn multiply<const PARTS: usize>(
    multiplier: Multiplier,
    p: &Product,
    tall: bool,
    wide: bool,
) {
    // SAFETY: passed on.
    unsafe {
        match (multiplier, tall, wide) {
            (Multiplier::Tiles, true, true) => two_by_two::<PARTS>(p),
            (Multiplier::Tiles, true, false) => two_by_one::<PARTS>(p),
            (Multiplier::Tiles, false, true) => one_by_two::<PARTS>(p),
            (Multiplier::Tiles, false, false) => one_by_one::<PARTS>(p),
            (Multiplier::Vectors, _, true) => vectors::two_wide::<PARTS>(p, tall),
            (Multiplier::Vectors, _, false) => vectors::one_wide::<PARTS>(p, tall),
        }
    }
}

/// One product for each pair of parts that matters, the small ones first: all pairs of which the
/// parts' places (0 high, 1, 2 low) sum to less than their number.
macro_rules! product {
    ($name:ident, zero: [$($zero:literal)*], load: [$($load:literal)*], left: [$($a:literal)*],
     right: [$($b:literal)*], times: [$($times:literal)*], store: [$($store:literal)*],
     columns: $columns:literal) => {
        /// # Safety
        /// Tiles are configured on this thread and every address that `p` describes is valid.
        unsafe fn $name<const PARTS: usize>(p: &Product) {
            // SAFETY: reads rows of 64 bytes at `left + offset` (and `low` beyond) and tiles at
            // `right`, reads and writes rows of `sums`: valid by the caller's word. Tile registers
            // are used by nothing else in this program, so they keep their values in between.
            unsafe {
                if p.add {
                    product!(@sums p, $($load)*);
                } else {
                    asm!($($zero,)* options(nomem, nostack, preserves_flags));
                }
                match PARTS {
                    1 => product!(@multiply p, $columns, [$($a)* $($b)* $($times)*
                        "add {right}, {half}"
                        "add {p}, {low}"]),
                    2 => product!(@multiply p, $columns, [$($a)*
                        "add {right}, {half}" $($b)* $($times)*
                        "sub {right}, {half}" $($b)* $($times)*
                        "add {p}, {low}" $($a)* $($times)*
                        "add {right}, 2 * {half}"]),
                    _ => product!(@multiply p, $columns, [$($a)*
                        "add {right}, 2 * {half}" $($b)* $($times)*
                        "sub {right}, {half}" $($b)* $($times)*
                        "add {p}, {low}" $($a)* $($times)*
                        "sub {right}, {half}" $($b)* $($times)*
                        "sub {p}, {low}" $($a)* $($times)*
                        "add {p}, {low}"
                        "add {p}, {low}" $($a)* $($times)*
                        "add {right}, 3 * {half}"]),
                }
                product!(@sums p, $($store)*);
            }
        }
    };
    (@sums $p:ident, $($line:literal)*) => {
        asm!(
            $($line,)*
            "/* {below} */",
            sums = in(reg) $p.sums,
            below = in(reg) $p.sums.cast::<u8>().wrapping_add(SIDE * $p.sums_row),
            row = in(reg) $p.sums_row,
            options(nostack, preserves_flags),
        )
    };
    (@multiply $p:ident, $columns:literal, [$($block:literal)*]) => {
        asm!(
            "2:",
            "mov {p}, [{offsets}]",
            "add {p}, {left}",
            $($block,)*
            "add {offsets}, 8",
            "dec {blocks}",
            "jnz 2b",
            // One-tile shapes leave these operands unused, which the assembler must not mind.
            "/* {q} {tile} */",
            p = out(reg) _,
            q = out(reg) _,
            offsets = inout(reg) $p.offsets => _,
            left = in(reg) $p.left,
            tile = in(reg) $p.left_tile,
            low = in(reg) $p.low,
            right = inout(reg) $p.right => _,
            half = const $columns * TILE_BYTES,
            blocks = inout(reg) $p.blocks => _,
            left_row = in(reg) $p.left_row,
            row = in(reg) 64usize,
            options(nostack, readonly),
        )
    };
}

product!(two_by_two,
    zero: ["tilezero tmm0" "tilezero tmm1" "tilezero tmm2" "tilezero tmm3"],
    load: ["tileloadd tmm0, [{sums} + {row}]" "tileloadd tmm1, [{sums} + {row} + 64]"
           "tileloadd tmm2, [{below} + {row}]" "tileloadd tmm3, [{below} + {row} + 64]"],
    left: ["lea {q}, [{p} + {tile}]"
           "tileloadd tmm4, [{p} + {left_row}]" "tileloadd tmm5, [{q} + {left_row}]"],
    right: ["tileloadd tmm6, [{right} + {row}]" "tileloadd tmm7, [{right} + {row} + 1024]"],
    times: ["tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
            "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"],
    store: ["tilestored [{sums} + {row}], tmm0" "tilestored [{sums} + {row} + 64], tmm1"
            "tilestored [{below} + {row}], tmm2" "tilestored [{below} + {row} + 64], tmm3"],
    columns: 2);
product!(two_by_one,
    zero: ["tilezero tmm0" "tilezero tmm2"],
    load: ["tileloadd tmm0, [{sums} + {row}]" "tileloadd tmm2, [{below} + {row}]"],
    left: ["lea {q}, [{p} + {tile}]"
           "tileloadd tmm4, [{p} + {left_row}]" "tileloadd tmm5, [{q} + {left_row}]"],
    right: ["tileloadd tmm6, [{right} + {row}]"],
    times: ["tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm2, tmm5, tmm6"],
    store: ["tilestored [{sums} + {row}], tmm0" "tilestored [{below} + {row}], tmm2"],
    columns: 1);
product!(one_by_two,
    zero: ["tilezero tmm0" "tilezero tmm1"],
    load: ["tileloadd tmm0, [{sums} + {row}]" "tileloadd tmm1, [{sums} + {row} + 64]"],
    left: ["tileloadd tmm4, [{p} + {left_row}]"],
    right: ["tileloadd tmm6, [{right} + {row}]" "tileloadd tmm7, [{right} + {row} + 1024]"],
    times: ["tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"],
    store: ["tilestored [{sums} + {row}], tmm0" "tilestored [{sums} + {row} + 64], tmm1"],
    columns: 2);
product!(one_by_one,
    zero: ["tilezero tmm0"],
    load: ["tileloadd tmm0, [{sums} + {row}]"],
    left: ["tileloadd tmm4, [{p} + {left_row}]"],
    right: ["tileloadd tmm6, [{right} + {row}]"],
    times: ["tdpbf16ps tmm0, tmm4, tmm6"],
    store: ["tilestored [{sums} + {row}], tmm0"],
    columns: 1);
