//! Where the files of a bundle come from: storage first, then the network or a folder of the reader's, and nothing is used before
//! it was verified.

use hilum::bundle::{FileEntry, Manifest, sha256_hex, verify};
use hilum_protocol::FOLDER;
use js_sys::{Map, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, ReadableStreamDefaultReader, RequestCache, RequestInit, Response};

use super::error::WorkerError;
use super::scope::{scope, words};
use super::store::Store;

/// What a bundle says of itself.
const MANIFEST: &str = "bundle.json";
/// A manifest is read whole; it is no longer than this.
const MANIFEST_BYTES: u64 = 4 << 20;

/// Where a bundle's files are.
#[derive(Clone)]
pub struct Place {
    /// The address of its folder, or [`FOLDER`] with a name.
    pub at: String,
    /// The files of that folder by their paths in it, where it was opened in this visit.
    pub files: Option<Map>,
}

impl Place {
    /// Whether it is a folder of the reader's.
    pub fn is_folder(&self) -> bool {
        self.at.starts_with(FOLDER)
    }

    /// A file of at most so many bytes, not verified.
    async fn read(&self, path: &str, most: u64, progress: impl FnMut(u64)) -> Result<Vec<u8>, WorkerError> {
        if !self.is_folder() {
            return fetch(&format!("{}/{path}", self.at), most, progress).await;
        }
        let name = path.to_owned();
        let Some(files) = &self.files else {
            return Err(WorkerError::NotKept { name });
        };
        let Ok(file) = files.get(&path.into()).dyn_into::<File>() else {
            return Err(WorkerError::NotInFolder { name });
        };
        if file.size() > most as f64 {
            return Err(WorkerError::TooLong { name, most });
        }
        let buffer = JsFuture::from(file.array_buffer()).await;
        let buffer = buffer.map_err(|thrown| WorkerError::NotRead {
            name,
            reason: words(&thrown),
        })?;
        Ok(Uint8Array::new(&buffer).to_vec())
    }
}

/// Where the files of one bundle come from.
pub struct Source {
    /// Where they are.
    pub place: Place,
    /// The browser's storage.
    pub store: Store,
    /// Whether what is read is kept there.
    pub keeps: bool,
    /// Bytes that came over the network or from the folder.
    pub downloaded: u64,
    /// Bytes that are there.
    pub read: u64,
    /// Bytes that there will be, where that is known.
    pub total: u64,
    tell: Box<dyn Fn(u64, u64)>,
}

impl Source {
    /// The files of the bundle at `place`; `tell` gets how many bytes are there, and of how many.
    pub async fn open(place: Place, tell: impl Fn(u64, u64) + 'static) -> Self {
        let store = Store::open().await;
        Self {
            place,
            store,
            keeps: true,
            downloaded: 0,
            read: 0,
            total: 0,
            tell: Box::new(tell),
        }
    }

    /// A file, verified.
    ///
    /// # Errors
    /// It did not arrive, or is not what the manifest says.
    pub async fn file(&mut self, entry: &FileEntry) -> Result<Vec<u8>, WorkerError> {
        let before = self.read;
        let mut bytes = None;
        if let Some(kept) = self.store.get(&entry.sha256).await {
            match verify(entry, &kept) {
                Ok(()) => bytes = Some(kept),
                // Damaged in storage: read anew.
                Err(_) => self.store.remove(&entry.sha256).await,
            }
        }
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => {
                let tell = |read| (self.tell)(before + read, self.total);
                let bytes = self.place.read(&entry.path, entry.bytes, tell).await?;
                verify(entry, &bytes)?;
                self.downloaded += entry.bytes;
                if self.keeps {
                    self.store.put(&entry.sha256, &self.place.at, &bytes, false).await;
                }
                bytes
            }
        };
        self.read = before + entry.bytes;
        (self.tell)(self.read, self.total);
        Ok(bytes)
    }

    /// `bundle.json`, verified where its hash is known beforehand.
    ///
    /// # Errors
    /// It did not arrive, or is not the one that was expected.
    pub async fn manifest(&mut self, sha256: Option<&str>) -> Result<(Manifest, Vec<u8>), WorkerError> {
        if let Some(sha256) = sha256
            && let Some(kept) = self.store.get(sha256).await
            && sha256_hex(&kept) == sha256
        {
            self.read = kept.len() as u64;
            return Ok((Manifest::parse(&kept)?, kept));
        }
        let bytes = self.place.read(MANIFEST, MANIFEST_BYTES, |_| ()).await?;
        if sha256.is_some_and(|expected| expected != sha256_hex(&bytes)) {
            return Err(WorkerError::OtherBundle);
        }
        let manifest = Manifest::parse(&bytes)?;
        self.read = bytes.len() as u64;
        self.downloaded += self.read;
        Ok((manifest, bytes))
    }
}

/// Fetches a file of at most `most` bytes, telling `progress` how many have come.
///
/// # Errors
/// No connection, no such file, or more bytes than it should have.
async fn fetch(url: &str, most: u64, mut progress: impl FnMut(u64)) -> Result<Vec<u8>, WorkerError> {
    let name = url.rsplit('/').next().unwrap_or(url);
    let lost = |thrown: JsValue| WorkerError::NotLoaded {
        name: name.to_owned(),
        reason: words(&thrown),
    };
    let init = RequestInit::new();
    // It is kept by its hash; the browser need not keep it twice.
    init.set_cache(RequestCache::NoStore);
    let response = JsFuture::from(scope().fetch_with_str_and_init(url, &init))
        .await
        .map_err(lost)?;
    let response: Response = response.unchecked_into();
    if !response.ok() {
        return Err(WorkerError::NotThere {
            name: name.to_owned(),
            status: response.status(),
        });
    }
    let mut bytes = Vec::new();
    let Some(body) = response.body() else {
        return Ok(bytes);
    };
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    loop {
        let step = JsFuture::from(reader.read()).await.map_err(lost)?;
        if js_sys::Reflect::get(&step, &"done".into()).is_ok_and(|done| done.is_truthy()) {
            return Ok(bytes);
        }
        let chunk = Uint8Array::new(&js_sys::Reflect::get(&step, &"value".into()).map_err(lost)?);
        let begin = bytes.len();
        let end = begin + chunk.length() as usize;
        if end as u64 > most {
            let _ = reader.cancel();
            let name = name.to_owned();
            return Err(WorkerError::TooLong { name, most });
        }
        if bytes.capacity() == 0 {
            bytes.reserve_exact(usize::try_from(most.min(1 << 26)).unwrap_or(0).max(end));
        }
        bytes.resize(end, 0);
        chunk.copy_to(&mut bytes[begin..]);
        progress(end as u64);
    }
}
