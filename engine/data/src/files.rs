//! Files by their published names, where a copy may spell them in other case: disks of cameras, archives and
//! older systems write `.JPG`, `.CSV`, `.TGZ`.

use std::path::{Path, PathBuf};

/// The endings of pictures that can be decoded.
pub(crate) const PICTURES: [&str; 4] = ["png", "jpg", "jpeg", "dcm"];

/// A file as it is named, or one whose name differs in case only (of several the first by name).
pub(crate) fn any_case(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    let wanted = path.file_name()?.to_string_lossy();
    first_of(path, |name| name.eq_ignore_ascii_case(&wanted))
}

/// A picture as it is named, or with its ending in another case, or with another ending of a picture.
pub(crate) fn picture(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    let name = path.file_name()?.to_string_lossy();
    let (named, stem) = (fold(&name), stem(&name));
    first_of(path, |other| fold(other) == named)
        .or_else(|| first_of(path, |other| is_picture(other) && self::stem(other) == stem))
}

/// The first file by name, beside `path`, whose name fits.
fn first_of(path: &Path, fits: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let entries = std::fs::read_dir(path.parent()?).ok()?.flatten();
    entries
        .filter(|e| e.file_name().to_str().is_some_and(&fits))
        .map(|e| e.path())
        .filter(|p| p.is_file())
        .min()
}

/// Whether a path ends so, in any case.
pub(crate) fn ends_in(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending))
}

/// Whether a name ends as a picture's.
pub(crate) fn is_picture(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, ending)| PICTURES.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// A picture's name without the ending of a picture.
pub(crate) fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if is_picture(name) => stem,
        _ => name,
    }
}

/// A picture's name with all its endings in lower case: "a.DCM.PNG" is "a.dcm.png".
pub(crate) fn fold(name: &str) -> String {
    let plain = stem(name);
    match plain.len() == name.len() {
        true => name.to_owned(),
        false => fold(plain) + &name[plain.len()..].to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["TABLE.CSV", "a.DCM.PNG", "b.JPG", "C.png"] {
            std::fs::write(at(name), "x").unwrap();
        }
        assert_eq!(any_case(&at("table.csv")), Some(at("TABLE.CSV")));
        assert_eq!(any_case(&at("other.csv")), None);
        for (name, file) in [
            ("a.dcm.png", "a.DCM.PNG"),
            ("b.jpg", "b.JPG"),
            ("b.png", "b.JPG"),
            ("C.PNG", "C.png"),
        ] {
            assert_eq!(picture(&at(name)), Some(at(file)), "{name}");
        }
        // Two patients may differ in case: only the ending may.
        assert_eq!(picture(&at("c.png")), None);
        assert_eq!(
            (fold("A.v2"), fold("A.Dcm.PNG"), stem("A.Dcm.PNG")),
            ("A.v2".into(), "A.dcm.png".into(), "A.Dcm")
        );
        assert!(ends_in(Path::new("x.XML"), "xml") && !ends_in(Path::new("xml"), "xml"));
    }
}
