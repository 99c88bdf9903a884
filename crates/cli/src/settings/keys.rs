//! Every setting: the one list that config files, the environment, `--set` and the documentation
//! are made from.

use super::SettingError;

/// What a setting may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number from 0.
    Number,
    /// A whole number from 1.
    Count,
    /// A number of threads. Thousands would only exhaust the system.
    Threads,
    /// A number from 0, and below 1.
    Share,
    /// A number from 0.
    Decimal,
    /// A time: `90s`, `5m`, `1.5h`, `30`; in seconds.
    Seconds,
    /// A number of bytes: `500MB`, `5GB`, `1073741824`.
    Bytes,
    /// Any text.
    Text,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As in a config file: `train.head` is `head` in `[train]`.
    pub path: &'static str,
    /// The variable that sets it.
    pub env: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Its value where nothing sets it; empty where it is left to the program.
    pub default: &'static str,
    /// One line.
    pub about: &'static str,
}

const fn key(
    path: &'static str,
    env: &'static str,
    kind: Kind,
    default: &'static str,
    about: &'static str,
) -> Key {
    Key { path, env, kind, default, about }
}

/// All of them in alphabetical order.
pub const KEYS: &[Key] = &[
    key("batch", "OFFSHOOT_BATCH", Kind::Count, "32", "samples a step of the network"),
    key("cache.dir", "OFFSHOOT_CACHE", Kind::Text, "", "folder of the feature cache"),
    key(
        "cache.enabled",
        "OFFSHOOT_CACHE_ENABLED",
        Kind::Switch,
        "true",
        "keep feature rows for later runs",
    ),
    key(
        "cache.max_bytes",
        "OFFSHOOT_CACHE_MAX_BYTES",
        Kind::Bytes,
        "5368709120",
        "size at which the oldest rows go",
    ),
    key(
        "columns.domain",
        "OFFSHOOT_COLUMNS_DOMAIN",
        Kind::Text,
        "",
        "column of where a text is from",
    ),
    key(
        "columns.group",
        "OFFSHOOT_COLUMNS_GROUP",
        Kind::Text,
        "",
        "column of what must not straddle splits",
    ),
    key("columns.label", "OFFSHOOT_COLUMNS_LABEL", Kind::Text, "", "column of the classes"),
    key(
        "columns.pair",
        "OFFSHOOT_COLUMNS_PAIR",
        Kind::Text,
        "",
        "column of the second text of a pair",
    ),
    key(
        "columns.split",
        "OFFSHOOT_COLUMNS_SPLIT",
        Kind::Text,
        "",
        "column that says train, val or test",
    ),
    key(
        "columns.text",
        "OFFSHOOT_COLUMNS_TEXT",
        Kind::Text,
        "",
        "column of the texts, where a table has several",
    ),
    key(
        "finetune.accumulate",
        "OFFSHOOT_FINETUNE_ACCUMULATE",
        Kind::Count,
        "1",
        "parts in which a batch is computed, for less memory",
    ),
    key(
        "finetune.alpha",
        "OFFSHOOT_FINETUNE_ALPHA",
        Kind::Decimal,
        "16",
        "of `lora`: products are scaled by alpha / rank",
    ),
    key(
        "finetune.augment",
        "OFFSHOOT_FINETUNE_AUGMENT",
        Kind::Text,
        "none",
        "changes of training pictures: none, a preset or a list",
    ),
    key("finetune.average", "OFFSHOOT_FINETUNE_AVERAGE", Kind::Text, "none", "averaged weights"),
    key("finetune.batch", "OFFSHOOT_FINETUNE_BATCH", Kind::Count, "", "samples an update"),
    key(
        "finetune.block",
        "OFFSHOOT_FINETUNE_BLOCK",
        Kind::Text,
        "auto",
        "of `surgical`: first, middle, last, a stage or auto",
    ),
    key(
        "finetune.checkpoint_every",
        "OFFSHOOT_FINETUNE_CHECKPOINT_EVERY",
        Kind::Seconds,
        "30",
        "time between two checkpoints",
    ),
    key(
        "finetune.clip",
        "OFFSHOOT_FINETUNE_CLIP",
        Kind::Decimal,
        "1",
        "longest gradient; 0 for any",
    ),
    key(
        "finetune.decay",
        "OFFSHOOT_FINETUNE_DECAY",
        Kind::Decimal,
        "0.8",
        "of `discriminative`: rate of a stage over that of the next",
    ),
    key(
        "finetune.drop_path",
        "OFFSHOOT_FINETUNE_DROP_PATH",
        Kind::Share,
        "0",
        "how likely the last residual branch is left out",
    ),
    key(
        "finetune.dropout",
        "OFFSHOOT_FINETUNE_DROPOUT",
        Kind::Share,
        "0",
        "share of the features left out before the head",
    ),
    key(
        "finetune.epochs",
        "OFFSHOOT_FINETUNE_EPOCHS",
        Kind::Count,
        "",
        "passes over the training samples",
    ),
    key(
        "finetune.find_lr",
        "OFFSHOOT_FINETUNE_FIND_LR",
        Kind::Switch,
        "false",
        "look for the learning rate first",
    ),
    key(
        "finetune.label_smoothing",
        "OFFSHOOT_FINETUNE_LABEL_SMOOTHING",
        Kind::Share,
        "0",
        "share of a target spread over all classes",
    ),
    key(
        "finetune.layers",
        "OFFSHOOT_FINETUNE_LAYERS",
        Kind::Count,
        "2",
        "of `last-k`: stages that learn",
    ),
    key("finetune.lr", "OFFSHOOT_FINETUNE_LR", Kind::Decimal, "", "highest learning rate"),
    key(
        "finetune.min_delta",
        "OFFSHOOT_FINETUNE_MIN_DELTA",
        Kind::Decimal,
        "0",
        "how much better is better",
    ),
    key(
        "finetune.norm",
        "OFFSHOOT_FINETUNE_NORM",
        Kind::Text,
        "auto",
        "what batch norms use: auto, running or batch",
    ),
    key(
        "finetune.optimiser",
        "OFFSHOOT_FINETUNE_OPTIMISER",
        Kind::Text,
        "",
        "adamw, sgd or lion; by default the method's",
    ),
    key(
        "finetune.patience",
        "OFFSHOOT_FINETUNE_PATIENCE",
        Kind::Number,
        "0",
        "epochs without a better metric to stop after; 0 for never",
    ),
    key(
        "finetune.rank",
        "OFFSHOOT_FINETUNE_RANK",
        Kind::Count,
        "8",
        "of `lora`: inner size of the products",
    ),
    key(
        "finetune.regularize",
        "OFFSHOOT_FINETUNE_REGULARIZE",
        Kind::Text,
        "none",
        "regularisers, a list",
    ),
    key(
        "finetune.schedule",
        "OFFSHOOT_FINETUNE_SCHEDULE",
        Kind::Text,
        "cosine",
        "of the learning rate: cosine, one-cycle, constant or bit",
    ),
    key(
        "finetune.time",
        "OFFSHOOT_FINETUNE_TIME",
        Kind::Seconds,
        "",
        "after which the whole run must have ended: 90s, 5m, 1h",
    ),
    key(
        "finetune.views",
        "OFFSHOOT_FINETUNE_VIEWS",
        Kind::Count,
        "4",
        "augmented views where the frozen part is cached",
    ),
    key(
        "finetune.warmup",
        "OFFSHOOT_FINETUNE_WARMUP",
        Kind::Share,
        "0.1",
        "share of the updates in which the rate rises",
    ),
    key(
        "finetune.watch",
        "OFFSHOOT_FINETUNE_WATCH",
        Kind::Text,
        "accuracy",
        "metric by which the best weights are chosen",
    ),
    key(
        "finetune.weight_decay",
        "OFFSHOOT_FINETUNE_WEIGHT_DECAY",
        Kind::Decimal,
        "0.01",
        "never on norms and biases",
    ),
    key("model", "OFFSHOOT_MODEL", Kind::Text, "efficientnet_lite0", "source of the features"),
    key("offline", "OFFSHOOT_OFFLINE", Kind::Switch, "false", "never use the network"),
    key(
        "precision",
        "OFFSHOOT_PRECISION",
        Kind::Text,
        "auto",
        "of the network: auto, f32, bf16x3 or bf16",
    ),
    key(
        "predict.promised",
        "OFFSHOOT_PREDICT_PROMISED",
        Kind::Share,
        "0.9",
        "share of prediction sets that hold the right class",
    ),
    key("predict.top", "OFFSHOOT_PREDICT_TOP", Kind::Count, "3", "classes listed for each input"),
    key("runs_dir", "OFFSHOOT_RUNS_DIR", Kind::Text, "runs", "folder of run folders"),
    key("seed", "OFFSHOOT_SEED", Kind::Number, "0", "keys every random draw"),
    key(
        "size",
        "OFFSHOOT_SIZE",
        Kind::Count,
        "",
        "height and width of pictures; the model's own where unset",
    ),
    key("threads", "OFFSHOOT_THREADS", Kind::Threads, "", "threads; all cores where unset"),
    key(
        "train.baselines",
        "OFFSHOOT_TRAIN_BASELINES",
        Kind::Switch,
        "false",
        "also measure raw pixels and random weights",
    ),
    key(
        "train.class_weights",
        "OFFSHOOT_TRAIN_CLASS_WEIGHTS",
        Kind::Switch,
        "false",
        "weigh rare classes up",
    ),
    key(
        "train.guard",
        "OFFSHOOT_TRAIN_GUARD",
        Kind::Text,
        "on",
        "fit something without the source, and ship it where the source hurts: off, on, full",
    ),
    key("train.head", "OFFSHOOT_TRAIN_HEAD", Kind::Text, "logistic", "classifier on the features"),
    key("train.method", "OFFSHOOT_TRAIN_METHOD", Kind::Text, "probe", "how to transfer"),
    key(
        "train.refit",
        "OFFSHOOT_TRAIN_REFIT",
        Kind::Switch,
        "true",
        "fit once more on train and validation",
    ),
    key("train.test", "OFFSHOOT_TRAIN_TEST", Kind::Share, "0.2", "share held out to judge"),
    key(
        "train.val",
        "OFFSHOOT_TRAIN_VAL",
        Kind::Share,
        "",
        "share of the rest for validation; 0.1, or more of few where a network is tuned",
    ),
    key(
        "train.weighting",
        "OFFSHOOT_TRAIN_WEIGHTING",
        Kind::Text,
        "cv",
        "how much each of several sources counts: alignment, cv, equal",
    ),
];

/// The setting called `path`; the error suggests the nearest one.
pub fn find(path: &str) -> Result<&'static Key, SettingError> {
    KEYS.iter().find(|key| key.path == path).ok_or_else(|| SettingError {
        detail: format!("unknown setting `{path}`"),
        hint: match nearest(path) {
            Some(near) => format!("did you mean `{near}`? `offshoot settings` shows them all"),
            None => "`offshoot settings` shows them all".into(),
        },
    })
}

fn nearest(path: &str) -> Option<&'static str> {
    // A bare `head` means `train.head`.
    let similarity = |key: &Key| {
        let last = key.path.rsplit('.').next().unwrap_or(key.path);
        strsim::jaro_winkler(key.path, path).max(strsim::jaro_winkler(last, path))
    };
    let (score, path) =
        KEYS.iter().map(|key| (similarity(key), key.path)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score > 0.8).then_some(path)
}

impl Kind {
    /// Parses what a user wrote.
    pub fn parse(self, text: &str) -> Result<toml::Value, String> {
        let text = text.trim();
        let number = || text.parse::<i64>().ok();
        match self {
            Self::Switch => match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(toml::Value::Boolean(true)),
                "false" | "0" | "no" | "off" => Ok(toml::Value::Boolean(false)),
                _ => Err("either `true` or `false`".into()),
            },
            Self::Number => match number() {
                Some(n) if n >= 0 => Ok(n.into()),
                _ => Err("a whole number from 0".into()),
            },
            Self::Count => match number() {
                Some(n) if n >= 1 => Ok(n.into()),
                _ => Err("a whole number from 1".into()),
            },
            Self::Threads => match number() {
                Some(n) if (1..=1024).contains(&n) => Ok(n.into()),
                _ => Err("a whole number from 1 to 1024".into()),
            },
            Self::Share => match text.parse::<f64>() {
                Ok(share) if (0.0..1.0).contains(&share) => Ok(share.into()),
                _ => Err("a share from 0 and below 1, such as 0.2".into()),
            },
            Self::Decimal => match text.parse::<f64>() {
                Ok(number) if number >= 0.0 && number.is_finite() => Ok(number.into()),
                _ => Err("a number from 0, such as 0.001".into()),
            },
            Self::Seconds => match seconds(text) {
                Some(n) => Ok(n.into()),
                None => Err("a time, such as `90s`, `5m` or `1h`".into()),
            },
            Self::Bytes => match bytes(text) {
                Some(n) => Ok(n.into()),
                None => Err("a number of bytes, such as `500MB` or `5GB`".into()),
            },
            Self::Text if text.is_empty() => Err("a text that is not empty".into()),
            Self::Text => Ok(text.into()),
        }
    }
}

pub fn seconds(text: &str) -> Option<f64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim() {
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let value = number.parse::<f64>().ok()? * factor;
    (value < 1e9).then_some(value)
}

fn bytes(text: &str) -> Option<i64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1.0,
        "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KIB" => 1024.0,
        "MIB" => 1024.0 * 1024.0,
        "GIB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let value = number.parse::<f64>().ok()? * factor;
    (value < 1e18).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_sorted_named_and_has_a_valid_default() {
        assert!(KEYS.is_sorted_by(|a, b| a.path < b.path));
        for key in KEYS {
            assert!(find(key.path).is_ok());
            if !key.default.is_empty() {
                assert!(key.kind.parse(key.default).is_ok(), "{}", key.path);
            }
            let plain = format!("OFFSHOOT_{}", key.path.to_uppercase().replace('.', "_"));
            assert!(key.env == plain || key.env == "OFFSHOOT_CACHE", "{}", key.env);
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_answered_with_the_setting_meant() {
        for (typed, meant) in
            [("train.haed", "train.head"), ("head", "train.head"), ("sede", "seed")]
        {
            assert!(find(typed).unwrap_err().hint.contains(meant), "{typed}");
        }
    }

    #[test]
    fn values_are_checked_by_kind() {
        for (kind, good, bad) in [
            (Kind::Switch, "Yes", "maybe"),
            (Kind::Number, "0", "-1"),
            (Kind::Count, "1", "0"),
            (Kind::Threads, "2", "100000"),
            (Kind::Share, "0.5", "1"),
            (Kind::Share, "0", "NaN"),
            (Kind::Bytes, "1.5 GB", "5 apples"),
            (Kind::Text, "x", " "),
        ] {
            assert!(kind.parse(good).is_ok(), "{good}");
            assert!(kind.parse(bad).is_err(), "{bad}");
        }
        assert_eq!(bytes("2KiB"), Some(2048));
    }
}
