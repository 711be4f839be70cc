//! A bundle's files: from the browser's storage where they are there and whole, else from the network and
//! into the storage.
//!
//! The storage is the Cache interface. A file's key is its SHA-256, so a file is never taken for another;
//! what is read is verified by the loader, and a damaged copy is fetched anew.

use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Cache, Headers, ReadableStreamDefaultReader, Request, RequestCache, RequestInit, Response, ResponseInit,
};

use super::error::WorkerError;
use super::scope::{scope, words};

const NAME: &str = "hilum-bundles-1";
/// The header that says which bundle an entry belongs to.
const OWNER: &str = "x-hilum-bundle";

/// The browser's storage, where it may be used.
pub struct Store {
    cache: Option<Cache>,
    refused: Option<String>,
}

impl Store {
    /// Opens the storage. A private window may forbid it: that is remembered, not an error.
    pub async fn open() -> Self {
        let opened = async {
            let caches = scope().caches().map_err(|e| words(&e))?;
            JsFuture::from(caches.open(NAME)).await.map_err(|e| words(&e))
        };
        match opened.await {
            Ok(cache) => Self {
                cache: Some(cache.unchecked_into()),
                refused: None,
            },
            Err(why) => Self {
                cache: None,
                refused: Some(format!(
                    "this browser window keeps no data ({why}), so the model is downloaded at every visit"
                )),
            },
        }
    }

    /// Why files are not kept, where they are not.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// A file by its hash, as it was kept: not verified.
    pub async fn get(&self, sha256: &str) -> Option<Vec<u8>> {
        let found = JsFuture::from(self.cache.as_ref()?.match_with_str(&key(sha256)))
            .await
            .ok()?;
        let response = found.dyn_into::<Response>().ok()?;
        let buffer = JsFuture::from(response.array_buffer().ok()?).await.ok()?;
        Some(Uint8Array::new(&buffer).to_vec())
    }

    /// Keeps a file. Storage that is full or forbidden is remembered, not an error.
    pub async fn put(&mut self, sha256: &str, owner: &str, bytes: &[u8]) {
        let Some(cache) = &self.cache else { return };
        let kept = async {
            let headers = Headers::new()?;
            headers.set(OWNER, owner)?;
            let init = ResponseInit::new();
            init.set_headers(&headers);
            let response =
                Response::new_with_opt_js_u8_array_and_init(Some(&Uint8Array::from(bytes)), &init)?;
            JsFuture::from(cache.put_with_str(&key(sha256), &response)).await
        };
        if let Err(thrown) = kept.await {
            self.refused = Some(format!(
                "the model could not be kept in the browser's storage ({}), so it is downloaded at every visit; free some \
                 space, or leave the private window",
                words(&thrown)
            ));
            self.cache = None;
        }
    }

    /// Drops a file.
    pub async fn remove(&self, sha256: &str) {
        if let Some(cache) = &self.cache {
            let _ = JsFuture::from(cache.delete_with_str(&key(sha256))).await;
        }
    }

    /// Drops what an older version of the bundle `owner` left behind. It only costs space, hence no error.
    pub async fn sweep(&self, owner: &str, keep: &[&str]) {
        let Some(cache) = &self.cache else { return };
        let Ok(keys) = JsFuture::from(cache.keys()).await else {
            return;
        };
        for request in js_sys::Array::from(&keys)
            .iter()
            .filter_map(|k| k.dyn_into::<Request>().ok())
        {
            let url = request.url();
            let kept = url.rsplit('/').next().is_some_and(|hash| keep.contains(&hash));
            let response = JsFuture::from(cache.match_with_str(&url))
                .await
                .ok()
                .and_then(|r| r.dyn_into::<Response>().ok());
            let own = response
                .and_then(|r| r.headers().get(OWNER).ok().flatten())
                .is_some_and(|o| o == owner);
            if own && !kept {
                let _ = JsFuture::from(cache.delete_with_str(&url)).await;
            }
        }
    }
}

/// The address under which a file is kept; nothing is served there.
fn key(sha256: &str) -> String {
    format!("/.hilum-bundles/{sha256}")
}

/// Fetches a file of at most `most` bytes, telling `progress` how many have come.
///
/// # Errors
/// No connection, no such file, or more bytes than it should have.
pub async fn fetch(url: &str, most: u64, mut progress: impl FnMut(u64)) -> Result<Vec<u8>, WorkerError> {
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
