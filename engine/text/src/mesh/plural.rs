//! Plurals, English and Latin, as far as headings and reports differ in them.

/// Endings of plurals, what stands there in the singular, and the endings before the plural's that allow it; all if empty.
const ENDINGS: [(&str, &str, &[&str]); 10] = [
    ("es", "", &["s", "x", "z", "ch", "sh", "o"]),
    ("ies", "y", &[]),
    ("ses", "sis", &[]),
    ("xes", "xis", &[]),
    ("aces", "ax", &[]),
    ("ices", "ex", &[]),
    ("ices", "ix", &[]),
    ("ae", "a", &[]),
    ("i", "us", &[]),
    ("a", "um", &[]),
];

/// Letters that a singular has at least.
const LEAST: usize = 3;

/// Passes on a lower-case word, then each word that it may be the plural of, until one is taken; whether one was. What is no
/// word among them ("proces" never, but "casis" of "cases") matches none.
pub(super) fn forms(word: &str, mut take: impl FnMut(&str) -> bool) -> bool {
    if take(word) {
        return true;
    }
    // Process, thrombus and diagnosis are singulars.
    if let Some(stem) = word.strip_suffix('s')
        && stem.len() >= LEAST
        && !stem.ends_with(['s', 'u', 'i'])
        && take(stem)
    {
        return true;
    }
    ENDINGS.iter().any(|(plural, singular, after)| {
        let Some(stem) = word.strip_suffix(plural) else {
            return false;
        };
        let long = stem.len() + singular.len() >= LEAST && stem.len() > 1;
        let allowed = after.is_empty() || after.iter().any(|end| stem.ends_with(end));
        long && allowed && take(&format!("{stem}{singular}"))
    })
}

/// Whether two lower-case words are one, but for a plural on either side.
pub(super) fn same(one: &str, other: &str) -> bool {
    forms(one, |a| forms(other, |b| a == b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_are_their_singulars() {
        for (one, other) in [
            ("lung", "lung"),
            ("lungs", "lung"),
            ("opacities", "opacity"),
            ("masses", "mass"),
            ("abscesses", "abscess"),
            ("processes", "process"),
            ("pneumothoraxes", "pneumothorax"),
            ("pneumothoraces", "pneumothorax"),
            ("diseases", "disease"),
            ("nodules", "nodule"),
            ("biopsies", "biopsy"),
            ("calories", "calorie"),
            ("headaches", "headache"),
            ("branches", "branch"),
            ("diagnoses", "diagnosis"),
            ("metastases", "metastasis"),
            ("viruses", "virus"),
            ("apices", "apex"),
            ("vertebrae", "vertebra"),
            ("bronchi", "bronchus"),
            ("hila", "hilum"),
            ("ribs", "rib"),
            ("echoes", "echo"),
            ("toes", "toe"),
        ] {
            assert!(same(one, other) && same(other, one), "{one} {other}");
        }
    }

    #[test]
    fn singulars_stay_what_they_are() {
        for (one, other) in [
            ("process", "proces"),
            ("mass", "mas"),
            ("diagnosis", "diagnosi"),
            ("thrombus", "thrombu"),
            ("pneumothorax", "pneumothora"),
            ("gas", "ga"),
            ("toes", "to"),
            ("car", "care"),
            ("plan", "plane"),
            ("lung", "lunge"),
            ("as", "a"),
            ("scar", "scary"),
        ] {
            assert!(!same(one, other) && !same(other, one), "{one} {other}");
        }
    }
}
