//! Losses and poolings that the systems share. A loss that finds nothing to learn from is `None`, never a
//! zero that looks learned.

use burn::tensor::activation::{log_sigmoid, log_softmax, sigmoid};
use burn::tensor::{Device, Int, Tensor, TensorData};

fn row(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

fn indices(values: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

/// Mean cross-entropy, in nats, over the rows that have a target (of a masked language model: the masked
/// tokens, Devlin et al. 2019, section 3.1).
///
/// # Shapes
/// - logits `(rows, classes)`, a target a row -> `(1)`, `None` where no row has one
///
/// # Panics
/// When there are not as many targets as rows, or a target is no class.
pub fn cross_entropy(logits: Tensor<2>, targets: &[Option<usize>]) -> Option<Tensor<1>> {
    let [rows, classes] = logits.dims();
    assert_eq!(targets.len(), rows, "one target a row");
    let device = logits.device();
    let (at, wanted): (Vec<i32>, Vec<i32>) = targets
        .iter()
        .enumerate()
        .filter_map(|(at, target)| Some((at as i32, (*target)? as i32)))
        .unzip();
    assert!(
        wanted.iter().all(|class| (*class as usize) < classes),
        "a target is none of {classes} classes"
    );
    if at.is_empty() {
        return None;
    }
    let count = at.len();
    // Rows without a target never reach the softmax over what may be a large vocabulary.
    let logits = if count == rows {
        logits
    } else {
        logits.select(0, indices(at, &device))
    };
    // (count) -> (count, 1)
    let wanted = indices(wanted, &device).reshape([count, 1]);
    Some(log_softmax(logits, 1).gather(1, wanted).mean().neg())
}

/// Cross-entropy, in nats, of each row against a distribution: distillation (Hinton et al. 2015, section 2;
/// ALBEF, Li et al. 2021, eq. 6 and 7). Take the mean, or weigh the rows.
///
/// # Shapes
/// - logits, targets `(rows, classes)`, targets of a row sum to 1 -> `(rows)`
pub fn soft_cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    (log_softmax(logits, 1) * targets)
        .sum_dim(1)
        .squeeze_dim::<1>(1)
        .neg()
}

/// Mean binary cross-entropy, in nats, over the targets that are known; `None` where none is. The order of
/// `targets` is that of the logits.
///
/// # Shapes
/// - logits of any shape -> `(1)`
///
/// # Panics
/// When there are not as many targets as logits.
pub fn binary_cross_entropy<const D: usize>(
    logits: Tensor<D>,
    targets: &[Option<bool>],
) -> Option<Tensor<1>> {
    let (device, count) = (logits.device(), targets.len());
    assert_eq!(logits.shape().num_elements(), count, "one target a logit");
    let known = targets.iter().flatten().count();
    if known == 0 {
        return None;
    }
    let sign = |target: &Option<bool>| if *target == Some(true) { 1.0 } else { -1.0 };
    let weight = |target: &Option<bool>| f32::from(u8::from(target.is_some()));
    let signs = row(targets.iter().map(sign).collect(), &device);
    let weights = row(targets.iter().map(weight).collect(), &device);
    // log sigma(z) where present, log sigma(-z) where absent; (..) -> (count)
    let likelihoods = log_sigmoid(logits.reshape([count]) * signs);
    Some((likelihoods * weights).sum().div_scalar(known as f64).neg())
}

/// Mean focal loss of independent logits (Lin et al. 2017, eq. 5): `-alpha_t (1 - p_t)^gamma log p_t`, where
/// `p_t` is the probability of what is true, and `alpha_t` is `alpha` for what is present and `1 - alpha` for
/// what is absent (`None`: 1 for both, eq. 4).
///
/// # Shapes
/// - logits, targets (0 or 1) of one shape -> `(1)`
pub fn focal<const D: usize>(
    logits: Tensor<D>,
    targets: Tensor<D>,
    gamma: f64,
    alpha: Option<f64>,
) -> Tensor<1> {
    // +1 where present, -1 where absent: p_t = sigma(sign z)
    let logits = logits * (targets.clone() * 2.0 - 1.0);
    // 1 - p_t = sigma(-z), kept as that: 1 - sigma(z) cancels.
    let hard = sigmoid(logits.clone().neg()).powf_scalar(gamma);
    let mut loss = hard * log_sigmoid(logits);
    if let Some(alpha) = alpha {
        // alpha t + (1 - alpha) (1 - t)
        loss = loss * (targets * (2.0 * alpha - 1.0) + (1.0 - alpha));
    }
    loss.mean().neg()
}

/// Dice loss, the mean over samples (Milletari et al. 2016, section 3):
/// `1 - (2 sum p g + smooth) / (sum p^2 + sum g^2 + smooth)`.
///
/// # Shapes
/// - probabilities, targets (0 or 1) `(batch, pixels)` -> `(1)`
pub fn dice(probabilities: Tensor<2>, targets: Tensor<2>, smooth: f64) -> Tensor<1> {
    let both = (probabilities.clone() * targets.clone()).sum_dim(1) * 2.0 + smooth;
    let either = (probabilities.square() + targets.square()).sum_dim(1) + smooth;
    (both / either).mean().neg() + 1.0
}

/// Cosines of queries and keys, by the temperature: the logits of contrastive losses.
///
/// # Shapes
/// - queries `(rows, width)`, keys `(columns, width)`, both of unit length, temperature `(1)`, learned or not
///   -> `(rows, columns)`
pub fn similarities(queries: Tensor<2>, keys: Tensor<2>, temperature: Tensor<1>) -> Tensor<2> {
    // (1) -> (1, 1)
    queries.matmul(keys.transpose()) / temperature.reshape([1, 1])
}

/// InfoNCE (van den Oord et al. 2018, eq. 4): of row `i` the key is column `i`, and all other columns, those
/// of a queue too, are negatives.
///
/// # Shapes
/// - logits of [`similarities`], `(rows, columns)` with at least as many columns as rows -> `(1)`
///
/// # Panics
/// When there are fewer columns than rows, or no rows.
pub fn info_nce(logits: Tensor<2>) -> Tensor<1> {
    let [rows, columns] = logits.dims();
    assert!(
        rows > 0 && columns >= rows,
        "{rows} rows have no key each in {columns} columns"
    );
    // (rows) -> (rows, 1)
    let own = indices((0..rows as i32).collect(), &logits.device()).reshape([rows, 1]);
    log_softmax(logits, 1).gather(1, own).mean().neg()
}

/// NT-Xent (Chen et al. 2020, eq. 1): of each row the partner is its key, and all other rows are negatives. `None` for fewer
/// than two pairs, which have no negatives.
///
/// # Shapes
/// - features `(2 pairs, width)` of any length, the partners one after another -> `(1)`
///
/// # Panics
/// When a row has no partner.
pub fn nt_xent(features: Tensor<2>, temperature: f64) -> Option<Tensor<1>> {
    let [rows, _] = features.dims();
    assert!(rows.is_multiple_of(2), "a row has no partner");
    if rows < 4 {
        return None;
    }
    let length = features.clone().square().sum_dim(1).sqrt().add_scalar(1e-8);
    let unit = features / length;
    // No row is compared with itself.
    let own = Tensor::<2>::eye(rows, &unit.device()).mul_scalar(-1e4);
    let logits = unit.clone().matmul(unit.transpose()).div_scalar(temperature) + own;
    let partners: Vec<Option<usize>> = (0..rows).map(|row| Some(row ^ 1)).collect();
    cross_entropy(logits, &partners)
}

/// Log-sum-exp pooling over dimension `dim`: `log(mean(exp(r x))) / r`, between the mean (r to 0) and the
/// maximum (r to infinity) (Pinheiro and Collobert 2015, eq. 3; Wang et al. 2017, eq. 1).
///
/// # Shapes
/// - x of any shape -> the same with 1 at `dim`
pub fn lse_pool<const D: usize>(x: Tensor<D>, dim: usize, r: f64) -> Tensor<D> {
    let scaled = x * r;
    // Without gradient: the largest is added back, so that it cancels.
    let largest = scaled.clone().max_dim(dim).detach();
    let mean = (scaled - largest.clone()).exp().mean_dim(dim);
    (mean.log() + largest) / r
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    fn device() -> Device {
        Device::flex()
    }

    fn scalar(loss: Tensor<1>) -> f64 {
        f64::from(loss.into_scalar::<f32>())
    }

    fn near(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-5,
            "{found}, the closed form says {expected}"
        );
    }

    fn sigma(z: f64) -> f64 {
        1.0 / (1.0 + (-z).exp())
    }

    #[test]
    fn cross_entropy_ignores_rows_without_a_target() {
        let logits = Tensor::<2>::from_data([[0.0, 1.0, 2.0], [9.0, -9.0, 3.0], [1.0, 1.0, 1.0]], &device());
        let first = (1.0 + 1f64.exp() + 2f64.exp()).ln() - 1.0;
        let expected = (first + 3f64.ln()) / 2.0;
        let loss = cross_entropy(logits.clone(), &[Some(1), None, Some(2)]).unwrap();
        near(scalar(loss), expected);
        let whole = cross_entropy(logits.clone(), &[Some(1), Some(0), Some(2)]).unwrap();
        let second = (1.0 + (-18f64).exp() + (-6f64).exp()).ln();
        near(scalar(whole), (first + second + 3f64.ln()) / 3.0);
        assert!(cross_entropy(logits, &[None; 3]).is_none());
    }

    #[test]
    fn ignored_rows_have_no_gradient() {
        let logits = Tensor::<2>::from_data([[0.0, 1.0], [2.0, 3.0]], &device().autodiff()).require_grad();
        let gradients = cross_entropy(logits.clone(), &[None, Some(0)])
            .unwrap()
            .backward();
        let gradient: Vec<f32> = logits
            .grad(&gradients)
            .unwrap()
            .into_data()
            .iter::<f32>()
            .collect();
        assert_eq!(gradient[..2], [0.0, 0.0]);
        near(f64::from(gradient[2]), sigma(-1.0) - 1.0);
    }

    #[test]
    fn hard_targets_are_soft_ones_of_one_class() {
        let logits = Tensor::<2>::random([4, 6], Distribution::Normal(0.0, 2.0), &device());
        let wanted = [2usize, 0, 5, 5];
        let mut soft = vec![0.0; 24];
        for (at, class) in wanted.iter().enumerate() {
            soft[at * 6 + class] = 1.0;
        }
        let soft = row(soft, &device()).reshape([4, 6]);
        let found = soft_cross_entropy(logits.clone(), soft);
        assert_eq!(found.dims(), [4]);
        let hard = cross_entropy(logits, &wanted.map(Some)).unwrap();
        near(scalar(found.mean()), scalar(hard));
        // Against itself a distribution has its own entropy.
        let flat = Tensor::<2>::zeros([1, 8], &device());
        near(scalar(soft_cross_entropy(flat.clone(), flat + 0.125)), 8f64.ln());
    }

    #[test]
    fn unknown_targets_teach_nothing() {
        let logits = Tensor::<2>::from_data([[0.5, -100.0], [2.0, 7.0]], &device());
        let targets = [Some(true), Some(false), Some(false), None];
        let expected = -(sigma(0.5).ln() + sigma(-2.0).ln()) / 3.0;
        near(
            scalar(binary_cross_entropy(logits.clone(), &targets).unwrap()),
            expected,
        );
        assert!(binary_cross_entropy(logits, &[None; 4]).is_none());
    }

    #[test]
    fn focal_is_cross_entropy_at_gamma_zero_and_fades_what_is_easy() {
        let logits = Tensor::<1>::from_data([0.5, -1.0, 3.0], &device());
        let targets = Tensor::<1>::from_data([1.0, 0.0, 0.0], &device());
        let known = [Some(true), Some(false), Some(false)];
        let plain = binary_cross_entropy(logits.clone(), &known).unwrap();
        near(
            scalar(focal(logits.clone(), targets.clone(), 0.0, None)),
            scalar(plain),
        );
        let term = |z: f64, alpha: f64| -alpha * sigma(-z).powi(2) * sigma(z).ln();
        let expected = (term(0.5, 0.25) + term(1.0, 0.75) + term(-3.0, 0.75)) / 3.0;
        near(scalar(focal(logits, targets, 2.0, Some(0.25))), expected);
    }

    #[test]
    fn dice_of_what_is_right_is_zero_and_of_what_is_empty_too() {
        let truth = Tensor::<2>::from_data([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]], &device());
        near(scalar(dice(truth.clone(), truth.clone(), 1.0)), 0.0);
        let guess = Tensor::<2>::full([2, 4], 0.5, &device());
        // 2 * 1 + 1 by 1 + 2 + 1; 1 by 1 + 1
        near(scalar(dice(guess, truth, 1.0)), 1.0 - (0.75 + 0.5) / 2.0);
    }

    #[test]
    fn info_nce_knows_its_key_among_a_queue() {
        let queries = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 1.0]], &device());
        let keys = Tensor::<2>::from_data([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]], &device());
        let temperature = Tensor::<1>::from_data([0.5], &device());
        let logits = similarities(queries, keys, temperature);
        let first = (2f64.exp() + 1.2f64.exp() + (-2f64).exp()).ln() - 2.0;
        let second = (1.0 + 1.6f64.exp() + 1.0).ln() - 1.6;
        near(scalar(info_nce(logits)), (first + second) / 2.0);
    }

    #[test]
    fn nt_xent_knows_the_partner_among_all_other_rows() {
        // Two pairs; lengths do not count.
        let features = Tensor::<2>::from_data([[2.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.0, -3.0]], &device());
        let loss = nt_xent(features.clone(), 0.5).unwrap();
        let cosines: [[f64; 4]; 4] = [
            [1.0, 0.6, 0.0, 0.0],
            [0.6, 1.0, 0.8, -0.8],
            [0.0, 0.8, 1.0, -1.0],
            [0.0, -0.8, -1.0, 1.0],
        ];
        let row = |i: usize| {
            let others: f64 = (0..4)
                .filter(|j| *j != i)
                .map(|j| (2.0 * cosines[i][j]).exp())
                .sum();
            others.ln() - 2.0 * cosines[i][i ^ 1]
        };
        near(scalar(loss), (0..4).map(row).sum::<f64>() / 4.0);
        assert!(
            nt_xent(features.narrow(0, 0, 2), 0.5).is_none(),
            "one pair has no negatives"
        );
    }

    #[test]
    fn lse_pooling_lies_between_mean_and_maximum() {
        let x = Tensor::<2>::from_data([[1.0, 2.0, 4.0]], &device());
        let pool = |r| scalar(lse_pool(x.clone(), 1, r).reshape([1]));
        near(
            pool(2.0),
            ((2f64.exp() + 4f64.exp() + 8f64.exp()) / 3.0).ln() / 2.0,
        );
        assert!((pool(1e-3) - 7.0 / 3.0).abs() < 5e-3, "{}", pool(1e-3));
        assert!((pool(500.0) - 4.0).abs() < 5e-3, "no overflow: {}", pool(500.0));
    }
}
