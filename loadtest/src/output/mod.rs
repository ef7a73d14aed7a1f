//! What people and programs get to see.
//!
//! `progress` while it runs · `table` at the end · `text` figures in words · `csv` `hgrm` `hlog` for other tools ·
//! `plot` what is drawn, apart from how · `html` a page that needs nothing else · `svg` pictures for documents ·
//! `scale` the axes of those pictures · `markup` text that is safe within either.

mod csv;
mod hgrm;
mod hlog;
mod html;
mod markup;
mod plot;
mod progress;
mod scale;
mod svg;
mod table;
mod text;

pub use csv::csv;
pub use hgrm::hgrm;
pub use hlog::hlog;
pub use html::html;
pub use progress::{Live, Progress};
pub use svg::{latency_svg, seconds_svg};
pub use table::table;
pub use text::{number_text, printable, time_text};
