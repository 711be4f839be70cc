//! How long reports are, as a histogram, and how far two such distributions lie apart (Yan and Pei 2022, Figure 7).

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// Words in a bar of the histogram.
const BAR: usize = 5;

/// The lengths of drafts beside those of their references, in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lengths {
    /// Words in a bar.
    pub bar: usize,
    /// Drafts in each bar, the first of which is of fewer words than `bar`.
    pub drafts: Vec<usize>,
    /// References in each bar.
    pub references: Vec<usize>,
}

impl Lengths {
    /// Counts lengths into bars.
    pub fn new(drafts: &[usize], references: &[usize]) -> Self {
        let longest = drafts.iter().chain(references).copied().max().unwrap_or(0);
        let count = |lengths: &[usize]| {
            let mut bars = vec![0; longest / BAR + 1];
            lengths.iter().for_each(|length| bars[length / BAR] += 1);
            bars
        };
        Self {
            bar: BAR,
            drafts: count(drafts),
            references: count(references),
        }
    }

    /// The histogram as a picture: references as a grey area, drafts as a line over it.
    pub fn svg(&self) -> String {
        let (width, height, left, bottom) = (640.0, 260.0, 40.0, 30.0);
        let bars = self.drafts.len().max(1) as f64;
        let most = self.drafts.iter().chain(&self.references).copied().max();
        let most = most.unwrap_or(0).max(1) as f64;
        let step = (width - left - 10.0) / bars;
        let x = |bar: usize| left + bar as f64 * step;
        let y = |count: usize| height - bottom - (height - bottom - 30.0) * count as f64 / most;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
        );
        for (bar, count) in self.references.iter().enumerate() {
            let _ = writeln!(
                out,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{step:.1}\" height=\"{:.1}\" fill=\"#ccc\"/>",
                x(bar),
                y(*count),
                height - bottom - y(*count)
            );
        }
        let points: Vec<String> = self
            .drafts
            .iter()
            .enumerate()
            .flat_map(|(bar, count)| [(x(bar), y(*count)), (x(bar + 1), y(*count))])
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#1b7f8c\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        let every = (bars / 8.0).ceil().max(1.0) as usize;
        for bar in (0..=self.drafts.len()).step_by(every) {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                x(bar),
                height - 12.0,
                bar * self.bar
            );
        }
        let _ = writeln!(
            out,
            "<text x=\"{left}\" y=\"16\">Words a report: drafts (line) and references (grey), most {most} in {} words</text>",
            self.bar
        );
        out + "</svg>\n"
    }
}

/// How far apart two distributions of lengths lie, in words: the mean difference of their quantiles (Wasserstein-1, Villani 2009,
/// section 2.2). 0 where one of them is empty.
pub fn length_distance(one: &[usize], other: &[usize]) -> f64 {
    if one.is_empty() || other.is_empty() {
        return 0.0;
    }
    let sorted = |lengths: &[usize]| {
        let mut lengths = lengths.to_vec();
        lengths.sort_unstable();
        lengths
    };
    let (one, other) = (sorted(one), sorted(other));
    // Each length of `one` stands for `other.len()` quantiles and the other way round.
    let all = one.len() * other.len();
    let (mut at, mut sum) = (0, 0.0);
    while at < all {
        let (i, j) = (at / other.len(), at / one.len());
        let next = ((i + 1) * other.len()).min((j + 1) * one.len());
        sum += (next - at) as f64 * one[i].abs_diff(other[j]) as f64;
        at = next;
    }
    sum / all as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_how_far_each_quantile_moves() {
        assert_eq!(length_distance(&[3, 5, 9], &[9, 5, 3]), 0.0);
        assert_eq!(length_distance(&[3, 5, 9], &[5, 7, 11]), 2.0);
        // Half of the mass moves by 4.
        assert_eq!(length_distance(&[2, 2], &[2, 6, 2, 6]), 2.0);
        assert_eq!(length_distance(&[10], &[4, 4, 16]), 6.0);
        assert_eq!(length_distance(&[], &[4]), 0.0);
    }

    #[test]
    fn bars_hold_every_length() {
        let lengths = Lengths::new(&[0, 4, 5, 12], &[9]);
        assert_eq!(lengths.drafts, [2, 1, 1]);
        assert_eq!(lengths.references, [0, 1, 0]);
        let svg = lengths.svg();
        assert_eq!(svg.matches("<rect").count(), 4);
        assert!(svg.contains("<polyline") && svg.ends_with("</svg>\n"));
    }
}
