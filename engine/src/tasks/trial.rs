//! The trial: what a model says of a picture drawn by a formula. Whoever makes a bundle records it in the manifest, computed
//! on the CPU; whoever opens the bundle can compare, and so finds a device that computes wrongly before its words are read.

use std::ops::ControlFlow;

use super::answer::{AnswerOptions, ask};
use super::draft::{DraftOptions, Drafter, Token};
use super::error::{TaskError, read_back};
use super::findings::finding_logits;
use super::retrieve::match_probabilities;
use super::session::{Encoded, Session};
use crate::bundle::{Manifest, Trial};
use crate::image::Gray8;
use crate::systems::Task;
use crate::text::present;

/// Which picture [`trial_picture`] draws. It rises with every change there.
pub const TRIAL_PICTURE: u32 = 1;
/// Tokens of a trial's draft, at most.
pub const TRIAL_TOKENS: usize = 16;

/// A recorded draft ends before the first token that leads the runner-up by less than this, in log-probability: rounding
/// alone must change no word of it. Two devices part by a thousandth.
const LEAD: f32 = 0.1;
/// A draft with fewer such tokens says too little; the next task is recorded instead.
const LEAST: usize = 4;
/// How far numbers may part, relative to the largest of them where that is above 1.
const TOLERANCE: f32 = 0.02;
/// The tasks in the order in which one is chosen.
const ORDER: [Task; 4] = [Task::Draft, Task::Findings, Task::Vqa, Task::Retrieve];
const QUESTION: &str = "is there a pleural effusion?";
const REPORT: &str = "the lungs are clear.";

/// What a model says of the picture.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Tokens of a draft, the closing SEP apart.
    pub tokens: Vec<Token>,
    /// Numbers of another task.
    pub numbers: Vec<f32>,
    /// Whether that is what the manifest records; nothing where it records nothing that can be compared.
    pub right: Option<bool>,
    /// Whether the draft was ended before its time.
    pub stopped: bool,
}

/// A chest in outline, `side * side` pixels, by whole numbers alone, so that it is the same everywhere: two dark lungs in
/// brighter soft tissue, grained. Models that read radiographs find something to say of it.
pub fn trial_picture(side: usize) -> Gray8 {
    // Half axes of a lung, of a picture 256 wide.
    const WIDE: i64 = 46;
    const HIGH: i64 = 80;
    let size = side.max(1) as i64;
    let value = |at: i64| {
        let (u, v) = (at % size * 256 / size, at / size * 256 / size);
        let inside = |centre: i64| {
            let (x, y) = (u - centre, v - 120);
            x * x * HIGH * HIGH + y * y * WIDE * WIDE < WIDE * WIDE * HIGH * HIGH
        };
        let tissue = if inside(80) || inside(176) { 60 } else { 170 };
        (tissue + (u * 7 + v * 13 + u * v) % 23 - 11) as u8
    };
    Gray8 {
        width: side,
        height: side,
        pixels: (0..size * size).map(value).collect(),
    }
}

/// Asks a model about the picture: what its manifest records, else the first task that it offers; a draft of `tokens` tokens
/// at most. `each` is told how many of them are there; it may let others have their turn, and ends the draft by breaking.
///
/// # Errors
/// When the device fails or computes no numbers, and where the bundle lacks what its task needs.
pub async fn trial(
    session: &Session,
    tokens: usize,
    each: impl AsyncFnMut(usize) -> ControlFlow<()>,
) -> Result<Said, TaskError> {
    let Some(recorded) = recorded(&session.manifest) else {
        let task = ORDER
            .into_iter()
            .find(|task| session.manifest.tasks.contains(task));
        return say(session, task, tokens, each).await;
    };
    let tokens = tokens.min(recorded.tokens.len());
    let mut said = say(session, Some(recorded.task), tokens, each).await?;
    said.right = Some(agrees(&said, recorded, tokens));
    Ok(said)
}

/// The manifest's trial, where this engine can make it again.
pub fn recorded(manifest: &Manifest) -> Option<&Trial> {
    let trial = manifest.trial.as_ref()?;
    (trial.picture == TRIAL_PICTURE && manifest.tasks.contains(&trial.task)).then_some(trial)
}

fn agrees(said: &Said, recorded: &Trial, tokens: usize) -> bool {
    let ids = said.tokens.iter().map(|token| token.id);
    let tokens = if said.stopped { said.tokens.len() } else { tokens };
    let largest = recorded.numbers.iter().fold(1f32, |most, v| most.max(v.abs()));
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= TOLERANCE * largest;
    ids.eq(recorded.tokens.iter().take(tokens).copied())
        && said.numbers.len() == recorded.numbers.len()
        && said.numbers.iter().zip(&recorded.numbers).all(near)
}

async fn say(
    session: &Session,
    task: Option<Task>,
    tokens: usize,
    mut each: impl AsyncFnMut(usize) -> ControlFlow<()>,
) -> Result<Said, TaskError> {
    let image = session.encode_gray(&trial_picture(session.spec().preprocessing.size));
    let mut said = Said::default();
    if task == Some(Task::Draft) {
        let drafter = Drafter::new(session)?;
        let options = DraftOptions {
            max_tokens: tokens,
            ..DraftOptions::default()
        };
        let mut drafting = drafter.begin(image.tokens, options);
        while !said.stopped && drafting.next().await?.is_some() {
            said.stopped = each(drafting.draft().tokens.len()).await.is_break();
        }
        said.tokens.clone_from(&drafting.draft().tokens);
    } else {
        said.numbers = numbers(session, task, image).await?;
    }
    Ok(said)
}

/// What a task other than drafting says, in numbers. Without a task the image encoder runs and says nothing.
async fn numbers(session: &Session, task: Option<Task>, image: Encoded) -> Result<Vec<f32>, TaskError> {
    match task {
        Some(Task::Findings) => {
            let logits = finding_logits(session, image.tokens, None).await?;
            Ok(logits.into_iter().flatten().collect())
        }
        Some(Task::Vqa) => {
            let answers = ask(session, image.tokens, &[QUESTION], AnswerOptions::default()).await?;
            Ok(answers.into_iter().flatten().map(|(_, p)| p).collect())
        }
        Some(Task::Retrieve | Task::Check) => {
            let report = session.encode_text(Task::Retrieve, REPORT)?;
            match_probabilities(session, &image.tokens, &[&report], &[(0, 0)]).await
        }
        Some(Task::Draft) | None => {
            // Reading back waits until the encoder has run.
            read_back(image.tokens).await?;
            Ok(Vec::new())
        }
    }
}

/// The trial to record for a session's bundle; nothing where its model says nothing clear enough.
///
/// # Errors
/// When the device fails or computes no numbers.
pub async fn record_trial(session: &Session) -> Result<Option<Trial>, TaskError> {
    for task in ORDER {
        if !session.manifest.tasks.contains(&task) {
            continue;
        }
        let said = match say(session, Some(task), TRIAL_TOKENS, async |_| {
            ControlFlow::Continue(())
        })
        .await
        {
            // Imported without its tokenizer, say: it cannot be asked this elsewhere either.
            Err(TaskError::NoTokenizer(_) | TaskError::NoHead(_)) => continue,
            said => said?,
        };
        let clear = said.tokens.iter().take_while(|token| token.margin >= LEAD);
        let tokens: Vec<u32> = clear.map(|token| token.id).collect();
        if task == Task::Draft && tokens.len() < LEAST {
            continue;
        }
        let text = match &session.tokenizer {
            Some(tokenizer) => present(&tokenizer.decode(&tokens)),
            None => String::new(),
        };
        return Ok(Some(Trial {
            picture: TRIAL_PICTURE,
            task,
            text,
            tokens,
            numbers: said.numbers,
        }));
    }
    Ok(None)
}

/// Records the trial of a bundle's folder in its manifest, computed on the CPU from the weights as they are stored.
///
/// # Errors
/// A bundle that cannot be opened or written, and those of [`record_trial`].
#[cfg(not(target_family = "wasm"))]
pub fn put_trial(dir: &std::path::Path) -> Result<Manifest, TaskError> {
    let bundle = crate::bundle::Bundle::open(dir)?;
    let session = Session::open(&bundle, &crate::device::cpu().device)?;
    let trial = pollster::block_on(record_trial(&session))?;
    let mut manifest = session.manifest;
    manifest.trial = trial;
    crate::bundle::put_manifest(dir, &manifest)?;
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::tasks::draft::tests::{session, words};

    fn said(session: &Session, tokens: usize) -> Said {
        let go_on = async |_| ControlFlow::Continue(());
        pollster::block_on(trial(session, tokens, go_on)).unwrap()
    }

    /// A random model with the trial of its own that the CPU records.
    fn tried(device: &Device) -> Session {
        let own = session(&Device::flex(), &words(), None);
        let mut tried = session(device, &words(), None);
        tried.manifest.trial = pollster::block_on(record_trial(&own)).unwrap();
        tried
    }

    #[test]
    fn the_picture_fills_its_range_at_every_size() {
        for side in [1, 64, 224, 512] {
            let picture = trial_picture(side);
            assert_eq!(picture.pixels.len(), side * side);
            assert!(picture.pixels.iter().all(|v| (49..=181).contains(v)));
        }
        // By whole numbers alone: a sum over positions is the same on every machine.
        let pixels = trial_picture(224).pixels;
        let weighed = pixels.iter().zip(1u64..).map(|(v, at)| u64::from(*v) * at);
        assert_eq!(weighed.sum::<u64>(), 167_322_653_292);
    }

    #[test]
    fn every_device_says_what_was_recorded_and_wrong_words_are_found() {
        for (name, device) in crate::device::test_devices() {
            let mut session = tried(&device);
            let trial = session.manifest.trial.clone().unwrap();
            assert!((LEAST..=TRIAL_TOKENS).contains(&trial.tokens.len()), "{trial:?}");
            let mut steps = Vec::new();
            let all = super::trial(&session, TRIAL_TOKENS, async |step| {
                steps.push(step);
                ControlFlow::Continue(())
            });
            assert_eq!(pollster::block_on(all).unwrap().right, Some(true), "{name}");
            assert_eq!(steps, (1..=trial.tokens.len()).collect::<Vec<_>>());
            let stop = async |step| match step {
                2 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            };
            let two = pollster::block_on(super::trial(&session, TRIAL_TOKENS, stop)).unwrap();
            assert_eq!((two.tokens.len(), two.stopped, two.right), (2, true, Some(true)));
            // A short one compares what it has.
            let short = said(&session, 3);
            assert_eq!((short.tokens.len(), short.right), (3, Some(true)));

            session.manifest.trial.as_mut().unwrap().tokens[3] += 1;
            assert_eq!(said(&session, 3).right, Some(true));
            assert_eq!(said(&session, TRIAL_TOKENS).right, Some(false));
            // Another picture, or a task that is not offered, cannot be compared.
            session.manifest.trial.as_mut().unwrap().picture += 1;
            assert_eq!(said(&session, TRIAL_TOKENS).right, None);
            session.manifest.trial = None;
            assert_eq!(said(&session, 5).tokens.len(), 5);
        }
    }

    #[test]
    fn numbers_may_part_by_the_tolerance() {
        let recorded = Trial {
            picture: TRIAL_PICTURE,
            task: Task::Findings,
            text: String::new(),
            tokens: Vec::new(),
            numbers: vec![-4.0, 0.25],
        };
        let agrees = |numbers: &[f32]| {
            let said = Said {
                numbers: numbers.to_vec(),
                ..Said::default()
            };
            agrees(&said, &recorded, 0)
        };
        assert!(agrees(&[-4.0, 0.25]) && agrees(&[-4.07, 0.32]));
        assert!(!agrees(&[-4.0, 0.35]) && !agrees(&[-3.9, 0.25]) && !agrees(&[-4.0]));
        assert!(!agrees(&[-4.0, f32::NAN]));
    }

    #[test]
    fn a_bundle_without_tasks_or_tokenizer_records_nothing_and_still_runs() {
        let mut session = session(&Device::flex(), &words(), None);
        session.tokenizer = None;
        assert_eq!(pollster::block_on(record_trial(&session)).unwrap(), None);
        session.manifest.tasks.clear();
        assert!(said(&session, 4).tokens.is_empty());
    }
}
