//! Drafts of a data set, scored against what is known to be there and against the reports that were written.

use std::collections::BTreeSet;

use burn::tensor::{Tensor, activation::log_softmax};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{AT_ONCE, Cases, EvaluateError, EvaluateOptions, Scores, encode};
use crate::data::Study;
use crate::metrics::{
    DraftScores, GenerationScores, Lengths, Pair, draft_scores, generation_scores, length_distance,
    perplexity,
};
use crate::nn::ints;
use crate::systems::Task;
use crate::tasks::error::read_back;
use crate::tasks::{DraftOptions, Drafter, Session, TaskError, attention};
use crate::text::{Certainty, Finding, Labeler, Labels, TextError, has_han, present, segmented};

/// One draft beside its reference.
#[derive(Clone, Debug, Serialize)]
pub struct DraftLine {
    /// The study.
    pub id: String,
    /// What the model wrote.
    pub draft: String,
    /// What the data set says.
    pub reference: String,
    /// Categories that the draft states.
    pub stated: Vec<&'static str>,
    /// Categories that are there.
    pub truth: Vec<&'static str>,
}

/// Drafts with what they are measured by.
pub struct DraftCases {
    /// What each draft states, and the truth.
    pub pairs: Vec<Pair>,
    /// The drafts.
    pub lines: Vec<DraftLine>,
    /// Tokens of draft and reference, joined by spaces.
    tokens: Vec<(String, String)>,
    /// Mean negative log-likelihood of a reference's words, and how many they are.
    losses: Vec<(f64, usize)>,
    /// MeSH words, where the model knows them.
    mesh: Vec<Mesh>,
}

/// What a draft has of its reference's MeSH words, and where it looked for its own.
#[derive(Clone, Copy, Debug, Default)]
struct Mesh {
    /// Different MeSH words of the reference.
    asked: usize,
    /// Those of them that the draft has.
    recovered: usize,
    /// MeSH words of the draft.
    written: usize,
    /// Of the image, the shares that they looked at, together.
    area: f64,
}

/// The MeSH words of a draft beside those of its reference (Yan and Pei 2022, Figures 5 and 6).
///
/// # Shapes
/// - image `(1, K, F)`
async fn mesh_of(
    session: &Session,
    image: Tensor<3>,
    draft: &[u32],
    reference: &[u32],
) -> Result<Mesh, TaskError> {
    let mesh = session.generator()?.mesh();
    let of = |tokens: &[u32]| -> BTreeSet<u32> {
        let known = tokens.iter().filter(|token| mesh.contains(token));
        known.copied().collect()
    };
    let (own, asked) = (of(draft), of(reference));
    let looks = match own.is_empty() {
        true => Vec::new(),
        false => attention(session, image, draft).await?,
    };
    let looks = draft.iter().zip(&looks).filter(|(token, _)| own.contains(token));
    let areas: Vec<f64> = looks.map(|(_, look)| look.area()).collect();
    Ok(Mesh {
        asked: asked.len(),
        recovered: asked.intersection(&own).count(),
        written: areas.len(),
        area: areas.iter().sum(),
    })
}

/// The mean negative log-likelihood of a text's tokens, closing SEP included, under teacher forcing.
///
/// # Shapes
/// - image `(1, K, F)`
async fn likelihood(session: &Session, image: Tensor<3>, tokens: &[u32]) -> Result<f64, TaskError> {
    let device = &session.device;
    let ids = |tokens: &[u32]| tokens.iter().map(|t| *t as i32).collect::<Vec<_>>();
    let count = tokens.len();
    // The prediction of the token after the last is thrown away.
    let logits = session
        .generator()?
        .forward(image, ints(ids(tokens), [1, count], device));
    let [_, steps, vocabulary] = logits.dims();
    // (1, T + 1, V) -> (T + 1, V)
    let logits = logits.reshape([steps, vocabulary]).narrow(0, 0, count);
    let targets = ints(ids(tokens), [count, 1], device);
    let loss = log_softmax(logits, 1).gather(1, targets).mean().neg();
    Ok(f64::from(read_back(loss).await?[0]))
}

/// Drafts `studies`; `progress` is told how many are done.
///
/// Truth is the phantom's description where there is one, else the data set's labels, else the reference's as read by
/// the labeler.
///
/// # Errors
/// The first image that cannot be read, or a device that fails.
pub(super) async fn evaluate(
    session: &Session,
    studies: &[Study],
    options: &EvaluateOptions<'_>,
    mut progress: impl FnMut(usize),
) -> Result<DraftCases, EvaluateError> {
    let drafter = Drafter::new(session)?;
    let search = DraftOptions {
        beam: options.beam.unwrap_or(drafter.papers_beam()),
        ..DraftOptions::default()
    };
    let knows_mesh = !session.generator()?.mesh().is_empty();
    let tokenizer = session.tokenizer(Task::Draft)?;
    let labeler = Labeler::new();
    let mut cases = DraftCases {
        pairs: Vec::new(),
        lines: Vec::new(),
        tokens: Vec::new(),
        losses: Vec::new(),
        mesh: Vec::new(),
    };
    for part in studies.chunks(AT_ONCE) {
        let images = encode(session, part, None)?;
        let mut references = Vec::with_capacity(part.len());
        for (row, study) in part.iter().enumerate() {
            let reference = session.encode_text(Task::Draft, &session.reference(&study.report))?;
            let loss = likelihood(session, images.clone().narrow(0, row, 1), &reference).await?;
            cases.losses.push((loss, reference.len()));
            references.push(reference);
        }
        let drafts = drafter.draft_batch(images.clone(), search).await?;
        for (row, (study, draft)) in part.iter().zip(drafts).enumerate() {
            if knows_mesh {
                let image = images.clone().narrow(0, row, 1);
                let mesh = mesh_of(session, image, &draft.ids(), &references[row]).await?;
                cases.mesh.push(mesh);
            }
            let decoded = tokenizer.decode(&draft.ids());
            let text = present(&decoded);
            let reading = labeler.read(&text);
            let (truth, sides, blank) = study.truth(&labeler);
            let positive = |labels: &Labels| {
                let is = |f: &Finding| labels[*f as usize] == Some(Certainty::Positive);
                Finding::ALL.into_iter().filter(is).map(Finding::name).collect()
            };
            let reference = session.reference(&study.report).into_owned();
            cases
                .tokens
                .push((spaced(&decoded)?, spaced(&reference.to_lowercase())?));
            cases.lines.push(DraftLine {
                id: study.id.clone(),
                stated: positive(&reading.labels),
                truth: positive(&truth),
                draft: text,
                reference,
            });
            cases.pairs.push(Pair {
                drafted: reading,
                labels: truth,
                blank,
                sides,
            });
        }
        progress(cases.lines.len());
    }
    Ok(cases)
}

/// Words and punctuation marks with a space between any two, as the measures of generated text want them; Chinese is cut into
/// words.
fn spaced(text: &str) -> Result<String, TextError> {
    let text = segmented(text)?;
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        let mark = c.is_ascii_punctuation() && c != '-' && c != '\'';
        if mark {
            out.push(' ');
        }
        out.push(if c.is_whitespace() { ' ' } else { c });
        if mark {
            out.push(' ');
        }
    }
    Ok(out.split_whitespace().collect::<Vec<_>>().join(" "))
}

impl DraftCases {
    /// The scores of what the drafts state, with each finding's.
    pub fn stated(&self) -> DraftScores {
        draft_scores(&self.pairs)
    }

    /// The share of drafts that no other one equals, each text counted once; `None` of no drafts.
    fn different(&self, indices: &[usize]) -> Option<f64> {
        let texts: BTreeSet<&str> = indices.iter().map(|&i| self.lines[i].draft.as_str()).collect();
        (!indices.is_empty()).then(|| texts.len() as f64 / indices.len() as f64)
    }

    /// Measures of the words of some drafts: BLEU, METEOR, ROUGE-L and CIDEr; each case is a draft's number and a reference's.
    fn texts_of(&self, cases: &[(usize, usize)]) -> Scores {
        let references: Vec<[&str; 1]> = cases.iter().map(|&(_, r)| [self.tokens[r].1.as_str()]).collect();
        let drafts = cases.iter().map(|&(draft, _)| self.tokens[draft].0.as_str());
        let pairs: Vec<(&str, &[&str])> = drafts
            .zip(&references)
            .map(|(draft, reference)| (draft, reference.as_slice()))
            .collect();
        let Ok(texts) = generation_scores(&pairs, None) else {
            return Scores::new();
        };
        let named = [
            ("bleu_1", texts.bleu.bleu_1),
            ("bleu_2", texts.bleu.bleu_2),
            ("bleu_3", texts.bleu.bleu_3),
            ("bleu_4", texts.bleu.bleu_4),
            ("meteor", texts.meteor),
            ("rouge_l", texts.rouge_l),
            ("cider", texts.cider),
        ];
        named.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// The same of drafts of other images, each case having the next one's: what the language alone is worth.
    fn swapped(&self, indices: &[usize]) -> Scores {
        let other = |i: usize| (i + 1) % self.len();
        if self.len() < 2 {
            return Scores::new();
        }
        let cases: Vec<(usize, usize)> = indices.iter().map(|&i| (other(i), i)).collect();
        let pairs: Vec<Pair> = cases
            .iter()
            .map(|&(draft, case)| Pair {
                drafted: self.pairs[draft].drafted.clone(),
                ..self.pairs[case].clone()
            })
            .collect();
        let mut scores = self.texts_of(&cases);
        if self.reads_english() {
            scores.insert("micro_f1".to_owned(), draft_scores(&pairs).micro_f1);
        }
        let named = scores.into_iter();
        named
            .map(|(name, value)| (format!("swapped_{name}"), value))
            .collect()
    }

    /// Whether the labeler can read the references.
    fn reads_english(&self) -> bool {
        !self.lines.iter().any(|line| has_han(&line.reference))
    }

    /// Words of some drafts and of their references.
    fn lengths(&self, indices: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let words = |text: &str| text.split(' ').filter(|word| !word.is_empty()).count();
        let of = |&i: &usize| (words(&self.tokens[i].0), words(&self.tokens[i].1));
        indices.iter().map(of).unzip()
    }

    /// All measures of generated text.
    ///
    /// # Errors
    /// When there is no draft.
    pub fn generated(&self) -> Result<GenerationScores, EvaluateError> {
        let references: Vec<[&str; 1]> = self
            .tokens
            .iter()
            .map(|(_, reference)| [reference.as_str()])
            .collect();
        let pairs: Vec<(&str, &[&str])> = self
            .tokens
            .iter()
            .zip(&references)
            .map(|((draft, _), r)| (draft.as_str(), r.as_slice()))
            .collect();
        Ok(generation_scores(&pairs, None)?)
    }
}

impl Cases for DraftCases {
    fn lines(&self) -> Vec<Value> {
        self.lines.iter().map(|line| json!(line)).collect()
    }

    fn more(&self) -> Result<Map<String, Value>, EvaluateError> {
        let object = |value: Value| match value {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        let mut more = match self.reads_english() {
            true => object(json!(self.stated())),
            false => {
                let note = "The labeler reads English: what these drafts state of findings is not scored.";
                object(json!({ "n": self.len(), "notes": [note] }))
            }
        };
        let mut generated = object(json!(self.generated()?));
        generated.remove("n");
        more.extend(generated);
        let (drafts, references) = self.lengths(&(0..self.len()).collect::<Vec<_>>());
        more.insert("lengths".to_owned(), json!(Lengths::new(&drafts, &references)));
        Ok(more)
    }

    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn scores(&self, indices: &[usize]) -> Scores {
        let stated = draft_scores(indices.iter().map(|&i| &self.pairs[i]));
        let own: Vec<(usize, usize)> = indices.iter().map(|&i| (i, i)).collect();
        let mut scores = self.texts_of(&own);
        scores.extend(self.swapped(indices));
        let (drafts, references) = self.lengths(indices);
        let losses = indices.iter().filter_map(|&i| self.losses.get(i));
        let losses = losses.flat_map(|&(loss, words)| std::iter::repeat_n(loss, words));
        let mesh = indices.iter().filter_map(|&i| self.mesh.get(i));
        let mesh = mesh.fold(Mesh::default(), |sum, own| Mesh {
            asked: sum.asked + own.asked,
            recovered: sum.recovered + own.recovered,
            written: sum.written + own.written,
            area: sum.area + own.area,
        });
        let english = self.reads_english();
        let of_labeler = |value: f64| english.then_some(value);
        let named = [
            ("micro_f1", of_labeler(stated.micro_f1)),
            ("precision", of_labeler(stated.precision)),
            ("recall", of_labeler(stated.recall)),
            ("side_accuracy", stated.side_accuracy.filter(|_| english)),
            ("perplexity", perplexity(losses)),
            ("length_distance", Some(length_distance(&drafts, &references))),
            ("different_drafts", self.different(indices)),
            (
                "length",
                Some(drafts.iter().sum::<usize>() as f64 / drafts.len().max(1) as f64),
            ),
            (
                "mesh_recall",
                (mesh.asked > 0).then(|| mesh.recovered as f64 / mesh.asked as f64),
            ),
            (
                "mesh_area",
                (mesh.written > 0).then(|| mesh.area / mesh.written as f64),
            ),
        ];
        let named = named.into_iter();
        scores.extend(named.filter_map(|(name, value)| Some((name.to_owned(), value?))));
        scores
    }
}
