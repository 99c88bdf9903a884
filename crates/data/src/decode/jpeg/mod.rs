//! JPEG (ITU-T T.81): baseline, extended and progressive Huffman coding, 8 bits.
//!
//! Written here because results must equal libjpeg-turbo's, which Pillow uses, to within one:
//! other decoders in Rust round the inverse transform or the chroma interpolation differently, and
//! the colour conversion multiplies that up to three and more. Inverse transform ([`idct`]), chroma
//! interpolation ([`upsample`]) and colour conversion ([`colour`]) follow libjpeg bit for bit.

mod bits;
mod colour;
mod exif;
mod header;
mod huffman;
mod idct;
mod scan;
mod upsample;

use crate::Fault;

use super::{Attempt, Decoded, Facts, Failure, Format, Limits, Picture, check_size};
use colour::ColourSpace;
use header::{Header, Marker};

/// One colour plane.
struct Component {
    id: u8,
    /// Sampling factors across and down.
    h: usize,
    v: usize,
    quantisation: usize,
    /// Samples across and down that belong to the picture.
    width: usize,
    height: usize,
    /// Blocks across and down that belong to the picture.
    blocks: [usize; 2],
    /// Blocks across and down that are stored: whole MCUs.
    stored: [usize; 2],
    /// `[stored height · 8, stored width · 8]` samples.
    samples: Vec<u8>,
    /// Progressive pictures gather coefficients, 64 a block, until all scans are read.
    coefficients: Vec<i16>,
}

/// The picture as the frame header announces it.
struct Frame {
    width: usize,
    height: usize,
    progressive: bool,
    /// MCUs across and down.
    mcus: [usize; 2],
    components: Vec<Component>,
}

fn corrupt(detail: impl Into<String>) -> Failure {
    Failure::new(Fault::Corrupt, detail)
}

fn truncated() -> Failure {
    Failure::new(Fault::Truncated, "the file ends before the picture does")
}

fn unsupported(detail: impl Into<String>) -> Failure {
    Failure::new(Fault::Unsupported, format!("jpeg: {}", detail.into()))
}

/// More scans than any encoder makes; each costs a pass over the picture.
const MAX_SCANS: usize = 200;

/// Decodes a JPEG file.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Attempt<Decoded> {
    let mut header = Header::new(bytes);
    let mut frame: Option<Frame> = None;
    let mut scans = 0;
    loop {
        match header.next()? {
            Marker::Frame { progressive, body } => {
                if frame.is_some() {
                    return Err(corrupt("a second frame header"));
                }
                frame = Some(Frame::new(body, progressive, &header, limits)?);
            }
            Marker::Scan(body) => {
                let frame = frame.as_mut().ok_or_else(|| corrupt("a scan before the frame"))?;
                scans += 1;
                if scans > MAX_SCANS {
                    return Err(corrupt(format!("more than {MAX_SCANS} scans")));
                }
                scan::read(frame, &mut header, body)?;
            }
            Marker::End => break,
        }
    }
    let mut frame = frame.ok_or_else(|| corrupt("no frame header"))?;
    if scans == 0 {
        return Err(corrupt("no scan"));
    }
    frame.finish(&header)?;
    let space = ColourSpace::of(&frame, &header);
    let mut picture = colour::convert(&frame, space);
    // The planes are not needed any more while the picture is turned.
    drop(std::mem::take(&mut frame.components));
    picture.pixels.shrink_to_fit();
    Ok(Decoded {
        picture,
        facts: Facts {
            format: Some(Format::Jpeg),
            mode: space.name(),
            orientation: header.orientation,
        },
    })
}

impl Frame {
    fn new(body: &[u8], progressive: bool, header: &Header<'_>, limits: &Limits) -> Attempt<Frame> {
        let (&[precision, h1, h0, w1, w0, n], list) =
            body.split_first_chunk::<6>().ok_or_else(|| corrupt("a short frame header"))?;
        if precision != 8 {
            return Err(unsupported(format!("{precision} bits a sample")));
        }
        let height = usize::from(u16::from_be_bytes([h1, h0]));
        let width = usize::from(u16::from_be_bytes([w1, w0]));
        if height == 0 {
            return Err(unsupported("the height comes after the first scan"));
        }
        check_size(limits, [width, height], 0)?;
        if !matches!(n, 1 | 3 | 4) {
            return Err(unsupported(format!("{n} components")));
        }
        if list.len() != 3 * usize::from(n) {
            return Err(corrupt("the frame header lists another number of components"));
        }
        let factors = |c: &[u8]| [usize::from(c[1] >> 4), usize::from(c[1] & 15)];
        let max = |i: usize| list.chunks_exact(3).map(|c| factors(c)[i]).max().unwrap_or(1);
        let (h_max, v_max) = (max(0), max(1));
        let mcus = [width.div_ceil(8 * h_max.max(1)), height.div_ceil(8 * v_max.max(1))];
        let mut components = Vec::new();
        for c in list.chunks_exact(3) {
            let [h, v] = factors(c);
            if !(1..=4).contains(&h) || !(1..=4).contains(&v) || c[2] > 3 {
                return Err(corrupt("a sampling factor or table number out of range"));
            }
            if h_max % h != 0 || v_max % v != 0 {
                return Err(unsupported("fractional sampling factors"));
            }
            let width = (width * h).div_ceil(h_max);
            let height = (height * v).div_ceil(v_max);
            components.push(Component {
                id: c[0],
                h,
                v,
                quantisation: usize::from(c[2]),
                width,
                height,
                blocks: [width.div_ceil(8), height.div_ceil(8)],
                stored: [mcus[0] * h, mcus[1] * v],
                samples: Vec::new(),
                coefficients: Vec::new(),
            });
        }
        let mut frame = Frame { width, height, progressive, mcus, components };
        check_size(limits, [width, height], frame.cost(header.orientation))?;
        for component in &mut frame.components {
            let values = 64 * component.stored[0] * component.stored[1];
            if progressive {
                component.coefficients = vec![0; values];
            }
            component.samples = vec![0; values];
        }
        Ok(frame)
    }

    /// Bytes that decoding allocates at its peak.
    fn cost(&self, orientation: u8) -> u64 {
        let stored: usize = self.components.iter().map(|c| 64 * c.stored[0] * c.stored[1]).sum();
        let colours = if self.components.len() == 1 { 1 } else { 3 };
        let output = self.width * self.height * colours;
        let planes = if self.progressive { 3 * stored } else { stored };
        let turned = if orientation > 1 { 2 * output } else { 0 };
        (planes + output).max(turned) as u64
    }

    /// Transforms what progressive scans have gathered.
    fn finish(&mut self, header: &Header<'_>) -> Attempt<()> {
        for component in &mut self.components {
            if !self.progressive {
                continue;
            }
            let table = header.quantisation(component.quantisation)?;
            let coefficients = std::mem::take(&mut component.coefficients);
            let stride = 8 * component.stored[0];
            for (number, block) in coefficients.as_chunks::<64>().0.iter().enumerate() {
                let (row, column) = (number / component.stored[0], number % component.stored[0]);
                let at = row * 8 * stride + column * 8;
                let last = block.iter().rposition(|&c| c != 0).unwrap_or(0);
                idct::block(block, table, last == 0, &mut component.samples[at..], stride);
            }
        }
        Ok(())
    }
}

/// Makes a picture of `channels` interleaved values.
fn picture_of(frame: &Frame, channels: usize, pixels: Vec<u8>) -> Picture {
    Picture { width: frame.width, height: frame.height, channels, pixels }
}
