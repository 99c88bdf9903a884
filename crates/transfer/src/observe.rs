//! Watching a run, and asking it to stop.

/// What a run is doing. In the order in which `train` goes through them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Finding samples and labels.
    Read,
    /// The data doctor.
    Check,
    /// Reading weights and building the network.
    Load,
    /// Guessing hidden words of unlabelled texts.
    Adapt,
    /// Decoding, resizing and running the network.
    Extract,
    /// Asking how source and target differ.
    Compare,
    /// Fitting methods of adaptation, one after the other.
    Align,
    /// Asking validators which of them to ship.
    Choose,
    /// Asking what each of several sources is worth.
    Weigh,
    /// Fitting the head.
    Fit,
    /// Computing what is frozen, once for every sample.
    Cache,
    /// Training the network.
    Finetune,
    /// Learning by acting in a world.
    Learn,
    /// Fitting the temperature.
    Calibrate,
    /// Metrics and their confidence intervals.
    Evaluate,
    /// The same for other sources of features.
    Baselines,
    /// Writing the run folder.
    Export,
    /// Writing the report.
    Report,
    /// Timing a few steps, to know what all would take.
    Rehearse,
    /// Training on more and more labels.
    Curves,
    /// Labelling new inputs.
    Predict,
    /// Asking about inputs with a part left out.
    Explain,
}

impl Phase {
    /// A verb for a progress bar.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Read => "reading data",
            Self::Check => "checking data",
            Self::Load => "loading model",
            Self::Adapt => "adapting to texts",
            Self::Extract => "extracting features",
            Self::Compare => "comparing sides",
            Self::Align => "trying adaptations",
            Self::Choose => "choosing",
            Self::Weigh => "weighing sources",
            Self::Fit => "fitting head",
            Self::Cache => "computing the frozen part",
            Self::Finetune => "fine-tuning",
            Self::Learn => "learning (steps)",
            Self::Calibrate => "calibrating",
            Self::Evaluate => "evaluating",
            Self::Baselines => "measuring baselines",
            Self::Export => "writing run",
            Self::Report => "writing report",
            Self::Rehearse => "rehearsing",
            Self::Curves => "learning curves (%)",
            Self::Predict => "predicting",
            Self::Explain => "explaining",
        }
    }
}

/// Something that happened. Within a phase that takes long, at least one event a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A phase begins; `total` samples are ahead where that is known.
    Started {
        /// Which.
        phase: Phase,
        /// Number of samples.
        total: Option<usize>,
    },
    /// `done` of `total` samples are finished.
    Progress {
        /// Of which phase.
        phase: Phase,
        /// Finished samples, cached ones included.
        done: usize,
        /// All samples.
        total: usize,
        /// How many of `done` came from the cache, which costs no time: an estimate of the time
        /// left divides the elapsed time by `done - cached`.
        cached: usize,
    },
    /// Where training stands; a [`Event::Progress`] in updates follows.
    Training {
        /// Epochs so far, parts included.
        epoch: f64,
        /// Epochs in all.
        epochs: usize,
        /// Loss of the last batch.
        loss: f64,
        /// The metric that is watched.
        metric: &'a str,
        /// Its last value on validation.
        last: Option<f64>,
        /// Its best value so far.
        best: Option<f64>,
        /// Learning rate.
        lr: f64,
    },
    /// Work goes on, and there is nothing to tell; asks whether it should.
    Working,
    /// A phase ended.
    Finished {
        /// Which.
        phase: Phase,
        /// Wall time.
        seconds: f64,
    },
    /// Worth telling, goes on.
    Warning(&'a str),
    /// For `-v` and the log.
    Note(&'a str),
    /// What was chosen where the user said nothing, such as the columns of a table.
    Chosen(&'a str),
}

/// What the observer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Keep what is finished and return [`crate::TransferError::Stopped`].
    Stop,
}

/// Watches a run. Observers only observe: nothing they do changes a result.
pub trait Observer {
    /// Called on the thread that runs the plan.
    fn on(&mut self, event: &Event<'_>) -> Flow;
}

/// Sees nothing and never stops.
impl Observer for () {
    fn on(&mut self, _: &Event<'_>) -> Flow {
        Flow::Continue
    }
}

impl<F: FnMut(&Event<'_>) -> Flow> Observer for F {
    fn on(&mut self, event: &Event<'_>) -> Flow {
        self(event)
    }
}
