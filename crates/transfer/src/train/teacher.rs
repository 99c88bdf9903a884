//! What a run says to the samples that another network learns from.

use offshoot_data::{Sample, Split};

use super::unlabelled;
use crate::cache::Cache;
use crate::extract::extract;
use crate::fit::distill::{Distill, Teacher};
use crate::plan::TrainPlan;
use crate::prepare::Prepared;
use crate::report::words;
use crate::run::RunFolder;
use crate::run::record::RunRecord;
use crate::source::Source;
use crate::trained::Trained;
use crate::watch::Watch;
use crate::{Phase, Result, TransferError, estimate};

/// Samples without labels that the plan names, as they join the training split.
fn joining(
    settings: &Distill,
    plan: &TrainPlan,
    prepared: &Prepared,
    student: &Source,
    watch: &mut Watch<'_>,
) -> Result<Vec<Sample>> {
    let Some(data) = &settings.data else { return Ok(Vec::new()) };
    let more = unlabelled::read(data, &[Split::Val, Split::Test], plan, prepared, student, watch)?;
    Ok(more.into_iter().map(|sample| Sample { split: Some(Split::Train), ..sample }).collect())
}

/// For an estimate: seconds that the teacher's answers will take. Samples without labels join the training split
/// under any class, which costs as much as the right one.
pub fn rehearse(
    plan: &TrainPlan,
    prepared: &mut Prepared,
    student: &Source,
    watch: &mut Watch<'_>,
) -> Result<f64> {
    let Some(settings) = &plan.distill else { return Ok(0.0) };
    let more = joining(settings, plan, prepared, student, watch)?;
    prepared.dataset.samples.extend(more.into_iter().map(|s| Sample { label: Some(0), ..s }));
    let (folder, record) = RunFolder::open(&settings.run)?;
    let (_, teacher) = Trained::load(&folder, &record)?;
    let asked = prepared.of(Split::Train).len() + prepared.of(Split::Val).len();
    Ok(asked as f64 * estimate::seconds_per_image(prepared, &teacher)?)
}

/// Asks the teacher that the plan names about training and validation samples; the test split is not shown to
/// it. Samples without labels that the plan names join the training split, each under the class that the
/// teacher takes it for.
pub fn ask(
    plan: &TrainPlan,
    prepared: &mut Prepared,
    student: &Source,
    cache: &Cache,
    of_student: &mut RunRecord,
    watch: &mut Watch<'_>,
) -> Result<Option<Teacher>> {
    let Some(settings) = &plan.distill else { return Ok(None) };
    let (folder, record) = RunFolder::open(&settings.run)?;
    let (trained, source) = watch.phase(Phase::Load, None, |_| Trained::load(&folder, &record))?;
    let names = &prepared.dataset.classes;
    let classes = names.len();
    let place = |class: &String| trained.classes.iter().position(|known| known == class);
    let places: Option<Vec<usize>> = names.iter().map(place).collect();
    let places =
        places.filter(|places| places.len() == trained.classes.len()).ok_or_else(|| {
            TransferError::usage(
                format!(
                    "run `{}` tells {} apart, the data holds {}",
                    record.name,
                    trained.classes.join(", "),
                    names.join(", ")
                ),
                "a teacher answers for the same classes",
            )
        })?;
    if record.seed != plan.seed || record.data.name != prepared.dataset.name {
        watch.warn(format!(
            "run `{}` was split by another seed or from other data: it may have learned from samples that judge \
             here",
            record.name
        ))?;
    }
    let labelled = prepared.dataset.samples.len();
    // The class follows from the answer.
    let more = joining(settings, plan, prepared, student, watch)?;
    of_student.pin("what the teacher is asked about", unlabelled::sha(&more, student))?;
    of_student.pin("the teacher", source.facts.sha()?)?;
    prepared.dataset.samples.extend(more);
    let mut asked = [prepared.of(Split::Train), prepared.of(Split::Val)].concat();
    asked.sort_unstable();
    let samples: Vec<_> = asked.iter().map(|&i| prepared.dataset.samples[i].clone()).collect();
    let extraction = watch.phase(Phase::Extract, Some(samples.len()), |watch| {
        extract(&samples, &source, cache, plan.batch, Phase::Extract, watch)
    })?;
    let mut answers = vec![Vec::new(); prepared.dataset.samples.len()];
    for some in extraction.readable().chunks(1024) {
        let rows = extraction.gather(some)?;
        let said = trained.probabilities(rows.rows())?;
        for (k, &i) in some.iter().enumerate() {
            let (sample, row) = (asked[i], said.row(k));
            answers[sample] = places.iter().map(|&class| row[class]).collect();
            if sample >= labelled {
                let class = places.iter().position(|&place| place == said.predicted(k) as usize);
                prepared.dataset.samples[sample].label = class.map(|class| class as u32);
            }
        }
    }
    // What it could not read, nobody can; training itself leaves out what has no split.
    for (sample, answer) in prepared.dataset.samples.iter_mut().zip(&mut answers) {
        if answer.is_empty() && sample.split != Some(Split::Test) {
            sample.split = None;
            *answer = vec![1.0 / classes as f64; classes];
        }
    }
    let more = prepared.dataset.samples.len() - labelled;
    let joined = match more {
        0 => String::new(),
        _ => format!("; {} without labels join training as it takes them", words::count(more)),
    };
    watch.note(&format!(
        "run `{}` answered for {}{joined}",
        record.name,
        words::counted(samples.len(), "sample", "samples")
    ))?;
    Ok(Some(Teacher { settings: settings.clone(), answers }))
}
