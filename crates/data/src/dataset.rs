//! What every reader produces and everything downstream consumes.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Which part of the data a sample belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Fits parameters.
    Train,
    /// Chooses hyper-parameters, stops training, calibrates.
    Val,
    /// Touched once, for the figures that are reported.
    Test,
}

/// Many equally sized raw images in one allocation, as IDX and npy files hold them.
#[derive(Debug)]
pub struct PixelStore {
    /// Pixel rows of one image.
    pub height: usize,
    /// Pixel columns of one image.
    pub width: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// `[n, height, width, channels]`, row-major.
    pub bytes: Vec<u8>,
}

/// What a sample is, or where it is.
#[derive(Debug, Clone)]
pub enum Input {
    /// An encoded image in a file.
    File(PathBuf),
    /// An encoded image in memory.
    Encoded(Arc<[u8]>),
    /// Image number `index` of a store.
    Pixels {
        /// The images.
        store: Arc<PixelStore>,
        /// Which of them.
        index: usize,
    },
    /// A ready feature vector (npy/npz of floats): no backbone is needed.
    Vector(Arc<[f32]>),
    /// A text, or a pair of texts.
    Text(Text),
    /// A text in a file of its own, in any encoding that [`crate::read_text`] knows.
    TextFile(PathBuf),
    /// A row of a stream that could not be read, and why; the rows after it can be.
    Broken(Arc<str>),
}

/// A text, or two texts that are judged together (a premise and a hypothesis).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The text, or the first of the pair.
    pub text: Arc<str>,
    /// The second of the pair.
    pub pair: Option<Arc<str>>,
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text { text: text.into(), pair: None }
    }
}

/// One labelled or unlabelled example.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Stable name: path relative to the data set's root, `train-images#17` or `reviews.csv:17`.
    pub id: String,
    /// The picture, vector or text.
    pub input: Input,
    /// Index into [`Dataset::classes`].
    pub label: Option<u32>,
    /// Given by the data, or assigned by [`crate::split`].
    pub split: Option<Split>,
    /// Where it was taken (for shift and adaptation).
    pub domain: Option<String>,
    /// Samples of one group (patient, video) never straddle two splits.
    pub group: Option<String>,
}

/// A set of samples and the names of their classes.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Shown to the user; the folder's or file's name.
    pub name: String,
    /// Sorted, so that a label means the same on every machine.
    pub classes: Vec<String>,
    /// In a reproducible order.
    pub samples: Vec<Sample>,
    /// What a reader chose for the user: which columns it took for what, an old encoding.
    pub notes: Vec<String>,
}
