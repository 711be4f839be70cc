//! What every command about a bundle begins with: the bundle, the demo's where none is named, and a radiograph's file.

use std::path::{Path, PathBuf};

use anyhow::Context;
use hilum::bundle::{Bundle, gallery};
use hilum::image::{Radiograph, WindowChoice, decode_file};
use hilum::tasks::{Encoded, LoadedGallery, Session, Unlikeness};
use serde_json::{Value, json};

/// The bundle at `path`, or the demo bundle, on a device.
pub fn open(path: Option<&Path>, device: &burn::tensor::Device) -> anyhow::Result<(Bundle, Session)> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => demo_bundle()?,
    };
    let bundle = Bundle::open(&path)?;
    let session = Session::open(&bundle, device).with_context(|| path.display().to_string())?;
    Ok((bundle, session))
}

/// The bundle's gallery, where it has one, without its thumbnails.
pub fn gallery(bundle: &Bundle, session: &Session) -> anyhow::Result<Option<LoadedGallery>> {
    let gallery = gallery::open(bundle)?;
    Ok(gallery
        .map(|gallery| LoadedGallery::new(session, gallery, None))
        .transpose()?)
}

/// `www/models/demo` in the working folder, beside the executable's workspace, or where the command was built.
pub fn demo_bundle() -> anyhow::Result<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut places = vec![PathBuf::from("."), built];
    if let Ok(executable) = std::env::current_exe() {
        places.extend(executable.ancestors().skip(1).take(3).map(Path::to_owned));
    }
    places
        .into_iter()
        .map(|place| place.join("www/models/demo"))
        .find(|place| place.join("bundle.json").is_file())
        .context("no demo bundle was found at www/models/demo; name a bundle with --bundle")
}

/// A radiograph's file; what is to be known of it is said.
pub fn read(path: &Path) -> anyhow::Result<Radiograph> {
    let radiograph = decode_file(path).with_context(|| path.display().to_string())?;
    for note in &radiograph.notes {
        eprintln!("note: {note}");
    }
    Ok(radiograph)
}

/// A radiograph's file as the model reads it, in the window that it asks for or another.
pub fn encode(session: &Session, path: &Path, window: Option<&WindowChoice>) -> anyhow::Result<Encoded> {
    let window = window.unwrap_or(&WindowChoice::Default);
    session
        .encode(&read(path)?, window)
        .with_context(|| path.display().to_string())
}

/// What the bundle says of a picture before it says anything of what is in it.
pub struct Judgement(Option<Unlikeness>);

/// Asks the bundle whether the picture is unlike what its model was trained on, and says so.
pub fn judge(session: &Session, image: &Encoded) -> anyhow::Result<Judgement> {
    let unlikeness = pollster::block_on(session.unlikeness(image))?;
    match unlikeness {
        None => eprintln!(
            "note: this bundle does not say what its training pictures look like, so it cannot tell whether this picture is \
             unlike them; hilum gate fit adds that"
        ),
        Some(unlikeness) if unlikeness.is_foreign() => eprintln!(
            "warning: this picture is unlike what the model was trained on (unlikeness {:.1}, where 1 is the limit). What it \
             says of it may be fluent and wrong.",
            unlikeness.0
        ),
        Some(_) => {}
    }
    Ok(Judgement(unlikeness))
}

impl Judgement {
    /// Whether the picture is known to be unlike what the model was trained on.
    pub fn is_foreign(&self) -> bool {
        self.0.is_some_and(Unlikeness::is_foreign)
    }

    /// Puts `"foreign"` and `"unlikeness"` into a result, `null` where the bundle cannot tell.
    pub fn put(&self, result: &mut Value) {
        result["foreign"] = json!(self.0.map(Unlikeness::is_foreign));
        result["unlikeness"] = json!(self.0.map(|unlikeness| unlikeness.0));
    }
}
