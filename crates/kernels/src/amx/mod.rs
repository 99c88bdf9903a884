//! Matrix tiles (Intel AMX): products of bf16 tiles, summed in f32.
//!
//! A tile register holds 16 rows of 64 bytes. One instruction multiplies 16×32 by 32×16 values of
//! bf16 and adds to 16×16 sums in f32: sixteen times the work of an AVX-512 multiply-add. With f32
//! operands split into the sum of two bf16 values, three such products give the f32 product to
//! about 2⁻¹⁷ relative, still several times as fast as AVX-512 (measured in `benches/`).

mod attention;
mod attention_grad;
mod conv;
mod product;
mod split;
mod weight_grad;

pub(crate) use attention::{run as attend, scratch_len as attention_scratch_len};
pub(crate) use attention_grad::{
    run as attend_backward, scratch_len as attention_backward_scratch_len,
};
pub(crate) use conv::{Source as ConvSource, Target as ConvTarget, TileConv};
pub(crate) use split::{INTERLEAVE, bits, clamped, round};
pub(crate) use weight_grad::TileWeightGrad;

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::sync::OnceLock;

/// Whether processor and kernel let this process use tiles; asks for the permission when they do.
pub(crate) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| has_instructions() && is_saved_by_the_system() && is_permitted())
}

fn has_instructions() -> bool {
    const BF16_TILES: u32 = 1 << 22;
    const TILES: u32 = 1 << 24;
    const BF16_VECTORS: u32 = 1 << 5;
    if __cpuid(0).eax < 7 || !is_x86_feature_detected!("avx512bw") {
        return false;
    }
    let leaf = __cpuid_count(7, 0);
    let bf16 = leaf.eax >= 1 && __cpuid_count(7, 1).eax & BF16_VECTORS != 0;
    bf16 && leaf.edx & BF16_TILES != 0 && leaf.edx & TILES != 0
}

/// Whether the system keeps tile registers across task switches.
fn is_saved_by_the_system() -> bool {
    #[target_feature(enable = "xsave")]
    fn enabled() -> u64 {
        // SAFETY: the caller saw OSXSAVE, which makes the instruction usable.
        unsafe { _xgetbv(0) }
    }
    const OSXSAVE: u32 = 1 << 27;
    const TILE_STATE: u64 = 0b11 << 17;
    // SAFETY: OSXSAVE implies `xsave`.
    __cpuid(1).ecx & OSXSAVE != 0 && unsafe { enabled() } & TILE_STATE == TILE_STATE
}

/// Linux hands out tile registers on request, for the whole process.
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XFEATURE_XTILEDATA: u64 = 18;
    let result: i64;
    // SAFETY: a system call that changes nothing but this process's permission; it clobbers what
    // is declared.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}

/// Tile registers configured on this thread, all as 16 rows of 64 bytes; released when dropped.
pub(crate) struct Configured(());

/// Palette 1; bytes of a row and rows of each of the eight registers (Intel SDM, LDTILECFG).
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Configured {
    /// # Safety
    /// [`is_available`] said yes.
    pub unsafe fn new() -> Self {
        let mut config = Config {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        config.row_bytes[..8].fill(64);
        config.rows[..8].fill(16);
        // SAFETY: the instruction exists and is permitted; it reads 64 bytes.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &config, options(nostack, readonly)) };
        Self(())
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: the registers are configured, so the instruction exists. Released registers need
        // not be saved at task switches.
        unsafe { asm!("tilerelease", options(nomem, nostack)) };
    }
}

/// The part of `scratch` that begins at a cache line, and what follows its `len` values.
fn aligned(scratch: &mut [f32], len: usize) -> (*mut u8, *mut f32) {
    assert!(scratch.len() >= len, "scratch for tiles is too short");
    let skip = scratch.as_ptr().align_offset(64).min(15);
    let scratch = &mut scratch[skip..len];
    let end = scratch.as_mut_ptr_range().end;
    (scratch.as_mut_ptr().cast(), end)
}
