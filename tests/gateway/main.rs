//! Goal: what the systems tell over HTTP is what happened: REST, its description, metrics at the first scrape, the
//! components' own listeners, health. Method: engines on free ports, requests as bytes, answers as a program reads them.

mod components;
mod first_scrape;
mod health;
mod http;
mod rest;
mod shapes;
#[allow(dead_code, reason = "shared with the tests of the server, which use more of it")]
#[path = "../server/support.rs"]
mod support;
