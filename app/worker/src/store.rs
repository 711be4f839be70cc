//! What is kept in the browser's storage: the files of bundles, and where each of them computes faster.
//!
//! The storage is the Cache interface. A file's key is its SHA-256, so a file is never taken for another, and what two bundles
//! have in common is kept once; what is read is verified by the loader, and a damaged copy is fetched anew. A header names the
//! bundle that brought an entry. The manifests are marked: they are what says which bundles are kept, and they are kept last,
//! so that a bundle that did not open is none of them. An entry that a kept manifest names is never dropped for another's sake.

use hilum::bundle::Manifest;
use hilum_protocol::{Bundle, FOLDER, Listed};
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Cache, Headers, Request, Response, ResponseInit};

use super::choice;
use super::open::tasks;
use super::scope::{scope, words};

const NAME: &str = "hilum-bundles-2";
/// Its manifests were not marked.
const BEFORE: &str = "hilum-bundles-1";
/// The header that says which bundle brought an entry: its address, or [`FOLDER`] with a name.
const OWNER: &str = "x-hilum-bundle";
/// The header of a manifest.
const MANIFEST: &str = "x-hilum-manifest";

/// The browser's storage, where it may be used.
pub struct Store {
    cache: Option<Cache>,
    refused: Option<String>,
}

/// An entry without its content.
struct Entry {
    key: String,
    owner: String,
    response: Response,
    is_manifest: bool,
}

/// A manifest that is kept.
struct Kept {
    sha256: String,
    owner: String,
    bytes: u64,
    manifest: Manifest,
}

impl Store {
    /// Opens the storage. A private window may forbid it: that is remembered, not an error.
    pub async fn open() -> Self {
        let opened = async {
            let caches = scope().caches().map_err(|e| words(&e))?;
            // Where it cannot be dropped, it only costs space.
            let _ = JsFuture::from(caches.delete(BEFORE)).await;
            JsFuture::from(caches.open(NAME)).await.map_err(|e| words(&e))
        };
        match opened.await {
            Ok(cache) => Self {
                cache: Some(cache.unchecked_into()),
                refused: None,
            },
            Err(why) => Self {
                cache: None,
                refused: Some(format!("this browser window keeps no data ({why})")),
            },
        }
    }

    /// Why files are not kept, where they are not: a clause.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// What the reader should know where the bundle at `at` could not be kept.
    pub fn not_kept(&self, at: &str) -> Option<String> {
        let so = match at.starts_with(FOLDER) {
            true => "the bundle is open for this visit only; open its folder again at the next",
            false => "the model is downloaded at every visit",
        };
        self.refused.as_ref().map(|why| format!("{why}, so {so}"))
    }

    /// A file by its hash, as it was kept: not verified.
    pub async fn get(&self, sha256: &str) -> Option<Vec<u8>> {
        content(&self.response(&key(sha256)).await?).await
    }

    /// Whether something is kept by this name.
    pub async fn has(&self, sha256: &str) -> bool {
        self.response(&key(sha256)).await.is_some()
    }

    async fn response(&self, key: &str) -> Option<Response> {
        let found = JsFuture::from(self.cache.as_ref()?.match_with_str(key)).await;
        found.ok()?.dyn_into().ok()
    }

    /// Keeps a file. Storage that is full or forbidden is remembered, not an error.
    pub async fn put(&mut self, sha256: &str, owner: &str, bytes: &[u8], is_manifest: bool) {
        let Some(cache) = self.cache.as_ref().filter(|_| self.refused.is_none()) else {
            return;
        };
        let kept = async {
            let headers = Headers::new()?;
            // An address is ASCII already; a folder's name need not be, and a header has to.
            headers.set(OWNER, &String::from(js_sys::encode_uri_component(owner)))?;
            if is_manifest {
                headers.set(MANIFEST, "1")?;
            }
            let init = ResponseInit::new();
            init.set_headers(&headers);
            let response =
                Response::new_with_opt_js_u8_array_and_init(Some(&Uint8Array::from(bytes)), &init)?;
            JsFuture::from(cache.put_with_str(&key(sha256), &response)).await
        };
        if let Err(thrown) = kept.await {
            self.refused = Some(format!(
                "the model could not be kept in the browser's storage, for want of space or in a private window ({})",
                words(&thrown)
            ));
        }
    }

    /// Drops a file.
    pub async fn remove(&self, sha256: &str) {
        if let Some(cache) = &self.cache {
            // It only costs space, hence no error.
            let _ = JsFuture::from(cache.delete_with_str(&key(sha256))).await;
        }
    }

    async fn entries(&self) -> Vec<Entry> {
        let Some(cache) = &self.cache else {
            return Vec::new();
        };
        let keys = JsFuture::from(cache.keys()).await.unwrap_or_default();
        let mut entries = Vec::new();
        for request in js_sys::Array::from(&keys) {
            let Ok(request) = request.dyn_into::<Request>() else {
                continue;
            };
            let Some(response) = self.response(&request.url()).await else {
                continue;
            };
            let header = |name| response.headers().get(name).ok().flatten();
            let owner = js_sys::decode_uri_component(&header(OWNER).unwrap_or_default());
            entries.push(Entry {
                key: request.url().rsplit('/').next().unwrap_or_default().to_owned(),
                owner: owner.map_or_else(|_| String::new(), String::from),
                is_manifest: header(MANIFEST).is_some(),
                response,
            });
        }
        entries
    }

    /// The bundles that are kept.
    pub async fn kept(&self) -> Vec<Listed> {
        let entries = self.entries().await;
        let there = |sha256: &str| entries.iter().any(|entry| entry.key == sha256);
        let listed = |kept: Kept| {
            let files = kept.manifest.files.iter();
            let files = files.filter(|file| there(&file.sha256));
            let bytes = kept.bytes + files.map(|file| file.bytes).sum::<u64>();
            Listed {
                at: kept.owner,
                bundle: bundle(&kept.manifest, kept.sha256, bytes),
            }
        };
        manifests(&entries).await.into_iter().map(listed).collect()
    }

    /// Drops what `owner` brought and no kept manifest names: of a bundle that did not open or, where `current` is the one that
    /// did, what another version of it left.
    pub async fn sweep(&self, owner: &str, current: Option<(&str, &Manifest)>) {
        let entries = self.entries().await;
        let mut named = Vec::new();
        for kept in manifests(&entries).await {
            // What is superseded names nothing any more.
            if kept.owner != owner || current.is_none_or(|(sha256, _)| kept.sha256 == sha256) {
                named.extend(names(&kept.sha256, &kept.manifest));
            }
        }
        // Where its manifest could not be kept, its files still save the next download.
        if let Some((sha256, manifest)) = current {
            named.extend(names(sha256, manifest));
        }
        for entry in entries {
            if entry.owner == owner && !named.contains(&entry.key) {
                self.remove(&entry.key).await;
            }
        }
    }

    /// Drops a bundle, but for what another one that is kept names too.
    pub async fn free(&self, sha256: &str) {
        let (mut freed, mut named) = (Vec::new(), Vec::new());
        for kept in manifests(&self.entries().await).await {
            let names = names(&kept.sha256, &kept.manifest);
            match kept.sha256 == sha256 {
                true => freed.extend(names),
                false => named.extend(names),
            }
        }
        // The manifest is the first of them: should this be interrupted, no bundle is listed that is not whole.
        for name in freed.iter().filter(|name| !named.contains(*name)) {
            self.remove(name).await;
        }
    }
}

/// The manifests among the entries. One that this program cannot read names nothing.
async fn manifests(entries: &[Entry]) -> Vec<Kept> {
    let mut all = Vec::new();
    for entry in entries.iter().filter(|entry| entry.is_manifest) {
        let bytes = content(&entry.response).await.unwrap_or_default();
        if let Ok(manifest) = Manifest::parse(&bytes) {
            all.push(Kept {
                sha256: entry.key.clone(),
                owner: entry.owner.clone(),
                bytes: bytes.len() as u64,
                manifest,
            });
        }
    }
    all
}

/// The keys of all that belongs to a bundle, its manifest first.
fn names(sha256: &str, manifest: &Manifest) -> Vec<String> {
    let own = [sha256.to_owned(), choice::name(sha256)];
    own.into_iter()
        .chain(manifest.files.iter().map(|file| file.sha256.clone()))
        .collect()
}

/// What there is to say of a bundle of so many bytes.
pub fn bundle(manifest: &Manifest, sha256: String, bytes: u64) -> Bundle {
    Bundle {
        reads_text: manifest.tokenizer.is_some(),
        name: manifest.name.clone(),
        sha256,
        system: manifest.system.clone(),
        data: manifest.provenance.data.clone(),
        tasks: tasks(manifest),
        bytes,
    }
}

async fn content(response: &Response) -> Option<Vec<u8>> {
    let buffer = JsFuture::from(response.array_buffer().ok()?).await.ok()?;
    Some(Uint8Array::new(&buffer).to_vec())
}

/// The address under which a file is kept; nothing is served there.
fn key(sha256: &str) -> String {
    format!("/.hilum-bundles/{sha256}")
}
