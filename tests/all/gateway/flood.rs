//! A gateway with every right pushes out nothing that the audit log is for.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use facelatch::access::ModeCommand;
use facelatch::audit::Entry;
use facelatch::protocol::Request;
use facelatch_gateway::daemon_link::{LinkError, LinkUpdate, StopSignal, WatchOptions};

use super::bench::{Bench, wait_for};

/// Two files of about 36 entries each.
pub const SMALL: &str = "file_kib = 16\nkeep_files = 2\nkept_mb = 1\n";

/// A door that has run before records an enrolment on the command line, too.
pub fn with_a_log(film: &Path) {
    fs::create_dir(film.parent().unwrap().join("audit")).unwrap();
}

/// The log as `facelatch audit show` has it.
pub fn log(bench: &Bench) -> Vec<Entry> {
    let shown = bench.command(&["audit", "show", "--json", "--last", "1000000"]);
    assert!(shown.status.success(), "{shown:?}");
    String::from_utf8(shown.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

pub fn is_for_a_person(entry: &Entry) -> bool {
    entry.event == "release" && entry.detail.as_deref() == Some("cause=identified")
}

/// How many an entry stands for.
pub fn stands_for(entry: &Entry) -> u64 {
    let more = entry.detail.as_deref().and_then(|detail| detail.rsplit_once("more="));
    more.map_or(1, |(_, more)| more.parse().unwrap())
}

/// What the daemon counts together.
pub fn kind(entry: &Entry) -> String {
    let detail = entry.detail.as_deref().unwrap_or_default();
    let keeps = |pair: &&str| {
        ["reason=", "cause=", "why=", "mode=", "alarm=", "fault=", "by="].iter().any(|k| pair.starts_with(k))
            || entry.event == "command" && pair.starts_with("command=")
            || entry.event == "state"
    };
    let pairs: Vec<&str> = detail.split(' ').filter(keeps).collect();
    format!("{} {}", entry.event, pairs.join(" "))
}

/// The oldest release is still there, the noise after it is not, and all of it verifies.
pub fn the_release_outlived_its_file(bench: &Bench, release: &Entry) {
    let entries = log(bench);
    assert!(entries.contains(release), "entry {} is gone", release.seq);
    let verified = bench.command(&["audit", "verify", "--json"]);
    let verified: serde_json::Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(verified["holds"], true, "{verified}");
    assert!(verified["first"].as_u64().unwrap() > release.seq, "its file was to be retired: {verified}");
    assert!(verified["kept"].as_u64().unwrap() >= 2, "{verified}");
    assert!(entries.iter().any(|entry| entry.event == "enrolled"), "nor is the enrolment gone");
    assert!(entries.is_sorted_by(|a, b| a.seq < b.seq));
    // Who keeps the pools back is found out.
    let audit = bench.path("audit");
    let pool = fs::read_dir(&audit).unwrap().map(|file| file.unwrap().path());
    let pool = pool.into_iter().find(|p| p.to_string_lossy().contains("kept-releases")).unwrap();
    let bytes = fs::read(&pool).unwrap();
    fs::remove_file(&pool).unwrap();
    let broken = bench.command(&["audit", "verify"]);
    assert_eq!(broken.status.code(), Some(1), "{broken:?}");
    fs::write(&pool, bytes).unwrap();
    assert_eq!(bench.command(&["audit", "verify"]).status.code(), Some(0));
}

/// Of each kind there are no more entries than its budget has, and what a day of this comes to.
pub fn keeps_to_the_budgets(entries: &[Entry], time: Duration) -> u64 {
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for entry in entries {
        *kinds.entry(kind(entry)).or_default() += 1;
    }
    let mut a_day = 0;
    for (kind, count) in &kinds {
        let always = ["release cause=identified", "enrolled", "started", "stopped", "file", "retired"];
        if always.iter().any(|event| kind.starts_with(event)) {
            continue;
        }
        let traffic = ["release cause=rex", "secured", "door_"].iter().any(|event| kind.starts_with(event));
        let (burst, every) = if traffic { (240, 20) } else { (60, 120) };
        assert!(*count <= burst + time.as_secs() / every + 2, "{kind}: {count} in {time:?}");
        a_day += 24 * 3_600 / every;
    }
    let bytes: usize = entries.iter().map(|e| serde_json::to_vec(e).unwrap().len() + 66).sum();
    let mean = bytes / entries.len();
    println!(
        "{} kinds, {mean} bytes an entry: {:.1} MB a day at most",
        kinds.len(),
        (a_day * mean as u64) as f64 / 1e6
    );
    a_day * mean as u64
}

#[test]
fn a_gateway_with_every_right_pushes_out_no_release() {
    let film = |folder: &Path| {
        with_a_log(folder);
        Bench::visits(folder);
    };
    let mut bench = Bench::before("[\"view\", \"enrol\", \"release\"]", SMALL, film);
    let link = bench.link();
    // Everything that is written, also what is retired meanwhile.
    let (stop, seen) = (Arc::new(StopSignal::default()), Arc::new(Mutex::new(BTreeMap::new())));
    let (watching, told, kept) = (bench.link(), Arc::clone(&stop), Arc::clone(&seen));
    let follower = thread::spawn(move || {
        watching.follow(WatchOptions { since: Some(0), picture: false }, &told, |update| {
            if let LinkUpdate::Entry(entry) = update {
                kept.lock().unwrap().insert(entry.seq, *entry);
            }
            ControlFlow::Continue(())
        });
    });
    let release = wait_for(|| log(&bench).into_iter().find(is_for_a_person));
    let enrolled = bench.command(&["people", "note", "Eileen", "--consent", "2026-01-01"]);
    assert!(enrolled.status.success(), "{enrolled:?}");

    let (began, mut asked, mut refused) = (Instant::now(), 0, 0);
    while began.elapsed() < Duration::from_secs(20) {
        for mode in [
            ModeCommand::Secure,
            ModeCommand::Normal,
            ModeCommand::HoldOpen { time: Duration::from_secs(1) },
            ModeCommand::Normal,
        ] {
            match link.ask::<serde_json::Value>(&Request::Mode { mode }) {
                Ok(_) => asked += 1,
                Err(LinkError::Refused { .. }) => thread::sleep(Duration::from_millis(10)),
                Err(other) => panic!("{other:?}"),
            }
            // Without a right, and so without a limit of the socket.
            let export = Request::Export { name: "Eileen".into() };
            assert!(matches!(link.ask::<serde_json::Value>(&export), Err(LinkError::NotAllowed { .. })));
            refused += 1;
        }
    }
    let time = began.elapsed();
    assert!(asked > 200 && refused > 500, "{asked} commands, {refused} refusals in {time:?}");
    bench.end();
    stop.stop();
    follower.join().unwrap();
    let mut all = std::mem::take(&mut *seen.lock().unwrap());
    all.extend(log(&bench).into_iter().map(|entry| (entry.seq, entry)));
    let entries: Vec<Entry> = all.into_values().collect();
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "all of it was seen");

    // Counted, and nothing left out.
    let told = |of: &str| -> u64 {
        let of_kind = |entry: &&Entry| kind(entry) == of;
        entries.iter().filter(of_kind).map(stands_for).sum()
    };
    assert_eq!(told("command command=mode by=gateway"), asked);
    assert_eq!(told("refused by=gateway"), refused);
    println!("{asked} commands and {refused} refusals in {time:?}: {} entries", entries.len());
    let a_day = keeps_to_the_budgets(&entries, time);
    assert!(a_day < 10_000_000, "{a_day} bytes a day");
    the_release_outlived_its_file(&bench, &release);
}
