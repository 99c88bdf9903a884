//! "Did you mean": names that are near to what was typed.

use std::path::{Path, PathBuf};

use offshoot_transfer::store::{Store, known};
use offshoot_transfer::{Result, TransferError, runs, source};

/// Spellings less alike than this are no slips of the pen.
const ALIKE: f64 = 0.8;

/// The folder of the run called `name`.
pub fn run(runs_dir: &Path, name: &str) -> Result<PathBuf> {
    runs::find(runs_dir, name).map_err(|error| {
        let names = runs::list(runs_dir).unwrap_or_default().into_iter().map(|run| run.name);
        suggest(error, name, names)
    })
}

/// Adds the nearest name to an error about the model called `name`.
pub fn model(error: TransferError, name: &str) -> TransferError {
    let store = Store::of_user().and_then(|store| store.list());
    let stored = store.map(|listing| listing.entries).unwrap_or_default();
    let names = stored.into_iter().map(|entry| entry.name);
    let names = names.chain(known().iter().map(|known| known.name.to_string()));
    suggest(error, name, names.chain([source::DEFAULT.to_string()]))
}

/// Only an error that quotes `name` is about it.
fn suggest(error: TransferError, name: &str, names: impl Iterator<Item = String>) -> TransferError {
    match error {
        TransferError::Usage { detail, hint } if detail.contains(&format!("`{name}`")) => {
            let near = nearest(name, names).map(|near| format!("did you mean `{near}`?"));
            let hint = [near, hint].into_iter().flatten().collect::<Vec<_>>().join(" ");
            TransferError::Usage { detail, hint: Some(hint).filter(|hint| !hint.is_empty()) }
        }
        other => other,
    }
}

fn nearest(typed: &str, names: impl Iterator<Item = String>) -> Option<String> {
    // Signs between words are what is mistyped most: `resnet-18`, `resnet_18`, `resnet18`.
    let plain = |name: &str| name.to_lowercase().replace(['-', '_', '.', ' '], "");
    let alike = |name: String| (strsim::jaro_winkler(&plain(&name), &plain(typed)), name);
    let (likeness, name) = names.map(alike).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (likeness > ALIKE && name != typed).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_answered_with_the_name_meant() {
        let names = || ["resnet18", "mobilenet_v2"].into_iter().map(String::from);
        assert_eq!(nearest("resnet-18", names()).as_deref(), Some("resnet18"));
        assert_eq!(nearest("MobileNetV2", names()).as_deref(), Some("mobilenet_v2"));
        assert_eq!(nearest("bert", names()), None);
        assert_eq!(nearest("resnet18", std::iter::empty()), None);
    }

    #[test]
    fn errors_about_something_else_stay_as_they_are() {
        let names = ["first".to_string()];
        let error = TransferError::usage("unknown head `firzt`", "there is one");
        let told = suggest(error, "other", names.clone().into_iter());
        assert_eq!(told.hint().unwrap(), "there is one");
        let error = TransferError::usage("no run `firzt`", "there is one");
        let told = suggest(error, "firzt", names.into_iter());
        assert_eq!(told.hint().unwrap(), "did you mean `first`? there is one");
    }
}
