//! The page of the door's health.

use axum::extract::{Extension, State};
use maud::{Markup, html};

use super::session::Session;
use super::site::Shared;
use super::{layout, metrics};
use facelatch_core::strike::StrikeState;
use facelatch_protocol::State as DoorState;
use facelatch_protocol::metrics::{BOUNDS_US, Histogram};

/// Upper bound of the bucket that holds this share of the values, in ms.
fn quantile(histogram: &Histogram, share: f64) -> Option<f64> {
    let wanted = (histogram.count() as f64 * share).ceil().max(1.0) as u64;
    let mut sum = 0;
    let found = histogram.counts.iter().position(|count| {
        sum += count;
        sum >= wanted
    })?;
    BOUNDS_US.get(found).map(|bound| *bound as f64 / 1e3)
}

pub(super) async fn page(State(site): Shared, Extension(session): Extension<Session>) -> Markup {
    let known = site.feed.known.borrow().clone();
    let temperatures = metrics::temperatures();
    let content = html! {
        h1 { "Health" }
        @if let Some(problem) = &known.problem { p class="note error" role="alert" { (problem) } }
        @if let Some(state) = &known.state { (figures(state)) } @else { p { "No data from the door yet." } }
        h2 { "Board" }
        dl {
            @for (zone, celsius) in &temperatures { dt { (zone) } dd { (format!("{celsius:.1} °C")) } }
            @if temperatures.is_empty() { dt { "Temperature" } dd { "not available on this board" } }
            dt { "Gateway" } dd { (env!("CARGO_PKG_VERSION")) }
            dt { "Daemon" } dd { (known.hello.as_ref().map_or("not running", |hello| hello.version.as_str())) }
            dt { "Rights of this page" } dd {
                (known.hello.as_ref().map_or_else(String::new, |hello| {
                    hello.rights.iter().map(|r| r.name()).collect::<Vec<_>>().join(", ")
                }))
            }
        }
    };
    layout::page(&site.name, "Health", Some(&session), &content)
}

fn figures(state: &DoorState) -> Markup {
    let (status, stages) = (&state.status, &state.metrics.stages);
    let ms =
        |value: Option<f64>| value.map_or_else(|| "over 5 s".to_owned(), |ms| format!("at most {ms} ms"));
    let rate = status.frames as f64 / (status.uptime_s.max(1) as f64);
    let rows = stages.named().into_iter().chain([("capture to strike", &state.metrics.release)]);
    let yes = |good: bool, words: &str, otherwise: &str| {
        if good {
            html! { span class="good" { (words) } }
        } else {
            html! { span class="bad" { (otherwise) } }
        }
    };
    html! {
        h2 { "Camera" }
        dl {
            dt { "Source" } dd { (status.camera) }
            dt { "Frames" } dd { (yes(status.camera_delivers, "arriving", "NOT ARRIVING")) }
            dt { "Rate" } dd { (format!("{rate:.1} per second since the start")) }
            dt { "With a face" } dd { (status.frames_with_face) " of " (status.frames) }
            dt { "Skipped, unreadable" } dd { (status.camera_counters.skipped) ", " (status.camera_counters.undecodable) }
            dt { "Reopened" } dd { (status.camera_counters.reopened) " times" }
        }
        h2 { "Time for each stage" }
        table {
            thead { tr { th scope="col" { "Stage" } th scope="col" { "Median" } th scope="col" { "99th percentile" } } }
            tbody {
                @for (name, histogram) in rows.filter(|(_, histogram)| histogram.count() > 0) {
                    tr { td { (name) } td { (ms(quantile(histogram, 0.5))) } td { (ms(quantile(histogram, 0.99))) } }
                }
            }
        }
        h2 { "Door" }
        dl {
            dt { "Strike" } dd {
                (if status.strike == StrikeState::Released { "released" } else { "locked" }) ", " (status.strike_line)
            }
            dt { "Running for" } dd { (status.uptime_s / 3_600) " h " (status.uptime_s / 60 % 60) " min" }
            dt { "Audit log" } dd { (yes(status.audit_written, "written", "NOT WRITTEN: see the journal")) }
            dt { "People" } dd {
                (status.people)
                @if status.people_of_other_models > 0 {
                    "; enrolled with another model and not recognised: " (status.people_of_other_models)
                }
            }
            dt { "Model" } dd { (status.model) }
            dt { "Threshold" } dd { (format!("{:.3}", status.threshold)) }
            @if let Some(watchdog) = state.metrics.watchdog {
                dt { "Watchdog" } dd { (format!("at least {:.1} s left of {:.0} s", watchdog.margin_s, watchdog.limit_s)) }
            }
            dt { "Last event" } dd { (status.last_event.as_deref().unwrap_or("none")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_quantile_is_the_bound_of_its_bucket() {
        let mut histogram = Histogram::default();
        for ms in [1, 1, 1, 20] {
            histogram.add(Duration::from_millis(ms));
        }
        assert_eq!(quantile(&histogram, 0.5), Some(1.0));
        assert_eq!(quantile(&histogram, 0.99), Some(25.0));
    }
}
