//! Chroma interpolation as libjpeg-turbo's `jdsample.c` does it ("fancy upsampling").

use super::{Component, Frame};

/// How a component's rows become rows of the picture.
#[derive(Clone, Copy)]
enum Kind {
    Same,
    /// Half the columns: a triangle filter.
    Across,
    /// Half the rows: a triangle filter.
    Down,
    /// Half of both.
    Both,
    /// Any other factors: values repeat.
    Repeat {
        across: usize,
        down: usize,
    },
}

/// Makes full-width rows of one component.
pub(super) struct Upsampler<'f> {
    component: &'f Component,
    stride: usize,
    kind: Kind,
    /// Sums of two rows.
    sums: Vec<u16>,
    row: Vec<u8>,
}

impl<'f> Upsampler<'f> {
    pub(super) fn new(frame: &Frame, component: &'f Component) -> Upsampler<'f> {
        let max = |of: fn(&Component) -> usize| frame.components.iter().map(of).max().unwrap_or(1);
        let across = max(|c| c.h) / component.h;
        let down = max(|c| c.v) / component.v;
        // libjpeg's triangle filter needs three columns.
        let wide = component.width > 2;
        let kind = match (across, down) {
            (1, 1) => Kind::Same,
            (2, 1) if wide => Kind::Across,
            (1, 2) => Kind::Down,
            (2, 2) if wide => Kind::Both,
            _ => Kind::Repeat { across, down },
        };
        Upsampler {
            component,
            stride: 8 * component.stored[0],
            kind,
            sums: vec![0; component.width],
            row: vec![0; component.width * across],
        }
    }

    fn source(&self, y: usize) -> &'f [u8] {
        let start = y.min(self.component.height - 1) * self.stride;
        &self.component.samples[start..start + self.component.width]
    }

    /// Row `y` of the picture, at least as wide as it.
    pub(super) fn row(&mut self, y: usize) -> &[u8] {
        match self.kind {
            Kind::Same => return self.source(y),
            Kind::Across => across(self.source(y), &mut self.row),
            Kind::Down => {
                let (near, far, even) = self.pair(y);
                let bias = if even { 1 } else { 2 };
                for ((out, &n), &f) in self.row.iter_mut().zip(near).zip(far) {
                    *out = ((3 * u16::from(n) + u16::from(f) + bias) >> 2) as u8;
                }
            }
            Kind::Both => {
                let (near, far, _) = self.pair(y);
                for ((sum, &n), &f) in self.sums.iter_mut().zip(near).zip(far) {
                    *sum = 3 * u16::from(n) + u16::from(f);
                }
                both(&self.sums, &mut self.row);
            }
            Kind::Repeat { across, down } => {
                let source = self.source(y / down);
                for (out, &value) in self.row.chunks_exact_mut(across).zip(source) {
                    out.fill(value);
                }
            }
        }
        &self.row
    }

    /// The row that `y` lies in and the nearest other one; beyond the edges, the edge again.
    fn pair(&self, y: usize) -> (&'f [u8], &'f [u8], bool) {
        let near = y / 2;
        let even = y.is_multiple_of(2);
        let far = if even { near.saturating_sub(1) } else { near + 1 };
        (self.source(near), self.source(far), even)
    }
}

/// ¾ of the nearer and ¼ of the farther value; the bias alternates so that it cancels out.
fn across(source: &[u8], row: &mut [u8]) {
    let n = source.len();
    let pairs = row.as_chunks_mut::<2>().0;
    for (i, pair) in pairs.iter_mut().enumerate().take(n - 1).skip(1) {
        let near = 3 * u16::from(source[i]);
        pair[0] = ((near + u16::from(source[i - 1]) + 1) >> 2) as u8;
        pair[1] = ((near + u16::from(source[i + 1]) + 2) >> 2) as u8;
    }
    let three = |near: usize, far: usize, bias: u16| {
        ((3 * u16::from(source[near]) + u16::from(source[far]) + bias) >> 2) as u8
    };
    pairs[0] = [source[0], three(0, 1, 2)];
    pairs[n - 1] = [three(n - 1, n - 2, 1), source[n - 1]];
}

fn both(sums: &[u16], row: &mut [u8]) {
    let n = sums.len();
    let pairs = row.as_chunks_mut::<2>().0;
    for (pair, window) in pairs[1..n - 1].iter_mut().zip(sums.windows(3)) {
        let near = 3 * window[1];
        pair[0] = ((near + window[0] + 8) >> 4) as u8;
        pair[1] = ((near + window[2] + 7) >> 4) as u8;
    }
    pairs[0] = [((4 * sums[0] + 8) >> 4) as u8, ((3 * sums[0] + sums[1] + 7) >> 4) as u8];
    pairs[n - 1] =
        [((3 * sums[n - 1] + sums[n - 2] + 8) >> 4) as u8, ((4 * sums[n - 1] + 7) >> 4) as u8];
}
