//! Text encoders: BERT and its relatives, with the norms after the sums, and tables without layers.
//!
//! Keys are those of Hugging Face transformers without the model's own prefix.

use crate::blocks::{Act, Block, EncoderLayer, LayerNorm, Linear, TokenEmbed, TokenPool};
use crate::recipe::{ModelInput, Recipe, Stage, TextSpec};

/// Names of the stages between `embed` and `pool`.
const LAYERS: [&str; 24] = [
    "layer0", "layer1", "layer2", "layer3", "layer4", "layer5", "layer6", "layer7", "layer8",
    "layer9", "layer10", "layer11", "layer12", "layer13", "layer14", "layer15", "layer16",
    "layer17", "layer18", "layer19", "layer20", "layer21", "layer22", "layer23",
];

/// What the relatives differ in besides sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Devlin et al. 2018, arXiv:1810.04805.
    Bert,
    /// As BERT, but the first token takes row 2 of the position table, after the padding token's
    /// (Liu et al. 2019, arXiv:1907.11692).
    Roberta,
    /// As BERT, but without types and with names of its own (Sanh et al. 2019, arXiv:1910.01108).
    DistilBert,
}

/// Sizes of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Vocabulary, longest sequence and types.
    pub input: TextSpec,
    /// Layers, 24 at most.
    pub layers: usize,
    /// Features of a token.
    pub features: usize,
    /// Heads; they share the features equally.
    pub heads: usize,
    /// Features inside the feed-forward network.
    pub hidden: usize,
}

/// What is said about an encoder, and what follows its last layer.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The recipe's name.
    pub name: &'static str,
    /// One line for lists.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// How tokens become one vector.
    pub pool: TokenPool,
    /// Whether the vector is scaled to length 1.
    pub unit_length: bool,
}

/// Names of the fully connected layers after the pool.
const DENSE: [&str; 4] = ["dense0", "dense1", "dense2", "dense3"];

/// What comes between an encoder's last layer and its vector, besides the pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Top {
    /// So many of the last layers' outputs are averaged before the pool; 1 takes the last alone.
    pub layers: usize,
    /// Outputs and activation of the fully connected layers after the pool, at most four.
    pub dense: Vec<(usize, Act)>,
}

impl Top {
    /// The pool alone.
    pub const NONE: Self = Self { layers: 1, dense: Vec::new() };

    /// Key of the `i`-th fully connected layer.
    pub fn dense_key(i: usize) -> String {
        format!("{}.linear", DENSE[i.min(DENSE.len() - 1)])
    }

    /// The stages from the pool on; returns the length of the vector.
    fn stages(&self, about: About, features: usize, stages: &mut Vec<Stage>) -> usize {
        let mut pool = Vec::new();
        if self.layers > 1 {
            pool.push(Block::LayerMean(self.layers));
        }
        pool.push(Block::TokenPool(about.pool));
        stages.push(Stage { name: "pool", blocks: pool });
        let mut inputs = features;
        for (i, (name, &(outputs, act))) in DENSE.into_iter().zip(&self.dense).enumerate() {
            let dense = Linear { key: Self::dense_key(i), inputs, outputs, act };
            stages.push(Stage { name, blocks: vec![Block::Linear(dense)] });
            inputs = outputs;
        }
        if about.unit_length {
            stages.push(Stage { name: "normalize", blocks: vec![Block::UnitLength] });
        }
        inputs
    }
}

/// A table of words and nothing else: a text's vector is pooled from its tokens' rows, whatever their
/// order. The cheapest source.
pub fn table(about: About, input: TextSpec, features: usize, top: &Top) -> Recipe {
    let embed = TokenEmbed {
        words: "embedding".into(),
        positions: None,
        first_position: 0,
        types: None,
        norm: None,
        sizes: input,
        features,
    };
    let mut stages = vec![Stage { name: "embed", blocks: vec![Block::TokenEmbed(embed)] }];
    let feature_dim = top.stages(about, features, &mut stages);
    Recipe {
        name: about.name,
        summary: about.summary,
        paper: about.paper,
        input: ModelInput::Text(input),
        stages,
        feature_dim,
        head: None,
        rename: |key| {
            matches!(key, "embeddings" | "0.embedding.weight").then(|| "embedding.weight".into())
        },
    }
}

impl Family {
    /// The recipe of an encoder of these sizes; layers beyond 24 are left out.
    pub fn recipe(self, about: About, sizes: Sizes) -> Recipe {
        self.recipe_with(about, sizes, &Top::NONE)
    }

    /// Likewise with more than a pool on top.
    pub fn recipe_with(self, about: About, sizes: Sizes, top: &Top) -> Recipe {
        let embed = Block::TokenEmbed(self.embed(sizes));
        let mut stages = vec![Stage { name: "embed", blocks: vec![embed] }];
        for (i, name) in LAYERS.into_iter().take(sizes.layers).enumerate() {
            let layer = Block::EncoderLayer(self.layer(i, sizes));
            stages.push(Stage { name, blocks: vec![layer] });
        }
        let feature_dim = top.stages(about, sizes.features, &mut stages);
        Recipe {
            name: about.name,
            summary: about.summary,
            paper: about.paper,
            input: ModelInput::Text(sizes.input),
            stages,
            feature_dim,
            head: None,
            rename,
        }
    }

    fn embed(self, sizes: Sizes) -> TokenEmbed {
        let key = |table: &str| format!("embeddings.{table}");
        TokenEmbed {
            words: key("word_embeddings"),
            positions: Some(key("position_embeddings")),
            first_position: if self == Self::Roberta { 2 } else { 0 },
            types: (self != Self::DistilBert).then(|| key("token_type_embeddings")),
            norm: Some(self.norm(key("LayerNorm"))),
            sizes: sizes.input,
            features: sizes.features,
        }
    }

    fn layer(self, i: usize, sizes: Sizes) -> EncoderLayer {
        let names = if self == Self::DistilBert { &DISTILBERT } else { &BERT };
        let key = |name: &str| format!("{}.{i}.{name}", names.layer);
        let Sizes { features, heads, hidden, .. } = sizes;
        EncoderLayer {
            projections: names.projections.map(key),
            output: key(names.output),
            attention_norm: self.norm(key(names.attention_norm)),
            expand: key(names.expand),
            act: Act::Gelu,
            shrink: key(names.shrink),
            norm: self.norm(key(names.norm)),
            features,
            heads,
            hidden,
        }
    }

    fn norm(self, key: String) -> LayerNorm {
        LayerNorm { key, eps: if self == Self::Roberta { 1e-5 } else { 1e-12 } }
    }
}

/// Where a family keeps the parameters of a layer.
struct Names {
    layer: &'static str,
    projections: [&'static str; 3],
    output: &'static str,
    attention_norm: &'static str,
    expand: &'static str,
    shrink: &'static str,
    norm: &'static str,
}

const BERT: Names = Names {
    layer: "encoder.layer",
    projections: ["attention.self.query", "attention.self.key", "attention.self.value"],
    output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    expand: "intermediate.dense",
    shrink: "output.dense",
    norm: "output.LayerNorm",
};

const DISTILBERT: Names = Names {
    layer: "transformer.layer",
    projections: ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    expand: "ffn.lin1",
    shrink: "ffn.lin2",
    norm: "output_layer_norm",
};

/// Without the prefixes of task models and of sentence-transformers, and from the names that
/// checkpoints converted from TensorFlow give to norms.
fn rename(key: &str) -> Option<String> {
    const PREFIXES: [&str; 6] =
        ["0.auto_model.", "auto_model.", "model.", "bert.", "roberta.", "distilbert."];
    let mut bare = key;
    while let Some(inner) = PREFIXES.iter().find_map(|prefix| bare.strip_prefix(prefix)) {
        bare = inner;
    }
    let renamed = match bare.rsplit_once('.') {
        Some((layer, "gamma")) => format!("{layer}.weight"),
        Some((layer, "beta")) => format!("{layer}.bias"),
        _ => bare.to_string(),
    };
    (renamed != key).then_some(renamed)
}
