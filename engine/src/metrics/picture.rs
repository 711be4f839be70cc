//! Measures of pictures: MSE, PSNR, SSIM (Wang et al. 2004) as scikit-image computes them, and Dice of masks.
//!
//! Values are in 0..1, rows first, so that the data range is 1.

/// The side of SSIM's window, which weighs its pixels equally.
const WINDOW: usize = 7;
/// SSIM's constants for a data range of 1: (0.01)^2 and (0.03)^2.
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;

/// The mean squared difference. `None` when the sizes differ, there is no pixel, or a value is not finite.
pub fn mse(a: &[f32], b: &[f32]) -> Option<f64> {
    if a.len() != b.len() || a.is_empty() {
        return None;
    }
    let sum: f64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum();
    sum.is_finite().then(|| sum / a.len() as f64)
}

/// The peak signal-to-noise ratio in dB; infinite for equal pictures. `None` as for [`mse`].
pub fn psnr(a: &[f32], b: &[f32]) -> Option<f64> {
    Some(-10.0 * mse(a, b)?.log10())
}

/// The mean structural similarity: windows of 7 x 7 that lie inside the picture, sample covariance. `None`
/// when the lengths are not width x height, a side is below 7, or a value is not finite.
pub fn ssim(a: &[f32], b: &[f32], width: usize, height: usize) -> Option<f64> {
    let pixels = width.checked_mul(height)?;
    if a.len() != pixels || b.len() != pixels || width < WINDOW || height < WINDOW {
        return None;
    }
    if a.iter().chain(b).any(|v| !v.is_finite()) {
        return None;
    }
    let n = (WINDOW * WINDOW) as f64;
    let mut total = 0.0;
    // Sums over 7 rows of each column: a, b, a a, b b, a b.
    let mut columns = vec![[0.0f64; 5]; width];
    for top in 0..=height - WINDOW {
        for (x, column) in columns.iter_mut().enumerate() {
            *column = [0.0; 5];
            for y in top..top + WINDOW {
                let (p, q) = (f64::from(a[y * width + x]), f64::from(b[y * width + x]));
                for (sum, value) in column.iter_mut().zip([p, q, p * p, q * q, p * q]) {
                    *sum += value;
                }
            }
        }
        for window in columns.windows(WINDOW) {
            let [p, q, pp, qq, pq]: [f64; 5] =
                std::array::from_fn(|k| window.iter().map(|c| c[k]).sum::<f64>() / n);
            let sample = n / (n - 1.0);
            let (var_p, var_q, covariance) = (
                sample * (pp - p * p),
                sample * (qq - q * q),
                sample * (pq - p * q),
            );
            total +=
                (2.0 * p * q + C1) * (2.0 * covariance + C2) / ((p * p + q * q + C1) * (var_p + var_q + C2));
        }
    }
    Some(total / ((height - WINDOW + 1) * (width - WINDOW + 1)) as f64)
}

/// Dice's coefficient of two masks, 2 |A and B| / (|A| + |B|); of two empty masks 1, for they agree. `None`
/// when the sizes differ.
pub fn dice(a: &[bool], b: &[bool]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let both = a.iter().zip(b).filter(|(a, b)| **a && **b).count();
    let sum = a.iter().chain(b).filter(|v| **v).count();
    Some(if sum == 0 {
        1.0
    } else {
        2.0 * both as f64 / sum as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_pictures_and_wrong_sizes() {
        let picture: Vec<f32> = (0..56).map(|i| (i * 37 % 11) as f32 / 11.0).collect();
        assert_eq!(mse(&picture, &picture), Some(0.0));
        assert_eq!(psnr(&picture, &picture), Some(f64::INFINITY));
        assert!((ssim(&picture, &picture, 8, 7).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(ssim(&picture, &picture, 14, 4), None);
        assert_eq!(ssim(&picture, &picture[1..], 8, 7), None);
        assert_eq!(mse(&[], &[]), None);
        assert_eq!(mse(&[f32::NAN], &[0.0]), None);
        assert!((psnr(&[0.1, 0.1], &[0.0, 0.2]).unwrap() - 20.0).abs() < 1e-5);
    }

    #[test]
    fn dice_by_hand() {
        assert_eq!(dice(&[true, true, false], &[true, false, false]), Some(2.0 / 3.0));
        assert_eq!(dice(&[false; 3], &[false; 3]), Some(1.0));
        assert_eq!(dice(&[true], &[false]), Some(0.0));
        assert_eq!(dice(&[true], &[]), None);
    }
}
