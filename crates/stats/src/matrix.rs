//! Row-major matrices: one sample a row.

/// A borrowed `[n, d]` row-major matrix of features, as extraction and the cache hold them.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    n: usize,
    d: usize,
    data: &'a [f32],
}

impl<'a> Rows<'a> {
    /// Views `data` as `n` rows of `d` values. `None` when the length is not `n·d`.
    pub fn new(n: usize, d: usize, data: &'a [f32]) -> Option<Self> {
        (n.checked_mul(d)? == data.len()).then_some(Self { n, d, data })
    }
    /// Number of samples.
    pub fn n(&self) -> usize {
        self.n
    }
    /// Number of features.
    pub fn d(&self) -> usize {
        self.d
    }
    /// Features of sample `i`.
    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.data[i * self.d..(i + 1) * self.d]
    }
    /// All values.
    pub fn data(&self) -> &'a [f32] {
        self.data
    }
}

/// An owned `[n, d]` row-major matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    n: usize,
    d: usize,
    data: Vec<f32>,
}

impl Matrix {
    /// Takes `data` as `n` rows of `d` values. `None` when the length is not `n·d`.
    pub fn new(n: usize, d: usize, data: Vec<f32>) -> Option<Self> {
        (n.checked_mul(d)? == data.len()).then_some(Self { n, d, data })
    }
    /// The rows named by `indices`, in that order.
    pub fn gather(rows: Rows<'_>, indices: &[usize]) -> Self {
        let data = indices.iter().flat_map(|&i| rows.row(i).iter().copied()).collect();
        Self { n: indices.len(), d: rows.d(), data }
    }
    /// A view of all rows.
    pub fn rows(&self) -> Rows<'_> {
        Rows { n: self.n, d: self.d, data: &self.data }
    }
}
