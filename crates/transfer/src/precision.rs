//! In which precision a network computes features, decided once for a run.
//!
//! Where the processor multiplies bf16, features in it cost about half of what they cost in f32. Whether
//! they are as good depends on weights and data, so the first samples are computed in both, and where a row
//! turns away from its f32 self, features are in f32, or with matrix tiles by three bf16 products: slower
//! than one, faster than f32, and exact to 10⁻⁵. The decision depends on the data's order, the weights and the processor, not on
//! what a cache holds; a run remembers it, and whatever opens the run later computes likewise.

use offshoot_data::Sample;
use offshoot_nn::cpu::{Plan, PlanOptions, TextPlan};
use offshoot_nn::{Block, Isa, ModelInput};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::inputs::Ready;
use crate::source::Source;
use crate::watch::Watch;
use crate::{Result, TransferError};

/// What a user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Where the processor multiplies bf16, that if the first samples say that it does no harm, else three
    /// such products on matrix tiles; f32 elsewhere.
    #[default]
    Auto,
    /// Always f32.
    F32,
    /// Always three bf16 products.
    Bf16x3,
    /// Always bf16.
    Bf16,
}

impl Precision {
    /// Every choice.
    pub const ALL: [Self; 4] = [Self::Auto, Self::F32, Self::Bf16x3, Self::Bf16];

    /// The word that a user types.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => F32,
            Self::Bf16x3 => BF16X3,
            Self::Bf16 => BF16,
        }
    }

    /// The choice of this name.
    ///
    /// # Errors
    /// Wrong usage for any other word.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| {
            TransferError::usage(
                format!("unknown precision `{name}`"),
                "there are `auto`, `f32`, `bf16x3` and `bf16`",
            )
        })
    }
}

/// How records name the precision of features.
pub const F32: &str = "f32";
/// See [`F32`].
pub const BF16X3: &str = "bf16x3";
/// See [`F32`].
pub const BF16: &str = "bf16";

/// Cosine of a bf16 row to its f32 row from which both say the same.
const LOWEST_COSINE: f64 = 0.999;

/// Samples that are computed in both.
const CHECKED: usize = 32;

/// Whether this process may multiply bf16.
fn has_bf16() -> bool {
    Isa::detect().has_bf16()
}

/// Whether three such products are faster than one in f32.
fn has_tiles() -> bool {
    Isa::detect() == Isa::Amx
}

/// Decides for a source that was opened in f32; `samples` are all of the data, in order.
///
/// # Errors
/// Wrong usage where bf16 is asked for and the processor does not multiply it.
pub fn settle(
    source: &mut Source,
    wanted: Precision,
    samples: &[Sample],
    watch: &mut Watch<'_>,
) -> Result<()> {
    settle_above(LOWEST_COSINE, source, wanted, samples, watch)
}

fn settle_above(
    lowest: f64,
    source: &mut Source,
    wanted: Precision,
    samples: &[Sample],
    watch: &mut Watch<'_>,
) -> Result<()> {
    source.inputs.refuse_others(&source.name, samples)?;
    let Some((recipe, _)) = &source.network else { return Ok(()) };
    let only_reads = |block: &Block| {
        matches!(block, Block::TokenEmbed(_) | Block::TokenPool(_) | Block::UnitLength)
    };
    if recipe.stages.iter().flat_map(|stage| &stage.blocks).all(only_reads) {
        // A table of words has no products.
        return Ok(());
    }
    match wanted {
        Precision::F32 => Ok(()),
        Precision::Auto if !has_bf16() => Ok(()),
        Precision::Bf16 | Precision::Bf16x3 if !has_bf16() => Err(TransferError::usage(
            format!(
                "features in {} need a processor that multiplies bf16 (AMX or AVX-512 BF16), and this \
                 one does not, or OFFSHOOT_ISA forbids it",
                wanted.name()
            ),
            "`--precision auto` takes what is fastest here and does no harm",
        )),
        Precision::Bf16 => switch(source, BF16),
        Precision::Bf16x3 => switch(source, BF16X3),
        Precision::Auto => {
            let Some(rounded) = plan(source, BF16)? else { return Ok(()) };
            let Some(cosine) = lowest_cosine(source, rounded.as_ref(), samples)? else {
                return Ok(());
            };
            let shown = format!("lowest cosine to f32 over the first samples: {cosine:.5}");
            // A NaN, too, is no reason to trust bf16.
            if cosine >= lowest {
                watch.note(&format!("features in bf16 ({shown})"))?;
                take(source, rounded, BF16);
                return Ok(());
            }
            let instead = if has_tiles() {
                switch(source, BF16X3)?;
                "three bf16 products, which are as good as f32"
            } else {
                F32
            };
            watch.warn(format!(
                "features of `{}` fall back from bf16 to {instead} ({shown}, where {lowest} is asked for)",
                source.name
            ))
        }
    }
}

/// Lets a reopened source compute as the run did, where this processor can; returns whether it does.
pub fn as_recorded(source: &mut Source, recorded: &str) -> Result<bool> {
    let recorded = match recorded {
        BF16 => BF16,
        BF16X3 => BF16X3,
        _ => return Ok(true),
    };
    if source.network.is_some() && !has_bf16() {
        return Ok(false);
    }
    switch(source, recorded)?;
    Ok(true)
}

fn switch(source: &mut Source, precision: &'static str) -> Result<()> {
    if let Some(plan) = plan(source, precision)? {
        take(source, plan, precision);
    }
    Ok(())
}

/// A recorded precision as the network's.
pub fn of_network(recorded: &str) -> offshoot_nn::Precision {
    match recorded {
        BF16 => offshoot_nn::Precision::Bf16,
        BF16X3 => offshoot_nn::Precision::Bf16x3,
        _ => offshoot_nn::Precision::F32,
    }
}

/// The source's network in `precision`.
fn plan(source: &Source, precision: &str) -> Result<Option<Box<dyn Engine>>> {
    let Some((recipe, params)) = &source.network else { return Ok(None) };
    let options = PlanOptions { precision: of_network(precision), ..PlanOptions::default() };
    Ok(Some(match &recipe.input {
        ModelInput::Picture(_) => Box::new(Plan::new(recipe, params, &options)?),
        ModelInput::Text(_) => Box::new(TextPlan::new(recipe, params, &options)?),
    }))
}

fn take(source: &mut Source, plan: Box<dyn Engine>, precision: &str) {
    source.engine = plan;
    source.facts.precision = precision.into();
    // Rows of one precision must not serve for another, nor those of before activations were rounded.
    source.scope.stage.push(' ');
    source.scope.stage.push_str(precision);
    if precision == BF16 {
        source.scope.stage.push_str(" in lines");
    }
}

/// The lowest cosine between rows of the source and of `rounded` over the first samples that can be
/// read; `None` where there are none.
fn lowest_cosine(source: &Source, rounded: &dyn Engine, samples: &[Sample]) -> Result<Option<f64>> {
    let read = |sample: &Sample| source.inputs.prepare(&sample.input).ok();
    let exact = source.engine.as_ref();
    let mut inputs: Vec<Ready> = Vec::new();
    for group in samples.chunks(CHECKED) {
        let readable: Vec<Option<Ready>> = group.par_iter().map(read).collect();
        inputs.extend(readable.into_iter().flatten());
        if inputs.len() >= CHECKED {
            inputs.truncate(CHECKED);
            break;
        }
    }
    let (n, dim) = (inputs.len(), exact.dim());
    let inputs: Vec<&Ready> = inputs.iter().collect();
    let rows = |engine: &dyn Engine| -> Result<Vec<f32>> {
        let mut rows = vec![0.0; n * dim];
        if n > 0 {
            engine.run(&inputs, &mut rows)?;
        }
        Ok(rows)
    };
    let (exact, rounded) = (rows(exact)?, rows(rounded)?);
    let pairs = exact.chunks_exact(dim).zip(rounded.chunks_exact(dim));
    let cosines = pairs.map(|(a, b)| cosine(a, b));
    Ok(cosines.reduce(|low, cosine| if low <= cosine { low } else { cosine }))
}

/// Cosine of the angle between two rows; 1 between two rows of zeros, NaN where a value is.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let (aa, bb) = (dot(a, a), dot(b, b));
    if aa == 0.0 && bb == 0.0 { 1.0 } else { dot(a, b) / (aa.sqrt() * bb.sqrt()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::{Observer, source};

    #[test]
    fn cosines_of_special_rows() {
        assert!((cosine(&[1.0, 2.0], &[2.0, 4.0]) - 1.0).abs() < 1e-12);
        assert!(cosine(&[1.0, 0.0], &[0.0, 1.0]).abs() < 1e-12);
        assert!((cosine(&[0.0; 2], &[0.0; 2]) - 1.0).abs() < 1e-12);
        assert!(cosine(&[1.0, 1.0], &[0.0; 2]).is_nan());
        assert!(cosine(&[f32::NAN, 1.0], &[1.0, 1.0]).is_nan());
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        assert_eq!(Precision::from_name("bf16").unwrap(), Precision::Bf16);
        assert_eq!(Precision::from_name("f16").unwrap_err().exit_code(), 2);
    }

    struct Heard(Vec<String>);
    impl Observer for Heard {
        fn on(&mut self, event: &crate::Event<'_>) -> crate::Flow {
            if let crate::Event::Warning(text) | crate::Event::Note(text) = event {
                self.0.push((*text).into());
            }
            crate::Flow::Continue
        }
    }

    fn settled(lowest: f64, source: &mut Source, wanted: Precision) -> (Result<()>, Vec<String>) {
        let samples = crate::demo::emoji("google").unwrap().samples;
        let mut heard = Heard(Vec::new());
        let mut watch = Watch::new(&mut heard);
        let result = settle_above(lowest, source, wanted, &samples, &mut watch);
        (result, heard.0)
    }

    #[test]
    fn a_good_network_takes_bf16_and_keeps_its_rows_apart() {
        let mut source = source::open(source::DEFAULT, 0).unwrap();
        let stage = source.scope.stage.clone();
        if !has_bf16() {
            println!("no bf16 here: only its refusal is tested");
            assert_eq!(
                settled(LOWEST_COSINE, &mut source, Precision::Bf16).0.unwrap_err().exit_code(),
                2
            );
            settled(LOWEST_COSINE, &mut source, Precision::Auto).0.unwrap();
            assert_eq!((source.facts.precision.as_str(), &source.scope.stage), (F32, &stage));
            return;
        }
        settled(LOWEST_COSINE, &mut source, Precision::F32).0.unwrap();
        assert_eq!((source.facts.precision.as_str(), &source.scope.stage), (F32, &stage));
        let (result, heard) = settled(LOWEST_COSINE, &mut source, Precision::Auto);
        result.unwrap();
        assert!(heard[0].starts_with("features in bf16"), "{heard:?}");
        assert_eq!(source.facts.precision, BF16);
        assert_ne!(source.scope.stage, stage);
    }

    #[test]
    fn a_network_that_bf16_harms_falls_back_and_says_so() {
        if !has_bf16() {
            println!("skipped: this processor does not multiply bf16");
            return;
        }
        let mut source = source::open(source::DEFAULT, 0).unwrap();
        let stage = source.scope.stage.clone();
        // Rounding turns every row a little; here already that is too much.
        let (result, heard) = settled(1.0 - 1e-9, &mut source, Precision::Auto);
        result.unwrap();
        assert!(heard[0].contains("fall back from bf16"), "{heard:?}");
        if has_tiles() {
            assert_eq!(source.facts.precision, BF16X3);
            assert_eq!(source.scope.stage, format!("{stage} bf16x3"));
        } else {
            assert_eq!((source.facts.precision.as_str(), &source.scope.stage), (F32, &stage));
            settled(1.0, &mut source, Precision::Bf16x3).0.unwrap();
        }
        let cosine = {
            let exact = source::open(source::DEFAULT, 0).unwrap();
            let samples = crate::demo::emoji("twitter").unwrap().samples;
            lowest_cosine(&source, exact.engine.as_ref(), &samples).unwrap().unwrap()
        };
        assert!(cosine > 1.0 - 1e-7, "{cosine}");
        // Who insists gets it.
        let mut source = source::open(source::DEFAULT, 0).unwrap();
        settled(1.0, &mut source, Precision::Bf16).0.unwrap();
        assert_eq!(source.facts.precision, BF16);
    }
}
