//! Which report belongs to which radiograph (MedViLL, section 4.1, retrieval): a cross-encoder that reads both together; and the
//! search of a bundle's gallery, with it or by the codes of a model that compares pictures alone.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use burn::tensor::{Tensor, TensorData, activation::sigmoid};

use super::error::{TaskError, read_back};
use super::session::Session;
use hilum_task::{Closeness, Suggestion};

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

/// Candidates that a model which compares features reads together with the query; the others stay in the features' order.
pub const RERANKED: usize = 20;

/// What pairs of images and texts are compared by before they are read together: [`crate::systems::System::image_feature`] and
/// [`crate::systems::System::text_feature`] of each.
#[derive(Clone, Debug)]
pub struct Features {
    images: Vec<Vec<f32>>,
    texts: Vec<Vec<f32>>,
}

impl Features {
    /// Of all images and texts; `None` for a model that has no such features.
    ///
    /// # Shapes
    /// - images `(N, K, F)`
    ///
    /// # Errors
    /// A device that fails.
    pub async fn of(
        session: &Session,
        images: &Tensor<3>,
        texts: &[&[u32]],
    ) -> Result<Option<Self>, TaskError> {
        let (system, mut features) = (
            session.system(),
            Self {
                images: Vec::new(),
                texts: Vec::new(),
            },
        );
        let count = images.dims()[0];
        for from in (0..count).step_by(AT_ONCE) {
            let part = images.clone().narrow(0, from, AT_ONCE.min(count - from));
            let Some(found) = system.image_feature(part) else {
                return Ok(None);
            };
            features.images.extend(rows(found).await?);
        }
        for part in texts.chunks(AT_ONCE) {
            let Some(found) = system.text_feature(part) else {
                return Ok(None);
            };
            features.texts.extend(rows(found).await?);
        }
        Ok(Some(features))
    }

    /// How alike an image and a text are, -1 to 1.
    fn similarity(&self, (image, text): (usize, usize)) -> f64 {
        let pairs = self.images[image].iter().zip(&self.texts[text]);
        pairs.map(|(a, b)| f64::from(a * b)).sum()
    }
}

async fn rows(found: Tensor<2>) -> Result<Vec<Vec<f32>>, TaskError> {
    let width = found.dims()[1];
    let values = read_back(found).await?;
    Ok(values.chunks(width).map(<[f32]>::to_vec).collect())
}

/// Scores of some pairs of one query, by which they are ranked: the probability that a pair belongs together; where the model compares
/// features, of the [`RERANKED`] most alike, and all others come behind them by how alike they are (ALBEF, Li et al. 2021, section 6.2;
/// Park et al. 2022, "Performances of the proposed model on downstream tasks").
///
/// # Errors
/// As [`match_probabilities`].
pub async fn rank_pairs(
    session: &Session,
    images: &Tensor<3>,
    texts: &[&[u32]],
    features: Option<&Features>,
    pairs: &[(usize, usize)],
) -> Result<Vec<f64>, TaskError> {
    let Some(features) = features else {
        let scores = match_probabilities(session, images, texts, pairs).await?;
        return Ok(scores.into_iter().map(f64::from).collect());
    };
    // Behind every probability.
    let mut scores: Vec<f64> = pairs
        .iter()
        .map(|pair| features.similarity(*pair) - 2.0)
        .collect();
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order.truncate(RERANKED);
    let chosen: Vec<(usize, usize)> = order.iter().map(|&at| pairs[at]).collect();
    let read = match_probabilities(session, images, texts, &chosen).await?;
    for (at, score) in order.into_iter().zip(read) {
        scores[at] = f64::from(score);
    }
    Ok(scores)
}

/// What to search a gallery for.
#[derive(Clone, Copy)]
pub enum Query<'a> {
    /// A radiograph as its tokens, `(1, K, F)`, through the cases' reports.
    Image(&'a Tensor<3>),
    /// A text, through the cases' images.
    Text(&'a str),
}

/// What a gallery's cases are compared by.
enum Compared {
    /// A cross-encoder reads a radiograph and a report together.
    Pairs(Box<Pairs>),
    /// Codes of radiographs.
    Codes(Codes),
}

/// Cases that are read with the query.
struct Pairs {
    /// Their image tokens, `(cases, K, F)`.
    images: Tensor<3>,
    /// Their reports as tokens, SEP included.
    texts: Vec<Vec<u32>>,
    /// What they are compared by before they are read, from the first search on.
    features: OnceLock<Features>,
}

/// Codes, made comparable: each number of a code is centred and scaled over all of them, so that what they have in common does
/// not make them alike, and each code is then of length 1.
pub(super) struct Codes {
    mean: Vec<f32>,
    scale: Vec<f32>,
    rows: Vec<Vec<f32>>,
}

impl Codes {
    /// Of `(codes, width)` numbers.
    pub(super) fn new(values: &[f32], width: usize) -> Self {
        let rows = values.chunks_exact(width);
        let count = rows.len().max(1) as f32;
        let mut mean = vec![0.0; width];
        for row in rows.clone() {
            mean.iter_mut().zip(row).for_each(|(sum, v)| *sum += v / count);
        }
        let mut scale = vec![0.0; width];
        for row in rows.clone() {
            let apart = row.iter().zip(&mean).map(|(v, m)| (v - m) * (v - m) / count);
            scale.iter_mut().zip(apart).for_each(|(sum, v)| *sum += v);
        }
        // A number that never changes tells nothing.
        let inverse = |variance: &f32| {
            if *variance > 1e-12 {
                variance.sqrt().recip()
            } else {
                0.0
            }
        };
        let mut codes = Self {
            scale: scale.iter().map(inverse).collect(),
            mean,
            rows: Vec::new(),
        };
        codes.rows = rows.map(|row| codes.comparable(row)).collect();
        codes
    }

    fn comparable(&self, code: &[f32]) -> Vec<f32> {
        let centred = code.iter().zip(&self.mean).zip(&self.scale);
        let centred: Vec<f32> = centred.map(|((v, mean), scale)| (v - mean) * scale).collect();
        let length = centred.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-12);
        centred.into_iter().map(|v| v / length).collect()
    }

    /// How alike a code is to each of these, -1 to 1.
    pub(super) fn similarities(&self, code: &[f32]) -> Vec<f32> {
        let code = self.comparable(code);
        let dot = |row: &Vec<f32>| row.iter().zip(&code).map(|(a, b)| a * b).sum();
        self.rows.iter().map(dot).collect()
    }
}

/// A gallery, ready to be searched.
pub struct LoadedGallery {
    /// Its cases.
    pub index: GalleryIndex,
    compared: Compared,
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
        let [cells, width] = session.kept_shape();
        let expected = [index.cases.len(), cells, width];
        if features.shape != expected {
            return Err(TaskError::Gallery("its images were encoded by another model"));
        }
        let compared = if session.compares_codes() {
            Compared::Codes(Codes::new(&features.data, width))
        } else {
            let data = TensorData::new(features.data, expected);
            let texts = index
                .cases
                .iter()
                .map(|case| session.encode_text(Task::Retrieve, &case.report));
            Compared::Pairs(Box::new(Pairs {
                images: Tensor::from_data(data, &session.device),
                texts: texts.collect::<Result<_, _>>()?,
                features: OnceLock::new(),
            }))
        };
        let sheet = sheet
            .map(|bytes| decode(bytes)?.display(&WindowChoice::Default))
            .transpose()
            .map_err(|_| TaskError::Gallery("its thumbnails cannot be read"))?;
        let sheet = sheet.filter(|_| index.thumbnail > 0);
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
            compared,
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

    /// What a number of [`LoadedGallery::search`] means.
    pub fn closeness(&self, value: f32) -> Closeness {
        match self.compared {
            Compared::Pairs(_) => Closeness::Probability(value),
            Compared::Codes(_) => Closeness::Similarity(value),
        }
    }

    /// Cases with how near they are to the query, see [`LoadedGallery::closeness`], nearest first; nothing where `each`, which is told
    /// how many of how many were compared, cancelled the search. All of them, but of a model that compares features the [`RERANKED`]
    /// that are most alike by them.
    ///
    /// # Errors
    /// An empty query, a text for a model that compares pictures alone, a model that compares nothing, a device that fails.
    pub async fn search(
        &self,
        session: &Session,
        query: Query<'_>,
        mut each: impl AsyncFnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Vec<(usize, f32)>>, TaskError> {
        let count = self.index.cases.len();
        let found = match (&self.compared, query) {
            (_, Query::Text(text)) if text.trim().is_empty() => return Err(TaskError::EmptyQuery),
            (Compared::Codes(_), Query::Text(_)) => return Err(TaskError::PicturesAlone),
            (Compared::Codes(codes), Query::Image(image)) => {
                let code = read_back(session.kept_of(image.clone())).await?;
                Some(codes.similarities(&code).into_iter().enumerate().collect())
            }
            (Compared::Pairs(pairs), query) => compare(session, pairs, query, &mut each).await?,
        };
        let Some(mut found): Option<Vec<(usize, f32)>> = found else {
            return Ok(None);
        };
        if each(count, count).await.is_break() {
            return Ok(None);
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(Some(found))
    }
}

/// The probability that a case matches the query, of all cases or of the most alike; nothing where the search was cancelled.
async fn compare(
    session: &Session,
    pairs: &Pairs,
    query: Query<'_>,
    each: &mut impl AsyncFnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<Vec<(usize, f32)>>, TaskError> {
    let Pairs {
        images,
        texts,
        features,
    } = pairs;
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    if features.get().is_none()
        && let Some(found) = Features::of(session, images, &texts).await?
    {
        // Another search may have been first.
        let _ = features.set(found);
    }
    let mut cases: Vec<usize> = (0..texts.len()).collect();
    let typed;
    let (images, texts, by_text): (&Tensor<3>, Vec<&[u32]>, bool) = match query {
        Query::Text(text) => {
            typed = session.encode_text(Task::Retrieve, text)?;
            (images, vec![&typed], true)
        }
        Query::Image(image) => (image, texts, false),
    };
    if let Some(features) = features.get() {
        let asked = match query {
            Query::Text(_) => session.system().text_feature(&texts),
            Query::Image(image) => session.system().image_feature(image.clone()),
        };
        if let Some(asked) = asked {
            let asked = read_back(asked).await?;
            let against = if by_text {
                &features.images
            } else {
                &features.texts
            };
            let alike = |case: usize| -> f32 { against[case].iter().zip(&asked).map(|(a, b)| a * b).sum() };
            cases.sort_by(|a, b| alike(*b).total_cmp(&alike(*a)));
            cases.truncate(RERANKED);
        }
    }
    let pair = |&case: &usize| if by_text { (case, 0) } else { (0, case) };
    let pairs: Vec<(usize, usize)> = cases.iter().map(pair).collect();
    let mut scores = Vec::with_capacity(pairs.len());
    for part in pairs.chunks(TURN) {
        if each(scores.len(), pairs.len()).await.is_break() {
            return Ok(None);
        }
        scores.extend(match_probabilities(session, images, &texts, part).await?);
    }
    Ok(Some(cases.into_iter().zip(scores).collect()))
}

/// The report of the gallery that matches a radiograph best, and how well, where that is better than `matching`; nothing where the search
/// was cancelled, or the model compares pictures alone.
///
/// # Shapes
/// - image `(1, K, F)`
///
/// # Errors
/// As [`LoadedGallery::search`].
pub async fn suggest(
    session: &Session,
    gallery: &LoadedGallery,
    image: &Tensor<3>,
    matching: f32,
    each: impl AsyncFnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<Suggestion>, TaskError> {
    if session.compares_codes() {
        return Ok(None);
    }
    let found = gallery.search(session, Query::Image(image), each).await?;
    let best = found.and_then(|found| found.first().copied());
    let better = best.filter(|best| best.1 > matching);
    Ok(better.map(|(case, matching)| Suggestion {
        id: gallery.index.cases[case].id.clone(),
        report: gallery.index.cases[case].report.clone(),
        matching,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_alike_by_what_sets_them_apart() {
        // The first number is the same in all and large, the last differs alone in scale.
        let codes = Codes::new(
            &[
                9.0, 1.0, 200.0, 9.0, -1.0, -200.0, 9.0, 1.0, -200.0, 9.0, -1.0, 200.0,
            ],
            3,
        );
        let found = codes.similarities(&[9.0, 1.0, 200.0]);
        for (found, expected) in found.iter().zip([1.0, -1.0, 0.0, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
        }
        // Of one code alone nothing sets it apart.
        assert_eq!(Codes::new(&[1.0, 2.0], 2).similarities(&[1.0, 3.0]), [0.0]);
    }
}
