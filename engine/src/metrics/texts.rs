//! What measures of generated text compare.

/// A candidate and its references, each tokens joined by spaces.
pub type Texts<'a> = (&'a str, &'a [&'a str]);
