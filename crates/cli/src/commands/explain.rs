use std::io::{self, BufReader, IsTerminal};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use offshoot_transfer::report::words;
use offshoot_transfer::{
    ExplainPlan, Explanation, PredictInput, Result, STEPS, Shade, TransferError, explain, loudest,
    shades, write_explanation_page,
};

use super::columns::Columns;
use super::nearest;
use crate::context::{Context, clean};
use crate::table::{self, Align};

const EXAMPLES: &str = "\
Each word of a text, or each patch of a picture, is left out once, and the classifier is asked
again. What is told is by how much the log-odds of the class change without it: what makes them
fall speaks for the class. Nothing is estimated, and the figures do not add up, because words work
together. Texts of more words than --answers are asked about in windows of several.

For a run on texts, what is not the name of a file is a text itself.

Examples:
  offshoot explain reviews 'A lovely film, although far too long.'
  offshoot explain reviews new.csv --html why.html
  offshoot explain photos new.jpg --class cat --json";

/// Show which words, or which parts of a picture, an answer rests on
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    /// Name of a run, or its folder
    #[arg(value_name = "RUN")]
    run: String,
    /// Texts, files, folders, or - for standard input
    #[arg(value_name = "TEXT|FILE", required = true)]
    input: Vec<String>,
    /// Explain the probability of this class in place of the most probable one
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// The most answers that one input may take
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65536))]
    answers: u32,
    /// Also write a page that shows all of it
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Shade words: on a terminal that NO_COLOR does not forbid it to, always, or never
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
    color: When,
    #[command(flatten)]
    columns: Columns,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

/// Parts listed below a text.
const LISTED: usize = 8;

impl Explain {
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        self.columns.flags()
    }

    pub fn run(self, context: &Context) -> Result<()> {
        let settings = &context.settings;
        let run = nearest::run(&settings.runs_dir, &self.run)?;
        let plan = ExplainPlan {
            run,
            columns: settings.columns.clone(),
            class: self.class,
            answers: self.answers as usize,
            batch: settings.batch,
        };
        let input = if self.input == ["-"] {
            PredictInput::Stream(Box::new(BufReader::new(io::stdin())))
        } else if self.input.iter().any(|input| input == "-") {
            return Err(TransferError::usage(
                "`-` stands for standard input and cannot be mixed with others",
                "give either `-` or texts and files",
            ));
        } else {
            PredictInput::Typed(self.input)
        };
        let colour = match self.color {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                let forbidden = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
                io::stdout().is_terminal() && !forbidden
            }
        };
        let mut kept = Vec::new();
        let mut sink = |one: &Explanation| {
            if self.html.is_some() {
                kept.push(one.clone());
            }
            match context.json {
                true => context.line(one),
                false => context.print(told(one, colour)),
            }
        };
        let report = explain(&plan, input, &mut context.observer()?, &mut sink)?;
        if let Some(path) = &self.html {
            write_explanation_page(path, &self.run, &kept)?;
            context.say(format_args!("written: {}", clean(&path.display().to_string())));
        }
        if context.json {
            return context.line(&report);
        }
        Ok(())
    }
}

/// An answer, the text in shades, and the words that speak loudest.
fn told(one: &Explanation, colour: bool) -> String {
    let mut text = clean(&one.input);
    if let Some(error) = &one.error {
        return format!("{text}\t-\t-\t{}\n\n", clean(error));
    }
    if let (Some(label), Some(p)) = (&one.label, one.probability) {
        text.push_str(&format!("\t{}\t{}", clean(label), words::percent(p)));
    }
    if one.unknown {
        text.push_str("\tunknown");
    }
    if let (Some(class), Some(p)) = (&one.class, one.class_probability)
        && one.class != one.label
    {
        text.push_str(&format!("\tfor {} ({})", clean(class), words::percent(p)));
    }
    text.push('\n');
    for pieces in shades(one) {
        if colour {
            text.push_str(&pieces.iter().map(shaded).collect::<String>());
            text.push('\n');
        }
    }
    if one.cut {
        text.push_str("(the end of the text was not read)\n");
    }
    if let Some(patches) = &one.patches {
        let largest = patches.contributions.iter().map(|c| c.abs()).fold(0.5, f64::max);
        for line in patches.contributions.chunks(patches.side) {
            let cell = |&contribution: &f64| {
                let step = (f64::from(STEPS) * contribution / largest).round() as i8;
                let text = format!("{:>7}", words::signed(contribution));
                let shade = Shade { text, step, contribution: None };
                if colour { shaded(&shade) } else { shade.text }
            };
            text.push_str(&line.iter().map(cell).collect::<String>());
            text.push('\n');
        }
    }
    let rows: Vec<[String; 3]> = loudest(&one.words, LISTED)
        .into_iter()
        .map(|part| {
            let [change, left] =
                [words::signed(-part.contribution), words::percent(part.probability)];
            [words::shortened(&clean(&part.word), 40), change, left]
        })
        .collect();
    if !rows.is_empty() {
        let header =
            [("without", Align::Left), ("log-odds", Align::Right), ("probability", Align::Right)];
        text.push_str(&table::text(header, &rows));
    }
    text + "\n"
}

/// A piece on a background of its shade, of the 256 colours that terminals have: greens for, reds
/// against, which are underlined as well.
fn shaded(piece: &Shade) -> String {
    const FOR: [u8; 4] = [22, 28, 34, 40];
    const AGAINST: [u8; 4] = [52, 88, 124, 160];
    let text: String = piece
        .text
        .chars()
        .map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c })
        .collect();
    let strength = usize::from(piece.step.unsigned_abs().clamp(1, 4)) - 1;
    // On the brightest green, white letters are hard to read.
    let ink = if piece.step == 4 { 16 } else { 231 };
    match piece.step {
        0 => text,
        step if step > 0 => format!("\x1b[38;5;{ink};48;5;{}m{text}\x1b[0m", FOR[strength]),
        _ => format!("\x1b[4;38;5;231;48;5;{}m{text}\x1b[0m", AGAINST[strength]),
    }
}

#[cfg(test)]
mod tests {
    use offshoot_transfer::documents::Part;

    use super::*;

    #[test]
    fn a_text_is_shaded_and_cannot_steer_the_terminal() {
        let text = "bad \x1b[2Jgood";
        let part = |word: &str, contribution| {
            let start = text.find(word).unwrap();
            Part {
                word: word.into(),
                of: "text".into(),
                start,
                end: start + word.len(),
                contribution,
                probability: 0.25,
            }
        };
        let one = Explanation {
            label: Some("fine".into()),
            probability: Some(0.75),
            class: Some("fine".into()),
            text: Some(text.into()),
            words: vec![part("bad", -1.0), part("good", 2.0)],
            ..Explanation::of("text 1")
        };
        let shown = told(&one, true).replace('\u{202f}', " ");
        let (answer, rest) = shown.split_once('\n').unwrap();
        assert_eq!(answer, "text 1\tfine\t75.0 %");
        let line = rest.lines().next().unwrap();
        assert_eq!(
            line,
            "\x1b[4;38;5;231;48;5;88mbad\x1b[0m \u{fffd}[2J\x1b[38;5;16;48;5;40mgood\x1b[0m"
        );
        let plain = told(&one, false);
        assert!(
            !plain.contains('\x1b') && plain.contains("good") && plain.contains("−2.00"),
            "{plain}"
        );
    }
}
