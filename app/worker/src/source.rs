//! Where the files of a bundle come from: storage first, then the network, and nothing is used before it was
//! verified.

use hilum::bundle::{FileEntry, Manifest, sha256_hex, verify};

use super::error::WorkerError;
use super::store::{Store, fetch};

/// A manifest is read whole; it is no longer than this.
const MANIFEST_BYTES: u64 = 4 << 20;

/// Where the files of one bundle come from.
pub struct Source {
    /// The bundle's folder.
    pub url: String,
    /// The browser's storage.
    pub store: Store,
    /// Bytes that came over the network.
    pub downloaded: u64,
    /// Bytes that are there.
    pub read: u64,
    /// Bytes that there will be, where that is known.
    pub total: u64,
    tell: Box<dyn Fn(u64, u64)>,
}

impl Source {
    /// The files of the bundle at `url`; `tell` gets how many bytes are there, and of how many.
    pub async fn open(url: String, tell: impl Fn(u64, u64) + 'static) -> Self {
        let store = Store::open().await;
        Self {
            url,
            store,
            downloaded: 0,
            read: 0,
            total: 0,
            tell: Box::new(tell),
        }
    }

    /// A file, verified, from storage or the network.
    ///
    /// # Errors
    /// It did not arrive, or is not what the manifest says.
    pub async fn file(&mut self, entry: &FileEntry) -> Result<Vec<u8>, WorkerError> {
        let before = self.read;
        let mut bytes = None;
        if let Some(kept) = self.store.get(&entry.sha256).await {
            match verify(entry, &kept) {
                Ok(()) => bytes = Some(kept),
                // Damaged in storage: fetched anew.
                Err(_) => self.store.remove(&entry.sha256).await,
            }
        }
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => {
                let url = format!("{}/{}", self.url, entry.path);
                let bytes = fetch(&url, entry.bytes, |read| (self.tell)(before + read, self.total)).await?;
                verify(entry, &bytes)?;
                self.downloaded += entry.bytes;
                self.store.put(&entry.sha256, &self.url, &bytes).await;
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
    pub async fn manifest(&mut self, sha256: Option<&str>) -> Result<(Manifest, String), WorkerError> {
        if let Some(sha256) = sha256
            && let Some(kept) = self.store.get(sha256).await
            && sha256_hex(&kept) == sha256
        {
            let manifest = Manifest::parse(&kept)?;
            self.read = kept.len() as u64;
            return Ok((manifest, sha256.to_owned()));
        }
        let bytes = fetch(&format!("{}/bundle.json", self.url), MANIFEST_BYTES, |_| ()).await?;
        let found = sha256_hex(&bytes);
        if sha256.is_some_and(|expected| expected != found) {
            return Err(WorkerError::OtherBundle);
        }
        let manifest = Manifest::parse(&bytes)?;
        self.read = bytes.len() as u64;
        self.downloaded += self.read;
        self.store.put(&found, &self.url, &bytes).await;
        Ok((manifest, found))
    }
}
