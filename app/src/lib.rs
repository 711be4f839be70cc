//! What the page and its worker have in common: the protocol between them, and nothing of either.

pub mod protocol;
