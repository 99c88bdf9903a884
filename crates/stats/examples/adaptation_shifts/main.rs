//! What each adapter, each validator alone and `adaptation::auto` come to on pairs of domains whose target labels are
//! known: one line of JSON for every pair and seed, which `benches/adapt/choice.py` sums up.
//!
//! `cargo run --release -p offshoot-stats --example adaptation_shifts -- simulated 0` (seed, then the share of
//! the full number of rows, 1 unless given, then a part of a name)
//!
//! `cargo run --release -p offshoot-stats --example adaptation_shifts -- NAME SOURCE.safetensors TARGET.safetensors 0 128 1500`
//! on features of `offshoot extract`, classes of both in the same order; several sources, each a domain, are joined by `+`.
//! So many principal directions are kept, and so many rows of the source

mod features;
mod shifts;

use std::time::Instant;

use offshoot_stats::adaptation::{AutoOptions, Tried, auto};
use offshoot_stats::adapters::{self, Family, Options, Problem};
use offshoot_stats::heads::Head;
use offshoot_stats::validators::{self, Inputs, density_ratio};
use offshoot_stats::{Matrix, Probabilities, cv};
use serde_json::{Map, Value, json};
use shifts::Pair;

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["simulated", seed] => simulated(seed.parse()?, 1.0, ""),
        ["simulated", seed, scale] => simulated(seed.parse()?, scale.parse()?, ""),
        ["simulated", seed, scale, name] => simulated(seed.parse()?, scale.parse()?, name),
        [name, source, target, seed, directions, rows] => {
            real(name, source, target, seed.parse()?, directions.parse()?, rows.parse()?)
        }
        _ => Err(
            "expected `simulated SEED [SHARE [NAME]]` or `NAME SOURCE TARGET SEED DIRECTIONS ROWS`"
                .into(),
        ),
    }
}

fn simulated(seed: u64, scale: f64, name: &str) -> Result<(), Failed> {
    for pair in shifts::all(seed, scale)?.iter().filter(|pair| pair.name.contains(name)) {
        println!("{}", measure(pair, seed)?);
    }
    Ok(())
}

fn real(
    name: &str,
    source: &str,
    target: &str,
    seed: u64,
    directions: usize,
    most: usize,
) -> Result<(), Failed> {
    let (mut data, mut labels, mut domains) = (Vec::new(), Vec::new(), Vec::new());
    for (domain, one) in source.split('+').enumerate() {
        let (rows, own) = features::read(one.as_ref())?;
        data.extend_from_slice(rows.rows().data());
        domains.extend(vec![domain as u32; own.len()]);
        labels.extend(own);
    }
    let (target, hidden) = features::read(target.as_ref())?;
    let source = Matrix::new(labels.len(), target.rows().d(), data).ok_or("other widths")?;
    let [source, target] = features::shortened(source.rows(), target.rows(), directions)?;
    let classes = labels.iter().chain(&hidden).max().map_or(0, |&y| y as usize + 1);
    // Each seed has another three quarters of the source.
    let quarter = cv::stratified_folds(&labels, 4, seed);
    let own: Vec<usize> = (0..labels.len()).filter(|&i| quarter[i] > 0).collect();
    let of: Vec<u32> = own.iter().map(|&i| labels[i]).collect();
    let parts = cv::stratified_folds(&of, own.len().div_ceil(most.max(1)).max(1), seed + 1);
    let own: Vec<usize> =
        own.into_iter().zip(parts).filter(|(_, p)| *p == 0).map(|(i, _)| i).collect();
    let source = Matrix::gather(source.rows(), &own);
    let labels = own.iter().map(|&i| labels[i]).collect();
    let domains = own.iter().map(|&i| domains[i]).collect();
    let (source, target) = ((source, labels), (target, hidden));
    let pair = Pair { name: name.into(), source, domains, target, classes };
    println!("{}", measure(&pair, seed)?);
    Ok(())
}

fn hits(said: &Probabilities, labels: &[u32]) -> Vec<bool> {
    labels.iter().enumerate().map(|(i, &y)| said.predicted(i) == y).collect()
}

fn share(hits: &[bool]) -> f64 {
    hits.iter().filter(|hit| **hit).count() as f64 / hits.len().max(1) as f64
}

fn measure(pair: &Pair, seed: u64) -> Result<Value, Failed> {
    let ((rows, labels), (target, hidden)) = (&pair.source, &pair.target);
    let problem = Problem::new(rows.rows(), labels, pair.classes, target.rows(), seed)?;
    let problem = problem.with_domains(&pair.domains)?;
    let mut options = AutoOptions::default();
    options.shift.distances.permutations = 199;
    options.shift.distances.resamples = 0;
    let begun = Instant::now();
    let found = auto(&problem, &options)?;
    let auto_seconds = begun.elapsed().as_secs_f64();
    // The rest of the registry on the same rows, for the oracle.
    let (held, kept): (Vec<usize>, Vec<usize>) =
        (0..labels.len()).partition(|i| found.held.binary_search(i).is_ok());
    let of = |list: &[usize]| list.iter().map(|&i| labels[i]).collect::<Vec<u32>>();
    let (train, judges) = (Matrix::gather(rows.rows(), &kept), Matrix::gather(rows.rows(), &held));
    let (train_labels, judge_labels) = (of(&kept), of(&held));
    let part = Problem::new(train.rows(), &train_labels, pair.classes, target.rows(), seed)?;
    let of_domains = |list: &[usize]| list.iter().map(|&i| pair.domains[i]).collect::<Vec<u32>>();
    let (train_domains, judge_domains) = (of_domains(&kept), of_domains(&held));
    let part = part.with_domains(&train_domains)?;
    let judge_domains = Some(judge_domains.as_slice());
    let ratio = density_ratio(judges.rows(), target.rows(), seed)?;
    let inputs = Inputs::new(target.rows())?;
    let (mut accuracies, mut scores, mut shares) = (Map::new(), Map::new(), Map::new());
    let several = problem.has_several_domains();
    let own = |adapter: &&adapters::Adapter| several || adapter.family != Family::Domains;
    for adapter in adapters::all().iter().filter(own) {
        let known = found.tried.iter().find(|one| one.name == adapter.name).cloned();
        let tried = match known {
            Some(tried) => tried,
            None => {
                match Tried::fit(adapter, &part, &Options::default(), judges.rows(), judge_domains)
                {
                    Ok(tried) => tried,
                    Err(error) => {
                        eprintln!("{}, {seed}: {error}", pair.name);
                        continue;
                    }
                }
            }
        };
        accuracies.insert(adapter.name.into(), share(&hits(&tried.target, hidden)).into());
        shares.insert(adapter.name.into(), json!(tried.target.shares()));
        let evidence =
            tried.evidence(&judge_labels, seed)?.with_ratio(&ratio)?.with_inputs(&inputs)?;
        let own = validators::all()
            .iter()
            .filter_map(|v| Some((v.name.to_string(), v.of(&evidence).ok()?.into())));
        scores.insert(adapter.name.into(), Value::Object(own.collect()));
    }
    let chosen = found.choice.which.map_or("source-only", |i| found.tried[i + 1].name);
    // What is shipped was fitted to all of the source, and so is the head that it is compared with.
    let on_target = |head: &Head| Ok::<_, Failed>(hits(&head.predict(target.rows())?, hidden));
    let shipped = on_target(&found.adapted.of_target())?;
    let source_only = adapters::find("source-only").ok_or("no `source-only`")?;
    let before = on_target(&source_only.fit(&problem, &Options::default())?.of_target())?;
    let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && !**b).count();
    Ok(json!({
        "pair": pair.name, "seed": seed, "rows": [labels.len(), hidden.len()],
        "prescription": found.prescription.action.name(), "chosen": chosen,
        "why": found.choice.why, "fell_back": found.choice.fell_back,
        "listed": found.tried.iter().map(|one| one.name).collect::<Vec<_>>(),
        "vetoed": found.choice.candidates.iter().filter(|c| !c.vetoes.is_empty())
            .map(|c| c.name.clone()).collect::<Vec<_>>(),
        "accuracies": accuracies, "scores": scores, "shares": shares,
        "shipped": share(&shipped), "source_only": share(&before),
        "wins": only(&shipped, &before), "losses": only(&before, &shipped),
        "auto_seconds": auto_seconds,
    }))
}
