//! The rules that hold unless a file of the operator's says otherwise. The text lies beside this file, to be copied.

/// The text of the file.
pub(super) const TEXT: &str = include_str!("default.toml");
