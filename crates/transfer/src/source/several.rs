//! Several sources side by side: each reads the sample in its own way, and their features, scaled, make one row.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Source, open_at, reopen as reopen_one};
use crate::cache::Scope;
use crate::digest::Sha;
use crate::engine::Engine;
use crate::inputs::{Inputs, Ready};
use crate::precision::F32;
use crate::run::record::{ModelFacts, PartFacts};
use crate::{Result, TransferError};

/// What several sources are called where one architecture is named.
const RECIPE: &str = "several";
/// Between the names of sources.
const COMMA: char = ',';

/// One of several sources.
#[derive(Clone)]
pub struct Part {
    /// A source by itself.
    pub source: Arc<Source>,
    /// What its features are multiplied by.
    pub scale: f32,
}

/// The sources that `model` names: one, or several with commas between them. A path that holds a comma is one.
pub fn names(model: &str) -> Vec<&str> {
    if Path::new(model).exists() {
        return vec![model];
    }
    model.split(COMMA).map(str::trim).collect()
}

/// `model` as it is found from here, where its relative paths count from `folder`: what is not here but there is
/// named by its place there. Names, and what is nowhere, stay as they are.
pub fn found_from(model: &str, folder: &Path) -> String {
    let there = |name: &str| {
        let place = folder.join(name);
        (!Path::new(name).exists() && place.exists()).then(|| place.to_string_lossy().into_owned())
    };
    let one = |name: &str| match (there(name), name.rsplit_once('+'), name.split_once('@')) {
        (Some(found), _, _) => found,
        (None, Some((base, adapter)), _) if there(adapter).is_some() => {
            let adapter = there(adapter).unwrap_or_default();
            format!("{}+{adapter}", found_from(base, folder))
        }
        (None, _, Some((recipe, path))) if there(path).is_some() => {
            format!("{recipe}@{}", there(path).unwrap_or_default())
        }
        _ => name.to_string(),
    };
    there(model).unwrap_or_else(|| names(model).into_iter().map(one).collect::<Vec<_>>().join(","))
}

/// Opens each of `names` for pictures of `size` × `size` pixels. Of several, one that cannot read them keeps its
/// own size, and a note says so: each reads the sample in its own way, and one size seldom fits all.
///
/// # Errors
/// As [`super::open_at`].
pub fn open_each(names: &[&str], size: Option<usize>, seed: u64) -> Result<Vec<Source>> {
    let one = |name: &&str| match (open_at(name, size, seed), size) {
        (Err(TransferError::Usage { .. }), Some(size)) if names.len() > 1 => {
            let mut source = open_at(name, None, seed)?;
            let own =
                format!("`{name}` cannot read pictures of {size} pixels: it keeps its own size");
            source.notes.push(own);
            Ok(source)
        }
        (opened, _) => opened,
    };
    names.iter().map(one).collect()
}

/// Puts sources side by side.
///
/// # Errors
/// Wrong usage where some read pictures and others texts.
pub fn join(parts: Vec<Part>) -> Result<Source> {
    let text = |part: &&Part| part.source.inputs.texts().is_some();
    if let (Some(texts), Some(pictures)) =
        (parts.iter().find(text), parts.iter().find(|part| !text(part)))
    {
        return Err(TransferError::usage(
            format!(
                "`{}` reads texts and `{}` pictures: no sample is both",
                texts.source.name, pictures.source.name
            ),
            "several sources read the same samples",
        ));
    }
    let all = |of: fn(&Source) -> &str, between: &str| {
        parts.iter().map(|part| of(&part.source)).collect::<Vec<_>>().join(between)
    };
    let known = |of: fn(&Source) -> Option<&str>, between: &str| {
        let each: Option<Vec<&str>> = parts.iter().map(|part| of(&part.source)).collect();
        each.map(|mut each| {
            each.dedup();
            each.join(between)
        })
    };
    let inputs = Inputs::Several(parts.iter().map(|part| part.source.inputs.clone()).collect());
    let described: Vec<String> = parts
        .iter()
        .map(|Part { source, scale }| format!("{} x{scale:e}", source.facts.weights_sha256))
        .collect();
    let described: Vec<&str> = described.iter().map(String::as_str).collect();
    let sha256 = Sha::of_texts(&described).to_string();
    let precision = match known(|source| Some(&source.facts.precision), "") {
        Some(one) if parts.iter().all(|part| part.source.facts.precision == one) => one,
        _ => all(|source| &source.facts.precision, ", "),
    };
    let name = all(|source| &source.name, ",");
    let facts = ModelFacts {
        name: name.clone(),
        recipe: RECIPE.into(),
        weights_sha256: sha256.clone(),
        licence: known(|source| source.facts.licence.as_deref(), " AND "),
        dim: parts.iter().map(|part| part.source.engine.dim()).sum(),
        preprocessing: inputs.description(),
        precision: if precision.is_empty() { F32.into() } else { precision },
        size: None,
        tuned_from_sha256: None,
        encoder: None,
        parts: parts
            .iter()
            .map(|part| PartFacts { model: part.source.facts.clone(), scale: part.scale })
            .collect(),
    };
    let scope = Scope {
        weights_sha256: sha256,
        preprocessing: facts.preprocessing.clone(),
        stage: all(|source| &source.scope.stage, " | "),
        augmentation: "eval".into(),
    };
    let notes = parts.iter().flat_map(|part| part.source.notes.clone()).collect();
    let origin = known(|source| source.origin.as_deref(), "; ");
    let trained_on = known(|source| source.trained_on.as_deref(), "; ");
    let parts: Arc<[Part]> = parts.into();
    let engine = Box::new(SideBySide(Arc::clone(&parts)));
    let network = None;
    Ok(Source { name, scope, facts, notes, origin, trained_on, inputs, engine, network, parts })
}

/// Where a run keeps what belongs to one of its several sources.
pub fn part_folder(export: &Path, part: usize) -> PathBuf {
    export.join("sources").join(part.to_string())
}

/// Opens the sources of a run. `carried` is where weights of one source would be.
pub fn reopen(facts: &ModelFacts, seed: u64, carried: &Path) -> Result<Source> {
    let (folder, file) = (carried.parent(), carried.file_name());
    let (Some(folder), Some(file)) = (folder, file) else {
        return Err(TransferError::Internal(format!("{} is no file", carried.display())));
    };
    let one = |(i, part): (usize, &PartFacts)| {
        let source = reopen_one(&part.model, seed, &part_folder(folder, i).join(file))?;
        Ok(Part { source: Arc::new(source), scale: part.scale })
    };
    join(facts.parts.iter().enumerate().map(one).collect::<Result<_>>()?)
}

/// Each source's engine in turn.
struct SideBySide(Arc<[Part]>);

impl SideBySide {
    /// What each source takes of the inputs.
    fn of<'a>(&self, inputs: &[&'a Ready], part: usize) -> Result<Vec<&'a Ready>> {
        let one = |input: &&'a Ready| match input {
            Ready::Several(each) => each.get(part),
            _ => None,
        };
        inputs.iter().map(one).collect::<Option<_>>().ok_or_else(|| {
            TransferError::Internal("several sources were given what is for one".into())
        })
    }
}

impl Engine for SideBySide {
    fn dim(&self) -> usize {
        self.0.iter().map(|part| part.source.engine.dim()).sum()
    }
    fn input_bytes(&self) -> usize {
        self.0.iter().map(|part| part.source.engine.input_bytes()).sum()
    }
    fn step(&self, batch: usize) -> usize {
        let steps = self.0.iter().map(|part| part.source.engine.step(batch));
        steps.min().unwrap_or_else(|| batch.max(1))
    }
    fn refuses(&self, input: &Ready) -> Option<String> {
        let Ready::Several(each) = input else {
            return Some("made ready for one source, where several read".into());
        };
        self.0.iter().zip(each).find_map(|(part, input)| part.source.engine.refuses(input))
    }
    fn run(&self, inputs: &[&Ready], features: &mut [f32]) -> Result<()> {
        let (dim, mut at) = (self.dim(), 0);
        for (i, Part { source, scale }) in self.0.iter().enumerate() {
            let width = source.engine.dim();
            let mut own = vec![0.0; inputs.len() * width];
            source.engine.run(&self.of(inputs, i)?, &mut own)?;
            for (row, own) in features.chunks_exact_mut(dim).zip(own.chunks_exact(width)) {
                let row = &mut row[at..at + width];
                row.iter_mut().zip(own).for_each(|(to, value)| *to = scale * value);
            }
            at += width;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::source;

    #[test]
    fn a_comma_parts_sources_unless_it_is_in_a_path() {
        assert_eq!(names("a, b"), ["a", "b"]);
        assert_eq!(names("random:resnet18"), ["random:resnet18"]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a,b");
        std::fs::create_dir(&path).unwrap();
        assert_eq!(names(path.to_str().unwrap()).len(), 1);
    }

    #[test]
    fn relative_paths_of_models_are_found_from_where_they_were_named() {
        let dir = tempfile::tempdir().unwrap();
        let there = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        std::fs::create_dir(dir.path().join("bert")).unwrap();
        std::fs::write(dir.path().join("a.safetensors"), "").unwrap();
        let (bert, file) = (there("bert"), there("a.safetensors"));
        for (named, found) in [
            ("bert", bert.clone()),
            ("words,bert", format!("words,{bert}")),
            ("resnet18@a.safetensors", format!("resnet18@{file}")),
            ("bert+a.safetensors", format!("{bert}+{file}")),
            ("minilm+a.safetensors", format!("minilm+{file}")),
            ("random:resnet18", "random:resnet18".into()),
            ("gone/bert", "gone/bert".into()),
            (bert.as_str(), bert.clone()),
        ] {
            assert_eq!(found_from(named, dir.path()), found, "{named}");
        }
    }

    #[test]
    fn a_size_is_for_those_of_several_that_can_read_it() {
        let both = ["random:digits_usps", "random:mobilenet_v2"];
        let sources = open_each(&both, Some(64), 0).unwrap();
        let sizes: Vec<Option<usize>> = sources.iter().map(|s| s.facts.size).collect();
        assert_eq!(sizes, [None, Some(64)]);
        assert!(sources[0].notes.iter().any(|note| note.contains("its own size")));
        // One by itself is refused, and so is what does not exist.
        assert!(open_each(&both[..1], Some(64), 0).is_err());
        assert!(open_each(&["random:digits_usps", "random:none"], Some(64), 0).is_err());
    }

    #[test]
    fn features_stand_side_by_side_scaled() {
        let open = || Arc::new(source::open("random:digits_usps", 3).unwrap());
        let twice = |scales: [f32; 2]| {
            join(scales.map(|scale| Part { source: open(), scale }).into()).unwrap()
        };
        let (one, two) = (open(), twice([1.0, -0.5]));
        let pixels = crate::demo::emoji("google").unwrap().samples.remove(0).input;
        let row = |source: &Source| {
            let ready = source.inputs.prepare(&pixels).unwrap();
            let mut row = vec![0.0; source.engine.dim()];
            source.engine.run(&[&ready], &mut row).unwrap();
            row
        };
        let (single, both) = (row(&one), row(&two));
        assert_eq!(both[..single.len()], single);
        let halves: Vec<f32> = single.iter().map(|v| -0.5 * v).collect();
        assert_eq!(both[single.len()..], halves);
        assert_ne!(two.facts.weights_sha256, twice([1.0, 1.0]).facts.weights_sha256);
        assert_eq!(two.facts.recipe, "several");
        assert!(two.engine.refuses(&one.inputs.prepare(&pixels).unwrap()).is_some());
    }
}
