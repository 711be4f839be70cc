//! Medical X-VL's named intermediates, under the names of its reference tensors.
//!
//! Inputs: `in.image` normalised (batch, channels, size, size) and `in.input_ids` (batch, tokens), CLS first and SEP last, padded; and
//! where they are given, `in.patch_mask` (batch, rows, columns), `in.image_feat_m` and `in.text_feat_m` (batch, projection) with
//! `in.image_queue` and `in.text_queue` (projection, queued), `in.mlm_input_ids` with `in.mlm_labels` (-100 where nothing is asked)
//! and `in.soft_labels` (batch, tokens, vocabulary); with the mask, `in.teacher_cls` (2 batch, prototypes), `in.teacher_patch`
//! (2 batch, patches, prototypes) and `in.student_local_cls` (batch, prototypes) for iBOT's losses.

use burn::tensor::{Tensor, TensorData};

use super::contrast::{Features, Queued};
use super::masking::{centre, mim_loss};
use super::{ReadTexts, Texts, Xvl, whole};
use crate::nn::loss::{cross_entropy, soft_cross_entropy};
use crate::nn::{AnyArrays, AttentionPass, Trace, column_of, padded, rows_of};
use crate::systems::TraceInputError;
use crate::systems::train::Memory;

fn fault(name: &str, must: impl Into<String>) -> TraceInputError {
    TraceInputError {
        name: name.to_owned(),
        must: must.into(),
    }
}

/// Numbers of a shape; `None` where they are not given.
fn floats<const D: usize>(
    model: &Xvl,
    given: &AnyArrays,
    name: &str,
    shape: [Option<usize>; D],
) -> Result<Option<Tensor<D>>, TraceInputError> {
    let Some(array) = given.get(name) else {
        return Ok(None);
    };
    let array = array.float().ok_or_else(|| fault(name, "must hold numbers"))?;
    let fits = array.shape.len() == D
        && array
            .shape
            .iter()
            .zip(&shape)
            .all(|(found, wanted)| *found > 0 && wanted.is_none_or(|w| w == *found));
    if !fits {
        let wanted: Vec<String> = shape
            .iter()
            .map(|n| n.map_or_else(|| "any".to_owned(), |n| n.to_string()))
            .collect();
        return Err(fault(
            name,
            format!("must be ({}), not {:?}", wanted.join(", "), array.shape),
        ));
    }
    let data = TensorData::new(array.data.clone(), array.shape.clone());
    Ok(Some(Tensor::from_data(data, &model.device())))
}

/// Rows of integers; `None` where they are not given.
fn rows(given: &AnyArrays, name: &str, batch: usize) -> Result<Option<Vec<Vec<i64>>>, TraceInputError> {
    let Some(array) = given.get(name) else {
        return Ok(None);
    };
    let array = array.int().ok_or_else(|| fault(name, "must hold integers"))?;
    let each = array.data.len() / batch.max(1);
    match array.shape.first() {
        Some(&first) if first == batch && each > 0 => {
            Ok(Some(array.data.chunks(each).map(<[i64]>::to_vec).collect()))
        }
        _ => Err(fault(
            name,
            format!("must have {batch} rows, not {:?}", array.shape),
        )),
    }
}

/// Texts with their CLS, the padding cut off.
fn texts(model: &Xvl, given: &AnyArrays, name: &str, batch: usize) -> Result<Option<Texts>, TraceInputError> {
    let Some(rows) = rows(given, name, batch)? else {
        return Ok(None);
    };
    let bert = &model.config.bert;
    let mut texts = Vec::with_capacity(batch);
    for row in rows {
        let known = |id: &i64| {
            u32::try_from(*id)
                .ok()
                .filter(|id| (*id as usize) < bert.vocabulary)
        };
        let ids: Option<Vec<u32>> = row.iter().map(known).collect();
        let mut ids = ids.ok_or_else(|| fault(name, format!("must be tokens of the {}", bert.vocabulary)))?;
        while ids.len() > 1 && ids.last() == Some(&model.specials.pad) {
            ids.pop();
        }
        if ids.len() > bert.positions {
            return Err(fault(
                name,
                format!("must have at most {} tokens", bert.positions),
            ));
        }
        texts.push(ids);
    }
    let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
    let longest = lengths.iter().copied().max().unwrap_or(1);
    Ok(Some(Texts {
        tokens: padded(
            texts.iter().map(Vec::as_slice),
            longest,
            model.specials.pad,
            &model.device(),
        ),
        lengths,
    }))
}

pub(super) fn trace(model: &Xvl, given: &AnyArrays, out: &mut Trace) -> Result<(), TraceInputError> {
    let (channels, size) = (model.config.channels(), model.config.preprocessing.size);
    let image = floats(
        model,
        given,
        "in.image",
        [None, Some(channels), Some(size), Some(size)],
    )?;
    let image = image.ok_or_else(|| fault("in.image", "is missing"))?;
    let (batch, view) = (image.dims()[0], model.view(image));
    let read = texts(model, given, "in.input_ids", batch)?;
    let read = read.ok_or_else(|| fault("in.input_ids", "is missing"))?;

    let tokens = model.encode_patches(view.clone(), None);
    out.put("out.vit_tokens", &tokens);
    let text = model.read(&read);
    out.put("out.text_tokens", &text.hidden);
    out.put("out.fused_text", &model.fuse_text(&text, &tokens));
    out.put("out.fused_image", &model.fuse_image(&tokens, &text));
    let [of_text, of_image] = model.matching_logits(&tokens, &text);
    // The release's score: the mean of the logits of a match.
    let score = (of_text.clone() + of_image.clone())
        .narrow(1, 1, 1)
        .div_scalar(2.0);
    out.put("out.itm_score", &score.reshape([batch]));
    out.put("out.itm_logits_t", &of_text);
    out.put("out.itm_logits_v", &of_image);

    if let Some(masked) = rows(given, "in.patch_mask", batch)? {
        let patches = tokens.dims()[1] - 1;
        let masked: Vec<bool> = masked.into_iter().flatten().map(|bit| bit != 0).collect();
        if masked.len() != batch * patches {
            return Err(fault(
                "in.patch_mask",
                format!("must have {patches} patches a row"),
            ));
        }
        let hidden = model.encode_patches(view, Some(&masked));
        out.put("out.vit_tokens_masked", &hidden);
        out.put("out.fused_image_masked", &model.fuse_image(&hidden, &text));
        out.put("out.ibot_cls_logits", &model.head.forward(column_of(&hidden, 0)));
        let all: Vec<usize> = (0..batch * patches).collect();
        let logits = model.patch_logits(&hidden, &text, &all);
        let prototypes = logits.dims()[1];
        out.put(
            "out.ibot_patch_logits",
            &logits.reshape([batch, patches, prototypes]),
        );
        ibot(model, given, [&hidden, &tokens], &text, &masked, out)?;
    }

    let (image_feature, text_feature) = (model.image_features(&tokens), model.text_features(&text));
    out.put("out.image_feat", &image_feature);
    out.put("out.text_feat", &text_feature);
    let width = model.config.contrast.projection;
    let features = |name| floats(model, given, name, [Some(batch), Some(width)]);
    if let (Some(image_m), Some(text_m)) = (features("in.image_feat_m")?, features("in.text_feat_m")?) {
        let queue = |name| floats(model, given, name, [Some(width), None]);
        let queued = Queued {
            image: queue("in.image_queue")?.map(Tensor::transpose),
            text: queue("in.text_queue")?.map(Tensor::transpose),
        };
        let features = Features {
            image: image_feature,
            text: text_feature,
            image_m,
            text_m,
        };
        let losses = model.contrast(&features, &queued, model.config.contrast.lambda);
        out.put_scalar("out.loss_i2t", &losses.i2t);
        out.put_scalar("out.loss_t2i", &losses.t2i);
        out.put_scalar("out.loss_i2i", &losses.i2i);
        out.put_scalar("out.loss_t2t", &losses.t2t);
        out.put_scalar("out.loss_ita", &losses.mean());
    }
    if let Some(masked) = texts(model, given, "in.mlm_input_ids", batch)? {
        mlm(model, given, &tokens, &masked, out)?;
    }

    let crossing = AttentionPass::new(whole(&tokens));
    let written = model.write_hidden(&tokens, read.tokens, &crossing);
    let [_, columns, _] = written.dims();
    let logits = model.word_logits(rows_of(written, 0..batch * columns));
    let vocabulary = logits.dims()[1];
    out.put("out.lm_logits", &logits.reshape([batch, columns, vocabulary]));
    Ok(())
}

/// iBOT's losses over two views, here the masked images and the whole ones (Zhou et al. 2022, eq. 3 and 4): what the teacher finds in
/// the patches that are hidden from the first view, and in the others from the second, at the last temperature of its warm-up; and by CLS what
/// it finds in the other view, and in both from smaller views of them, at the first.
fn ibot(
    model: &Xvl,
    given: &AnyArrays,
    views: [&Tensor<3>; 2],
    text: &ReadTexts,
    masked: &[bool],
    out: &mut Trace,
) -> Result<(), TraceInputError> {
    let config = &model.config.mim;
    let [batch, tokens, _] = views[0].dims();
    let (patches, prototypes) = (tokens - 1, config.head.prototypes);
    let cls = floats(
        model,
        given,
        "in.teacher_cls",
        [Some(2 * batch), Some(prototypes)],
    )?;
    let shape = [Some(2 * batch), Some(patches), Some(prototypes)];
    let of_patches = floats(model, given, "in.teacher_patch", shape)?;
    let local = floats(
        model,
        given,
        "in.student_local_cls",
        [Some(batch), Some(prototypes)],
    )?;
    let (Some(cls), Some(of_patches), Some(local)) = (cls, of_patches, local) else {
        return Ok(());
    };
    let mut memory = Memory::default();
    let nothing = centre(&mut memory, "cls", &cls, config.centre);
    let all = rows_of(of_patches.clone(), 0..2 * batch * patches);
    centre(&mut memory, "patch", &all, config.centre);
    out.put("out.ibot_center_cls", &memory.centres["cls"]);
    out.put("out.ibot_center_patch", &memory.centres["patch"]);

    let [first, last] = config.teacher;
    let mut by_patch = Vec::new();
    for (view, hidden) in views.into_iter().enumerate() {
        for image in 0..batch {
            let own = image * patches..(image + 1) * patches;
            let asked: Vec<usize> = own.filter(|patch| masked[*patch] == (view == 0)).collect();
            if asked.is_empty() {
                continue;
            }
            let of_view = asked.iter().map(|patch| view * batch * patches + patch);
            let found = rows_of(of_patches.clone(), of_view);
            let student = model.patch_logits(hidden, text, &asked);
            by_patch.push(mim_loss(student, found, nothing.clone(), config, last));
        }
    }
    let sum = Tensor::cat(by_patch, 0).sum();
    out.put_scalar("out.ibot_loss_patch", &sum.div_scalar((2 * batch) as f64));
    let [one, other] = views.map(|view| model.head.forward(column_of(view, 0)));
    let [of_one, of_other] = [0, batch].map(|from| cls.clone().narrow(0, from, batch));
    let pairs = [
        (one, of_other.clone()),
        (other, of_one.clone()),
        (local.clone(), of_one),
        (local, of_other),
    ];
    let by_cls = pairs.map(|(student, found)| mim_loss(student, found, nothing.clone(), config, first));
    let mean = Tensor::cat(by_cls.to_vec(), 0).mean();
    out.put_scalar("out.ibot_loss_cls", &mean);
    Ok(())
}

fn mlm(
    model: &Xvl,
    given: &AnyArrays,
    image: &Tensor<3>,
    masked: &Texts,
    out: &mut Trace,
) -> Result<(), TraceInputError> {
    let batch = image.dims()[0];
    let fused = model.fuse_text(&model.read(masked), image);
    let [_, columns, _] = fused.dims();
    let flat = model.word_logits(rows_of(fused, 0..batch * columns));
    let vocabulary = flat.dims()[1];
    out.put(
        "out.mlm_logits",
        &flat.clone().reshape([batch, columns, vocabulary]),
    );
    let Some(labels) = rows(given, "in.mlm_labels", batch)? else {
        return Ok(());
    };
    let labels: Vec<Option<usize>> = labels
        .into_iter()
        .flatten()
        .map(|label| usize::try_from(label).ok())
        .collect();
    if labels.len() != batch * columns || labels.iter().flatten().any(|label| *label >= vocabulary) {
        return Err(fault(
            "in.mlm_labels",
            format!("must be tokens of the {vocabulary}, {columns} a row"),
        ));
    }
    let Some(hard) = cross_entropy(flat.clone(), &labels) else {
        return Ok(());
    };
    out.put_scalar("out.loss_mlm_hard", &hard);
    let shape = [Some(batch), Some(columns), Some(vocabulary)];
    if let Some(soft) = floats(model, given, "in.soft_labels", shape)? {
        let asked: Vec<usize> = (0..labels.len()).filter(|row| labels[*row].is_some()).collect();
        let opinion = rows_of(soft, asked.clone());
        let device = flat.device();
        let own = flat.select(0, crate::nn::indices(asked, &device));
        let soft = soft_cross_entropy(own, opinion).mean();
        let lambda = model.config.contrast.lambda;
        let both = hard.mul_scalar(1.0 - lambda) + soft.mul_scalar(lambda);
        out.put_scalar("out.loss_mlm_dim_last", &both);
    }
    Ok(())
}
