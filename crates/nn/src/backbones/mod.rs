//! Every backbone that a user can name.
//!
//! Adding one takes a file and two lines here; the conformance tests then ask for its reference.

use crate::{NnError, Recipe, Result};

mod assemble;
mod digits;
mod efficientnet_lite;
pub mod encoder;
mod resnet;
mod timm;
mod vgg;

mod bert_base;
mod craft_vgg16_bn;
mod digits_mnist;
mod digits_svhn;
mod digits_usps;
mod distilbert;
mod efficientnet_b0;
mod efficientnet_lite0;
mod efficientnet_lite1;
mod efficientnet_lite2;
mod minilm_l12;
mod minilm_l3;
mod minilm_l6;
mod mobilenet_v2;
mod resnet18;
mod resnet34;
mod resnet50;
mod resnext50_32x4d;
mod roberta_base;
mod vgg16_bn;
mod wordllama;

/// Colour statistics of ImageNet-1k that torchvision and timm normalise with.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// A backbone of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The word that a user types.
    pub name: &'static str,
    /// Builds the recipe.
    pub recipe: fn() -> Recipe,
}

/// All backbones: those for pictures, then those for text.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    pictures().iter().chain(texts())
}

/// The backbones that read pictures, in alphabetical order.
pub fn pictures() -> &'static [Entry] {
    &[
        Entry { name: "craft_vgg16_bn", recipe: craft_vgg16_bn::recipe },
        Entry { name: "digits_mnist", recipe: digits_mnist::recipe },
        Entry { name: "digits_svhn", recipe: digits_svhn::recipe },
        Entry { name: "digits_usps", recipe: digits_usps::recipe },
        Entry { name: "efficientnet_b0", recipe: efficientnet_b0::recipe },
        Entry { name: "efficientnet_lite0", recipe: efficientnet_lite0::recipe },
        Entry { name: "efficientnet_lite1", recipe: efficientnet_lite1::recipe },
        Entry { name: "efficientnet_lite2", recipe: efficientnet_lite2::recipe },
        Entry { name: "mobilenet_v2", recipe: mobilenet_v2::recipe },
        Entry { name: "resnet18", recipe: resnet18::recipe },
        Entry { name: "resnet34", recipe: resnet34::recipe },
        Entry { name: "resnet50", recipe: resnet50::recipe },
        Entry { name: "resnext50_32x4d", recipe: resnext50_32x4d::recipe },
        Entry { name: "vgg16_bn", recipe: vgg16_bn::recipe },
    ]
}

/// The text encoders in alphabetical order.
pub fn texts() -> &'static [Entry] {
    &[
        Entry { name: "bert_base", recipe: bert_base::recipe },
        Entry { name: "distilbert", recipe: distilbert::recipe },
        Entry { name: "minilm_l12", recipe: minilm_l12::recipe },
        Entry { name: "minilm_l3", recipe: minilm_l3::recipe },
        Entry { name: "minilm_l6", recipe: minilm_l6::recipe },
        Entry { name: "roberta_base", recipe: roberta_base::recipe },
        Entry { name: "wordllama", recipe: wordllama::recipe },
    ]
}

/// The recipe called `name`.
///
/// # Errors
/// [`NnError::Unknown`] with the nearest name, if one is near.
pub fn find(name: &str) -> Result<Recipe> {
    match all().find(|entry| entry.name == name) {
        Some(entry) => Ok((entry.recipe)()),
        None => Err(NnError::Unknown {
            family: "backbone",
            name: name.to_string(),
            suggestion: nearest(name).map(str::to_string),
        }),
    }
}

/// The name with the highest Jaro–Winkler similarity, spelling signs aside.
fn nearest(name: &str) -> Option<&'static str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '_', ' ', '.'], "");
    let similarity = |known: &str| strsim::jaro_winkler(&plain(known), &plain(name));
    let best = all().map(|entry| (similarity(entry.name), entry.name));
    let (score, name) = best.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score > 0.8).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_the_recipes_own() {
        for family in [pictures(), texts()] {
            assert!(family.is_sorted_by(|a, b| a.name < b.name));
        }
        for entry in all() {
            assert_eq!((entry.recipe)().name, entry.name);
        }
        for (family, text) in [(pictures(), false), (texts(), true)] {
            assert!(family.iter().all(|entry| (entry.recipe)().text().is_ok() == text));
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_answered_with_the_name_meant() {
        for (typed, meant) in [
            ("resnet-18", Some("resnet18")),
            ("mobilenetv2", Some("mobilenet_v2")),
            ("efficientnet-lite-0", Some("efficientnet_lite0")),
            ("vgg16bn", Some("vgg16_bn")),
            ("minilm-l6", Some("minilm_l6")),
            ("bert-base", Some("bert_base")),
            ("qqq", None),
            ("", None),
        ] {
            match find(typed) {
                Err(NnError::Unknown { suggestion, .. }) => {
                    assert_eq!(suggestion.as_deref(), meant, "{typed}");
                }
                other => panic!("{typed}: {other:?}"),
            }
        }
    }
}
