//! The pages as visitors use them.

use crate::browser::{self, Servers};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python, Node and Chromium: cargo make test-live"]
async fn every_page_is_sound_with_and_without_a_script_in_light_and_dark_at_every_width() {
    browser::passes("every_page.mjs", &Servers::start(), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python, Node and Chromium: cargo make test-live"]
async fn what_visitors_do_comes_to_what_they_want_with_and_without_a_script() {
    browser::passes("interactions.mjs", &Servers::start(), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Python, Node and Chromium: cargo make test-live"]
async fn a_new_user_gets_from_nothing_to_the_slow_spans_log_line_and_it_is_photographed() {
    let pictures = browser::pictures();
    let directory = pictures.to_str().unwrap();
    browser::passes("walk.mjs", &Servers::start(), &[directory]).await;
    for name in ["map", "trace", "walk-1-overview", "walk-5-log"] {
        browser::assert_pictured(name);
    }
}
