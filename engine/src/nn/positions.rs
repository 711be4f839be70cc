//! Fixed two-dimensional sine and cosine positions (He et al. 2022, masked autoencoders; Vaswani et al. 2017,
//! section 3.5, in both directions).

use serde::{Deserialize, Serialize};

/// Which frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SinCos {
    /// MAE's: 1 / 10,000^(i / (D / 2)) of D values a direction.
    Mae,
    /// What MRM's released code computes, 1 / 10,000^(i / D / 2): a slip of brackets that its checkpoints
    /// were trained with.
    MrmRelease,
}

/// A row a patch, row by row of the grid: the first half of its values tells the column, the second the row,
/// sines before cosines. `class_token` puts a row of zeros in front. `(class + rows * columns, width)`,
/// `width` a multiple of 4.
pub fn sincos_positions(
    width: usize,
    [rows, columns]: [usize; 2],
    class_token: bool,
    frequencies: SinCos,
) -> Vec<f32> {
    let direction = width / 2;
    let omega = |i: usize| {
        let (i, d) = (i as f64, direction as f64);
        let exponent = match frequencies {
            SinCos::Mae => i / (d / 2.0),
            SinCos::MrmRelease => i / d / 2.0,
        };
        1.0 / 10_000f64.powf(exponent)
    };
    let mut values = vec![0.0; if class_token { width } else { 0 }];
    for row in 0..rows {
        for column in 0..columns {
            for at in [column, row] {
                let angle = |i: usize| at as f64 * omega(i);
                values.extend((0..direction / 2).map(|i| angle(i).sin() as f32));
                values.extend((0..direction / 2).map(|i| angle(i).cos() as f32));
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_tells_its_column_and_then_its_row() {
        // Width 4: one frequency of 1 a direction. Row 1, column 2 of a grid of 2 x 3.
        let positions = sincos_positions(4, [2, 3], true, SinCos::Mae);
        assert_eq!(positions.len(), 7 * 4);
        assert_eq!(positions[..8], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
        let expected = [2f64.sin(), 2f64.cos(), 1f64.sin(), 1f64.cos()].map(|v| v as f32);
        assert_eq!(positions[24..], expected);
    }
}
