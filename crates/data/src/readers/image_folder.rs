//! Folders of pictures: `root/class/*` or `root/{train,val,test}/class/*`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::{DataError, Dataset, Input, Result, Sample, Split};

use super::walk::{entries, files_below, is_picture, is_text, relative_id};
use super::{ReadOptions, name_of};

pub(super) fn recognises(path: &Path) -> bool {
    path.is_dir()
}

pub(super) fn read(root: &Path, _options: &ReadOptions) -> Result<Dataset> {
    read_classes(root, Kind::Pictures)
}

/// What the folders of classes hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pictures,
    Texts,
}

impl Kind {
    fn is_one(self, file: &Path) -> bool {
        match self {
            Kind::Pictures => is_picture(file),
            Kind::Texts => is_text(file),
        }
    }

    fn input(self, file: PathBuf) -> Input {
        match self {
            Kind::Pictures => Input::File(file),
            Kind::Texts => Input::TextFile(file),
        }
    }
}

/// Reads folders of classes, or of parts with folders of classes.
pub(super) fn read_classes(root: &Path, kind: Kind) -> Result<Dataset> {
    let (folders, loose) = entries(root)?;
    let mut found = Found { kind, classes: BTreeSet::new(), files: Vec::new() };
    match split_folders(&folders)? {
        Some(parts) => {
            for (split, folder) in parts {
                let (classes, files) = entries(&folder)?;
                found.class_folders(&classes, Some(split))?;
                // A test folder without classes holds unlabelled samples.
                found.unlabelled(&files, Some(split));
            }
        }
        None => {
            found.class_folders(&folders, None)?;
            found.unlabelled(&loose, None);
        }
    }
    Ok(found.into_dataset(root))
}

/// The part that a folder of this name holds.
pub(super) fn split_named(name: &str) -> Option<Split> {
    match name.to_lowercase().as_str() {
        "train" | "training" => Some(Split::Train),
        "val" | "valid" | "validation" | "dev" => Some(Split::Val),
        "test" | "testing" => Some(Split::Test),
        _ => None,
    }
}

/// The part that a row at `place` says it is of.
pub(super) fn split_of_row(place: &str, name: &str) -> Result<Split> {
    split_named(name).ok_or_else(|| {
        let name: String = name.chars().take(40).collect();
        let detail = format!(
            "expected split train, val or test, found `{name}`; mend it, or rename the column if \
             it holds no splits"
        );
        DataError::malformed(place, detail)
    })
}

/// The folders of the parts if the layout is `root/{train,val,test}/class/*`.
///
/// `train` can also be the name of a class (vehicles): it is one if it holds no folders.
fn split_folders(folders: &[PathBuf]) -> Result<Option<Vec<(Split, PathBuf)>>> {
    let named: Vec<(Split, PathBuf)> =
        folders.iter().filter_map(|f| Some((split_named(&folder_name(f))?, f.clone()))).collect();
    let mut train_has_classes = false;
    for (split, folder) in &named {
        train_has_classes |= *split == Split::Train && !entries(folder)?.0.is_empty();
    }
    let parts: BTreeSet<Split> = named.iter().map(|(split, _)| *split).collect();
    let only_parts = named.len() == folders.len();
    if train_has_classes && (only_parts || parts.len() > 1) {
        return Ok(Some(named));
    }
    Ok(None)
}

fn folder_name(folder: &Path) -> String {
    folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What the walk has met so far; labels follow when all class names are known.
struct Found {
    kind: Kind,
    classes: BTreeSet<String>,
    files: Vec<(PathBuf, Option<String>, Option<Split>)>,
}

impl Found {
    fn class_folders(&mut self, folders: &[PathBuf], split: Option<Split>) -> Result<()> {
        for folder in folders {
            let class = folder_name(folder);
            for file in files_below(folder, |f| self.kind.is_one(f))? {
                self.files.push((file, Some(class.clone()), split));
            }
            self.classes.insert(class);
        }
        Ok(())
    }

    fn unlabelled(&mut self, files: &[PathBuf], split: Option<Split>) {
        let ours = files.iter().filter(|f| self.kind.is_one(f));
        self.files.extend(ours.map(|f| (f.clone(), None, split)));
    }

    fn into_dataset(self, root: &Path) -> Dataset {
        let classes: Vec<String> = self.classes.into_iter().collect();
        let label_of: BTreeMap<&str, u32> =
            classes.iter().map(String::as_str).zip(0u32..).collect();
        let mut samples: Vec<Sample> = self
            .files
            .into_iter()
            .map(|(file, class, split)| Sample {
                id: relative_id(root, &file),
                label: class.and_then(|c| label_of.get(c.as_str()).copied()),
                input: self.kind.input(file),
                split,
                domain: None,
                group: None,
            })
            .collect();
        samples.sort_by(|a, b| a.id.cmp(&b.id));
        Dataset { name: name_of(root), classes, samples, notes: Vec::new() }
    }
}
