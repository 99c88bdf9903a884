//! Number formats of stored tensors and their way to `f32`.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// How a tensor's values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dtype {
    /// One byte, zero or not.
    Bool,
    /// 8-bit unsigned integer.
    U8,
    /// 8-bit signed integer.
    I8,
    /// 16-bit unsigned integer.
    U16,
    /// 16-bit signed integer.
    I16,
    /// 32-bit unsigned integer.
    U32,
    /// 32-bit signed integer.
    I32,
    /// 64-bit unsigned integer.
    U64,
    /// 64-bit signed integer.
    I64,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    Bf16,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64; rounded to `f32` when read.
    F64,
}

impl Dtype {
    /// Bytes a value.
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Whether values are whole numbers.
    pub fn is_integer(self) -> bool {
        !matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }

    /// The name that safetensors uses, such as `F32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::U8 => "U8",
            Self::I8 => "I8",
            Self::U16 => "U16",
            Self::I16 => "I16",
            Self::U32 => "U32",
            Self::I32 => "I32",
            Self::U64 => "U64",
            Self::I64 => "I64",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::F32 => "F32",
            Self::F64 => "F64",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        const ALL: [Dtype; 13] = [
            Dtype::Bool,
            Dtype::U8,
            Dtype::I8,
            Dtype::U16,
            Dtype::I16,
            Dtype::U32,
            Dtype::I32,
            Dtype::U64,
            Dtype::I64,
            Dtype::F16,
            Dtype::Bf16,
            Dtype::F32,
            Dtype::F64,
        ];
        ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Appends little-endian `bytes` as `f32`. Returns how many integers `f32` cannot hold exactly.
    ///
    /// A trailing part of a value is ignored; callers pass whole values.
    pub(crate) fn append(self, bytes: &[u8], out: &mut Vec<f32>) -> usize {
        match self {
            Self::Bool => out.extend(bytes.iter().map(|&b| f32::from(u8::from(b != 0)))),
            Self::U8 => out.extend(bytes.iter().map(|&b| f32::from(b))),
            Self::I8 => out.extend(bytes.iter().map(|&b| f32::from(b.cast_signed()))),
            Self::U16 => out.extend(words(bytes).map(|w| f32::from(u16::from_le_bytes(w)))),
            Self::I16 => out.extend(words(bytes).map(|w| f32::from(i16::from_le_bytes(w)))),
            Self::F16 => append_halves(bytes, f16::from_le_bytes, out),
            Self::Bf16 => append_halves(bytes, bf16::from_le_bytes, out),
            Self::F32 => out.extend(words(bytes).map(f32::from_le_bytes)),
            Self::F64 => out.extend(words(bytes).map(|w| f64::from_le_bytes(w) as f32)),
            Self::U32 => return integers(words(bytes).map(|w| u32::from_le_bytes(w).into()), out),
            Self::I32 => return integers(words(bytes).map(|w| i32::from_le_bytes(w).into()), out),
            Self::U64 => return integers(words(bytes).map(|w| u64::from_le_bytes(w).into()), out),
            Self::I64 => return integers(words(bytes).map(|w| i64::from_le_bytes(w).into()), out),
        }
        0
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}

/// Whole blocks go through the processor's conversion instructions where it has them.
fn append_halves<H: Copy + Default>(bytes: &[u8], from: fn([u8; 2]) -> H, out: &mut Vec<f32>)
where
    [H]: HalfFloatSliceExt,
{
    let mut block = [H::default(); 512];
    let mut values = [0.0f32; 512];
    for part in bytes.as_chunks::<2>().0.chunks(512) {
        for (half, word) in block.iter_mut().zip(part) {
            *half = from(*word);
        }
        block[..part.len()].convert_to_f32_slice(&mut values[..part.len()]);
        out.extend_from_slice(&values[..part.len()]);
    }
}

fn integers(values: impl Iterator<Item = i128>, out: &mut Vec<f32>) -> usize {
    let mut inexact = 0;
    out.extend(values.map(|value| {
        let rounded = value as f32;
        inexact += usize::from(rounded as i128 != value);
        rounded
    }));
    inexact
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(dtype: Dtype, bytes: &[u8]) -> (Vec<f32>, usize) {
        let mut out = Vec::new();
        let inexact = dtype.append(bytes, &mut out);
        (out, inexact)
    }

    #[test]
    fn every_format_reads_one_and_its_neighbours() {
        assert_eq!(decode(Dtype::Bool, &[0, 1, 7]).0, [0.0, 1.0, 1.0]);
        assert_eq!(decode(Dtype::U8, &[1, 255]).0, [1.0, 255.0]);
        assert_eq!(decode(Dtype::I8, &[1, 255]).0, [1.0, -1.0]);
        assert_eq!(decode(Dtype::U16, &[1, 0, 255, 255]).0, [1.0, 65535.0]);
        assert_eq!(decode(Dtype::I16, &[1, 0, 255, 255]).0, [1.0, -1.0]);
        assert_eq!(decode(Dtype::F16, &[0, 0x3c, 0, 0xc0]).0, [1.0, -2.0]);
        assert_eq!(decode(Dtype::Bf16, &[0x80, 0x3f, 0, 0xc0]).0, [1.0, -2.0]);
        assert_eq!(decode(Dtype::F32, &1.5f32.to_le_bytes()).0, [1.5]);
        assert_eq!(decode(Dtype::F64, &1.5f64.to_le_bytes()).0, [1.5]);
        assert_eq!(decode(Dtype::I64, &(-3i64).to_le_bytes()).0, [-3.0]);
    }

    #[test]
    fn integers_beyond_the_mantissa_are_counted() {
        assert_eq!(decode(Dtype::I64, &(1i64 << 24).to_le_bytes()).1, 0);
        assert_eq!(decode(Dtype::I64, &((1i64 << 24) + 1).to_le_bytes()).1, 1);
        assert_eq!(decode(Dtype::U32, &u32::MAX.to_le_bytes()).1, 1);
    }

    #[test]
    fn halves_beyond_one_block_keep_their_order() {
        let bytes: Vec<u8> =
            (0..1300u16).flat_map(|i| f16::from_f32(i.into()).to_le_bytes()).collect();
        let expected: Vec<f32> = (0..1300u16).map(f32::from).collect();
        assert_eq!(decode(Dtype::F16, &bytes).0, expected);
    }
}
