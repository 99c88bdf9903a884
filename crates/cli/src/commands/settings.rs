use clap::Args;
use offshoot_transfer::Result;
use serde::Serialize;

use crate::context::Context;
use crate::table::{self, Align};

const EXAMPLES: &str = "\
In ./offshoot.toml, train.head is `head` in the section [train].

Examples:
  offshoot settings
  offshoot settings --set train.head=ridge
  OFFSHOOT_SEED=7 offshoot settings --json";

/// Show every setting, its value, and where that comes from
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Settings {}

#[derive(Serialize)]
struct Listed {
    settings: Vec<Setting>,
}

#[derive(Serialize)]
struct Setting {
    key: &'static str,
    value: Option<toml::Value>,
    origin: String,
    env: &'static str,
    about: &'static str,
}

impl Settings {
    pub fn run(self, context: &Context) -> Result<()> {
        let settings: Vec<Setting> = context
            .layers
            .all()
            .map(|(key, value)| Setting {
                key: key.path,
                value: value.map(|(value, _)| value.clone()),
                origin: value.map_or_else(|| "default".into(), |(_, origin)| origin.to_string()),
                env: key.env,
                about: key.about,
            })
            .collect();
        if context.json {
            return context.body("settings", None, Listed { settings });
        }
        let rows: Vec<[String; 5]> = settings
            .iter()
            .map(|s| {
                let value = match &s.value {
                    None => "-".into(),
                    Some(toml::Value::String(text)) => text.clone(),
                    Some(value) => value.to_string(),
                };
                [s.key.into(), value, s.origin.clone(), s.env.into(), s.about.into()]
            })
            .collect();
        let header = ["setting", "value", "from", "variable", "what"].map(|n| (n, Align::Left));
        context.print(table::text(header, &rows))
    }
}
