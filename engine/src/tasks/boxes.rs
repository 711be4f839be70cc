//! Where findings are seen, as the model reads the picture: a data set's boxes, and whether a model's maps point into them.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use super::error::{TaskError, read_back};
use super::session::Session;
use crate::data::Study;
use crate::image::{ImageError, Preprocessing, WindowChoice, decode_file};
use crate::text::{LabelSet, same_class};

/// A label's place in the set, and left, top, right and bottom of where it is seen in the square that a model reads, 0 to 1.
pub type LabelBox = (usize, [f32; 4]);

/// Where labels of the set are seen in a study's image as the model reads it. The file is decoded for its margins alone, and
/// only where there are boxes.
///
/// # Errors
/// An image that cannot be read.
pub fn boxes(
    study: &Study,
    labels: &LabelSet,
    preprocessing: &Preprocessing,
) -> Result<Vec<LabelBox>, ImageError> {
    let label = |class: &str| {
        let mut all = labels.labels.iter();
        all.position(|l| l.side.is_none() && same_class(&l.name, class))
    };
    let known = study.boxes.iter();
    let known: Vec<LabelBox> = known.filter_map(|b| Some((label(&b.class)?, b.area))).collect();
    if known.is_empty() || !study.has_image() {
        return Ok(Vec::new());
    }
    let gray = decode_file(&study.image)?.display(&WindowChoice::Default)?;
    let placement = preprocessing.placement(&gray);
    let place = |(label, [left, top, width, height]): LabelBox| {
        (label, placement.place([left, top, left + width, top + height]))
    };
    Ok(known.into_iter().map(place).collect())
}

/// A box, and the cell of its label's map that speaks most for the label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pointed {
    /// The label.
    pub label: usize,
    /// The box, 0 to 1.
    pub area: [f32; 4],
    /// The cell's place in its row-by-row order.
    pub peak: usize,
}

/// Where a model points for each box of a picture; `None` for a model without maps of its labels.
///
/// # Shapes
/// - image `(1, K, F)`
///
/// # Errors
/// A device that fails.
pub async fn point(
    session: &Session,
    image: Tensor<3>,
    boxes: &[LabelBox],
) -> Result<Option<Vec<Pointed>>, TaskError> {
    let Some(evidence) = session.system().evidence(image) else {
        return Ok(None);
    };
    let [_, cells, labels] = evidence.dims();
    let evidence = read_back(evidence).await?;
    let value = |cell: usize, label: usize| evidence[cell * labels + label];
    let peak = |label: usize| (0..cells).max_by(|a, b| value(*a, label).total_cmp(&value(*b, label)));
    let read = boxes.iter().filter(|(label, _)| *label < labels);
    let pointed = read.filter_map(|&(label, area)| {
        Some(Pointed {
            label,
            area,
            peak: peak(label)?,
        })
    });
    Ok(Some(pointed.collect()))
}

/// Whether the middle of a cell is inside of a box.
fn inside(area: [f32; 4], cell: usize, [rows, columns]: [usize; 2]) -> bool {
    let x = ((cell % columns) as f32 + 0.5) / columns as f32;
    let y = ((cell / columns) as f32 + 0.5) / rows as f32;
    (area[0]..=area[2]).contains(&x) && (area[1]..=area[3]).contains(&y)
}

/// Of each box, whether its map's peak is inside of it, and whether a map would be that always points at the same place: the cell
/// that is in most of the finding's *other* boxes, the first of equals.
pub fn hits(pointed: &[Pointed], grid: [usize; 2]) -> Vec<[bool; 2]> {
    let cells = grid[0] * grid[1];
    // How many boxes of a label each cell is in.
    let mut counts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for seen in pointed {
        let count = counts.entry(seen.label).or_insert_with(|| vec![0; cells]);
        for (cell, count) in count.iter_mut().enumerate() {
            *count += usize::from(inside(seen.area, cell, grid));
        }
    }
    let hit = |seen: &Pointed| {
        let own = |cell: usize| inside(seen.area, cell, grid);
        let others = |cell: usize| counts[&seen.label][cell] - usize::from(own(cell));
        let place = (0..cells).rev().max_by_key(|cell| others(*cell));
        [own(seen.peak), place.is_some_and(own)]
    };
    pointed.iter().map(hit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_hits_a_box_and_the_same_place_is_that_of_the_others() {
        let seen = |label, area, peak| Pointed { label, area, peak };
        let (left, right) = ([0.0, 0.0, 0.5, 0.5], [0.5, 0.0, 1.0, 0.5]);
        // Two by two cells: of label 0 two boxes lie upper left, one upper right.
        let all = [
            seen(0, left, 0),
            seen(0, left, 1),
            seen(0, right, 1),
            seen(1, right, 3),
        ];
        let found = hits(&all, [2, 2]);
        // For the first the others are one left, one right: the first of equals. For the third both others are left. The box of
        // label 1 has no others, so its place is the first cell.
        assert_eq!(
            found,
            [[true, true], [false, true], [true, false], [false, false]]
        );
    }
}
