//! `cargo bench --bench gateway`: does the door keep its time while 200 clients look at the live view?
//!
//! One daemon before a recorded person who comes again and again, one gateway. Quiet and loaded spells
//! take turns; printed are, for each kind, the daemon's frame rate, the mean time of vision and the mean
//! release latency (capture of the deciding frame to the driven strike), and their ratios. The daemon's
//! own counters are read, before and after each spell.
//!
//! `GATEWAY_CLIENTS` (200) and `GATEWAY_SPELLS` (4 pairs) and `GATEWAY_SECONDS` (20) change the load.

#[path = "../../tests/gateway/bench.rs"]
mod bench;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bench::{Bench, Gateway};
use facelatch::daemon::metrics::Histogram;
use facelatch::daemon::protocol::State;

/// Sums over the spells of a kind.
#[derive(Default)]
struct Sums {
    seconds: f64,
    frames: u64,
    vision: (u64, u64),
    release: (u64, u64),
}

impl Sums {
    fn add(&mut self, before: &State, after: &State, seconds: f64) {
        let more = |sum: &mut (u64, u64), before: &Histogram, after: &Histogram| {
            sum.0 += after.sum_us - before.sum_us;
            sum.1 += after.count() - before.count();
        };
        self.seconds += seconds;
        self.frames += after.status.frames - before.status.frames;
        more(&mut self.vision, &before.metrics.stages.vision, &after.metrics.stages.vision);
        more(&mut self.release, &before.metrics.release, &after.metrics.release);
    }

    fn figures(&self) -> [f64; 3] {
        let mean_ms = |(sum, count): (u64, u64)| sum as f64 / 1e3 / count.max(1) as f64;
        [self.frames as f64 / self.seconds, mean_ms(self.vision), mean_ms(self.release)]
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// Looks until told to stop; a view that ends is begun anew, as browsers do.
fn look(address: &str, cookie: &str, stop: &AtomicBool, bytes: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let _ = write!(stream, "GET /live HTTP/1.1\r\nHost: door\r\nCookie: {cookie}\r\n\r\n");
        let mut part = vec![0; 65_536];
        while !stop.load(Ordering::Relaxed) {
            match stream.read(&mut part) {
                Ok(0) => break,
                Ok(count) => {
                    bytes.fetch_add(count as u64, Ordering::Relaxed);
                }
                Err(_) => {}
            }
        }
    }
}

fn main() {
    // `cargo test --benches` runs it as well, and wants no load.
    if std::env::args().any(|argument| argument == "--test") || !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let clients = number("GATEWAY_CLIENTS", 200);
    let (spells, seconds) = (number("GATEWAY_SPELLS", 4), number("GATEWAY_SECONDS", 20));
    let bench = Bench::new("[\"view\"]");
    let gateway = Gateway::start(&bench, "max_connections = 300\n");
    let (cookie, _) = gateway.log_in();
    thread::sleep(Duration::from_secs(3));
    let mut sums = [Sums::default(), Sums::default()];
    for spell in 0..2 * spells {
        let loaded = spell % 2 == 1;
        let (stop, bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let lookers: Vec<_> = (0..if loaded { clients } else { 0 })
            .map(|_| {
                let (address, cookie) = (gateway.address.clone(), cookie.clone());
                let (stop, bytes) = (Arc::clone(&stop), Arc::clone(&bytes));
                thread::Builder::new()
                    .stack_size(256 * 1_024)
                    .spawn(move || look(&address, &cookie, &stop, &bytes))
            })
            .collect();
        thread::sleep(Duration::from_secs(2));
        let (before, began) = (bench.state(), Instant::now());
        let sent = bytes.load(Ordering::Relaxed);
        thread::sleep(Duration::from_secs(seconds));
        let (after, took) = (bench.state(), began.elapsed().as_secs_f64());
        let sent = bytes.load(Ordering::Relaxed) - sent;
        sums[usize::from(loaded)].add(&before, &after, took);
        stop.store(true, Ordering::Relaxed);
        for looker in lookers.into_iter().flatten() {
            let _ = looker.join();
        }
        if loaded {
            println!("spell {spell}: {clients} clients got {:.1} MB/s together", sent as f64 / 1e6 / took);
        }
    }
    let [quiet, loaded] = sums.map(|sums| sums.figures());
    println!("{:24} {:>10} {:>10} {:>8}", "", "quiet", "loaded", "ratio");
    for (n, name) in ["frames a second", "vision, mean ms", "release latency, mean ms"].iter().enumerate() {
        println!("{name:24} {:>10.2} {:>10.2} {:>8.3}", quiet[n], loaded[n], loaded[n] / quiet[n]);
    }
}
