//! Words joined, pluralised and capitalised.

/// With a capital first letter.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|c| c.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

/// Parts with one space between them, empty ones left out.
pub(super) fn words(parts: &[&str]) -> String {
    parts
        .iter()
        .filter(|p| !p.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(" ")
}

/// With an s where there are several.
pub(super) fn plural(noun: &str, several: bool) -> String {
    format!("{noun}{}", if several { "s" } else { "" })
}
