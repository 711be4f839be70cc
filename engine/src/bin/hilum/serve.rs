//! `hilum serve`: the page, from this machine to its own browsers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use axum::Router;
use axum::handler::HandlerWithoutStateExt;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::Response;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::services::ServeDir;

use super::globals::Globals;

#[derive(clap::Args)]
pub struct Args {
    /// The page's folder; without it, `dist` of the project, as `cargo xtask demo` builds it.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// The address to listen at. Anything but loopback offers the page to the network, without encryption.
    #[arg(long, default_value_t = std::net::IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: std::net::IpAddr,
}

/// Scripts, workers, styles and data from the page's own server alone; WebAssembly may be compiled, text may
/// not be run.
/// `www/README.md` says it for other servers.
pub const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The other headers of every answer.
const HEADERS: [(header::HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-cache"),
    (
        header::HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        header::HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=()",
    ),
];

async fn with_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn missing() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "There is no such file here.\n")
}

/// The page's folder as a service: files with their types, ranges, compression and headers; nothing outside,
/// no listing.
pub fn service(dir: &Path) -> Router {
    // Weights are as good as noise: to compress them costs more than it saves, and their ranges and lengths
    // would be lost.
    let worthwhile = DefaultPredicate::new().and(NotForContentType::const_new("application/octet-stream"));
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(worthwhile);
    Router::new()
        .fallback_service(ServeDir::new(dir).fallback(missing.into_service()))
        .layer(compression)
        .layer(map_response(with_headers))
}

pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => {
            built().context("the page is not built; run `cargo xtask demo`, or name its folder with --dir")?
        }
    };
    anyhow::ensure!(
        dir.join("index.html").is_file(),
        "{} holds no index.html; build the page with `cargo xtask demo`, or name its folder with --dir",
        dir.display()
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let wanted = SocketAddr::new(args.address, args.port);
        let listener = tokio::net::TcpListener::bind(wanted)
            .await
            .with_context(|| format!("{wanted} cannot be listened at; another port may be free: --port 0 takes one"))?;
        let address = listener.local_addr()?;
        let url = format!("http://{address}/");
        globals.tell(&serde_json::json!({ "url": url, "dir": dir }), format_args!("Hilum is at {url}"))?;
        if !address.ip().is_loopback() {
            eprintln!(
                "note: the page is offered to the network without encryption; browsers elsewhere give it no WebGPU then"
            );
        }
        axum::serve(listener, service(&dir)).await?;
        Ok(())
    })
}

/// `dist` in the working folder, or in the project that the command was built from.
fn built() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist");
    [PathBuf::from("dist"), own]
        .into_iter()
        .find(|dir| dir.join("index.html").is_file())
}
