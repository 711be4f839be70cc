//! Clinical-BERT's forward passes against each other and what is known of them.

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use rand::RngExt;

use super::*;
use crate::nn::{padded, read_array, stream};
use crate::systems::Trainable;
use crate::systems::train::{Batch, Example, Images, Memory, Progress, StepContext, Vocabulary, Weights};

const SPECIALS: Specials = Specials {
    pad: 0,
    unk: 1,
    cls: 2,
    sep: 3,
    mask: 4,
};

fn config() -> ClinicalBertConfig {
    ClinicalBertConfig {
        diagnosis: Some(Diagnosis::Cls),
        mesh: (20..30).collect(),
        ..ClinicalBertConfig::tiny()
    }
}

fn model(config: &ClinicalBertConfig, device: &Device) -> ClinicalBert {
    device.seed(3);
    ClinicalBert::init(config, SPECIALS, device).unwrap()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    read_array("test", tensor).unwrap().data
}

fn images(count: usize, device: &Device) -> Tensor<4> {
    Tensor::random([count, 1, 64, 64], Distribution::Uniform(0.0, 1.0), device)
}

fn examples() -> Vec<Example> {
    let mut rng = stream(5, 1);
    (0..8)
        .map(|i| {
            let mut tokens: Vec<u32> = (0..6 + i % 3).map(|_| rng.random_range(5..60)).collect();
            tokens[2] = 20 + i as u32;
            tokens.push(SPECIALS.sep);
            Example {
                id: i.to_string(),
                has_image: true,
                tokens,
                targets: (0..14).map(|label| Some((label + i) % 3 == 0)).collect(),
                ..Example::default()
            }
        })
        .collect()
}

fn losses(
    model: &ClinicalBert,
    images: Images,
    examples: &[Example],
    on: &[&str],
) -> Vec<(&'static str, f32)> {
    let weights = Weights(on.iter().map(|name| ((*name).to_owned(), 1.0)).collect());
    let batch = Batch {
        images,
        masks: None,
        boxes: Vec::new(),
        examples: examples.iter().collect(),
        negatives: Vec::new(),
        questions: Vec::new(),
    };
    let mut step = StepContext {
        weights: &weights,
        rng: &mut stream(9, 2),
        progress: Progress { step: 0, steps: 1 },
        teacher: None,
        memory: &mut Memory::default(),
        vocabulary: &Vocabulary::default(),
    };
    let losses = Trainable::losses(model, &batch, &mut step);
    losses
        .into_iter()
        .map(|(name, loss)| (name, loss.into_scalar::<f32>()))
        .collect()
}

#[test]
fn a_step_with_its_cache_says_what_teacher_forcing_says() {
    let device = Device::flex();
    let model = model(&config(), &device);
    let image = model.encode_image(images(2, &device));
    let words = [[7i32, 21, 9, 33], [12, 50, 8, 5]];
    let tokens = Tensor::<2, Int>::from_data(words, &device);
    let whole = Generator::forward(&model, image.clone(), tokens.clone());
    let mut state = model.start(image, 6);
    let mut last = None;
    for t in 0..5 {
        let step = values(Generator::step(&model, &mut state, last));
        let expected = values(whole.clone().narrow(1, t, 1));
        let gap = step.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        assert!(gap.fold(0.0, f32::max) < 1e-4, "step {t}");
        last = (t < 4).then(|| tokens.clone().narrow(1, t, 1));
    }
}

#[test]
fn words_see_the_words_before_them_and_regions_sum_to_one() {
    let device = Device::flex();
    let model = model(&config(), &device);
    let image = model.encode_image(images(1, &device));
    let look = |words: [[i32; 3]; 1]| {
        let words = Tensor::<2, Int>::from_data(words, &device);
        values(Generator::attention(&model, image.clone(), words).unwrap())
    };
    let (one, other) = (look([[7, 21, 9]]), look([[7, 21, 40]]));
    assert_eq!(one[..8], other[..8], "a later word changes nothing");
    for row in one.chunks(4) {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
        assert_eq!(row.iter().filter(|w| **w > 0.0).count(), 2, "K is 2: {row:?}");
    }
}

#[test]
fn each_objective_learns_from_its_own_samples() {
    let device = Device::flex();
    let model = model(&config(), &device);
    let images = || Images::Pixels(images(8, &device));
    let all = ["cd", "mmm", "s2s", "bi", "imm", "report", "diagnosis"];
    let found = losses(&model, images(), &examples(), &all);
    let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["diagnosis", "report", "cd", "mmm", "s2s", "bi", "imm"]);
    assert!(found.iter().all(|(_, loss)| loss.is_finite()), "{found:?}");
    // A model that knows nothing says each of 60 words alike, and each of 14 labels with one half.
    for (name, loss) in &found {
        let chance = match *name {
            "cd" | "diagnosis" => 2f32.ln(),
            "imm" => continue,
            _ => 60f32.ln(),
        };
        assert!((loss - chance).abs() < 0.35, "{name} {loss} against {chance}");
    }
    // Without a MeSH word nothing serves MMM.
    let mut plain = examples();
    for example in &mut plain {
        example
            .tokens
            .iter_mut()
            .filter(|token| (20..30).contains(*token))
            .for_each(|token| *token = 40);
    }
    let found = losses(&model, images(), &plain, &["mmm", "s2s"]);
    assert!(found.iter().all(|(name, _)| *name == "s2s"), "{found:?}");
    assert!(losses(&model, Images::None, &plain, &all).is_empty());
}

#[test]
fn every_mesh_word_is_masked_in_mmm_and_none_elsewhere() {
    let device = Device::flex();
    let config = ClinicalBertConfig {
        ratio: Ratio {
            s2s: 0.4,
            bi: 0.3,
            mmm: 0.3,
        },
        ..config()
    };
    let model = model(&config, &device);
    let examples = examples();
    let batch = Batch {
        images: Images::None,
        masks: None,
        boxes: Vec::new(),
        examples: examples.iter().cycle().take(600).collect(),
        negatives: Vec::new(),
        questions: Vec::new(),
    };
    let rows: Vec<usize> = (0..600).collect();
    let on = ["s2s", "bi", "mmm"].map(|name| (name.to_owned(), 1.0));
    let drawn = model.draw(
        &batch,
        &rows,
        &Weights(on.into_iter().collect()),
        &mut stream(1, 1),
    );
    let share = |kind| drawn.kinds.iter().filter(|k| **k == kind).count() as f64 / 600.0;
    assert!((share(Kind::S2s) - 0.4).abs() < 0.06 && (share(Kind::Mmm) - 0.3).abs() < 0.06);
    let (mut masked, mut asked, mut words) = (0, 0, 0);
    for row in 0..600 {
        let places: Vec<usize> = drawn.hidden[row].iter().map(|(t, _)| *t).collect();
        let mesh: Vec<usize> = (0..drawn.mesh[row].len())
            .filter(|t| drawn.mesh[row][*t])
            .collect();
        if drawn.kinds[row] == Kind::Mmm {
            assert_eq!(places, mesh);
            for (t, _) in &drawn.hidden[row] {
                let put = drawn.words[row][*t];
                assert!(put == SPECIALS.mask || config.is_mesh(put), "{put}");
            }
        } else {
            assert!(places.iter().all(|t| !mesh.contains(t)));
            words += drawn.mesh[row].len() - mesh.len();
            asked += places.len();
            masked += places
                .iter()
                .filter(|t| drawn.words[row][**t] == SPECIALS.mask)
                .count();
        }
        for (t, token) in &drawn.hidden[row] {
            assert_eq!(batch.examples[row].tokens[*t], *token);
        }
    }
    assert!((asked as f64 / words as f64 - 0.15).abs() < 0.02);
    assert!((masked as f64 / asked as f64 - 0.8).abs() < 0.06);
}

#[test]
fn diagnosis_reads_the_image_alone_and_clinical_diagnosis_both() {
    let device = Device::flex();
    let model = model(&config(), &device);
    let image = model.encode_image(images(1, &device));
    let logits = |words: &[u32]| {
        let padded = padded([words].into_iter(), words.len(), 0, &device);
        let lengths = vec![6 + words.len()];
        let hidden = model.encode(image.clone(), padded, MaskKind::Bidirectional, lengths, |_, _| ());
        values(model.clinical_logits(&hidden))
    };
    assert_ne!(logits(&[7, 8, 3]), logits(&[7, 30, 3]));
    assert_eq!(values(model.diagnose(image).unwrap()).len(), 14);
    let bare = ClinicalBertConfig {
        diagnosis: None,
        ..config()
    };
    assert_eq!(System::tasks(&self::model(&bare, &device)), [Task::Draft]);
}

#[test]
fn tau_is_a_divisor_or_a_constant() {
    let device = Device::flex();
    let scores = || Tensor::<1>::from_data(TensorData::new(vec![0.2f32, 0.4], [2]), &device);
    let by = MatchingConfig::default();
    let inside = MatchingConfig {
        tau_inside_log: true,
        ..by
    };
    let loss = |config| matching::matching_loss(scores(), config).into_scalar::<f32>();
    assert!((loss(&by) + 30.0).abs() < 1e-4);
    assert!((loss(&inside) + 0.3 - 0.01f32.ln()).abs() < 1e-4);
}

#[test]
fn the_papers_model_has_its_102_million_parameters() {
    // Counted without drawing them: shapes of the preset by their sums.
    let c = ClinicalBertConfig::paper();
    let (v, w, i, p) = (
        c.bert.vocabulary,
        c.bert.width,
        c.bert.intermediate,
        c.bert.positions,
    );
    let layer = 4 * (w * w + w) + 2 * w + (w * i + i) + (i * w + w) + 2 * w;
    let text = (v + p + 2) * w + 2 * w;
    let dense_net = 6_953_856;
    let heads = (1024 * w + w) * 2 + (w * w + w) + 2 * w + v + (w * w + w) + (w * 14 + 14);
    let total = c.bert.layers * layer + text + dense_net + heads;
    assert!((101_000_000..103_000_000).contains(&total), "{total}");
    let tiny = model(&config(), &Device::flex());
    assert!(tiny.num_params() > 10_000);
}

#[test]
fn configs_that_cannot_run_say_which_key() {
    type Change = fn(&mut ClinicalBertConfig);
    let cases: [(&str, Change); 7] = [
        ("bert.positions", |c| c.bert.positions = 33),
        ("labels", |c| c.labels = "mine".to_owned()),
        ("ratio", |c| {
            c.ratio = Ratio {
                s2s: 0.0,
                bi: 0.0,
                mmm: 0.0,
            };
        }),
        ("matching.keep", |c| c.matching.keep = Some(5)),
        ("mesh", |c| c.mesh = vec![60]),
        ("bert.heads", |c| c.bert.heads = 5),
        ("beam", |c| c.beam = 0),
    ];
    for (key, change) in cases {
        let mut config = config();
        change(&mut config);
        assert_eq!(config.validate().unwrap_err().key, key);
    }
    let facts = |mesh: Option<&'static [u32]>| crate::systems::DataFacts {
        vocabulary: 60,
        side_tokens: 0,
        answers: &[],
        studies: 100,
        together: 8,
        mesh,
        on: &|name| name == "mmm",
    };
    let error = config().with_data(&facts(Some(&[]))).unwrap_err().to_string();
    assert!(error.contains("data.mesh"), "{error}");
    assert_eq!(config().with_data(&facts(None)).unwrap().mesh.len(), 10);
}
