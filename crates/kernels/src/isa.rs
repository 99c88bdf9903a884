//! Which instructions the kernels may use on this machine.

use std::sync::OnceLock;

/// A level of vector instructions, from the least to the most capable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust; runs anywhere.
    Portable,
    /// 128-bit vectors with fused multiply-add (64-bit ARM).
    Neon,
    /// 256-bit vectors with fused multiply-add (x86-64, as those that follow).
    Avx2,
    /// 512-bit vectors.
    Avx512,
    /// 512-bit vectors, also of pairs of bf16.
    Avx512Bf16,
    /// These, and matrix tiles of bf16.
    Amx,
}

impl Isa {
    /// All levels, least first.
    pub const ALL: [Self; 6] =
        [Self::Portable, Self::Neon, Self::Avx2, Self::Avx512, Self::Avx512Bf16, Self::Amx];

    /// The word that a user types in `OFFSHOOT_ISA`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Amx => "amx",
        }
    }

    /// The level called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|isa| isa.name() == name)
    }

    /// Whether this processor (and operating system) can run the level.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            // Miri interprets plain Rust only.
            _ if cfg!(miri) => false,
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => {
                Self::Avx512.is_available() && is_x86_feature_detected!("avx512bf16")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Amx => Self::Avx512Bf16.is_available() && crate::bf16::tiles_are_available(),
            // Levels of other architectures.
            _ => false,
        }
    }

    /// Whether the level multiplies bf16: elsewhere products are in f32 only.
    pub fn has_bf16(self) -> bool {
        matches!(self, Self::Avx512Bf16 | Self::Amx)
    }

    /// The levels that this machine can run, least first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available())
    }

    /// The best available level, or the one that `OFFSHOOT_ISA` names when it is available.
    ///
    /// A level that is unknown or not available here is ignored: the variable can only lower.
    pub fn detect() -> Self {
        static DETECTED: OnceLock<Isa> = OnceLock::new();
        *DETECTED.get_or_init(|| {
            let best = Self::available().last().unwrap_or(Self::Portable);
            std::env::var("OFFSHOOT_ISA")
                .ok()
                .and_then(|name| Self::from_name(name.trim()))
                .filter(|isa| isa.is_available())
                .unwrap_or(best)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_level() {
        for isa in Isa::ALL {
            assert_eq!(Isa::from_name(isa.name()), Some(isa));
        }
        assert_eq!(Isa::from_name("mmx"), None);
    }

    #[test]
    fn the_portable_level_is_always_there() {
        assert!(Isa::available().any(|isa| isa == Isa::Portable));
        assert!(Isa::detect().is_available());
    }

    #[test]
    fn levels_belong_to_one_architecture() {
        let vectors = Isa::Neon.is_available();
        assert_eq!(vectors, cfg!(all(target_arch = "aarch64", not(miri))));
        assert!(!vectors || !Isa::Avx2.is_available());
    }
}
