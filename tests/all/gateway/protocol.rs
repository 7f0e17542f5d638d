//! What the gateway may ask of the running daemon, and that nothing it sends or leaves unread disturbs it.

use std::fs;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use facelatch::access::ModeCommand;
use facelatch::door::Existing;
use facelatch::protocol::{AttemptColour, Entries, PROTOCOL, Person, Request, Right, State, Verified, View};
use facelatch_gateway::daemon_link::{LinkError, LinkUpdate, StopSignal, WatchOptions};

use super::bench::{Bench, SOON, gone, wait_for};

#[test]
fn rights_are_separate_and_a_refusal_is_audited() {
    let bench = Bench::new("[\"view\"]");
    let link = bench.link();
    let hello = link.hello().unwrap();
    assert_eq!((hello.protocol, &hello.rights[..]), (PROTOCOL, &[Right::View][..]));
    let other: Result<serde_json::Value, _> = link.ask(&Request::Hello { protocol: PROTOCOL + 1 });
    assert!(matches!(other, Err(LinkError::Refused { .. })), "{other:?}");
    let people: Vec<Person> = link.ask(&Request::People {}).unwrap();
    assert_eq!(people[0].name, "Eileen");
    let hold = ModeCommand::HoldOpen { time: Duration::from_secs(5) };
    for (request, needs) in [
        (Request::Mode { mode: hold }, Some(Right::Release)),
        (Request::Secure {}, Some(Right::Release)),
        (Request::ClearLockout {}, Some(Right::Release)),
        (Request::Remove { name: "Eileen".into() }, Some(Right::Enrol)),
        (
            Request::Enroll { name: None, allow_duplicate: false, existing: Existing::Refuse, unlike: false },
            Some(Right::Enrol),
        ),
        (Request::Export { name: "Eileen".into() }, None),
    ] {
        let answer: Result<serde_json::Value, _> = link.ask(&request);
        match answer {
            Err(LinkError::NotAllowed { right, .. }) => assert_eq!(right, needs, "{request:?}"),
            other => panic!("{request:?}: {other:?}"),
        }
    }
    let refused = wait_for(|| {
        let log: Entries = link.ask(&Request::Entries { since: 0, limit: 500 }).unwrap();
        let refused: Vec<_> = log.entries.into_iter().filter(|e| e.event == "refused").collect();
        (refused.len() == 6).then_some(refused)
    });
    assert_eq!(refused[0].detail.as_deref(), Some("command=mode by=gateway"));
    assert!(bench.state().status.mode == facelatch::access::Mode::Normal);
    let verified: Verified = link.ask(&Request::VerifyLog {}).unwrap();
    assert!(verified.holds, "{verified:?}");

    // The same socket with more rights: the command works, and the log says by whom.
    let bench = Bench::new("[\"view\", \"release\"]");
    let link = bench.link();
    let _: serde_json::Value = link.ask(&Request::Mode { mode: ModeCommand::Secure }).unwrap();
    assert!(bench.state().status.mode == facelatch::access::Mode::Secure);
    let _: serde_json::Value = link.ask(&Request::Mode { mode: ModeCommand::Normal }).unwrap();
    let enrol: Result<serde_json::Value, _> = link.ask(&Request::Remove { name: "Eileen".into() });
    assert!(matches!(enrol, Err(LinkError::NotAllowed { .. })), "{enrol:?}");
    wait_for(|| {
        let log: Entries = link.ask(&Request::Entries { since: 0, limit: 500 }).unwrap();
        let by = |e: &facelatch::audit::Entry| e.detail.as_deref() == Some("command=mode by=gateway");
        (log.entries.iter().filter(|e| e.event == "command" && by(e)).count() == 2).then_some(())
    });
}

#[test]
fn secure_comes_through_a_flood_of_other_requests_and_is_no_flood_itself() {
    let bench = Bench::new("[\"view\", \"release\"]");
    let link = bench.link();
    let ask = |request: Request| link.ask::<serde_json::Value>(&request);
    let busy = |request: fn() -> Request| {
        (0..1_000).any(|_| match ask(request()) {
            Err(LinkError::Refused { message }) => message.contains("too many requests"),
            _ => false,
        })
    };
    assert!(busy(|| Request::Status {}));
    ask(Request::Mode { mode: ModeCommand::Secure }).unwrap();
    ask(Request::Secure {}).unwrap();
    let state: State = wait_for(|| link.ask(&Request::State {}).ok());
    assert!(state.status.mode == facelatch::access::Mode::Secure);
    assert!(busy(|| Request::Secure {}));
}

#[test]
fn entries_come_once_and_in_order_over_a_restart() {
    let mut bench = Bench::new("[\"view\"]");
    let (stop, seen) = (Arc::new(StopSignal::default()), Arc::new(Mutex::new((Vec::new(), 0, 0))));
    let (link, told, kept) = (bench.link(), Arc::clone(&stop), Arc::clone(&seen));
    let follower = thread::spawn(move || {
        link.follow(WatchOptions { since: Some(0), picture: false }, &told, |update| {
            let mut seen = kept.lock().unwrap();
            match update {
                LinkUpdate::Entry(entry) => seen.0.push((entry.seq, entry.event)),
                LinkUpdate::Up(_) => seen.1 += 1,
                LinkUpdate::State(_) => seen.2 += 1,
                LinkUpdate::Down(_) => {}
                LinkUpdate::View(_) => panic!("a picture that nobody asked for"),
            }
            ControlFlow::Continue(())
        });
    });
    let released = |events: &[(u64, String)]| events.iter().filter(|(_, e)| e == "release").count();
    wait_for(|| (released(&seen.lock().unwrap().0) >= 2).then_some(()));
    bench.stop();
    // What happened while nobody listened comes as well: this start and stop.
    bench.start();
    wait_for(|| (seen.lock().unwrap().1 >= 2).then_some(()));
    wait_for(|| (released(&seen.lock().unwrap().0) >= 4).then_some(()));
    stop.stop();
    follower.join().unwrap();
    let seen = seen.lock().unwrap();
    let numbers: Vec<u64> = seen.0.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(seen.0.iter().filter(|(_, e)| e == "started").count(), 2);
    assert!(seen.2 > 5, "{} states", seen.2);
    let log: Entries = bench.link().ask(&Request::Entries { since: 0, limit: 1_000 }).unwrap();
    let logged: Vec<_> = log.entries.into_iter().map(|e| (e.seq, e.event)).collect();
    assert_eq!(seen.0[..], logged[..seen.0.len()]);
}

#[test]
fn the_picture_shows_the_face_and_what_the_door_says_of_it() {
    let bench = Bench::new("[\"view\"]");
    let mut views: Vec<View> = Vec::new();
    let began = Instant::now();
    let seen = bench.link().watch(
        WatchOptions { since: None, picture: true },
        || false,
        |update| {
            if let LinkUpdate::View(view) = update {
                views.push(*view);
            }
            let colours = |colour| views.iter().any(|v| v.attempt.colour == colour);
            let enough = colours(AttemptColour::Orange) && colours(AttemptColour::Green);
            if enough || began.elapsed() > SOON { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    );
    seen.unwrap();
    let green = views.iter().find(|v| v.attempt.colour == AttemptColour::Green).expect("a release is seen");
    assert_eq!(green.attempt.words, "Identity: Eileen");
    let orange =
        views.iter().find(|v| v.attempt.colour == AttemptColour::Orange && !v.faces.is_empty()).unwrap();
    assert_eq!(orange.attempt.words, "Identifying ...");
    assert!(views.iter().any(|v| v.attempt.mean.is_some() && v.attempt.frames > 1), "the mean is told");
    let aim = orange.aim.as_ref().expect("one face: it can be aimed");
    assert!(aim.face_px >= 60 && aim.light > 10.0 && aim.sharpness > 0.0, "{aim:?}");
    let jpeg = base64::engine::general_purpose::STANDARD.decode(&orange.jpeg).unwrap();
    let picture = image::load_from_memory(&jpeg).unwrap();
    assert_eq!((picture.width() as usize, picture.height() as usize), (orange.width, orange.height));
    assert!(orange.width <= 480);
    let face = orange.faces[0];
    assert!(face.x >= 0 && face.x + face.width <= orange.width as i32, "{face:?}");
    assert!(views.windows(2).all(|v| v[0].sequence < v[1].sequence));
    assert!(!format!("{orange:?}").contains("/9j"), "a picture does not get into a log");

    let state = bench.state();
    assert!(state.metrics.release.count() > 0 && state.metrics.stages.detect.count() > 10);
    assert!(state.metrics.stages.embed.count() > 0 && state.metrics.stages.decide.count() > 10);
    assert_eq!(state.metrics.releases.get("identified"), Some(&state.metrics.release.count()));
}

#[test]
fn a_thousand_malformed_messages_and_stuck_clients_change_nothing() {
    let bench = Bench::new("[\"view\"]");
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let good: Vec<Vec<u8>> = [
        Request::Watch { since: Some(3), picture: true },
        Request::Entries { since: 1, limit: 10 },
        Request::Hello { protocol: 1 },
        Request::Mode { mode: ModeCommand::HoldOpen { time: Duration::from_secs(9) } },
    ]
    .iter()
    .map(|request| serde_json::to_vec(request).unwrap())
    .collect();
    for round in 0..1_000 {
        let mut message = good[next() as usize % good.len()].clone();
        match round % 5 {
            0 => message.truncate(next() as usize % message.len()),
            1 => {
                for _ in 0..1 + next() % 8 {
                    let at = next() as usize % message.len();
                    message[at] = next() as u8;
                }
            }
            2 => message = vec![b'['; 4_096],
            3 => message = (0..next() % 5_000).map(|_| next() as u8).collect(),
            _ => {
                let at = next() as usize % message.len();
                let part = message.clone();
                message.splice(at..at, part);
            }
        }
        message.push(b'\n');
        let mut stream = bench.raw();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        // The daemon may have hung up at the first bytes.
        let _ = stream.write_all(&message);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read(&mut [0; 512]);
    }
    wait_for(|| bench.link().hello().ok());
    bench.works();
    assert!(bench.state().status.mode == facelatch::access::Mode::Normal, "nothing was let through");

    // Watchers that never read, more than there is room for, and one that never ends its line.
    let mut stuck: Vec<UnixStream> = (0..7).map(|_| bench.raw()).collect();
    for stream in &mut stuck[1..] {
        stream.write_all(b"{\"command\":\"watch\",\"picture\":true,\"since\":0}\n").unwrap();
    }
    stuck[0].write_all(b"{\"command\"").unwrap();
    bench.works();
    let operator = bench.command(&["status", "--json"]);
    assert!(operator.status.success(), "the operator's socket has room of its own");
    // They are dropped: within the time for a client and what their buffers hold.
    wait_for(|| {
        stuck.retain(|stream| {
            // A peer that has hung up makes a write fail.
            (&mut &*stream).write_all(b" ").is_ok()
        });
        stuck.is_empty().then_some(())
    });
    bench.works();
    drop(bench);
}

#[test]
fn the_door_does_without_a_gateways_folder_and_removes_its_socket() {
    let mut bench = Bench::new("[\"view\"]");
    let mode = fs::metadata(bench.path("gateway")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o660);
    let pid = bench.daemon.as_ref().unwrap().id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    wait_for(|| gone(&bench.path("gateway")).then_some(()));
    bench.stop();
    let config = fs::read_to_string(bench.path("facelatch.toml")).unwrap();
    let moved = config.replace("/gateway\"", "/no/gateway\"");
    fs::write(bench.path("facelatch.toml"), moved).unwrap();
    bench.start();
    assert!(bench.command(&["status", "--json"]).status.success());
    assert!(gone(&bench.path("no")), "the folder is not the daemon's to make");
}
