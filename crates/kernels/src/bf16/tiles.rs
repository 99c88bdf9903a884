//! Matrix tiles (Intel AMX): whether there are any, and their configuration.

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
    if __cpuid(0).eax < 7 {
        return false;
    }
    let leaf = __cpuid_count(7, 0);
    leaf.edx & BF16_TILES != 0 && leaf.edx & TILES != 0
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
