//! The gallery is searched: by the picture through the cases' reports, or by a text through their pictures.

use std::rc::Rc;

use burn::tensor::{Tensor, TensorData};
use hilum::bundle::{Gallery, GalleryIndex, gallery, verify};
use hilum::image::{Gray8, WindowChoice, decode};
use hilum::tasks::match_probabilities;
use hilum_protocol::{Case, Found, FromEngine, Search};

use super::engine::{Engine, Ready};
use super::scope::{breathe, post};
use super::source::Source;

/// So many cases are shown.
const SHOWN: usize = 5;
/// So many are compared before the browser gets its turn.
const AT_ONCE: usize = 25;

/// A gallery, ready to be searched.
pub struct Shelf {
    index: GalleryIndex,
    /// What the image encoder made of the cases, `(cases, K, features)`.
    maps: Tensor<3>,
    /// Their reports in word pieces, SEP included.
    texts: Vec<Vec<u32>>,
    sheet: Gray8,
}

impl Shelf {
    /// Fetches, verifies and reads the gallery of a bundle.
    async fn load(ready: &Ready, tell: impl Fn(u64, u64) + 'static) -> Result<Self, String> {
        let mut source = Source::open(ready.url.clone(), tell).await;
        let entry = |path| ready.manifest.file(path).map_err(|e| e.to_string());
        let entries = [
            entry(gallery::CASES)?,
            entry(gallery::FEATURES)?,
            entry(gallery::SHEET)?,
        ];
        source.total = entries.iter().map(|entry| entry.bytes).sum();
        let cases = source.file(entries[0]).await?;
        let features = source.file(entries[1]).await?;
        let sheet = source.file(entries[2]).await?;
        let Gallery { index, features } =
            Gallery::read(&ready.manifest, &cases, &features).map_err(|e| e.to_string())?;
        verify(entries[2], &sheet).map_err(|e| e.to_string())?;
        let unusable = |why: &str| format!("the bundle's gallery cannot be used: {why}; build it again");
        let sheet = decode(&sheet).and_then(|sheet| sheet.display(&WindowChoice::Default));
        let sheet = sheet.map_err(|e| unusable(&format!("its pictures are unreadable ({e})")))?;
        let (side, count) = (index.thumbnail, index.cases.len());
        // As many rows as are begun, and as many pictures in a row as the index says.
        let holds = (sheet.width / side.max(1) >= index.columns)
            && sheet.height / side.max(1) >= count.div_ceil(index.columns);
        if !holds {
            return Err(unusable("it has more cases than pictures"));
        }
        let config = ready.model.config();
        let &[cases, tokens, width] = &features.shape[..] else {
            return Err(unusable("its maps have another form than the model's"));
        };
        if tokens != config.visual_tokens() || width != config.features() {
            return Err(unusable("its maps have another form than the model's"));
        }
        let maps = Tensor::from_data(
            TensorData::new(features.data, [cases, tokens, width]),
            &ready.chosen.device,
        );
        let encoded = index
            .cases
            .iter()
            .map(|case| ready.tokenizer.encode_closed(&case.report, config.words));
        let texts = encoded.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        Ok(Self {
            index,
            maps,
            texts,
            sheet,
        })
    }

    /// The picture of a case.
    fn picture(&self, case: usize) -> Vec<u8> {
        let (side, columns) = (self.index.thumbnail, self.index.columns);
        let (x, y) = (case % columns * side, case / columns * side);
        let rows = (y..y + side).map(|row| &self.sheet.pixels[row * self.sheet.width + x..][..side]);
        rows.flatten().copied().collect()
    }
}

/// The gallery's likeliest cases for a text or, without one, for the picture; nothing where the search was
/// stopped.
///
/// # Errors
/// A sentence: no picture, a gallery that did not arrive or cannot be used, a device that failed.
pub async fn search(engine: &Engine, request: u32, text: Option<&str>) -> Result<Option<Found>, String> {
    let ready = engine.ready()?;
    let told = move |phase, done, total| {
        post(&FromEngine::Searching {
            request,
            phase,
            done,
            total,
        })
    };
    let kept = ready.shelf.borrow().clone();
    let shelf = match kept {
        Some(shelf) => shelf,
        None => {
            let shelf =
                Rc::new(Shelf::load(&ready, move |done, total| told(Search::Loading, done, total)).await?);
            *ready.shelf.borrow_mut() = Some(shelf.clone());
            shelf
        }
    };
    let count = shelf.index.cases.len();
    let typed = match text {
        Some(text) => Some(
            ready
                .tokenizer
                .encode_closed(text, ready.model.config().words)
                .map_err(|e| e.to_string())?,
        ),
        None => None,
    };
    let (maps, texts): (Tensor<3>, Vec<&[u32]>) = match &typed {
        Some(typed) => (shelf.maps.clone(), vec![typed]),
        None => (
            engine.features(&ready)?,
            shelf.texts.iter().map(Vec::as_slice).collect(),
        ),
    };
    let pair = |case| if typed.is_some() { (case, 0) } else { (0, case) };
    let pairs: Vec<(usize, usize)> = (0..count).map(pair).collect();
    let mut scores = Vec::with_capacity(count);
    for part in pairs.chunks(AT_ONCE) {
        told(Search::Comparing, scores.len() as u64, count as u64);
        breathe().await;
        if !engine.searches(request) {
            return Ok(None);
        }
        let found = match_probabilities(&ready.model, &maps, &texts, part, ready.tokenizer.specials()).await;
        scores.extend(found.map_err(|e| e.to_string())?);
    }
    if !engine.searches(request) {
        return Ok(None);
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let case = |&at: &usize| {
        let case = shelf.index.cases[at].clone();
        let (probability, picture) = (scores[at], shelf.picture(at));
        Case {
            id: case.id,
            probability,
            labels: case.labels,
            report: case.report,
            picture,
        }
    };
    let cases = order.iter().take(SHOWN).map(case).collect();
    Ok(Some(Found {
        source: shelf.index.source.clone(),
        searched: count,
        side: shelf.index.thumbnail,
        cases,
    }))
}
