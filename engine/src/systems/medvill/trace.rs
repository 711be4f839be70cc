//! MedViLL's named intermediates, under the names of its reference tensors, so that parity is a loop over names.
//!
//! Inputs: `in.image` normalised (batch, channels, size, size), `in.input_ids` (batch, tokens) with their closing SEP, padded,
//! and optionally `in.visual_positions` (else `out.visual_positions`, which a file of reference tensors has), `in.cls_tok`,
//! `in.sep_tok`, `in.mlm_labels` (-100 where there is none) and `in.is_aligned`.

use burn::tensor::{Int, Tensor, TensorData};

use super::{MedVill, Scheme};
use crate::nn::{AnyArrays, Array, Trace, indices, ints, loss::cross_entropy};
use crate::systems::TraceInputError;
use crate::text::Specials;

/// What a trace begins with.
struct TraceInput {
    /// Normalised image, `(B, channels, S, S)`.
    image: Array,
    /// Tokens with their closing SEP, padded, `(B, T)`.
    words: Vec<Vec<u32>>,
    /// Map indices of the visual tokens to keep; all where it is empty.
    grid: Vec<usize>,
    /// CLS, SEP and PAD.
    specials: Specials,
    /// Targets over the whole sequence, -100 where there is none, `(B, sequence)`.
    mlm_labels: Option<Vec<Vec<i64>>>,
    /// Whether image and text belong together, `(B)`.
    aligned: Option<Vec<i64>>,
}

fn fault(name: &str, must: impl Into<String>) -> TraceInputError {
    TraceInputError {
        name: name.to_owned(),
        must: must.into(),
    }
}

impl TraceInput {
    fn read(given: &AnyArrays, specials: Specials) -> Result<Self, TraceInputError> {
        let image = given
            .get("in.image")
            .and_then(|a| a.float())
            .ok_or_else(|| fault("in.image", "is missing or holds no numbers"))?;
        let words = rows(given, "in.input_ids")?.ok_or_else(|| fault("in.input_ids", "is missing"))?;
        let unsigned = |row: Vec<i64>| row.into_iter().map(u32::try_from).collect::<Result<Vec<_>, _>>();
        let words = words
            .into_iter()
            .map(unsigned)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| fault("in.input_ids", "holds a token that is no id"))?;
        let mut specials = specials;
        for (name, id) in [
            ("in.cls_tok", &mut specials.cls),
            ("in.sep_tok", &mut specials.sep),
        ] {
            if let Some(first) = rows(given, name)?.and_then(|rows| rows.first()?.first().copied()) {
                *id = u32::try_from(first).map_err(|_| fault(name, "is no id"))?;
            }
        }
        let kept = match rows(given, "in.visual_positions")? {
            Some(rows) => Some(rows),
            None => rows(given, "out.visual_positions")?,
        };
        let grid = kept.and_then(|rows| rows.into_iter().next()).unwrap_or_default();
        let grid = grid
            .into_iter()
            .map(usize::try_from)
            .collect::<Result<_, _>>()
            .map_err(|_| fault("in.visual_positions", "holds a negative number"))?;
        Ok(Self {
            image: image.clone(),
            words,
            grid,
            specials,
            mlm_labels: rows(given, "in.mlm_labels")?,
            aligned: given
                .get("in.is_aligned")
                .and_then(|a| a.int())
                .map(|a| a.data.clone()),
        })
    }
}

/// An integer tensor as rows of its last axis.
fn rows(given: &AnyArrays, name: &str) -> Result<Option<Vec<Vec<i64>>>, TraceInputError> {
    let Some(array) = given.get(name) else {
        return Ok(None);
    };
    let array = array.int().ok_or_else(|| fault(name, "must hold integers"))?;
    let width = array.shape.last().copied().unwrap_or(1).max(1);
    Ok(Some(array.data.chunks(width).map(<[i64]>::to_vec).collect()))
}

/// All named intermediates, under `out.` and, for what depends on the mask, `out.SCHEME.`.
pub(super) fn trace(model: &MedVill, given: &AnyArrays, out: &mut Trace) -> Result<(), TraceInputError> {
    let input = &TraceInput::read(given, model.specials)?;
    let model = &MedVill {
        specials: input.specials,
        ..model.clone()
    };
    let device = &model.device();
    let config = model.config();
    let fail = |name: &str, must: String| Err(fault(name, must));
    let &[batch, channels, rows, columns] = input.image.shape.as_slice() else {
        return fail(
            "in.image",
            format!("must have four axes, not {:?}", input.image.shape),
        );
    };
    if channels != config.channels()
        || rows != config.preprocessing.size
        || columns != config.preprocessing.size
        || batch == 0
    {
        let want = [
            config.channels(),
            config.preprocessing.size,
            config.preprocessing.size,
        ];
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

    let image = Tensor::<4>::from_data(
        TensorData::new(input.image.data.clone(), [batch, channels, rows, columns]),
        device,
    );
    let all = model.visual_features(image, |name, x| out.put(format_args!("out.{name}"), x));
    let features = all.dims()[2];
    out.put("out.visual_features_all", &all);
    let grid: Vec<usize> = if input.grid.is_empty() {
        (0..tokens).collect()
    } else {
        input.grid.clone()
    };
    let kept = indices(grid.iter().copied(), device);
    let sampled = all.select(1, kept);
    debug_assert_eq!(sampled.dims(), [batch, grid.len(), features]);
    out.put("out.visual_features_sampled", &sampled);

    let words: Tensor<2, Int> = ints(
        input.words.iter().flatten().map(|w| *w as i32).collect(),
        [batch, length],
        device,
    );
    let context = model.embed_context(sampled, Some(&grid));
    let text = model.embed_tokens(words.clone(), 0);
    out.put(
        "out.embeddings",
        &Tensor::cat(vec![context.clone(), text.clone()], 1),
    );
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
        let kind = scheme.mask_kind(config, 0.0);
        let text = model.embed_text(words.clone(), scheme);
        let opened = text.dims()[1] - length;
        let lengths = lengths.iter().map(|n| n + opened).collect();
        let encoded = model.encode(context.clone(), text, kind, lengths, |layer, x| {
            out.put(format_args!("out.{name}.layer{layer}"), x);
        });
        let [_, sequence, width] = encoded.hidden.dims();
        let rows = encoded.hidden.clone().reshape([batch * sequence, width]);
        let logits = model.mlm_logits(rows);
        let itm = model.itm_logits(encoded.pooled.clone());
        out.put(format_args!("out.{name}.hidden"), &encoded.hidden);
        out.put(format_args!("out.{name}.pooled"), &encoded.pooled);
        // Labels are laid out without a second CLS.
        if let Some(labels) = input.mlm_labels.as_ref().filter(|_| opened == 0) {
            let flat: Vec<i64> = labels.iter().flatten().copied().collect();
            if flat.len() != batch * sequence {
                return fail("in.mlm_labels", format!("must be ({batch}, {sequence})"));
            }
            let targets: Vec<Option<usize>> = flat.iter().map(|&label| usize::try_from(label).ok()).collect();
            if let Some(loss) = cross_entropy(logits.clone(), &targets) {
                out.put_scalar(format_args!("out.{name}.loss_mlm"), &loss);
            }
        }
        if let Some(aligned) = &input.aligned {
            let targets: Vec<Option<usize>> = aligned.iter().map(|&a| usize::try_from(a).ok()).collect();
            if let Some(loss) = cross_entropy(itm.clone(), &targets) {
                out.put_scalar(format_args!("out.{name}.loss_itm"), &loss);
            }
        }
        let vocabulary = logits.dims()[1];
        out.put(
            format_args!("out.{name}.mlm_logits"),
            &logits.reshape([batch, sequence, vocabulary]),
        );
        out.put(format_args!("out.{name}.itm_logits"), &itm);
    }
    Ok(())
}
