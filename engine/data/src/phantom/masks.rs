//! Where on the picture something lies: masks, and the boxes around them.

/// A binary mask of a square picture, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Pixels a side.
    pub size: usize,
    /// 1 where it is, 0 elsewhere; `size * size` of them.
    pub bits: Vec<u8>,
}

impl Mask {
    /// Nothing anywhere.
    pub fn empty(size: usize) -> Self {
        Self {
            size,
            bits: vec![0; size * size],
        }
    }

    /// How many pixels it covers.
    pub fn area(&self) -> usize {
        self.bits.iter().filter(|b| **b != 0).count()
    }

    /// The smallest box around it; `None` when it is empty.
    pub fn bounds(&self) -> Option<PixelBox> {
        let mut found: Option<PixelBox> = None;
        for (row, line) in self.bits.chunks_exact(self.size).enumerate() {
            let Some(first) = line.iter().position(|b| *b != 0) else {
                continue;
            };
            let last = line.iter().rposition(|b| *b != 0).unwrap_or(first);
            let new = PixelBox {
                left: first,
                top: row,
                right: last + 1,
                bottom: row + 1,
            };
            found = Some(found.map_or(new, |old| PixelBox {
                left: old.left.min(new.left),
                top: old.top,
                right: old.right.max(new.right),
                bottom: new.bottom,
            }));
        }
        found
    }
}

/// A box in pixels: `left` and `top` are inside it, `right` and `bottom` just outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelBox {
    /// The first column.
    pub left: usize,
    /// The first row.
    pub top: usize,
    /// One past the last column.
    pub right: usize,
    /// One past the last row.
    pub bottom: usize,
}

impl PixelBox {
    /// Columns.
    pub fn width(&self) -> usize {
        self.right - self.left
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.bottom - self.top
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_fit_tightly() {
        let mut mask = Mask::empty(8);
        assert_eq!(mask.bounds(), None);
        mask.bits[2 * 8 + 3] = 1;
        mask.bits[5 * 8 + 1] = 1;
        assert_eq!(
            mask.bounds(),
            Some(PixelBox {
                left: 1,
                top: 2,
                right: 4,
                bottom: 6
            })
        );
        assert_eq!(mask.area(), 2);
    }
}
