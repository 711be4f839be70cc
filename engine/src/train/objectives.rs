//! MedViLL's losses over a batch.

use burn::tensor::{Device, Int, Tensor, TensorData, activation::log_sigmoid};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::corpus::Example;
use crate::kernels::Rule;
use crate::systems::medvill::{MedVill, cross_entropy, ints};
use crate::text::{Specials, Tokenizer};

/// Binary cross-entropy of the map's findings; what is not to be learned from does not count.
pub fn findings(model: &MedVill, features: Tensor<3>, batch: &[&Example]) -> Option<Tensor<1>> {
    let grid: Vec<usize> = (0..features.dims()[1]).collect();
    let logits = model.map_findings(features, &grid)?;
    let device = logits.device();
    let flat = batch.iter().flat_map(|e| e.findings.iter().flatten());
    let (mut signs, mut weights) = (Vec::new(), Vec::new());
    for target in flat {
        signs.push(if *target == Some(true) { 1.0f32 } else { -1.0 });
        weights.push(f32::from(u8::from(target.is_some())));
    }
    let count: f32 = weights.iter().sum::<f32>().max(1.0);
    let shape = [batch.len(), 3, 14];
    let signs = Tensor::<3>::from_data(TensorData::new(signs, shape), &device);
    let weights = Tensor::<3>::from_data(TensorData::new(weights, shape), &device);
    // log sigma(z) where present, log sigma(-z) where absent
    Some((log_sigmoid(logits * signs) * weights).sum().div_scalar(count).neg())
}

/// Ids of a vocabulary that the losses must know: the special ones, and those that tell a side.
pub struct Words {
    specials: Specials,
    sides: Vec<u32>,
}

impl Words {
    /// The words of a tokenizer.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        let sides = ["left", "right", "bilateral", "both"];
        let tells = |id: &u32| sides.contains(&tokenizer.piece(*id).as_str());
        let sides = (0..tokenizer.vocabulary_size() as u32).filter(tells).collect();
        Self { specials: tokenizer.specials(), sides }
    }

    /// Whether at least two words that tell a side are whole in the vocabulary, so that there is something to tell apart.
    pub fn tell_sides(&self) -> bool {
        self.sides.len() > 1
    }
}

/// Every word from the words before it, all at once (see [`Rule::Cloze`]): what the drafter does, in one pass. Beside the
/// mean over all words that over the words which tell a side: one in forty, so that left and right drown in the former.
pub fn report(
    model: &MedVill,
    features: Tensor<3>,
    batch: &[&Example],
    words: &Words,
) -> (Tensor<1>, Option<Tensor<1>>) {
    let specials = words.specials;
    let device = features.device();
    let tokens = features.dims()[1];
    let longest = batch.iter().map(|e| e.words.len()).max().unwrap_or(1);
    let texts = padded(batch.iter().map(|e| e.words.clone()), longest, specials.pad, &device);
    let copies = Tensor::full([batch.len(), longest], i64::from(specials.mask), &device);
    let context = model.embed_context(features, &(0..tokens).collect::<Vec<_>>(), specials);
    let text = Tensor::cat(vec![model.embed_words(texts, 0), model.embed_words(copies, 0)], 1);
    let columns = tokens + 2 + 2 * longest;
    let rule = Rule::Cloze { words: longest };
    let encoded = model.encode(context, text, rule, vec![columns; batch.len()], |_, _| ());
    let (mut rows, mut targets, mut sides) = (Vec::new(), Vec::new(), Vec::new());
    for (sample, example) in batch.iter().enumerate() {
        for (t, word) in example.words.iter().enumerate() {
            if words.sides.contains(word) {
                sides.push(rows.len() as i32);
            }
            rows.push((sample * columns + tokens + 2 + longest + t) as i32);
            targets.push(*word as i32);
        }
    }
    let logits = logits(model, encoded.hidden, rows);
    let count = targets.len();
    let targets = ints(targets, [count], &device);
    let side = (!sides.is_empty()).then(|| {
        let count = sides.len();
        let sides = ints(sides, [count], &device);
        cross_entropy(logits.clone().select(0, sides.clone()), targets.clone().select(0, sides))
    });
    (cross_entropy(logits, targets), side)
}

/// Masked words under S2S: 15 % of a report's words, at least one, 80 % by MASK, 10 % by a random word, 10 % as they are
/// (Devlin et al. 2019; MedViLL, section 3.3).
pub fn mlm(model: &MedVill, features: Tensor<3>, batch: &[&Example], words: &Words, rng: &mut ChaCha8Rng) -> Tensor<1> {
    let specials = words.specials;
    let device = features.device();
    let tokens = features.dims()[1];
    let vocabulary = model.config().bert.vocabulary as u32;
    let longest = batch.iter().map(|e| e.words.len()).max().unwrap_or(1);
    let columns = tokens + 2 + longest;
    let (mut rows, mut targets, mut masked) = (Vec::new(), Vec::new(), Vec::new());
    for (sample, example) in batch.iter().enumerate() {
        let mut words = example.words.clone();
        let sure = rng.random_range(0..words.len());
        for (t, word) in words.iter_mut().enumerate() {
            if t != sure && rng.random::<f64>() >= 0.15 {
                continue;
            }
            rows.push((sample * columns + tokens + 2 + t) as i32);
            targets.push(*word as i32);
            match rng.random::<f64>() {
                x if x < 0.8 => *word = specials.mask,
                x if x < 0.9 => *word = rng.random_range(0..vocabulary),
                _ => {}
            }
        }
        masked.push(words);
    }
    let texts = padded(masked.into_iter(), longest, specials.pad, &device);
    let context = model.embed_context(features, &(0..tokens).collect::<Vec<_>>(), specials);
    let lengths = batch.iter().map(|e| tokens + 2 + e.words.len()).collect();
    let encoded = model.encode(context, model.embed_words(texts, 0), Rule::Seq2Seq, lengths, |_, _| ());
    let count = targets.len();
    cross_entropy(logits(model, encoded.hidden, rows), ints(targets, [count], &device))
}

fn padded(words: impl Iterator<Item = Vec<u32>>, longest: usize, pad: u32, device: &Device) -> Tensor<2, Int> {
    let mut ids = Vec::new();
    let mut count = 0;
    for words in words {
        count += 1;
        ids.extend(words.iter().map(|w| *w as i32));
        ids.extend(std::iter::repeat_n(pad as i32, longest - words.len()));
    }
    ints(ids, [count, longest], device)
}

/// The language model's logits at `rows` of the flattened hidden states.
fn logits(model: &MedVill, hidden: Tensor<3>, rows: Vec<i32>) -> Tensor<2> {
    let [batch, columns, width] = hidden.dims();
    let device = hidden.device();
    let count = rows.len();
    model.mlm_logits(hidden.reshape([batch * columns, width]).select(0, ints(rows, [count], &device)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::medvill::MedVillConfig;

    #[test]
    fn the_loss_of_sides_is_over_the_words_that_tell_one() {
        // Said often enough for the words to be pieces of their own.
        let texts = ["there is a small left pleural effusion", "no pneumothorax is seen on the right"].repeat(8);
        let tokenizer = Tokenizer::train(texts.iter().map(|t| (*t).to_owned()), 200).unwrap();
        let words = Words::new(&tokenizer);
        assert!(words.tell_sides());
        let mut config = MedVillConfig::tiny();
        config.bert.vocabulary = tokenizer.vocabulary_size();
        config.bert.dropout = 0.0;
        let device = Device::flex();
        let model = MedVill::new(&config, &device).unwrap();
        let example = |text: &str| Example {
            id: String::new(),
            pixels: Vec::new(),
            words: tokenizer.encode(text, 20).unwrap(),
            findings: [[None; 14]; 3],
        };
        let value = |loss: Tensor<1>| loss.into_scalar::<f32>();
        let loss = |text: &str| {
            let (all, sides) = report(&model, Tensor::zeros([1, 9, 256], &device), &[&example(text)], &words);
            (value(all), sides.map(value))
        };
        assert_eq!(loss("no pneumothorax is seen").1, None);
        // Of a text that is one such word alone, both losses are the same; beside other words, they are not.
        let (all, sides) = loss("left");
        assert!((all - sides.unwrap()).abs() < 1e-6);
        let (all, sides) = loss("small left effusion");
        assert!((all - sides.unwrap()).abs() > 1e-6);
    }
}
