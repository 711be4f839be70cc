//! Clinical-BERT's named intermediates.
//!
//! Inputs: `in.image` normalised (batch, channels, size, size), and `in.input_ids` (batch, tokens) with their closing SEP, padded.
//! Outputs: `out.cells`, and of each mask, `s2s` and `bi`: each layer and `hidden`; `out.region_attention` of the words read left to
//! right, `out.clinical_logits`, and `out.diagnosis_logits` where there is that head.

use burn::tensor::{Tensor, TensorData};

use super::{ClinicalBert, region_attention};
use crate::kernels::MaskKind;
use crate::nn::{AnyArrays, Trace, padded};
use crate::systems::TraceInputError;
use crate::systems::mask_loop::MaskLoop;

fn fault(name: &str, must: impl Into<String>) -> TraceInputError {
    TraceInputError {
        name: name.to_owned(),
        must: must.into(),
    }
}

/// The image, `(B, channels, S, S)`.
fn image(model: &ClinicalBert, given: &AnyArrays) -> Result<Tensor<4>, TraceInputError> {
    let name = "in.image";
    let array = given.get(name).and_then(|a| a.float());
    let array = array.ok_or_else(|| fault(name, "is missing or holds no numbers"))?;
    let (channels, size) = (model.config.image.channels(), model.config.preprocessing.size);
    match array.shape.as_slice() {
        [batch, rest @ ..] if *batch > 0 && *rest == [channels, size, size] => {
            let data = TensorData::new(array.data.clone(), [*batch, channels, size, size]);
            Ok(Tensor::from_data(data, &model.device()))
        }
        other => Err(fault(
            name,
            format!("must be (batch, {channels}, {size}, {size}), not {other:?}"),
        )),
    }
}

/// The texts, their padding cut off.
fn texts(model: &ClinicalBert, given: &AnyArrays, batch: usize) -> Result<Vec<Vec<u32>>, TraceInputError> {
    let name = "in.input_ids";
    let array = given.get(name).and_then(|a| a.int());
    let array = array.ok_or_else(|| fault(name, "is missing or holds no integers"))?;
    let &[rows, columns] = array.shape.as_slice() else {
        return Err(fault(name, format!("must have two axes, not {:?}", array.shape)));
    };
    let room = model.config.bert.positions - super::POSITIONS[3];
    if rows != batch || columns == 0 || columns > room {
        let must = format!("must be ({batch}, tokens) of at most {room} tokens, not ({rows}, {columns})");
        return Err(fault(name, must));
    }
    let vocabulary = model.config.bert.vocabulary;
    let mut texts = Vec::with_capacity(batch);
    for row in array.data.chunks(columns) {
        let ids = row.iter().map(|id| u32::try_from(*id).ok());
        let ids: Option<Vec<u32>> = ids
            .map(|id| id.filter(|id| (*id as usize) < vocabulary))
            .collect();
        let mut ids = ids.ok_or_else(|| fault(name, format!("must be tokens of the {vocabulary}")))?;
        while ids.len() > 1 && ids.last() == Some(&model.specials.pad) {
            ids.pop();
        }
        texts.push(ids);
    }
    Ok(texts)
}

pub(super) fn trace(model: &ClinicalBert, given: &AnyArrays, out: &mut Trace) -> Result<(), TraceInputError> {
    let image = image(model, given)?;
    let texts = texts(model, given, image.dims()[0])?;
    let longest = texts.iter().map(Vec::len).max().unwrap_or(1);
    let context = model.config.visual_tokens() + 2;
    let cells = model.visual_features(image, |name, map| out.put(format_args!("out.{name}"), map));
    out.put("out.cells", &cells);
    for (name, kind) in [("s2s", MaskKind::Seq2Seq), ("bi", MaskKind::Bidirectional)] {
        let words = padded(
            texts.iter().map(Vec::as_slice),
            longest,
            model.specials.pad,
            &model.device(),
        );
        let lengths = texts.iter().map(|text| context + text.len()).collect();
        let hidden = model.encode(cells.clone(), words, kind, lengths, |layer, x| {
            out.put(format_args!("out.{name}.layer{layer}"), x);
        });
        out.put(format_args!("out.{name}.hidden"), &hidden);
        if kind == MaskKind::Seq2Seq {
            let regions = model.region_features(cells.clone());
            let words = hidden.narrow(1, context, longest);
            let attention = region_attention(words, regions, &model.config.matching);
            out.put("out.region_attention", &attention);
        } else {
            out.put("out.clinical_logits", &model.clinical_logits(&hidden));
        }
    }
    if let Some(logits) = model.diagnose(cells) {
        out.put("out.diagnosis_logits", &logits);
    }
    Ok(())
}
