//! What the pages of a system say when it is off: that it is not available, with status 200. That a part is off is no
//! error.

use crate::api::{self, Route};
use std::sync::Arc;

/// The pages of the pipeline, when it does not run.
pub(super) fn pipeline_routes() -> Vec<Route> {
    [
        ("/api/candles", "Candles of a symbol; the pipeline that makes them is off."),
        ("/api/alerts", "Alerts; the pipeline that watches for them is off."),
    ]
    .map(|(path, summary)| Route {
        path,
        summary,
        parameters: Vec::new(),
        example: api::not_available(),
        is_blocking: false,
        answer: Arc::new(|_| Ok(api::not_available())),
    })
    .into()
}
