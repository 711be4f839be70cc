//! Rows 3 and 4: the system `medvill`, at the paper's size with random weights, and as the demo bundle.

use std::rc::Rc;

use anyhow::{Context, bail};
use burn::tensor::{Tensor, TensorData};
use hilum::bundle::Bundle;
use hilum::image::{WindowChoice, decode_file};
use hilum::nn::{self, Array, Arrays, ints};
use hilum::systems::{Generator, GeneratorState, Model, Task};
use hilum::tasks::{DraftOptions, Drafter, Session, draft_text};
use hilum::text::Specials;
use serde_json::{Value, json};

use super::case::{Pass, Setting, Subject};
use super::weights::{drawn, pixels, tensor};
use crate::session::demo_bundle;

/// Ids of the words that the steps settle begin here, behind BERT's special and unused ones.
const FIRST_WORD: usize = 1_000;

/// The config with what else a peer must know.
fn told(config: Value, specials: Specials) -> Value {
    let Specials {
        pad,
        unk,
        cls,
        sep,
        mask,
    } = specials;
    json!({ "model": config, "specials": { "pad": pad, "unk": unk, "cls": cls, "sep": sep, "mask": mask } })
}

fn generator(model: &Model) -> anyhow::Result<&dyn Generator> {
    model
        .as_system()
        .generator()
        .context("the preset paper writes no text")
}

/// Image to first word, and steps after some words.
pub fn paper(cases: &[&'static str], setting: &Setting<'_>) -> anyhow::Result<Subject> {
    let config = Model::config_for("medvill", "paper", &Arrays::new())?;
    let model = Model::new("medvill", &config, Specials::BERT, setting.device)?;
    let (model, weights) = drawn(model, setting.seed, setting.device)?;
    let model = Rc::new(model);
    let size = model.as_system().spec().preprocessing.size;
    let image = pixels(&[1, 1, size, size], setting.seed);
    let radiograph = tensor::<4>(&image, setting.device);
    let mut passes = Vec::new();
    for case in cases {
        let mut inputs = Arrays::from([("in.pixels".to_owned(), image.clone())]);
        let pass = match case.strip_prefix("medvill-step-") {
            None => Pass::new(case, inputs, first_word(model.clone(), radiograph.clone()))?,
            Some(count) => {
                let words: Vec<usize> = (0..count.parse()?).map(|at| FIRST_WORD + 97 * at).collect();
                let data = words.iter().map(|word| *word as f32).collect();
                let shape = vec![words.len()];
                inputs.insert("in.words".to_owned(), Array { shape, data });
                Pass::new(case, inputs, step(model.clone(), radiograph.clone(), &words)?)?
            }
        };
        passes.push(pass);
    }
    Ok(Subject {
        config: told(config, Specials::BERT),
        weights,
        passes,
    })
}

type Outputs = anyhow::Result<super::case::Outputs>;

fn first_word(model: Rc<Model>, radiograph: Tensor<4>) -> impl FnMut() -> Outputs + 'static {
    move || {
        let generator = generator(&model)?;
        let image = model.as_system().encode_image(radiograph.clone());
        let mut state = generator.start(image, generator.max_tokens());
        Ok(vec![("out.logits", generator.step(&mut state, None).into_data())])
    }
}

/// The step that settles the last of `words` and predicts the next, taken back each time.
fn step(
    model: Rc<Model>,
    radiograph: Tensor<4>,
    words: &[usize],
) -> anyhow::Result<impl FnMut() -> Outputs + 'static> {
    let device = radiograph.device();
    let token = |word: usize| ints(vec![word as i32], [1, 1], &device);
    let (last, before) = words.split_last().context("a step settles a word")?;
    let last = token(*last);
    let mut state = {
        let generator = generator(&model)?;
        let image = model.as_system().encode_image(radiograph);
        let mut state = generator.start(image, generator.max_tokens());
        generator.step(&mut state, None);
        for word in before {
            generator.step(&mut state, Some(token(*word)));
        }
        state
    };
    Ok(move || {
        let logits = generator(&model)?
            .step(&mut state, Some(last.clone()))
            .into_data();
        match &mut state {
            GeneratorState::Transformer(state) => state.rewind(1),
            GeneratorState::Recurrent { .. } => bail!("a recurrent writer cannot take a word back"),
        }
        Ok(vec![("out.logits", logits)])
    })
}

/// A greedy draft of a sample, from its prepared pixels to the text.
pub fn demo(cases: &[&'static str], setting: &Setting<'_>) -> anyhow::Result<Subject> {
    let [case] = cases else {
        bail!("the draft is one case")
    };
    let folder = demo_bundle()?;
    let bundle = Bundle::open(&folder)?;
    let session = Session::open(&bundle, setting.device)?;
    let sample = folder.join("../../samples/effusion.png");
    let gray = decode_file(&sample)
        .with_context(|| sample.display().to_string())?
        .display(&WindowChoice::Default)?;
    let spec = session.spec();
    let pixels = spec.preprocessing.apply(&gray).pixels;
    let size = spec.preprocessing.size;
    let image = Array {
        shape: vec![1, 1, size, size],
        data: pixels.clone(),
    };
    let weights = nn::parameters(&session.model)?;
    let config = told(
        bundle.manifest().config.clone(),
        session.tokenizer(Task::Draft)?.specials(),
    );
    let run = move || {
        let image = session.encode_pixels(pixels.clone(), 1);
        let drafter = Drafter::new(&session)?;
        let draft = pollster::block_on(drafter.draft(image, DraftOptions::default(), |_| {
            std::ops::ControlFlow::Continue(())
        }))?;
        draft_text(session.tokenizer(Task::Draft)?, &draft);
        let words: Vec<f32> = draft.tokens.iter().map(|token| token.id as f32).collect();
        let probabilities: Vec<f32> = draft.tokens.iter().map(|token| token.probability).collect();
        let count = [draft.tokens.len()];
        Ok(vec![
            ("out.words", TensorData::new(words, count)),
            ("out.probabilities", TensorData::new(probabilities, count)),
        ])
    };
    Ok(Subject {
        config,
        weights,
        passes: vec![Pass::new(
            case,
            Arrays::from([("in.pixels".to_owned(), image)]),
            run,
        )?],
    })
}
