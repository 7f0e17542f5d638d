//! A wall clock that is wrong, under the running daemon.

use std::fs;

use facelatch::audit::Entry;
use facelatch::matching::Note;
use facelatch::protocol::Request;

use super::bench::{Bench, now_ms};
use super::rollback::hall;

const DAY: i64 = 86_400;
const YEARS: i64 = 5 * 365 * DAY;

impl Bench {
    /// The daemon's wall clock is off by so many seconds.
    fn clock_is_off(&self, seconds: i64) {
        fs::write(self.path("clock-new"), seconds.to_string()).unwrap();
        fs::rename(self.path("clock-new"), self.path("clock")).unwrap();
    }
}

fn count(entries: &[Entry], event: &str) -> usize {
    entries.iter().filter(|entry| entry.event == event).count()
}

#[test]
fn a_clock_five_years_ahead_keeps_people_out_and_erases_nobody() {
    let mut bench = hall();
    assert!(bench.start(None));
    let request = bench.add("Ada", 1);
    bench.ask(&request).unwrap();
    let next_year = now_ms() / 1_000 + 365 * DAY as u64;
    let note = |expires| Request::Note {
        name: "Ada".to_owned(),
        note: Note { consent: None, expires: Some(expires) },
    };
    bench.ask(&note(Some(next_year))).unwrap();
    bench.clock_is_off(YEARS);
    let entries = bench.wait_for("disabled", |entries| count(entries, "disabled") == 1);
    let jump = entries.iter().find(|entry| entry.event == "clock").unwrap();
    assert!(jump.detail.as_deref().unwrap().starts_with("jumped_s=1576"), "{jump:?}");
    // A restart under the wrong clock, and one more look at least.
    bench.kill();
    assert!(bench.start(None));
    bench.wait_for("disabled again", |entries| count(entries, "disabled") == 2);
    std::thread::sleep(std::time::Duration::from_secs(12));
    assert_eq!(bench.people().len(), 1, "nobody is erased");
    assert_eq!(count(&bench.entries(), "removed"), 0);
    // The clock is right again: she is let in. The newest entry of the log is of the wrong time, and so the
    // right one is under suspicion for a day after this restart; a date that is not over by either counts.
    bench.clock_is_off(0);
    bench.wait_for("clock", |entries| count(entries, "clock") == 2);
    bench.ask(&note(None)).unwrap();
    bench.wait_for("enabled", |entries| count(entries, "enabled") == 1);
    assert_eq!(bench.people().len(), 1);
}

#[test]
fn whose_time_has_been_over_for_a_day_is_erased_and_a_restart_does_not_begin_the_day_anew() {
    let mut bench = hall();
    assert!(bench.start(None));
    let request = bench.add("Ada", 1);
    bench.ask(&request).unwrap();
    let yesterday = now_ms() / 1_000 - DAY as u64;
    let note = Note { consent: None, expires: Some(Some(yesterday)) };
    bench.ask(&Request::Note { name: "Ada".to_owned(), note }).unwrap();
    bench.wait_for("disabled", |entries| count(entries, "disabled") == 1);
    std::thread::sleep(std::time::Duration::from_secs(12));
    assert_eq!(bench.people().len(), 1, "not yet");
    bench.stop();
    // As if she had been disabled for a day less a moment.
    let path = bench.path("state");
    let mut state: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let id =
        bench.said(&["people", "list"]).split("(id ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    assert_eq!(state["over"][&id][0], yesterday, "{state}");
    state["over"][&id][1] = (DAY - 5).into();
    fs::write(&path, state.to_string()).unwrap();
    assert!(bench.start(None));
    let entries = bench.wait_for("erased", |entries| count(entries, "erased") == 1);
    let removed = entries.iter().find(|entry| entry.event == "removed").unwrap();
    assert_eq!(removed.detail.as_deref(), Some("why=expired"));
    assert!(bench.people().is_empty());
    bench.verifies();
}
