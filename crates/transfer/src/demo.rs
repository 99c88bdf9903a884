//! The whole story on embedded weights and data: two vendors' drawings of the same emoji.

use std::collections::BTreeMap;
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use offshoot_data::{Dataset, Input, Sample};

use crate::documents::TrainReport;
use crate::plan::{DemoPlan, TrainPlan};
use crate::{Observer, Result, TransferError, train};

static EMOJI: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../assets/emoji");

/// Prefix of [`TrainPlan::data`] for embedded data.
pub const PREFIX: &str = "demo:";

/// The vendors: what one trains on and what shows the shift.
pub const VENDORS: [&str; 2] = ["google", "twitter"];

/// One vendor's emoji, 64×64 PNG, labelled by category. The same emoji of two vendors share a
/// group.
pub fn emoji(vendor: &str) -> Result<Dataset> {
    let dir = EMOJI.get_dir(vendor).ok_or_else(|| {
        TransferError::usage(
            format!("unknown embedded data `{PREFIX}{vendor}`"),
            format!("there are {}", VENDORS.map(|v| format!("{PREFIX}{v}")).join(" and ")),
        )
    })?;
    let name_of = |path: &std::path::Path| {
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    };
    let mut classes: Vec<(String, &Dir<'_>)> = dir.dirs().map(|d| (name_of(d.path()), d)).collect();
    classes.sort_by(|a, b| a.0.cmp(&b.0));
    let mut samples = Vec::new();
    for (label, (_, files)) in classes.iter().enumerate() {
        let mut files: Vec<_> = files.files().collect();
        files.sort_by_key(|f| f.path());
        samples.extend(files.into_iter().map(|file| Sample {
            id: file.path().to_string_lossy().replace('\\', "/"),
            input: Input::Encoded(Arc::from(file.contents())),
            label: Some(label as u32),
            split: None,
            domain: Some(vendor.to_string()),
            group: file.path().file_stem().map(|s| s.to_string_lossy().into_owned()),
        }));
    }
    let classes = classes.into_iter().map(|(name, _)| name).collect();
    Ok(Dataset { name: format!("emoji-{vendor}"), classes, samples, notes: Vec::new() })
}

/// Trains on one vendor's emoji and evaluates on both, with every baseline.
pub fn demo(plan: &DemoPlan, observer: &mut dyn Observer) -> Result<TrainReport> {
    let DemoPlan { seed, name, runs_dir, cache } = plan.clone();
    let [here, elsewhere] = VENDORS.map(|v| format!("{PREFIX}{v}"));
    let plan = TrainPlan {
        data: here.into(),
        seed,
        baselines: true,
        also_eval: BTreeMap::from([(VENDORS[1].to_string(), elsewhere.into())]),
        name,
        runs_dir,
        cache,
        command: "demo".into(),
        ..TrainPlan::default()
    };
    train(&plan, observer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_vendors_draw_the_same_emoji() {
        let [google, twitter] = VENDORS.map(|v| emoji(v).unwrap());
        assert_eq!(google.classes, twitter.classes);
        assert!((8..=10).contains(&google.classes.len()));
        assert!(google.samples.len() >= 200);
        let group = |d: &Dataset| -> Vec<_> {
            d.samples.iter().map(|s| (s.label, s.group.clone())).collect()
        };
        assert_eq!(group(&google), group(&twitter));
    }

    #[test]
    fn an_unknown_vendor_is_named() {
        assert_eq!(emoji("nokia").unwrap_err().exit_code(), 2);
    }
}
