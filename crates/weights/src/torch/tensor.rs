//! Strided views of storages, read in row-major order.

use super::{Place, Places};
use crate::Result;
use crate::archive::Source;
use crate::checkpoint::{Collected, Fact};
use crate::error::shown;
use crate::pickle::Tensor;

/// Reads `tensor` into `collected` under `key`.
pub(super) fn collect(
    key: String,
    tensor: &Tensor,
    places: &Places,
    source: &mut Source<'_>,
    collected: &mut Collected,
) -> Result<()> {
    let plan = Plan::new(tensor).map_err(|detail| collected.refuse(&key, detail))?;
    let dtype = tensor.storage.dtype;
    let place = places.get(&tensor.storage.key);
    let Some(place) = place else {
        let detail = format!("its storage `{}` is not in the file", shown(&tensor.storage.key));
        return Err(collected.refuse(&key, detail));
    };
    let held = match place {
        Place::File(_, len) => *len,
        Place::Memory(bytes) => bytes.len() as u64,
    };
    let declared = tensor.storage.numel.checked_mul(dtype.size() as u64);
    if declared != Some(held) {
        let (numel, name) = (tensor.storage.numel, dtype.name());
        let detail = format!("its storage declares {numel} {name} values and holds {held} bytes");
        return Err(collected.refuse(&key, detail));
    }
    let fact = Fact { dtype, shape: plan.shape.clone(), contiguous: plan.contiguous };
    let name = key.clone();
    collected.add(key, fact, |collected, values| {
        if plan.numel == 0 {
            return Ok(0);
        }
        let size = dtype.size() as u64;
        let (from, len) = (plan.first * size, plan.span * size);
        if plan.contiguous {
            let mut inexact = 0;
            match place {
                Place::File(offset, _) => source.blocks(offset + from, len, |block| {
                    inexact += dtype.append(block, values);
                })?,
                Place::Memory(bytes) => {
                    inexact += dtype.append(&bytes[from as usize..(from + len) as usize], values);
                }
            }
            return Ok(inexact);
        }
        // Everything between the first and the last value is read once, then picked from.
        collected.claim(&name, 4 * plan.span)?;
        let mut span = Vec::with_capacity(plan.span as usize);
        let mut inexact = 0;
        match place {
            Place::File(offset, _) => source.blocks(offset + from, len, |block| {
                inexact += dtype.append(block, &mut span);
            })?,
            Place::Memory(bytes) => {
                inexact += dtype.append(&bytes[from as usize..(from + len) as usize], &mut span);
            }
        }
        plan.gather(&span, values);
        Ok(inexact)
    })
}

/// A view whose every index lies within its storage.
struct Plan {
    shape: Vec<usize>,
    strides: Vec<usize>,
    numel: usize,
    /// Index of the first value in the storage.
    first: u64,
    /// Values from the first to the last, both included.
    span: u64,
    contiguous: bool,
}

impl Plan {
    fn new(tensor: &Tensor) -> std::result::Result<Self, String> {
        let Tensor { storage, offset, shape, strides } = tensor;
        let overflow = || "its shape overflows".to_owned();
        let (view_start, view_len) = storage.view.unwrap_or((0, storage.numel));
        let numel = shape.iter().try_fold(1u64, |n, &size| n.checked_mul(size));
        let numel = numel.filter(|&n| n <= u64::from(u32::MAX)).ok_or_else(overflow)?;
        let mut last = *offset;
        for (&size, &stride) in shape.iter().zip(strides).filter(|_| numel > 0) {
            let reach = (size - 1).checked_mul(stride).and_then(|r| last.checked_add(r));
            last = reach.ok_or_else(overflow)?;
        }
        if numel > 0 && last >= view_len {
            return Err(format!("reaches value {last} of a storage of {view_len}"));
        }
        let mut expected = 1;
        let mut contiguous = true;
        for (&size, &stride) in shape.iter().zip(strides).rev() {
            contiguous &= size == 1 || stride == expected;
            expected *= size;
        }
        Ok(Self {
            shape: shape.iter().map(|&n| n as usize).collect(),
            strides: strides.iter().map(|&n| n as usize).collect(),
            numel: numel as usize,
            // The view lies within the storage, so the sum cannot overflow.
            first: if numel > 0 { view_start + offset } else { 0 },
            span: if numel > 0 { last - offset + 1 } else { 0 },
            contiguous: contiguous || numel == 0,
        })
    }

    fn gather(&self, span: &[f32], out: &mut Vec<f32>) {
        // A non-contiguous view has at least one dimension.
        let Some((&width, outer_shape)) = self.shape.split_last() else { return };
        let step = self.strides[outer_shape.len()];
        let mut index = vec![0; outer_shape.len()];
        for _ in 0..self.numel / width {
            let start: usize = index.iter().zip(&self.strides).map(|(i, s)| i * s).sum();
            out.extend((0..width).map(|i| span[start + i * step]));
            for (position, size) in index.iter_mut().zip(outer_shape).rev() {
                *position += 1;
                if *position < *size {
                    break;
                }
                *position = 0;
            }
        }
    }
}
