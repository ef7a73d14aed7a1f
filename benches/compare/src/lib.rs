//! Holds the benchmark `rings` (`cargo bench` in this directory); there is nothing to link to.
