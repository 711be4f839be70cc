//! Reading what others trained: safetensors files, and PyTorch's `.bin`, `.pth` and `.pt`, told apart by
//! their bytes and not by their names.
//!
//! PyTorch files are parsed, never unpickled: no code in them runs. Weights come back in f32 under the file's
//! own names, less what only wraps them (`state_dict`, `model`, `module.`, `_orig_mod.`); renaming them is
//! the work of [`mod@super::import`]. A module that was saved whole (`torch.save(model)`) is read as its state.

mod names;
mod pickle;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use pytorch_reader::{DType as Torch, PytorchError, PytorchReader};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, View};

use hilum_data::Kind;

use super::array::from_bytes;
use super::{AnyArray, AnyArrays, Array, Arrays, BundleError};

/// Keys under which training scripts keep the weights, beside the optimiser and the epoch.
const WRAPPERS: [&str; 6] = [
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "net",
    "network",
];
/// Endings of the names of checkpoints.
const ENDINGS: [&str; 5] = ["safetensors", "bin", "pth", "pt", "ckpt"];
/// A view may declare more elements than its storage has; a file may not grow more than this on being read.
const MAX_GROWTH: u64 = 64;
/// How much of a file its pickle may fill; the tensors' own bytes come after it.
const MAX_PICKLE: u64 = 32 << 20;

/// A checkpoint's weights, and what was left out of them.
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    /// All floating-point tensors.
    pub arrays: Arrays,
    /// Lists of words that are saved beside the weights, such as a module's `targets`, by their names.
    pub words: BTreeMap<String, Vec<String>>,
    /// Sentences on what was left out or unwrapped.
    pub notes: Vec<String>,
}

/// The floating-point tensors of a checkpoint, by the file's own names.
///
/// # Errors
/// A file that is missing, of a format that is not known, damaged, or without weights.
pub fn read(path: &Path) -> Result<Arrays, BundleError> {
    Ok(read_with_notes(path)?.arrays)
}

/// As [`read`], with notes on what was left out: integer buffers such as `num_batches_tracked` and
/// `position_ids`.
///
/// # Errors
/// Those of [`read`].
pub fn read_with_notes(path: &Path) -> Result<Checkpoint, BundleError> {
    let (mut notes, mut words) = (Vec::new(), BTreeMap::new());
    fs::metadata(path).map_err(BundleError::io("read", path))?;
    let kind = Kind::of(path);
    let named = ENDINGS.contains(&extension(path).as_str());
    let tensors = match kind {
        Some(Kind::Safetensors) => read_safetensors_any(path)?,
        Some(kind) if kind.may_be_pytorch() => read_pytorch(path, &mut notes, &mut words)?,
        // Protocols of pickle without a signature, and what is damaged: the reader knows more.
        None | Some(Kind::Text | Kind::Zip) if named => match extension(path).as_str() {
            "safetensors" => read_safetensors_any(path)?,
            _ => read_pytorch(path, &mut notes, &mut words)?,
        },
        None | Some(Kind::Text) => {
            return Err(refuse(
                path,
                "its name ends in none of .safetensors, .bin, .pth, .pt, and it is neither a safetensors nor a PyTorch file",
            ));
        }
        Some(kind) => return Err(refuse(path, &is(kind))),
    };
    let tensors = names::unwrap(tensors, &mut notes);
    let mut arrays = Arrays::new();
    let mut integers = Vec::new();
    for (name, array) in tensors {
        match array {
            AnyArray::Float(array) => drop(arrays.insert(name, array)),
            AnyArray::Int(_) => integers.push(name),
        }
    }
    if arrays.is_empty() {
        return Err(refuse(
            path,
            "it holds no floating-point tensors; give the file with the model's weights",
        ));
    }
    if !integers.is_empty() {
        let count = integers.len();
        let shown = integers[..count.min(3)].join(", ");
        let more = if count > 3 { ", ..." } else { "" };
        notes.push(format!(
            "{count} integer buffers are not weights and were left out ({shown}{more})."
        ));
    }
    Ok(Checkpoint { arrays, words, notes })
}

/// All tensors of a safetensors file, integers included.
///
/// # Errors
/// A file that is missing, damaged, or has a tensor of a type that has no counterpart here.
pub fn read_safetensors_any(path: &Path) -> Result<AnyArrays, BundleError> {
    let bytes = fs::read(path).map_err(BundleError::io("read", path))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| match Kind::of(path) {
        Some(kind) if kind != Kind::Safetensors => refuse(path, &is(kind)),
        _ => refuse(
            path,
            &format!("it is no whole safetensors file ({e}); copy it again"),
        ),
    })?;
    let mut arrays = AnyArrays::new();
    for (name, view) in file.iter() {
        let array = from_bytes(view.dtype(), view.shape(), view.data()).ok_or_else(|| {
            let why = format!(
                "its tensor {name} is of the type {:?}; convert it to f32 or i64",
                view.dtype()
            );
            refuse(path, &why)
        })?;
        arrays.insert(name.to_owned(), array);
    }
    Ok(arrays)
}

/// Writes arrays as f32 to a safetensors file, which is complete when it appears.
///
/// # Errors
/// An array whose length is not that of its shape, and what the operating system refuses.
pub fn write_safetensors(path: &Path, arrays: &Arrays) -> Result<(), BundleError> {
    for (name, array) in arrays {
        array.check(name)?;
    }
    let views = arrays.iter().map(|(name, array)| (name, ArrayView(array)));
    let bytes = safetensors::serialize(views, None).map_err(|e| BundleError::Tensor {
        name: path.display().to_string(),
        why: e.to_string(),
    })?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!(".{name}.partial-{}", std::process::id()));
    fs::write(&partial, bytes).map_err(BundleError::io("write", &partial))?;
    fs::rename(&partial, path).map_err(|cause| {
        // The error to tell is that of the renaming; a left-over file is the lesser evil.
        let _ = fs::remove_file(&partial);
        BundleError::io("write", path)(cause)
    })
}

/// A copy of a file, gone with its owner.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        // What stays behind is a temporary file, which the system clears away.
        let _ = fs::remove_file(&self.0);
    }
}

/// Of a module that was saved whole before PyTorch 1.6, a copy that the reader takes: where an id stands for a class and its
/// source, the reader knows storages alone. The instruction that resolves the id becomes one that only wraps it, in the class's
/// place; a class is never looked at.
fn without_sources(path: &Path, classes: &[usize]) -> Result<Copy, BundleError> {
    let mut bytes = fs::read(path).map_err(BundleError::io("read", path))?;
    for at in classes {
        if let Some(byte) = bytes.get_mut(*at) {
            *byte = pickle::TUPLE1;
        }
    }
    let name = |n: u32| format!("hilum-{}-{n}.pt", std::process::id());
    let mut result = Err(std::io::Error::from(std::io::ErrorKind::AlreadyExists));
    let mut copy = std::env::temp_dir();
    for n in 0..100 {
        copy = std::env::temp_dir().join(name(n));
        // A file that another put there is not written over.
        result = fs::File::create_new(&copy);
        if !matches!(&result, Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists) {
            break;
        }
    }
    let mut file = result.map_err(BundleError::io("write", &copy))?;
    let copy = Copy(copy);
    std::io::Write::write_all(&mut file, &bytes).map_err(BundleError::io("write", &copy.0))?;
    Ok(copy)
}

/// The tensors of a PyTorch file, unwrapped; lists of words beside them are added to `words`.
fn read_pytorch(
    path: &Path,
    notes: &mut Vec<String>,
    words: &mut BTreeMap<String, Vec<String>>,
) -> Result<AnyArrays, BundleError> {
    let mut begin = Vec::new();
    let file = fs::File::open(path).map_err(BundleError::io("read", path))?;
    let bytes = file.metadata().map_err(BundleError::io("read", path))?.len();
    file.take(MAX_PICKLE)
        .read_to_end(&mut begin)
        .map_err(BundleError::io("read", path))?;
    let found = pickle::scan(&begin);
    words.extend(found.lists);
    if found.classes.is_empty() {
        return read_tensors(path, path, bytes, notes);
    }
    drop(begin);
    let copy = without_sources(path, &found.classes)?;
    read_tensors(&copy.0, path, bytes, notes)
}

/// The tensors of the PyTorch file `from`, which stands for `path` of that many bytes.
fn read_tensors(
    from: &Path,
    path: &Path,
    bytes: u64,
    notes: &mut Vec<String>,
) -> Result<AnyArrays, BundleError> {
    let damaged = |e: PytorchError| match Kind::of(path) {
        Some(kind @ (Kind::Zip | Kind::Tar | Kind::Text)) => refuse(path, &is(kind)),
        _ => refuse(
            path,
            &format!("it is no whole PyTorch file ({e}); copy or save it again"),
        ),
    };
    let mut reader = PytorchReader::new(from).map_err(damaged)?;
    for key in WRAPPERS {
        // A name such as `model.conv.weight` in a flat file is no wrapper: only a dictionary of that name is.
        if let Ok(inner) = PytorchReader::with_top_level_key(from, key)
            && !inner.is_empty()
        {
            let left = reader.len().saturating_sub(inner.len());
            notes.push(format!(
                "The weights were taken from {key:?}; {left} tensors outside it were left out."
            ));
            reader = inner;
            break;
        }
    }
    // Tied weights are stored once and named often, hence a factor; without it a view of stride 0 could fill
    // the memory.
    let total = reader
        .tensors()
        .values()
        .map(|tensor| tensor.byte_len() as u64)
        .fold(0, u64::saturating_add);
    if total > bytes.saturating_mul(MAX_GROWTH) {
        return Err(refuse(
            path,
            &format!("it declares {total} bytes of tensors in {bytes} bytes; do not trust it"),
        ));
    }
    let mut arrays = AnyArrays::new();
    for (name, tensor) in reader.into_tensors() {
        let data = tensor
            .read()
            .map_err(|e| refuse(path, &format!("{e}; copy or save it again")))?;
        // The reader returns the machine's byte order, which is little-endian wherever the engine runs.
        let array = from_bytes(dtype(tensor.dtype()), tensor.shape(), &data).ok_or_else(|| {
            refuse(
                path,
                &format!("its tensor {name} holds integers past 63 bits; save it without"),
            )
        })?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

fn dtype(dtype: Torch) -> Dtype {
    match dtype {
        Torch::F64 => Dtype::F64,
        Torch::F32 => Dtype::F32,
        Torch::F16 => Dtype::F16,
        Torch::BF16 => Dtype::BF16,
        Torch::I64 => Dtype::I64,
        Torch::I32 => Dtype::I32,
        Torch::I16 => Dtype::I16,
        Torch::I8 => Dtype::I8,
        Torch::U64 => Dtype::U64,
        Torch::U32 => Dtype::U32,
        Torch::U16 => Dtype::U16,
        Torch::U8 => Dtype::U8,
        Torch::Bool => Dtype::BOOL,
    }
}

/// An array as the safetensors crate wants it, its bytes made when they are written.
struct ArrayView<'a>(&'a Array);

impl View for ArrayView<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.0.data.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn data_len(&self) -> usize {
        4 * self.0.data.len()
    }
}

fn extension(path: &Path) -> String {
    path.extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase()
}

/// Says what a file is that is no checkpoint.
fn is(kind: Kind) -> String {
    format!(
        "it is {kind}, not a safetensors or PyTorch file; {}",
        kind.remedy()
    )
}

fn refuse(path: &Path, why: &str) -> BundleError {
    BundleError::Checkpoint {
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests;
