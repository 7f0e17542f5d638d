//! `cargo bench --bench gateway`: does the door keep its time while 200 clients look at the live view?
//!
//! One daemon before a recorded person who comes again and again, one gateway at the priority that its unit
//! gives it (`Nice=10`). Quiet and loaded spells take turns. The daemon's own counters are read before and
//! after each spell: its frame rate, the mean time of vision, and the mean release latency (capture of the
//! deciding frame to the driven strike). Printed are the medians over the spells of each kind and their
//! ratio. The clients are a process of their own that yields to everything else: they stand for browsers,
//! which are not on the board.
//!
//! A release waits for the disk, and a shared machine's disk is noise: `TMPDIR=/dev/shm` leaves it out.
//! `GATEWAY_CLIENTS` (200), `GATEWAY_SPELLS` (6 pairs) and `GATEWAY_SECONDS` (15) change the load.

#[path = "../../tests/all/gateway/bench.rs"]
mod bench;
#[path = "../../tests/all/common.rs"]
mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bench::{Bench, Gateway};
use facelatch::protocol::State;
use facelatch::protocol::metrics::Histogram;

const NAMES: [&str; 3] = ["frames a second", "vision, mean ms", "release latency, mean ms"];
/// Marks the process of the clients.
const LOOK: &str = "FACELATCH_BENCH_LOOK";

/// What the daemon counted in a spell, in the order of [`NAMES`].
fn figures(before: &State, after: &State, seconds: f64) -> [f64; 3] {
    let mean_ms = |before: &Histogram, after: &Histogram| {
        (after.sum_us - before.sum_us) as f64 / 1e3 / (after.count() - before.count()) as f64
    };
    [
        (after.status.frames - before.status.frames) as f64 / seconds,
        mean_ms(&before.metrics.stages.vision, &after.metrics.stages.vision),
        mean_ms(&before.metrics.release, &after.metrics.release),
    ]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = ((values.len() - 1) / 2, values.len() / 2);
    values[low].midpoint(values[high])
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// Looks until the process ends; a view that ends is begun anew, as browsers do.
fn look(address: &str, cookie: &str, bytes: &AtomicU64) {
    loop {
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        let _ = write!(stream, "GET /live HTTP/1.1\r\nHost: door\r\nCookie: {cookie}\r\n\r\n");
        let mut part = vec![0; 65_536];
        while let Ok(count @ 1..) = stream.read(&mut part) {
            bytes.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}

/// The process of the clients: until its input ends; then it prints how many bytes they got.
fn look_all(place: &str) {
    let (address, cookie) = place.split_once(' ').expect("address and cookie");
    let bytes = Arc::new(AtomicU64::new(0));
    for _ in 0..number("GATEWAY_CLIENTS", 200) {
        let (address, cookie, bytes) = (address.to_owned(), cookie.to_owned(), Arc::clone(&bytes));
        let small = thread::Builder::new().stack_size(256 * 1_024);
        small.spawn(move || look(&address, &cookie, &bytes)).expect("a thread");
    }
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    println!("{}", bytes.load(Ordering::Relaxed));
}

fn start_clients(gateway: &Gateway, cookie: &str) -> Child {
    Command::new("nice")
        .args(["-n", "19"])
        .arg(std::env::current_exe().expect("this program"))
        .env(LOOK, format!("{} {cookie}", gateway.address))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("clients start")
}

fn main() {
    if let Ok(place) = std::env::var(LOOK) {
        return look_all(&place);
    }
    // `cargo test --benches` runs it as well, and wants no load.
    if std::env::args().any(|argument| argument == "--test") || !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let (pairs, seconds) = (number("GATEWAY_SPELLS", 6), number("GATEWAY_SECONDS", 15));
    let bench = Bench::new("[\"view\"]");
    let gateway = Gateway::start_as_unit(&bench, "max_connections = 300\n");
    let (cookie, _) = gateway.log_in();
    thread::sleep(Duration::from_secs(3));
    let mut found = [Vec::new(), Vec::new()];
    let mut releases = 0;
    for spell in 0..2 * pairs {
        // Quiet, loaded, loaded, quiet: what drifts meanwhile is in both.
        let loaded = matches!(spell % 4, 1 | 2);
        let mut clients = loaded.then(|| start_clients(&gateway, &cookie));
        thread::sleep(Duration::from_secs(2));
        let (before, began) = (bench.state(), Instant::now());
        thread::sleep(Duration::from_secs(seconds));
        let (after, took) = (bench.state(), began.elapsed().as_secs_f64());
        let figures = figures(&before, &after, took);
        releases += after.metrics.release.count() - before.metrics.release.count();
        let mut words = "quiet".to_owned();
        if let Some(clients) = clients.take() {
            let viewers = gateway.get("/metrics", &cookie).0;
            let viewers = viewers.lines().find_map(|line| line.strip_prefix("facelatch_gateway_viewers "));
            let viewers = viewers.unwrap_or("?").trim().to_owned();
            // Waiting closes its input.
            let got = clients.wait_with_output().expect("the clients end").stdout;
            let got: f64 = String::from_utf8_lossy(&got).trim().parse().unwrap_or(f64::NAN);
            words = format!("{viewers} viewers, {:.2} MB/s", got / 1e6 / (took + 2.0));
        }
        println!(
            "{:.2} frames/s, vision {:.2} ms, release {:.2} ms: {words}",
            figures[0], figures[1], figures[2]
        );
        found[usize::from(loaded)].push(figures);
    }
    println!("{:24} {:>10} {:>10} {:>8}   ({releases} releases)", "", "quiet", "loaded", "ratio");
    for (n, name) in NAMES.iter().enumerate() {
        let [quiet, loaded] = [0, 1].map(|kind: usize| median(found[kind].iter().map(|f| f[n]).collect()));
        println!("{name:24} {quiet:>10.2} {loaded:>10.2} {:>8.3}", loaded / quiet);
    }
}
