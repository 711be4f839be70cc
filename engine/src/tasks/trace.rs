//! Named intermediates of a forward pass, so that parity is a loop over names.

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor, TensorData};
use thiserror::Error;

use crate::nn::Array;
use crate::systems::learn::{cross_entropy, ints};
use crate::systems::medvill::{MedVill, Scheme};
use crate::text::Specials;

/// What a trace begins with.
pub struct TraceInput {
    /// Normalised picture, `(batch, channels, size, size)`.
    pub image: Array,
    /// Words with their closing SEP, padded, `(batch, tokens)`.
    pub words: Vec<Vec<u32>>,
    /// Map indices of the visual tokens to keep; all where it is empty.
    pub grid: Vec<usize>,
    /// CLS, SEP and PAD.
    pub specials: Specials,
    /// Targets over the whole sequence, -100 where there is none, `(batch, sequence)`.
    pub mlm_labels: Option<Vec<Vec<i64>>>,
    /// Whether picture and text belong together, `(batch)`.
    pub aligned: Option<Vec<i64>>,
}

/// Why there is no trace.
#[derive(Debug, Error)]
pub enum TraceError {
    /// A tensor is missing or has another shape.
    #[error("the trace's input {name} {must}")]
    Input {
        /// Which.
        name: &'static str,
        /// What it must be.
        must: String,
    },
    /// The device would not give its values.
    #[error("the device did not return {name}: {reason}")]
    Device {
        /// Which tensor.
        name: String,
        /// What it said.
        reason: String,
    },
}

/// All named intermediates, under `out.` and, for what depends on the mask, `out.SCHEME.`.
///
/// # Errors
/// When an input does not fit the model, or the device fails.
pub fn trace(
    model: &MedVill,
    input: &TraceInput,
    device: &Device,
) -> Result<BTreeMap<String, Array>, TraceError> {
    let config = model.config();
    let fail = |name, must: String| Err(TraceError::Input { name, must });
    let &[batch, channels, rows, columns] = input.image.shape.as_slice() else {
        return fail(
            "in.image",
            format!("must have four axes, not {:?}", input.image.shape),
        );
    };
    if channels != config.channels() || rows != config.size || columns != config.size || batch == 0 {
        let want = [config.channels(), config.size, config.size];
        return fail(
            "in.image",
            format!(
                "must be (batch, {}, {}, {}), not {:?}",
                want[0], want[1], want[2], input.image.shape
            ),
        );
    }
    let tokens = config.visual_tokens();
    if input.grid.iter().any(|&i| i >= tokens) {
        return fail("in.visual_positions", format!("must be less than {tokens}"));
    }
    let length = input.words.first().map_or(0, Vec::len);
    if input.words.len() != batch || length == 0 || input.words.iter().any(|w| w.len() != length) {
        return fail(
            "in.input_ids",
            format!("must be (batch, words) with a batch of {batch}"),
        );
    }
    // The second CLS of the non-crossing scheme takes one position more.
    if length + 1 > config.bert.positions
        || input
            .words
            .iter()
            .flatten()
            .any(|w| *w as usize >= config.bert.vocabulary)
    {
        return fail(
            "in.input_ids",
            "must be words of the vocabulary, no more than there are positions".to_owned(),
        );
    }

    let words = config.bert.vocabulary;
    if input.specials.cls as usize >= words || input.specials.sep as usize >= words {
        return fail(
            "in.cls_tok or in.sep_tok",
            format!("must be less than the vocabulary's {words}"),
        );
    }
    if input
        .mlm_labels
        .iter()
        .flatten()
        .flatten()
        .any(|&label| label >= words as i64)
    {
        return fail(
            "in.mlm_labels",
            format!("must be less than the vocabulary's {words}"),
        );
    }
    if input
        .aligned
        .as_ref()
        .is_some_and(|a| a.len() != batch || a.iter().any(|v| !(0..2).contains(v)))
    {
        return fail("in.is_aligned", format!("must be {batch} values of 0 or 1"));
    }

    let mut out = Outputs(BTreeMap::new());
    let image = Tensor::<4>::from_data(
        TensorData::new(input.image.data.clone(), [batch, channels, rows, columns]),
        device,
    );
    let mut stages = Vec::new();
    let all = model.encode_image(image, |name, x| stages.push((name.to_owned(), x.clone())));
    for (name, x) in stages {
        out.put(&format!("out.{name}"), x)?;
    }
    let features = all.dims()[2];
    out.put("out.visual_features_all", all.clone())?;
    let grid: Vec<usize> = if input.grid.is_empty() {
        (0..tokens).collect()
    } else {
        input.grid.clone()
    };
    let kept = ints(grid.iter().map(|&i| i as i32).collect(), [grid.len()], device);
    let sampled = all.select(1, kept);
    debug_assert_eq!(sampled.dims(), [batch, grid.len(), features]);
    out.put("out.visual_features_sampled", sampled.clone())?;

    let words: Tensor<2, Int> = ints(
        input.words.iter().flatten().map(|w| *w as i32).collect(),
        [batch, length],
        device,
    );
    let context = model.embed_context(sampled, &grid, input.specials);
    let text = model.embed_words(words.clone(), 0);
    out.put(
        "out.embeddings",
        Tensor::cat(vec![context.clone(), text.clone()], 1),
    )?;
    let lengths: Vec<usize> = input
        .words
        .iter()
        .map(|w| {
            grid.len()
                + 2
                + w.iter()
                    .rposition(|id| *id != input.specials.pad)
                    .map_or(0, |i| i + 1)
        })
        .collect();
    for (scheme, name) in [
        (Scheme::Bi, "bi"),
        (Scheme::Seq2Seq, "s2s"),
        (Scheme::Bar, "bar"),
        (Scheme::NonCrossing, "noncross"),
    ] {
        let put = |layer: usize, x: &Tensor<3>, layers: &mut Vec<(String, Tensor<3>)>| {
            layers.push((format!("out.{name}.layer{layer}"), x.clone()));
        };
        let mut layers = Vec::new();
        let rule = scheme.rule(config, 0.0);
        let text = model.embed_text(words.clone(), scheme, input.specials);
        let opened = text.dims()[1] - length;
        let lengths = lengths.iter().map(|n| n + opened).collect();
        let encoded = model.encode(context.clone(), text, rule, lengths, |layer, x| {
            put(layer, x, &mut layers);
        });
        for (name, x) in layers {
            out.put(&name, x)?;
        }
        let [_, sequence, width] = encoded.hidden.dims();
        let rows = encoded.hidden.clone().reshape([batch * sequence, width]);
        let logits = model.mlm_logits(rows);
        let itm = model.itm_logits(encoded.pooled.clone());
        out.put(&format!("out.{name}.hidden"), encoded.hidden)?;
        out.put(&format!("out.{name}.pooled"), encoded.pooled)?;
        // Labels are laid out without a second CLS.
        if let Some(labels) = input.mlm_labels.as_ref().filter(|_| opened == 0) {
            let flat: Vec<i64> = labels.iter().flatten().copied().collect();
            if flat.len() != batch * sequence {
                return fail("in.mlm_labels", format!("must be ({batch}, {sequence})"));
            }
            let at: Vec<i32> = (0..flat.len())
                .filter(|&i| flat[i] >= 0)
                .map(|i| i as i32)
                .collect();
            if !at.is_empty() {
                let targets = ints(
                    at.iter().map(|&i| flat[i as usize] as i32).collect(),
                    [at.len()],
                    device,
                );
                let count = at.len();
                let loss = cross_entropy(logits.clone().select(0, ints(at, [count], device)), targets);
                out.put_scalar(&format!("out.{name}.loss_mlm"), loss)?;
            }
        }
        if let Some(aligned) = &input.aligned {
            let targets = ints(aligned.iter().map(|&a| a as i32).collect(), [batch], device);
            out.put_scalar(
                &format!("out.{name}.loss_itm"),
                cross_entropy(itm.clone(), targets),
            )?;
        }
        let vocabulary = logits.dims()[1];
        out.put(
            &format!("out.{name}.mlm_logits"),
            logits.reshape([batch, sequence, vocabulary]),
        )?;
        out.put(&format!("out.{name}.itm_logits"), itm)?;
    }
    Ok(out.0)
}

struct Outputs(BTreeMap<String, Array>);

impl Outputs {
    fn put<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Result<(), TraceError> {
        let shape = tensor.dims().to_vec();
        let data = read(name, tensor)?;
        self.0.insert(name.to_owned(), Array { shape, data });
        Ok(())
    }

    fn put_scalar(&mut self, name: &str, tensor: Tensor<1>) -> Result<(), TraceError> {
        let data = read(name, tensor)?;
        self.0.insert(
            name.to_owned(),
            Array {
                shape: Vec::new(),
                data,
            },
        );
        Ok(())
    }
}

fn read<const D: usize>(name: &str, tensor: Tensor<D>) -> Result<Vec<f32>, TraceError> {
    let fail = |reason: String| TraceError::Device {
        name: name.to_owned(),
        reason,
    };
    let data = tensor.try_into_data().map_err(|e| fail(e.to_string()))?;
    Ok(data.iter::<f32>().collect())
}
