//! Image-MeSH matching (IMM): how well a radiograph and the MeSH words of its report agree, by two attentions, region sparse and
//! word sparse (eq. 5 to 7; after Zhang et al. 2021, "Cross-Modal Contrastive Learning for Text-to-Image Generation").

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

use super::MatchingConfig;

/// Far below every score: what is hidden from a softmax.
const HIDDEN: f64 = -1e9;

/// Rows at unit length, so that their products are cosines.
///
/// # Shapes
/// - x `(B, T, width)` -> the same
fn unit(x: Tensor<3>) -> Tensor<3> {
    let length = x.clone().square().sum_dim(2).sqrt().clamp_min(1e-8);
    x / length
}

/// What each word attends to of the regions, `alpha` of eq. 5; where the config keeps the K largest alone, a second softmax over
/// those (eq. 6), which the first has already normalised.
///
/// # Shapes
/// - words `(B, T, width)`, regions `(B, R, width)` -> `(B, T, R)`, each row of which sums to 1
pub fn region_attention(words: Tensor<3>, regions: Tensor<3>, config: &MatchingConfig) -> Tensor<3> {
    let count = regions.dims()[1];
    let cosines = unit(words).matmul(unit(regions).swap_dims(1, 2));
    let dense = softmax(cosines.mul_scalar(config.rho1), 2);
    match config.keep {
        Some(keep) if keep < count => softmax(kept(dense, keep), 2),
        _ => dense,
    }
}

/// The `keep` largest of each row; the others are hidden. By counting how many are larger, which every device does without
/// sorting.
///
/// # Shapes
/// - weights `(B, T, R)` -> the same
fn kept(weights: Tensor<3>, keep: usize) -> Tensor<3> {
    let [batch, words, regions] = weights.dims();
    let known = weights.clone().detach();
    // (B, T, R, 1) against (B, T, 1, R)
    let own = known.clone().reshape([batch, words, regions, 1]);
    let other = known.reshape([batch, words, 1, regions]);
    let shape = [batch, words, regions, regions];
    let larger = other.expand(shape).greater(own.expand(shape)).float().sum_dim(3);
    let lost = larger
        .reshape([batch, words, regions])
        .greater_equal_elem(keep as f64);
    weights.mask_fill(lost, HIDDEN)
}

/// The matching score of each image and report (inside eq. 7): the log-sum-exp over the real words of
/// `beta_l cos(e_l, v_l)`, where `v_l` are the regions that word l attends to and `beta` is the softmax of the MeSH tags over the
/// real words (*ours*: padding has no part in it).
///
/// # Shapes
/// - words `(B, T, width)`, regions `(B, R, width)`; tags and real, 1 or 0, `(B, T)` -> `(B)`
pub fn matching_scores(
    words: Tensor<3>,
    regions: Tensor<3>,
    tags: Tensor<2>,
    real: Tensor<2>,
    config: &MatchingConfig,
) -> Tensor<1> {
    let [batch, count, _] = words.dims();
    let attention = region_attention(words.clone(), regions.clone(), config);
    let seen = attention.matmul(regions);
    // (B, T, 1) -> (B, T)
    let cosines = (unit(words) * unit(seen)).sum_dim(2).reshape([batch, count]);
    let padding = real.equal_elem(0.0);
    let beta = softmax(tags.mask_fill(padding.clone(), HIDDEN), 1);
    let scores = (beta * cosines)
        .mul_scalar(config.rho2)
        .mask_fill(padding, HIDDEN);
    // Without gradient: the largest is added back, so that it cancels.
    let largest = scores.clone().detach().max_dim(1);
    let sum = (scores - largest.clone()).exp().sum_dim(1).log() + largest;
    sum.div_scalar(config.rho2).reshape([batch])
}

/// The loss (eq. 7). Its brackets allow two readings: the score divided by tau (*ours* by default), or tau inside the logarithm,
/// where it is a constant without gradient. There are no negatives.
///
/// # Shapes
/// - scores `(B)` -> `(1)`
pub fn matching_loss(scores: Tensor<1>, config: &MatchingConfig) -> Tensor<1> {
    let mean = scores.mean();
    if config.tau_inside_log {
        mean.sub_scalar(config.tau.ln()).neg()
    } else {
        mean.div_scalar(config.tau).neg()
    }
}
