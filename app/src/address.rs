//! The page's address: its parameters, and the folders that it may name.

use leptos::leptos_dom::helpers::window;

/// A parameter of the page's address.
pub fn parameter(name: &str) -> Option<String> {
    let search = window().location().search().ok()?;
    web_sys::UrlSearchParams::new_with_str(&search).ok()?.get(name)
}

/// The absolute address of a folder, where it is on the page's own server.
pub fn same_origin(path: &str) -> Option<String> {
    let location = window().location();
    let url = web_sys::Url::new_with_base(path.trim_end_matches('/'), &location.href().ok()?).ok()?;
    (url.origin() == location.origin().ok()?).then(|| format!("{}{}", url.origin(), url.pathname()))
}
