//! Shards: the weights of a bundle, cut into safetensors files of about 16 MiB that are decoded one at a
//! time.
//!
//! A tensor larger than a shard is cut by rows (its first axis) into `NAME@0`, `NAME@1`, ..., and each shard
//! that holds such a piece says in its metadata, under `cut`, how many there are and the whole shape. A q8
//! tensor is an int8 tensor
//! `NAME` beside its scales `NAME.scale` (`NAME.scale@k` for a piece), see [`super::quant`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use half::f16;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype as Element, TensorView};
use serde::{Deserialize, Serialize};

use super::array::{elements, floats};
use super::manifest::{Dtype, FileEntry, verify};
use super::quant::{self, Blocks};
use super::{Array, Arrays, BundleError};

/// Bytes of weights in a shard: small enough that a page decodes one without a pause, large enough to be few.
pub const SHARD_BYTES: usize = 16 << 20;
/// Below this many elements, eight bits save too little to be worth their error.
const MIN_Q8_ELEMENTS: usize = 1024;
/// The key of the shard's metadata under which cut tensors are described.
const CUT: &str = "cut";

/// A tensor that is cut over several shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cut {
    pieces: usize,
    shape: Vec<usize>,
}

/// One safetensors entry: name, element type, shape, bytes.
type Entry = (String, Element, Vec<usize>, Vec<u8>);

/// Encodes all arrays, in order of name, and hands each finished shard to `sink`.
///
/// # Errors
/// A tensor that cannot be stored faithfully (not finite, wrong length, reserved name), and what `sink`
/// returns.
pub fn encode(
    arrays: &Arrays,
    dtype: Dtype,
    shard_bytes: usize,
    mut sink: impl FnMut(Vec<u8>) -> Result<(), BundleError>,
) -> Result<(), BundleError> {
    let mut shard = Draft::default();
    for (name, array) in arrays {
        check(name, array, arrays, dtype)?;
        let element = element(array, dtype);
        let (rows, columns) = quant::as_matrix(&array.shape);
        let rows_in_piece = match array.data.is_empty() {
            true => rows,
            false => (shard_bytes / row_bytes(columns, element)).max(1),
        };
        if rows <= rows_in_piece {
            let entries = entries(name, "", &array.shape, &array.data, element);
            shard.add(entries, None, shard_bytes, &mut sink)?;
            continue;
        }
        let pieces = rows.div_ceil(rows_in_piece);
        for (k, data) in array.data.chunks(rows_in_piece * columns).enumerate() {
            let mut shape = array.shape.clone();
            shape[0] = data.len() / columns;
            let entries = entries(name, &format!("@{k}"), &shape, data, element);
            let cut = Cut {
                pieces,
                shape: array.shape.clone(),
            };
            shard.add(entries, Some((name, cut)), shard_bytes, &mut sink)?;
        }
    }
    shard.flush(&mut sink)
}

fn row_bytes(columns: usize, element: Element) -> usize {
    match element {
        Element::I8 => columns + 2 * quant::blocks_in_row(columns),
        Element::F16 => 2 * columns,
        _ => 4 * columns,
    }
}

/// The element type that `array` is stored as in a bundle of `dtype`.
fn element(array: &Array, dtype: Dtype) -> Element {
    let fits_f16 = array.data.iter().all(|value| value.abs() <= f16::MAX.to_f32());
    match dtype {
        _ if array.shape.len() < 2 || !fits_f16 => Element::F32,
        Dtype::F32 => Element::F32,
        Dtype::Q8 if array.data.len() >= MIN_Q8_ELEMENTS => Element::I8,
        Dtype::F16 | Dtype::Q8 => Element::F16,
    }
}

fn check(name: &str, array: &Array, arrays: &Arrays, dtype: Dtype) -> Result<(), BundleError> {
    array.check(name)?;
    let refuse = |why: &str| {
        Err(BundleError::Tensor {
            name: name.to_owned(),
            why: why.to_owned(),
        })
    };
    if name.is_empty() || name.contains('@') {
        return refuse("its name is empty or contains @, which marks pieces; rename it");
    }
    if array.data.iter().any(|value| !value.is_finite()) {
        return refuse(
            "it holds values that are not finite; use a checkpoint from before the training diverged",
        );
    }
    let scaled = name.strip_suffix(".scale").and_then(|base| arrays.get(base));
    if scaled.is_some_and(|base| element(base, dtype) == Element::I8) {
        return refuse("its name is that of another tensor's 8-bit scales; rename it, or export as f16");
    }
    Ok(())
}

fn entries(name: &str, piece: &str, shape: &[usize], data: &[f32], element: Element) -> Vec<Entry> {
    let full = format!("{name}{piece}");
    match element {
        Element::I8 => {
            let (rows, columns) = quant::as_matrix(shape);
            let (values, scales) = quant::quantise(columns, data);
            let values = values.iter().map(|value| value.to_le_bytes()[0]).collect();
            let scales = scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
            let scale_shape = vec![rows, quant::blocks_in_row(columns)];
            vec![
                (full, Element::I8, shape.to_vec(), values),
                (format!("{name}.scale{piece}"), Element::F16, scale_shape, scales),
            ]
        }
        Element::F16 => {
            let bytes = data
                .iter()
                .flat_map(|&value| f16::from_f32(value).to_le_bytes())
                .collect();
            vec![(full, Element::F16, shape.to_vec(), bytes)]
        }
        _ => {
            let bytes = data.iter().flat_map(|value| value.to_le_bytes()).collect();
            vec![(full, Element::F32, shape.to_vec(), bytes)]
        }
    }
}

/// A shard being filled.
#[derive(Default)]
struct Draft {
    entries: Vec<Entry>,
    cuts: BTreeMap<String, Cut>,
    bytes: usize,
}

impl Draft {
    /// Adds entries that belong together, after closing the shard where they no longer fit.
    fn add(
        &mut self,
        entries: Vec<Entry>,
        cut: Option<(&String, Cut)>,
        limit: usize,
        sink: &mut impl FnMut(Vec<u8>) -> Result<(), BundleError>,
    ) -> Result<(), BundleError> {
        let bytes: usize = entries.iter().map(|entry| entry.3.len()).sum();
        if self.bytes + bytes > limit {
            self.flush(sink)?;
        }
        self.bytes += bytes;
        self.entries.extend(entries);
        self.cuts.extend(cut.map(|(name, cut)| (name.clone(), cut)));
        Ok(())
    }

    fn flush(
        &mut self,
        sink: &mut impl FnMut(Vec<u8>) -> Result<(), BundleError>,
    ) -> Result<(), BundleError> {
        let draft = std::mem::take(self);
        if draft.entries.is_empty() {
            return Ok(());
        }
        let refuse = |why: String| BundleError::Tensor {
            name: draft.entries[0].0.clone(),
            why,
        };
        let views = draft
            .entries
            .iter()
            .map(|(name, element, shape, bytes)| Ok((name, TensorView::new(*element, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|e| refuse(e.to_string()))?;
        let metadata = match draft.cuts.is_empty() {
            true => None,
            false => {
                let cuts = serde_json::to_string(&draft.cuts).map_err(|e| refuse(e.to_string()))?;
                Some(HashMap::from([(CUT.to_owned(), cuts)]))
            }
        };
        sink(safetensors::serialize(views, metadata).map_err(|e| refuse(e.to_string()))?)
    }
}

/// A tensor as a shard holds it: floats as f32, 8-bit weights as they are.
#[derive(Clone, Debug, PartialEq)]
enum Stored {
    /// From f32 or f16.
    Float(Array),
    /// 8-bit blocks, with a scale each.
    Q8(Blocks),
}

impl Stored {
    /// The tensor's extents, outermost first.
    fn shape(&self) -> &[usize] {
        match self {
            Self::Float(array) => &array.shape,
            Self::Q8(blocks) => &blocks.shape,
        }
    }

    /// The tensor in f32.
    fn into_array(self) -> Array {
        match self {
            Self::Float(array) => array,
            Self::Q8(blocks) => {
                let columns = quant::as_matrix(&blocks.shape).1;
                let data = quant::dequantise(columns, &blocks.values, &blocks.scales);
                Array {
                    shape: blocks.shape,
                    data,
                }
            }
        }
    }

    /// Makes room for the pieces to come, so that a large tensor does not grow by doubling: for a tensor of
    /// `shape`, and no more than `pieces` like this one.
    fn reserve(&mut self, shape: &[usize], pieces: usize) -> Result<(), String> {
        let [here, whole] = [self.shape(), shape].map(|shape| elements(shape).unwrap_or(usize::MAX));
        // Of values or of scales, as many as the rest of the tensor has for each of those that are here.
        let rest = |length: usize| {
            let most = length.saturating_mul(pieces);
            let share = length as u128 * whole as u128 / here.max(1) as u128;
            usize::try_from(share)
                .unwrap_or(usize::MAX)
                .min(most)
                .saturating_sub(length)
        };
        let reserved = match self {
            Self::Float(array) => array.data.try_reserve_exact(rest(array.data.len())),
            Self::Q8(blocks) => blocks
                .values
                .try_reserve_exact(rest(blocks.values.len()))
                .and_then(|()| blocks.scales.try_reserve_exact(rest(blocks.scales.len()))),
        };
        reserved.map_err(|_| format!("a tensor of {shape:?} does not fit the memory"))
    }

    /// Appends the rows of the next piece; false where the two do not belong together.
    fn append(&mut self, piece: Self) -> bool {
        let rows = piece.shape().first().copied().unwrap_or(0);
        if self.shape().is_empty() || self.shape().get(1..) != piece.shape().get(1..) {
            return false;
        }
        match (self, piece) {
            (Self::Float(whole), Self::Float(piece)) => {
                whole.data.extend(piece.data);
                whole.shape[0] += rows;
            }
            (Self::Q8(whole), Self::Q8(piece)) => {
                whole.values.extend(piece.values);
                whole.scales.extend(piece.scales);
                whole.shape[0] += rows;
            }
            _ => return false,
        }
        true
    }
}

/// Decodes shards one at a time, in the manifest's order, so that a page can stream them.
#[derive(Debug, Default)]
pub struct ShardDecoder {
    /// Cut tensors of which pieces are still to come: the pieces so far, and how many those are.
    partial: BTreeMap<String, (Cut, Stored, usize)>,
    seen: BTreeSet<String>,
}

impl ShardDecoder {
    /// A decoder for one bundle.
    pub fn new() -> Self {
        Self::default()
    }

    /// Verifies a shard against its entry, decodes it, and returns the tensors that it completes, in f32.
    ///
    /// # Errors
    /// A shard of another length or hash, one that does not follow the format, and a piece out of order.
    pub fn push(&mut self, entry: &FileEntry, bytes: &[u8]) -> Result<Arrays, BundleError> {
        let stored = self.push_stored(entry, bytes)?;
        Ok(stored
            .into_iter()
            .map(|(name, stored)| (name, stored.into_array()))
            .collect())
    }

    /// As [`ShardDecoder::push`], with 8-bit weights left as they are.
    fn push_stored(
        &mut self,
        entry: &FileEntry,
        bytes: &[u8],
    ) -> Result<BTreeMap<String, Stored>, BundleError> {
        verify(entry, bytes)?;
        self.decode(bytes).map_err(|why| BundleError::Shard {
            name: entry.path.clone(),
            why,
        })
    }

    /// Ends the decoding.
    ///
    /// # Errors
    /// A cut tensor of which a piece never came.
    pub fn finish(self) -> Result<(), BundleError> {
        match self.partial.into_iter().next() {
            None => Ok(()),
            Some((name, (cut, _, pieces))) => {
                let why = format!(
                    "bundle.json lists shards with {pieces} of the {} pieces of {name}",
                    cut.pieces
                );
                Err(BundleError::Manifest { why })
            }
        }
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<BTreeMap<String, Stored>, String> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let shard = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let cuts: BTreeMap<String, Cut> = match metadata.metadata().as_ref().and_then(|map| map.get(CUT)) {
            Some(text) => {
                serde_json::from_str(text).map_err(|e| format!("its list of cut tensors is wrong ({e})"))?
            }
            None => BTreeMap::new(),
        };
        let views: BTreeMap<&str, TensorView<'_>> = shard.iter().collect();
        let scales: BTreeSet<String> = views
            .iter()
            .filter(|(_, view)| view.dtype() == Element::I8)
            .map(|(name, _)| scale_name(name))
            .collect();
        // By number of the piece, so that `NAME@10` follows `NAME@9`.
        let mut pieces = Vec::with_capacity(views.len());
        for (name, view) in views.iter().filter(|(name, _)| !scales.contains(**name)) {
            let (base, piece) = split_name(name).ok_or_else(|| format!("{name} is no name of a piece"))?;
            pieces.push((base, piece, read(name, view, &views)?));
        }
        pieces.sort_by_key(|(base, piece, _)| (*base, *piece));
        let mut complete = BTreeMap::new();
        for (base, piece, stored) in pieces {
            let whole = match piece {
                None => Some(stored),
                Some(k) => {
                    let cut = cuts
                        .get(base)
                        .ok_or_else(|| format!("it does not say how {base} was cut"))?;
                    self.join(base, k, cut, stored)?
                }
            };
            if let Some(whole) = whole {
                if !self.seen.insert(base.to_owned()) {
                    return Err(format!("{base} is in the bundle twice"));
                }
                complete.insert(base.to_owned(), whole);
            }
        }
        Ok(complete)
    }

    /// Takes piece `k` of a cut tensor, and returns the tensor with its last piece.
    fn join(&mut self, base: &str, k: usize, cut: &Cut, stored: Stored) -> Result<Option<Stored>, String> {
        let wrong = || format!("piece {k} of {base} does not fit the pieces before it");
        let (whole, pieces) = match self.partial.remove(base) {
            None if k == 0 => {
                let mut first = stored;
                first.reserve(&cut.shape, cut.pieces)?;
                (first, 1)
            }
            Some((before, mut whole, pieces)) if pieces == k && before == *cut => {
                if !whole.append(stored) {
                    return Err(wrong());
                }
                (whole, pieces + 1)
            }
            _ => return Err(wrong()),
        };
        if pieces < cut.pieces {
            self.partial.insert(base.to_owned(), (cut.clone(), whole, pieces));
            return Ok(None);
        }
        match whole.shape() == cut.shape {
            true => Ok(Some(whole)),
            false => Err(format!(
                "the pieces of {base} make {:?} where {:?} was cut",
                whole.shape(),
                cut.shape
            )),
        }
    }
}

/// `NAME@k` as name and piece, `NAME` as name alone; nothing for what follows an `@` and is no number.
fn split_name(name: &str) -> Option<(&str, Option<usize>)> {
    match name.split_once('@') {
        None => Some((name, None)),
        Some((base, piece)) => Some((base, Some(piece.parse().ok()?))),
    }
}

/// The name of the scales of an int8 entry.
fn scale_name(name: &str) -> String {
    match name.split_once('@') {
        None => format!("{name}.scale"),
        Some((base, piece)) => format!("{base}.scale@{piece}"),
    }
}

/// One entry of a shard, with its scales where it is int8. The lengths were checked when the header was read.
fn read(name: &str, view: &TensorView<'_>, views: &BTreeMap<&str, TensorView<'_>>) -> Result<Stored, String> {
    let shape = view.shape().to_vec();
    if view.dtype() != Element::I8 {
        let known = matches!(view.dtype(), Element::F32 | Element::F16);
        let data = floats(view.dtype(), view.data()).filter(|_| known);
        let data =
            data.ok_or_else(|| format!("{name} is of the type {:?}, which no bundle has", view.dtype()))?;
        return Ok(Stored::Float(Array { shape, data }));
    }
    let scale = views
        .get(scale_name(name).as_str())
        .filter(|scale| scale.dtype() == Element::F16);
    let scale = scale.ok_or_else(|| format!("{name} has 8-bit weights without f16 scales"))?;
    let (rows, columns) = quant::as_matrix(&shape);
    let expected = rows.checked_mul(quant::blocks_in_row(columns));
    if elements(scale.shape()) != expected {
        return Err(format!(
            "{name} of shape {shape:?} has scales of shape {:?}",
            scale.shape()
        ));
    }
    let values = view
        .data()
        .iter()
        .map(|&byte| i8::from_le_bytes([byte]))
        .collect();
    let scales = scale
        .data()
        .as_chunks::<2>()
        .0
        .iter()
        .map(|&word| f16::from_le_bytes(word))
        .collect();
    Ok(Stored::Q8(Blocks {
        shape,
        values,
        scales,
    }))
}

#[cfg(test)]
mod tests;
