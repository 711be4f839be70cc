//! The collection's findings: a tree, given as a path ("Pneumonia/Viral/COVID-19") or, in older tables, by
//! the leaf alone.

use hilum_text::plain_name;

/// The tree in the published order: a name, its parent, and how older tables call it.
const TREE: [(&str, &str, &[&str]); 27] = [
    ("Pneumonia", "", &[]),
    ("Viral", "Pneumonia", &[]),
    ("COVID-19", "Viral", &[]),
    ("SARS", "Viral", &[]),
    ("MERS-CoV", "Viral", &["MERS"]),
    ("Influenza", "Viral", &[]),
    ("H1N1", "Influenza", &[]),
    ("Varicella", "Viral", &[]),
    ("Herpes", "Viral", &[]),
    ("Bacterial", "Pneumonia", &[]),
    ("Streptococcus", "Bacterial", &[]),
    ("Klebsiella", "Bacterial", &[]),
    ("E.Coli", "Bacterial", &[]),
    ("Nocardia", "Bacterial", &[]),
    ("Mycoplasma", "Bacterial", &["Mycoplasma Bacterial Pneumonia"]),
    ("Legionella", "Bacterial", &[]),
    ("Chlamydophila", "Bacterial", &[]),
    ("Staphylococcus", "Bacterial", &[]),
    ("MRSA", "Staphylococcus", &[]),
    ("Fungal", "Pneumonia", &[]),
    ("Pneumocystis", "Fungal", &[]),
    ("Aspergillosis", "Fungal", &[]),
    ("Lipoid", "Pneumonia", &[]),
    ("Aspiration", "Pneumonia", &[]),
    ("ARDS", "", &[]),
    ("Tuberculosis", "", &[]),
    ("No Finding", "", &[]),
];

/// The classes, in the published order.
pub(super) const NAMES: [&str; TREE.len()] = {
    let mut names = [""; TREE.len()];
    let mut at = 0;
    while at < TREE.len() {
        names[at] = TREE[at].0;
        at += 1;
    }
    names
};

/// The classes of a finding, from the root of the tree down; `None` where it is no label.
pub(super) fn classes(finding: &str) -> Option<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for name in finding.split(['/', ',']).map(str::trim).filter(|n| !n.is_empty()) {
        let wanted = plain_name(name);
        if wanted == "todo" || wanted == "unknown" {
            continue;
        }
        let known = TREE
            .iter()
            .find(|(n, _, others)| plain_name(n) == wanted || others.iter().any(|o| plain_name(o) == wanted));
        let mut chain = Vec::new();
        let mut at = known;
        while let Some((name, parent, _)) = at {
            chain.push((*name).to_owned());
            at = TREE.iter().find(|(n, ..)| n == parent);
        }
        if known.is_none() {
            chain.push(name.to_owned());
        }
        for class in chain.into_iter().rev() {
            if !found.contains(&class) {
                found.push(class);
            }
        }
    }
    (!found.is_empty()).then_some(found)
}

/// Those classes that occur, in the published order; what the tree does not know comes last, by name.
pub(super) fn ordered<'c>(occurring: impl Iterator<Item = &'c String>) -> Vec<String> {
    let mut all: Vec<&String> = occurring.collect();
    let place = |name: &str| TREE.iter().position(|(n, ..)| *n == name).unwrap_or(TREE.len());
    all.sort_by(|a, b| (place(a), a).cmp(&(place(b), b)));
    all.dedup();
    all.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_leaves_mean_the_same() {
        assert_eq!(
            classes("Pneumonia/Viral/COVID-19").unwrap(),
            ["Pneumonia", "Viral", "COVID-19"]
        );
        assert_eq!(classes("COVID-19"), classes("Pneumonia/Viral/COVID-19"));
        assert_eq!(
            classes("Mycoplasma Bacterial Pneumonia"),
            classes("Pneumonia/Bacterial/Mycoplasma")
        );
        assert_eq!(classes("E.Coli"), classes("Pneumonia/Bacterial/E. coli"));
        assert_eq!(
            classes("COVID-19, ARDS").unwrap(),
            ["Pneumonia", "Viral", "COVID-19", "ARDS"]
        );
        assert_eq!(
            classes("Pneumonia/Bacterial/Unknown").unwrap(),
            ["Pneumonia", "Bacterial"]
        );
        assert_eq!(classes("Hernia").unwrap(), ["Hernia"]);
        for none in ["todo", "Unknown", "", " "] {
            assert_eq!(classes(none), None);
        }
    }

    #[test]
    fn every_parent_is_in_the_tree() {
        for (name, parent, _) in TREE {
            assert!(
                parent.is_empty() || TREE.iter().any(|(n, ..)| *n == parent),
                "{name}"
            );
        }
        let names = ["No Finding", "Zebra", "Viral", "Pneumonia", "Viral"].map(str::to_owned);
        assert_eq!(
            ordered(names.iter()),
            ["Pneumonia", "Viral", "No Finding", "Zebra"]
        );
    }
}
