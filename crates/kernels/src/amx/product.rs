//! The tile product: up to 2×2 tiles of sums over a list of blocks of 32 values each.

use std::arch::asm;

/// Rows (pixels) and columns (channels) of a tile of sums.
pub(super) const SIDE: usize = 16;

/// Values that one product sums over.
pub(super) const DEPTH: usize = 32;

/// Bytes of a tile.
pub(super) const TILE_BYTES: usize = 1024;

/// Operands of a product.
pub(super) struct Product {
    /// High parts of the left operand: 64 bytes a row, 16 rows a tile, two tiles one after the
    /// other.
    pub left: *const u8,
    /// Bytes from the high to the next lower parts.
    pub low: usize,
    /// For each block of 32 values, bytes from `left` to its rows.
    pub offsets: *const usize,
    /// Blocks, at least one.
    pub blocks: usize,
    /// For each block, the high parts of 1 or 2 tiles, then the lower parts.
    pub right: *const u8,
    /// Where the sums go: rows of 32 values, of which each tile fills 16.
    pub sums: *mut f32,
}

/// Bytes of a row of sums.
const SUMS_ROW: usize = 2 * SIDE * 4;

/// One product for each pair of parts that matters, the small ones first: all pairs of which the
/// parts' places (0 high, 1, 2 low) sum to less than their number.
macro_rules! product {
    ($name:ident, zero: [$($zero:literal)*], left: [$($a:literal)*], right: [$($b:literal)*],
     times: [$($times:literal)*], store: [$($store:literal)*], columns: $columns:literal) => {
        /// # Safety
        /// Tiles are configured on this thread and every address that `p` describes is valid.
        pub(super) unsafe fn $name<const PARTS: usize>(p: &Product) {
            macro_rules! run {
                ($block:tt) => {
                    // SAFETY: reads rows of 64 bytes at `left + offset` (and `low` beyond) and
                    // tiles at `right`, writes rows of `sums`: valid by the caller's word. Tile
                    // registers are used by nothing else in this program.
                    unsafe { product!(@asm p, $columns, [$($zero)*], $block, [$($store)*]) }
                };
            }
            match PARTS {
                1 => run!([$($a)* $($b)* $($times)*
                    "add {right}, {half}"
                    "add {p}, {low}"]),
                2 => run!([$($a)*
                    "add {right}, {half}" $($b)* $($times)*
                    "sub {right}, {half}" $($b)* $($times)*
                    "add {p}, {low}" $($a)* $($times)*
                    "add {right}, 2 * {half}"]),
                _ => run!([$($a)*
                    "add {right}, 2 * {half}" $($b)* $($times)*
                    "sub {right}, {half}" $($b)* $($times)*
                    "add {p}, {low}" $($a)* $($times)*
                    "sub {right}, {half}" $($b)* $($times)*
                    "sub {p}, {low}" $($a)* $($times)*
                    "add {p}, {low}"
                    "add {p}, {low}" $($a)* $($times)*
                    "add {right}, 3 * {half}"]),
            }
        }
    };
    (@asm $p:ident, $columns:literal, [$($zero:literal)*], [$($block:literal)*],
     [$($store:literal)*]) => {
        asm!(
            $($zero,)*
            "2:",
            "mov {p}, [{offsets}]",
            "add {p}, {left}",
            $($block,)*
            "add {offsets}, 8",
            "dec {blocks}",
            "jnz 2b",
            $($store,)*
            p = out(reg) _,
            offsets = inout(reg) $p.offsets => _,
            left = in(reg) $p.left,
            low = in(reg) $p.low,
            right = inout(reg) $p.right => _,
            half = const $columns * TILE_BYTES,
            blocks = inout(reg) $p.blocks => _,
            row = in(reg) 64usize,
            sums = in(reg) $p.sums,
            sums_row = in(reg) SUMS_ROW,
            options(nostack),
        )
    };
}

product!(two_by_two,
    zero: ["tilezero tmm0" "tilezero tmm1" "tilezero tmm2" "tilezero tmm3"],
    left: ["tileloadd tmm4, [{p} + {row}]" "tileloadd tmm5, [{p} + {row} + 1024]"],
    right: ["tileloadd tmm6, [{right} + {row}]" "tileloadd tmm7, [{right} + {row} + 1024]"],
    times: ["tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"
            "tdpbf16ps tmm2, tmm5, tmm6" "tdpbf16ps tmm3, tmm5, tmm7"],
    store: ["tilestored [{sums} + {sums_row}], tmm0" "tilestored [{sums} + {sums_row} + 64], tmm1"
            "tilestored [{sums} + {sums_row} + 2048], tmm2"
            "tilestored [{sums} + {sums_row} + 2112], tmm3"],
    columns: 2);
product!(two_by_one,
    zero: ["tilezero tmm0" "tilezero tmm2"],
    left: ["tileloadd tmm4, [{p} + {row}]" "tileloadd tmm5, [{p} + {row} + 1024]"],
    right: ["tileloadd tmm6, [{right} + {row}]"],
    times: ["tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm2, tmm5, tmm6"],
    store: ["tilestored [{sums} + {sums_row}], tmm0" "tilestored [{sums} + {sums_row} + 2048], tmm2"],
    columns: 1);
product!(one_by_two,
    zero: ["tilezero tmm0" "tilezero tmm1"],
    left: ["tileloadd tmm4, [{p} + {row}]"],
    right: ["tileloadd tmm6, [{right} + {row}]" "tileloadd tmm7, [{right} + {row} + 1024]"],
    times: ["tdpbf16ps tmm0, tmm4, tmm6" "tdpbf16ps tmm1, tmm4, tmm7"],
    store: ["tilestored [{sums} + {sums_row}], tmm0" "tilestored [{sums} + {sums_row} + 64], tmm1"],
    columns: 2);
product!(one_by_one,
    zero: ["tilezero tmm0"],
    left: ["tileloadd tmm4, [{p} + {row}]"],
    right: ["tileloadd tmm6, [{right} + {row}]"],
    times: ["tdpbf16ps tmm0, tmm4, tmm6"],
    store: ["tilestored [{sums} + {sums_row}], tmm0"],
    columns: 1);
