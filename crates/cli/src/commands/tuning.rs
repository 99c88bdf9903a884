//! Flags of fine-tuning.

use clap::Args;
use offshoot_transfer::{Method, Result, TransferError};

/// Everything that only matters where a method tunes the network.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tuning the network")]
pub struct Tuning {
    /// Passes over the training samples; by default 20 below 1,000 of them, 10 below 10,000, else 5
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    epochs: Option<String>,
    /// Highest learning rate, or `find` to look for one; by default the method's
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    lr: Option<String>,
    /// End the whole run within this time (90s, 5m, 1h) with the best weights so far
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    time: Option<String>,
    /// Changes of training pictures: none, a preset or a list
    #[arg(long, value_name = "LIST", allow_negative_numbers = true)]
    augment: Option<String>,
    /// Regularisers, such as `l2-sp,mixup(alpha=0.2)`
    #[arg(long, value_name = "LIST", allow_negative_numbers = true)]
    regularize: Option<String>,
    /// Share of the features left out before the head
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    dropout: Option<String>,
    /// How likely the last residual branch is left out (stochastic depth)
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    drop_path: Option<String>,
    /// Share of every target that is spread over all classes
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    label_smoothing: Option<String>,
    /// Weight decay, never on norms and biases
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    weight_decay: Option<String>,
    /// Averaged weights
    #[arg(long, value_name = "KIND", allow_negative_numbers = true)]
    average: Option<String>,
    /// Metric on validation that chooses the best weights
    #[arg(long, value_name = "METRIC", allow_negative_numbers = true)]
    watch: Option<String>,
    /// Stop after this many epochs without a better metric; 0 never stops early
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    patience: Option<String>,
    /// How much better is better
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    min_delta: Option<String>,
    /// adamw, sgd or lion; by default the method's
    #[arg(long, value_name = "NAME", allow_negative_numbers = true)]
    optimiser: Option<String>,
    /// Of the learning rate: cosine, one-cycle, constant or bit
    #[arg(long, value_name = "NAME", allow_negative_numbers = true)]
    schedule: Option<String>,
    /// Share of the updates in which the learning rate rises
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    warmup: Option<String>,
    /// What batch norms use: running statistics, those of the batch, or auto
    #[arg(long, value_name = "MODE", allow_negative_numbers = true)]
    norm: Option<String>,
    /// Samples an update; by default a tenth of the training samples, from 8 to 32
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    tune_batch: Option<String>,
    /// Parts in which a batch is computed, for less memory
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    accumulate: Option<String>,
    /// Longest gradient by its global norm; 0 for any
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    clip: Option<String>,
    /// Augmented views of a sample where the frozen part is cached
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    views: Option<String>,
    /// Of last-k: stages that learn
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    layers: Option<String>,
    /// Of discriminative: a stage's learning rate over that of the next
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    decay: Option<String>,
    /// Of surgical: first, middle, last, a stage, or auto
    #[arg(long, value_name = "NAME", allow_negative_numbers = true)]
    block: Option<String>,
    /// Of lora: inner size of the added products
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    rank: Option<String>,
    /// Of lora: products are scaled by alpha / rank
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    alpha: Option<String>,
}

/// Settings that one method alone reads.
const OF_ONE: [(&str, &str); 5] = [
    ("finetune.layers", "last-k"),
    ("finetune.decay", "discriminative"),
    ("finetune.block", "surgical"),
    ("finetune.rank", "lora"),
    ("finetune.alpha", "lora"),
];
/// Settings of a head that learns, which setfit has none of: its head is fitted.
const OF_HEADS: [&str; 2] = ["finetune.dropout", "finetune.label_smoothing"];
/// Settings that the probe heeds, too.
const OF_ALL: [&str; 1] = ["finetune.time"];

impl Tuning {
    /// Refuses flags that `method` does not heed. What a settings file says is for every command, and may stay.
    pub fn refuse_unheeded(&self, method: Method) -> Result<()> {
        for (key, _) in self.flags() {
            let flag = match key {
                "finetune.batch" => "tune-batch".into(),
                "finetune.find_lr" => "lr".into(),
                key => key.trim_start_matches("finetune.").replace('_', "-"),
            };
            let one = OF_ONE.iter().find(|(own, _)| *own == key).map(|(_, method)| *method);
            if let Some(one) = one.filter(|one| ![*one, "auto"].contains(&method.name())) {
                return Err(TransferError::usage(
                    format!("`--{flag}` says nothing to `--method {}`", method.name()),
                    format!("it is for `--method {one}`"),
                ));
            }
            if method.name() == "setfit" && OF_HEADS.contains(&key) {
                return Err(TransferError::usage(
                    format!("`--{flag}` is for a head that learns; that of setfit is fitted"),
                    "leave it out, or choose another method that tunes",
                ));
            }
            if method == Method::PROBE && !OF_ALL.contains(&key) {
                return Err(TransferError::usage(
                    format!("`--{flag}` is for tuning the network, which the probe keeps frozen"),
                    "choose a method that tunes, for instance `--method lp-ft`",
                ));
            }
        }
        Ok(())
    }

    /// The settings that were given.
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        let mut given: Vec<(&'static str, &Option<String>)> = vec![
            ("finetune.epochs", &self.epochs),
            ("finetune.time", &self.time),
            ("finetune.augment", &self.augment),
            ("finetune.regularize", &self.regularize),
            ("finetune.dropout", &self.dropout),
            ("finetune.drop_path", &self.drop_path),
            ("finetune.label_smoothing", &self.label_smoothing),
            ("finetune.weight_decay", &self.weight_decay),
            ("finetune.average", &self.average),
            ("finetune.watch", &self.watch),
            ("finetune.patience", &self.patience),
            ("finetune.min_delta", &self.min_delta),
            ("finetune.optimiser", &self.optimiser),
            ("finetune.schedule", &self.schedule),
            ("finetune.warmup", &self.warmup),
            ("finetune.norm", &self.norm),
            ("finetune.batch", &self.tune_batch),
            ("finetune.accumulate", &self.accumulate),
            ("finetune.clip", &self.clip),
            ("finetune.views", &self.views),
            ("finetune.layers", &self.layers),
            ("finetune.decay", &self.decay),
            ("finetune.block", &self.block),
            ("finetune.rank", &self.rank),
            ("finetune.alpha", &self.alpha),
        ];
        // A rate to be looked for is another setting than a rate.
        let find = self.lr.as_deref() == Some("find");
        if !find {
            given.push(("finetune.lr", &self.lr));
        }
        let mut flags: Vec<(&'static str, String)> =
            given.into_iter().filter_map(|(key, v)| Some((key, v.clone()?))).collect();
        if find {
            flags.push(("finetune.find_lr", "true".into()));
        }
        flags
    }
}
