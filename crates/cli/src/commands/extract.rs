use std::path::PathBuf;

use clap::Args;
use offshoot_transfer::report::words;
use offshoot_transfer::{ExtractPlan, FeatureFormat, Precision, Result, TransferError, extract};

use super::columns::Columns;
use super::nearest;
use crate::context::{Context, clean};

const EXAMPLES: &str = "\
An npz file holds `features` (f32, one row a sample), `labels` (-1 where unlabelled) and `ids`.
A second extraction of the same pictures takes its rows from the cache.

Examples:
  offshoot extract photos/ -o features.npz
  offshoot extract photos/ --model mobilenet_v2 -o features.safetensors
  offshoot extract photos/ --shard 0/4        fill the cache with the first of four parts";

/// Compute the features of pictures, texts or vectors, into a file and the cache
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Extract {
    /// Folder, manifest, table of texts, IDX, npy or npz
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// Source of the features: a name of `offshoot models list`, a checkpoint, or random:RECIPE
    #[arg(short, long, value_name = "MODEL")]
    model: Option<String>,
    /// Layer of a text encoder: a number from 1, or `last-K` for the mean of the last K; by default the last
    #[arg(long, value_name = "LAYER")]
    layer: Option<String>,
    /// How a text's tokens become one vector: mean, first, max, mean-sqrt-len or last; by default the
    /// source's own way
    #[arg(long, value_name = "WAY")]
    pooling: Option<String>,
    /// Where to write: .npz or .safetensors; without it only the cache is filled
    #[arg(short, long, value_name = "FILE", value_parser = output)]
    out: Option<PathBuf>,
    /// The I-th of N parts, counted from 0
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<(usize, usize)>,
    /// Height and width to which pictures are resized; by default what the weights were
    /// trained with. Half of the side is a quarter of the work
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    size: Option<String>,
    /// Of the network's products: `auto` takes bf16 where the processor has tiles for it and a first
    /// batch in both agrees, else what is as good as f32
    #[arg(long, value_name = "PRECISION", value_parser = ["auto", "f32", "bf16x3", "bf16"])]
    precision: Option<String>,
    /// Samples a step of the network
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    batch: Option<String>,
    #[command(flatten)]
    columns: Columns,
}

fn output(text: &str) -> std::result::Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match FeatureFormat::of(&path) {
        Some(_) => Ok(path),
        None => Err("expected a name that ends in .npz or .safetensors".into()),
    }
}

fn shard(text: &str) -> std::result::Result<(usize, usize), String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    parts.filter(|(i, n)| i < n).ok_or_else(|| "expected I/N with I below N, as in 0/4".into())
}

impl Extract {
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("model", &self.model),
            ("size", &self.size),
            ("precision", &self.precision),
            ("batch", &self.batch),
        ];
        let given = given.into_iter().filter_map(|(key, v)| Some((key, v.clone()?)));
        given.chain(self.columns.flags()).collect()
    }

    pub fn run(self, context: &Context) -> Result<()> {
        let settings = &context.settings;
        if self.out.is_none() && !settings.cache.enabled {
            return Err(TransferError::usage(
                "without a file and without the cache nothing would be left",
                "name a file with -o, or leave --no-cache out",
            ));
        }
        let plan = ExtractPlan {
            data: self.data,
            columns: settings.columns.clone(),
            model: settings.model.clone(),
            size: settings.size,
            layer: self.layer,
            pooling: self.pooling,
            precision: Precision::from_name(&settings.precision)?,
            shard: self.shard,
            out: self.out,
            batch: settings.batch,
            seed: settings.seed,
            cache: settings.cache.clone(),
        };
        let mut observer = context.observer()?;
        let report = extract(&plan, &mut observer).map_err(|e| nearest::model(e, &plan.model))?;
        if context.json {
            return context.document(&report);
        }
        for problem in &report.unreadable {
            let line = format!("warning: {}: {}", problem.path, problem.detail);
            context.say(clean(&line));
        }
        let out = report.out.as_deref().map(|p| format!("  {}", clean(&p.display().to_string())));
        context.print(format_args!(
            "{} of {} values: {} computed, {} from the cache, {}{}\n",
            words::counted(report.rows, "row", "rows"),
            words::count(report.dim),
            words::count(report.computed),
            words::count(report.cached),
            words::seconds(report.seconds),
            out.unwrap_or_default()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_counted_from_zero() {
        assert_eq!(shard("0/4"), Ok((0, 4)));
        for bad in ["4/4", "1", "a/b", "/", "-1/2", "0/0"] {
            assert!(shard(bad).is_err(), "{bad}");
        }
    }
}
