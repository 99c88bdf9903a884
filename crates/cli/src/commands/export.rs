use std::path::PathBuf;

use clap::Args;
use offshoot_transfer::{ExportPlan, Form, Result, export, verify};

use super::nearest;
use crate::context::{Context, clean};

const EXPORT: &str = "\
Temperature and standardisation go into the last layer, so that a softmax over the outputs gives the
run's probabilities. The folder holds config.json, model.safetensors, preprocessor_config.json,
README.md (model card) and selftest.json, which `offshoot verify FOLDER` replays. trust.json holds
prediction sets and the alarm for what is unfamiliar: thresholds of every class, and rules in words
for using them with the network's outputs and features; its arrays are in trust.safetensors.

  hf            names of timm: timm.create_model(\"local-dir:FOLDER\"), EfficientNet, MobileNetV2,
                ResNet and ResNeXt
                of texts: a folder that transformers' AutoModel and SentenceTransformer(FOLDER) load;
                the head is classifier.safetensors: softmax(weight · embedding + bias)
  safetensors   names of our recipe, any network; those of ResNet, ResNeXt and MobileNetV2 are also
                torchvision's

Examples:
  offshoot export photos                      photos-hf/
  offshoot export photos --to safetensors --out shipped";

/// Write a run's classifier for other libraries
#[derive(Debug, Args)]
#[command(after_help = EXPORT)]
pub struct Export {
    /// Name of a run, or its folder
    #[arg(value_name = "RUN")]
    run: String,
    /// Whose names: hf or safetensors
    #[arg(long, value_name = "FORM", default_value = "hf", value_parser = ["hf", "safetensors"])]
    to: String,
    /// Folder to make; by default the run's name and the form
    #[arg(short, long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl Export {
    pub fn run(self, context: &Context) -> Result<()> {
        let run = nearest::run(&context.settings.runs_dir, &self.run)?;
        let name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let form = if self.to == "hf" { Form::Hf } else { Form::Safetensors };
        let out = self.out.unwrap_or_else(|| format!("{name}-{}", self.to).into());
        let plan = ExportPlan { run, form, out };
        let mut observer = context.observer()?;
        let report = export(&plan, &mut observer)?;
        drop(observer);
        if context.json {
            return context.document(&report);
        }
        let as_what = report.architecture.as_deref().unwrap_or(&report.recipe);
        context.say(format_args!("{} as {as_what}", clean(&self.run)));
        context.print(clean(&plan.out.display().to_string()) + "\n")
    }
}

const VERIFY: &str = "\
The self-test is an input that anyone can make, and what the classifier said to it when it was written.
Files whose sha256 the run names are compared, too. Exit code 4 where anything differs.

Examples:
  offshoot verify photos
  offshoot verify photos-hf";

/// Replay the self-test of a run or of an exported folder
#[derive(Debug, Args)]
#[command(after_help = VERIFY)]
pub struct Verify {
    /// Name of a run, its folder, or a folder that `export` wrote
    #[arg(value_name = "RUN|FOLDER")]
    run: String,
}

impl Verify {
    pub fn run(self, context: &Context) -> Result<()> {
        let folder = PathBuf::from(&self.run);
        let path = match folder.join("selftest.json").is_file() {
            true => folder,
            false => nearest::run(&context.settings.runs_dir, &self.run)?,
        };
        let mut observer = context.observer()?;
        let report = verify(&path, &mut observer)?;
        drop(observer);
        if context.json {
            return context.document(&report);
        }
        context.print(format!("{}: intact, {}\n", clean(&self.run), report.recipe))
    }
}
