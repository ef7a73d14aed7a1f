//! Holds the benchmark `rings` (`cargo bench` in this directory) and the program `rivals`; there is nothing to link to.
