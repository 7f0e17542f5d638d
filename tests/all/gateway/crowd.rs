//! Whoever comes by the gateway's socket, in whatever numbers: `secure` gets through.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use facelatch::access::{Mode, ModeCommand};
use facelatch::protocol::Request;
use facelatch_gateway::daemon_link::{LinkError, WatchOptions};

use super::bench::{Bench, wait_for};

const IDLE: usize = 2_000;
const WATCHERS: usize = 12;
/// `secure` is answered within this, in whatever crowd, as a rule: the median of ten. Each of them is answered
/// within the gateway's own patience, 10 s, or its link says that it was not.
const BOUND: Duration = Duration::from_secs(5);

/// As many descriptors as the system lets this process have.
fn many_descriptors() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid pointer to a limit of this frame.
    let set = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit)
    };
    let most = limit.rlim_cur;
    assert!(set == 0 && most > IDLE as u64 + 500, "ulimit -n allows {most}: it takes {}", IDLE + 500);
}

/// One that says `words`, and does not hang up by itself.
fn comer(path: &Path, words: &[u8]) -> Option<UnixStream> {
    let mut stream = UnixStream::connect(path).ok()?;
    stream.write_all(words).ok()?;
    stream.set_nonblocking(true).ok()?;
    Some(stream)
}

/// False when the daemon has hung up.
fn is_held(stream: &mut UnixStream) -> bool {
    let mut part = [0; 4_096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(e) => return e.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

/// Keeps `count` connections that have said `words`: who is hung up on comes again at once.
fn crowd(path: &Path, words: &'static [u8], count: usize, over: &Arc<AtomicBool>, there: &Arc<AtomicUsize>) {
    let (path, over, there) = (path.to_owned(), Arc::clone(over), Arc::clone(there));
    thread::spawn(move || {
        let mut all: Vec<Option<UnixStream>> = (0..count).map(|_| None).collect();
        while !over.load(Ordering::Relaxed) {
            for one in &mut all {
                if !one.as_mut().is_some_and(is_held) {
                    *one = comer(&path, words);
                }
            }
            there.store(all.iter().flatten().count(), Ordering::Relaxed);
            thread::sleep(Duration::from_millis(2));
        }
    });
}

#[test]
fn secure_comes_through_two_thousand_idle_connections_and_twelve_watchers() {
    many_descriptors();
    let bench = Bench::new("[\"view\", \"release\"]");
    let (socket, link) = (bench.path("gateway"), bench.link());
    let over = Arc::new(AtomicBool::new(false));
    let [idle, watching, asking] = std::array::from_fn(|_| Arc::new(AtomicUsize::new(0)));
    crowd(&socket, b"", IDLE, &over, &idle);
    crowd(&socket, b"{\"command\":\"watch\",\"picture\":true,\"since\":0}\n", WATCHERS, &over, &watching);
    // And some who ask for what takes long, and do not read the answer.
    crowd(&socket, b"{\"command\":\"verify_log\"}\n", 20, &over, &asking);
    wait_for(|| (idle.load(Ordering::Relaxed) > IDLE * 9 / 10).then_some(()));
    let mut took = Vec::new();
    for round in 0..10 {
        let request = match round % 2 {
            0 => Request::Mode { mode: ModeCommand::Secure },
            _ => Request::Secure {},
        };
        let began = Instant::now();
        let answer: Result<serde_json::Value, LinkError> = link.ask(&request);
        took.push(began.elapsed());
        assert!(answer.is_ok(), "round {round}: {answer:?} after {:?}", began.elapsed());
        thread::sleep(Duration::from_millis(400));
    }
    println!(
        "secure took {took:?} among {} idle connections and {} watchers",
        idle.load(Ordering::Relaxed),
        watching.load(Ordering::Relaxed)
    );
    took.sort();
    assert!(took[took.len() / 2] < BOUND, "{took:?}");
    let status = bench.command(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["mode"], "secure", "it was done: {status}");
    over.store(true, Ordering::Relaxed);
    // And when they have gone, everything is as before.
    wait_for(|| link.ask::<serde_json::Value>(&Request::Mode { mode: ModeCommand::Normal }).ok());
    wait_for(|| (bench.state().status.mode == Mode::Normal).then_some(()));
    bench.works();
}

#[test]
fn watchers_leave_room_for_requests_and_requests_for_watchers() {
    let bench = Bench::new("[\"view\"]");
    let link = bench.link();
    let watch = b"{\"command\":\"watch\"}\n";
    let mut watchers: Vec<UnixStream> =
        (0..6).map(|_| comer(&bench.path("gateway"), watch).unwrap()).collect();
    thread::sleep(Duration::from_millis(500));
    assert!(watchers.iter_mut().all(is_held));
    // One more is told why not; whoever asks is answered.
    let began = Instant::now();
    let more = link.watch(WatchOptions::default(), || false, |_| std::ops::ControlFlow::Break(()));
    assert!(matches!(&more, Err(LinkError::Refused { message }) if message.contains("too many")), "{more:?}");
    assert!(began.elapsed() < Duration::from_secs(4));
    bench.works();
    assert!(watchers.iter_mut().all(is_held));
    // A place that is left is free at once.
    drop(watchers.pop());
    wait_for(|| link.watch(WatchOptions::default(), || false, |_| std::ops::ControlFlow::Break(())).ok());
}
