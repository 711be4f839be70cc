//! Which report belongs to which radiograph (MedViLL, section 4.1, retrieval): a cross-encoder that reads both together; and the
//! search of a bundle's gallery with it.

use std::ops::ControlFlow;

use burn::tensor::{Tensor, TensorData, activation::sigmoid};

use super::error::{TaskError, read_back};
use super::session::{Encoded, Session};
use crate::bundle::{Gallery, GalleryIndex};
use crate::image::{Gray8, WindowChoice, decode};
use crate::nn::indices;
use crate::systems::Task;

/// Pairs that are read in one pass.
const AT_ONCE: usize = 50;
/// Cases that are compared before a search can be cancelled.
const TURN: usize = 25;

/// The probability that image and report of each pair belong together.
///
/// # Shapes
/// - images `(N, K, F)`; pairs hold the index of an image and that of a text, closing SEP included
///
/// # Errors
/// A model that compares nothing, and a device that fails.
pub async fn match_probabilities(
    session: &Session,
    images: &Tensor<3>,
    texts: &[&[u32]],
    pairs: &[(usize, usize)],
) -> Result<Vec<f32>, TaskError> {
    let device = images.device();
    let mut found = Vec::with_capacity(pairs.len());
    for part in pairs.chunks(AT_ONCE) {
        let rows = indices(part.iter().map(|pair| pair.0), &device);
        let tokens: Vec<&[u32]> = part.iter().map(|pair| texts[pair.1]).collect();
        let logits = session
            .system()
            .match_pairs(images.clone().select(0, rows), &tokens);
        let logits = logits.ok_or(TaskError::NoHead("head that matches reports"))?;
        found.extend(read_back(sigmoid(logits)).await?);
    }
    Ok(found)
}

/// What to search a gallery for.
#[derive(Clone, Copy)]
pub enum Query<'a> {
    /// A radiograph, through the cases' reports.
    Image(&'a Encoded),
    /// A text, through the cases' images.
    Text(&'a str),
}

/// A gallery, ready to be searched.
pub struct LoadedGallery {
    /// Its cases.
    pub index: GalleryIndex,
    /// Image tokens of the cases, `(cases, K, F)`.
    images: Tensor<3>,
    /// Their reports as tokens, SEP included.
    texts: Vec<Vec<u32>>,
    /// Their thumbnails.
    sheet: Option<Gray8>,
}

impl LoadedGallery {
    /// A gallery on the session's device; `sheet` are the bytes of its thumbnails, where they are to be shown.
    ///
    /// # Errors
    /// A gallery of another model, thumbnails that cannot be read or are too few, reports that cannot be encoded.
    pub fn new(session: &Session, gallery: Gallery, sheet: Option<&[u8]>) -> Result<Self, TaskError> {
        let Gallery { index, features } = gallery;
        let spec = session.spec();
        let expected = [index.cases.len(), spec.grid[0] * spec.grid[1], spec.features];
        if features.shape != expected {
            return Err(TaskError::Gallery("its images were encoded by another model"));
        }
        let images = Tensor::from_data(TensorData::new(features.data, expected), &session.device);
        let texts = index
            .cases
            .iter()
            .map(|case| session.encode_text(Task::Retrieve, &case.report));
        let texts = texts.collect::<Result<_, _>>()?;
        let sheet = sheet
            .map(|bytes| decode(bytes)?.display(&WindowChoice::Default))
            .transpose()
            .map_err(|_| TaskError::Gallery("its thumbnails cannot be read"))?;
        if let Some(sheet) = &sheet {
            let (side, count) = (index.thumbnail.max(1), index.cases.len());
            // As many rows as are begun, and as many thumbnails in a row as the index says.
            let rows = count.div_ceil(index.columns.max(1));
            if sheet.width / side < index.columns || sheet.height / side < rows {
                return Err(TaskError::Gallery("it has more cases than thumbnails"));
            }
        }
        Ok(Self {
            index,
            images,
            texts,
            sheet,
        })
    }

    /// The thumbnail of a case, `thumbnail` pixels a side; empty where there are none.
    pub fn thumbnail(&self, case: usize) -> Vec<u8> {
        let Some(sheet) = &self.sheet else {
            return Vec::new();
        };
        let (side, columns) = (self.index.thumbnail, self.index.columns);
        let (x, y) = (case % columns * side, case / columns * side);
        let rows = (y..y + side).map(|row| &sheet.pixels[row * sheet.width + x..][..side]);
        rows.flatten().copied().collect()
    }

    /// Every case with the probability that it matches the query, most probable first; nothing where `each`, which is told
    /// how many of how many were compared, cancelled the search.
    ///
    /// # Errors
    /// An empty query, a model that compares nothing, a device that fails.
    pub async fn search(
        &self,
        session: &Session,
        query: Query<'_>,
        mut each: impl AsyncFnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Vec<(usize, f32)>>, TaskError> {
        let count = self.index.cases.len();
        let typed;
        let (images, texts, by_text): (&Tensor<3>, Vec<&[u32]>, bool) = match query {
            Query::Text(text) if text.trim().is_empty() => return Err(TaskError::EmptyQuery),
            Query::Text(text) => {
                typed = session.encode_text(Task::Retrieve, text)?;
                (&self.images, vec![&typed], true)
            }
            Query::Image(image) => (
                &image.tokens,
                self.texts.iter().map(Vec::as_slice).collect(),
                false,
            ),
        };
        let pair = |case| if by_text { (case, 0) } else { (0, case) };
        let pairs: Vec<(usize, usize)> = (0..count).map(pair).collect();
        let mut scores = Vec::with_capacity(count);
        for part in pairs.chunks(TURN) {
            if each(scores.len(), count).await.is_break() {
                return Ok(None);
            }
            scores.extend(match_probabilities(session, images, &texts, part).await?);
        }
        if each(count, count).await.is_break() {
            return Ok(None);
        }
        let mut found: Vec<(usize, f32)> = scores.into_iter().enumerate().collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(Some(found))
    }
}
