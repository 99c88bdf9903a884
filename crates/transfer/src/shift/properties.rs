//! Properties of samples that a person can see or count, so that a shift of features gets a name.

use offshoot_data::{Input, Limits, Picture, Sample};
use offshoot_random::permutation;
use rayon::prelude::*;

use super::document::Property;

/// Samples of each side that are looked at.
const LOOKED_AT: usize = 500;

/// Differences below this many standard deviations are not worth a line.
const WORTH: f64 = 0.1;

/// The properties of both sides, the one that moved most first; empty for feature vectors.
pub fn compare(source: &[&Sample], target: &[&Sample], seed: u64) -> Vec<Property> {
    let sides = [source, target].map(|samples| {
        let order = permutation(samples.len(), seed, "properties", 0);
        let some: Vec<&Sample> = order.into_iter().take(LOOKED_AT).map(|i| samples[i]).collect();
        some.par_iter().filter_map(|s| of(&s.input)).collect::<Vec<_>>()
    });
    let Some(names) = sides[0].first().map(|one| one.iter().map(|p| p.0).collect::<Vec<_>>())
    else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for name in names {
        let values = [0, 1].map(|side| {
            let all = sides[side].iter().flatten();
            all.filter(|p| p.0 == name).map(|p| p.1).collect::<Vec<f64>>()
        });
        if values.iter().any(Vec::is_empty) {
            continue;
        }
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let [s, t] = [mean(&values[0]), mean(&values[1])];
        let within = |v: &[f64], m: f64| v.iter().map(|x| (x - m).powi(2)).sum::<f64>();
        let count = (values[0].len() + values[1].len()) as f64;
        let deviation = ((within(&values[0], s) + within(&values[1], t)) / count).sqrt();
        // What never varies within a side and differs between them is as far as can be.
        let floor = 1e-3 * (s.abs() + t.abs());
        let difference =
            if t == s { 0.0 } else { (t - s) / deviation.max(floor).max(f64::MIN_POSITIVE) };
        if difference.abs() >= WORTH {
            out.push(Property { name: name.into(), source: s, target: t, difference });
        }
    }
    out.sort_by(|a, b| b.difference.abs().total_cmp(&a.difference.abs()));
    out
}

fn of(input: &Input) -> Option<Vec<(&'static str, f64)>> {
    match input {
        Input::Vector(_) => None,
        Input::Text(text) => Some(of_text(&text.text)),
        Input::TextFile(path) => Some(of_text(&std::fs::read_to_string(path).ok()?)),
        picture => offshoot_data::decode(picture, &Limits::default()).ok().map(|p| of_picture(&p)),
    }
}

fn of_text(text: &str) -> Vec<(&'static str, f64)> {
    let count = |is: fn(char) -> bool| text.chars().filter(|&c| is(c)).count() as f64;
    let characters = (text.chars().count() as f64).max(1.0);
    let words = text.split_whitespace().count() as f64;
    vec![
        ("words", words),
        ("characters a word", count(|c| !c.is_whitespace()) / words.max(1.0)),
        ("share of capitals", count(char::is_uppercase) / characters),
        ("share of digits", count(|c| c.is_ascii_digit()) / characters),
        ("share of punctuation", count(|c| c.is_ascii_punctuation()) / characters),
        ("share beyond ASCII", count(|c| !c.is_ascii()) / characters),
    ]
}

/// Brightness, contrast, sharpness (mean step between neighbours) and colourfulness (Hasler & Süsstrunk
/// 2003), of bytes from 0 to 255, and sizes in pixels.
fn of_picture(picture: &Picture) -> Vec<(&'static str, f64)> {
    let Picture { width, height, channels, pixels } = picture;
    let grey: Vec<f64> = pixels
        .chunks_exact((*channels).max(1))
        .map(|p| match p {
            [r, g, b, ..] => 0.299 * f64::from(*r) + 0.587 * f64::from(*g) + 0.114 * f64::from(*b),
            [one, ..] => f64::from(*one),
            [] => 0.0,
        })
        .collect();
    let n = (grey.len() as f64).max(1.0);
    let mean = grey.iter().sum::<f64>() / n;
    let contrast = (grey.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / n).sqrt();
    let steps = grey.chunks_exact((*width).max(1)).flat_map(|row| row.windows(2));
    let (sum, count) = steps.fold((0.0, 0.0f64), |(s, c), w| (s + (w[1] - w[0]).abs(), c + 1.0));
    let mut out = vec![
        ("brightness", mean),
        ("contrast", contrast),
        ("sharpness", sum / count.max(1.0)),
        ("width in pixels", *width as f64),
        ("height in pixels", *height as f64),
    ];
    if *channels >= 3 {
        let (mut rg, mut yb) = (Vec::new(), Vec::new());
        for p in pixels.chunks_exact(*channels) {
            let [r, g, b] = [p[0], p[1], p[2]].map(f64::from);
            rg.push(r - g);
            yb.push(0.5 * (r + g) - b);
        }
        let moments = |v: &[f64]| {
            let m = v.iter().sum::<f64>() / n;
            (m, v.iter().map(|x| (x - m).powi(2)).sum::<f64>() / n)
        };
        let ((m1, v1), (m2, v2)) = (moments(&rg), moments(&yb));
        out.push(("colourfulness", (v1 + v2).sqrt() + 0.3 * m1.hypot(m2)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grey_step_is_bright_sharp_and_not_colourful() {
        let picture =
            Picture { width: 2, height: 1, channels: 3, pixels: vec![0, 0, 0, 200, 200, 200] };
        let found: std::collections::BTreeMap<_, _> = of_picture(&picture).into_iter().collect();
        let close = |name: &str, value: f64| assert!((found[name] - value).abs() < 1e-9, "{name}");
        close("brightness", 100.0);
        close("contrast", 100.0);
        close("sharpness", 200.0);
        close("colourfulness", 0.0);
    }

    #[test]
    fn what_is_counted_in_texts() {
        let found: std::collections::BTreeMap<_, _> = of_text("Ab 12!").into_iter().collect();
        assert_eq!((found["words"], found["characters a word"]), (2.0, 2.5));
        assert_eq!(found["share of digits"], 2.0 / 6.0);
    }
}
