//! Guessing costs the gateway no memory and keeps nobody out; another password counts at once.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use facelatch_gateway::secret::{set_password, set_token};

use super::bench::{Answer, Bench, Gateway, PASSWORD, gateway_program, wait_for};

/// A figure of `/proc/PID/status`, in KiB.
fn kib(process: u32, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line =
        status.lines().find(|line| line.starts_with(what)).unwrap_or_else(|| panic!("{what}: {status}"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn good() -> String {
    PASSWORD.replace(' ', "+")
}

fn retry_after(answer: &Answer) -> Duration {
    let seconds = answer.0.split("retry-after: ").nth(1).and_then(|rest| rest.lines().next());
    Duration::from_secs(seconds.and_then(|s| s.trim().parse().ok()).unwrap_or_else(|| panic!("{}", answer.0)))
}

/// A wrong password from somebody who does not wait for its turn: the status, 0 without an answer in time.
fn impatient_guess(gateway: &Gateway) -> u16 {
    let form = "csrf=x&password=a+wrong+password";
    let mut stream = gateway.connect();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let sent = write!(
        stream,
        "POST /login HTTP/1.1\r\nHost: door\r\nCookie: facelatch-login=x\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    );
    let mut answer = Vec::new();
    let _ = sent.and_then(|()| stream.read_to_end(&mut answer));
    Answer(String::from_utf8_lossy(&answer).into_owned()).status()
}

#[test]
fn five_hundred_tries_leave_the_memory_flat_and_keep_the_right_password_in() {
    let bench = Bench::new("[\"view\"]");
    let gateway = Gateway::start(&bench, "");
    let first = gateway.try_password(&good());
    let device = first.cookie("facelatch-device=");
    let before = kib(gateway.id(), "VmRSS");
    let (tried, hashed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut slowest = Duration::ZERO;
    thread::scope(|scope| {
        for _ in 0..25 {
            scope.spawn(|| {
                for _ in 0..16 {
                    let status = impatient_guess(&gateway);
                    assert!([0, 401, 429, 503].contains(&status), "{status}");
                    tried.fetch_add(1, Ordering::Relaxed);
                    hashed.fetch_add(usize::from(status == 401), Ordering::Relaxed);
                }
            });
        }
        // Meanwhile somebody logs in again and again from a browser that has logged in before.
        for _ in 0..100 {
            let began = Instant::now();
            let answer = gateway.try_password_from(&device, &good());
            assert_eq!(answer.status(), 303, "{}", answer.0);
            slowest = slowest.max(began.elapsed());
        }
    });
    let (after, most) = (kib(gateway.id(), "VmRSS"), kib(gateway.id(), "VmHWM"));
    println!(
        "{} wrong tries, {} of them hashed, and 100 right ones: {before} KiB before, {after} KiB after, {most} KiB \
         at the most; the slowest login {slowest:?}",
        tried.load(Ordering::Relaxed),
        hashed.load(Ordering::Relaxed)
    );
    assert_eq!(tried.load(Ordering::Relaxed), 400);
    // One more buffer for a hash would be 19 MiB.
    assert!(most < before + 12 * 1_024, "{before} KiB, then {most} KiB");
    // The hash takes tens of milliseconds; a busy machine takes the rest.
    assert!(slowest < Duration::from_secs(15), "{slowest:?}");

    // From another browser at the same address, as by ssh -L: the line ends, and the password is taken.
    let began = Instant::now();
    let answer = loop {
        let answer = gateway.try_password(&good());
        if answer.status() != 429 {
            break answer;
        }
        thread::sleep(retry_after(&answer));
    };
    assert_eq!(answer.status(), 303, "{}", answer.0);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    // And with that the address is as good as new.
    for _ in 0..3 {
        assert_eq!(gateway.try_password("a+wrong+password").status(), 401);
        assert_eq!(gateway.try_password(&good()).status(), 303);
    }
}

#[test]
fn a_few_wrong_guesses_cost_seconds_and_lock_nobody_out() {
    let bench = Bench::new("[\"view\"]");
    let gateway = Gateway::start(&bench, "");
    let began = Instant::now();
    for n in 0..6 {
        assert_eq!(gateway.try_password(&format!("wrong+{n}")).status(), 401);
    }
    assert!(began.elapsed() > Duration::from_secs(3), "guessing is slow: {:?}", began.elapsed());
    let began = Instant::now();
    let answer = gateway.try_password(&good());
    assert_eq!(answer.status(), 303, "{}", answer.0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    // A device that was made up is none, and one that was made here is one.
    let device = answer.cookie("facelatch-device=");
    for _ in 0..3 {
        assert_eq!(gateway.try_password_from(&device, &good()).status(), 303);
        assert_eq!(gateway.try_password_from("facelatch-device=made.up", &good()).status(), 303);
    }
    assert_eq!(gateway.try_password_from(&device, "wrong").status(), 401, "it opens nothing");
    assert_eq!(gateway.get("/people", &device).status(), 401, "it is no session");
}

/// The live page's connection, after its first event.
fn live_view(gateway: &Gateway, cookie: &str) -> std::net::TcpStream {
    let mut stream = gateway.connect();
    write!(stream, "GET /live HTTP/1.1\r\nHost: door\r\nCookie: {cookie}\r\n\r\n").unwrap();
    assert!(stream.read(&mut [0; 4_096]).unwrap() > 0);
    stream
}

#[test]
fn another_password_counts_at_once_and_ends_every_session() {
    let bench = Bench::new("[\"view\", \"enrol\"]");
    let gateway = Gateway::start(&bench, "");
    let first = gateway.try_password(&good());
    let device = first.cookie("facelatch-device=");
    let (cookie, csrf) = gateway.log_in();
    let mut live = live_view(&gateway, &cookie);
    assert_eq!(gateway.post("/people/enrol", &cookie, &format!("csrf={csrf}&name=Ada")).status(), 303);
    assert!(bench.state().status.enrolling);

    let mut command = Command::new(gateway_program())
        .args(["password", "--config"])
        .arg(bench.path("gateway.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    command.stdin.take().unwrap().write_all(b"another password\n").unwrap();
    let said = command.wait_with_output().unwrap();
    assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains("at once"), "{said:?}");

    // The live page, which asks for nothing, is over as well; so is the enrolment that the page began.
    let began = Instant::now();
    while live.read(&mut [0; 65_536]).unwrap() > 0 {}
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    wait_for(|| (!bench.state().status.enrolling).then_some(()));
    assert_eq!(gateway.get("/people", &cookie).status(), 401);
    assert_eq!(gateway.post("/people/enrol", &cookie, &format!("csrf={csrf}&name=Ada")).status(), 401);
    assert_eq!(gateway.try_password(&good()).status(), 401, "the old one is none");
    let answer = gateway.try_password("another+password");
    assert_eq!(answer.status(), 303, "{}", answer.0);
    let cookie = answer.cookie("facelatch=");
    assert_eq!(gateway.get("/people", &cookie).status(), 200);
    assert_ne!(answer.cookie("facelatch-device="), device);

    // Whose password is taken away is out, and so is everybody while others can read it.
    for take_away in [
        (|file| fs::remove_file(file).unwrap()) as fn(&std::path::Path),
        |file| fs::write(file, "no hash\n").unwrap(),
        |file| fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap(),
    ] {
        set_password(&bench.path("password"), PASSWORD).unwrap();
        let (cookie, _) = gateway.log_in();
        take_away(&bench.path("password"));
        assert_eq!(gateway.get("/people", &cookie).status(), 401);
        assert_eq!(gateway.try_password(&good()).status(), 503);
    }

    // A new token as well.
    let scrape = |token: &str| {
        gateway
            .send(
                format!("GET /metrics HTTP/1.1\r\nHost: d\r\nAuthorization: Bearer {token}\r\n\r\n")
                    .as_bytes(),
            )
            .status()
    };
    let one = set_token(&bench.path("token")).unwrap();
    assert_eq!(scrape(&one), 200);
    let two = set_token(&bench.path("token")).unwrap();
    assert_eq!((scrape(&one), scrape(&two)), (401, 200));
    fs::remove_file(bench.path("token")).unwrap();
    assert_eq!(scrape(&two), 401);
}

#[test]
fn secrets_that_others_can_read_keep_the_gateway_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    set_password(&path("password"), PASSWORD).unwrap();
    set_token(&path("token")).unwrap();
    fs::write(path("cert.pem"), "none\n").unwrap();
    fs::write(path("key.pem"), "none\n").unwrap();
    fs::set_permissions(path("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "[door]\nsocket = \"{0}/socket\"\n[web]\nlisten = \"127.0.0.1:0\"\npassword_file = \"{0}/password\"\n\
         token_file = \"{0}/token\"\ncertificate = \"{0}/cert.pem\"\nkey = \"{0}/key.pem\"\n",
        folder.path().display()
    );
    fs::write(path("gateway.toml"), text).unwrap();
    let start = || {
        let output =
            Command::new(gateway_program()).arg("--config").arg(path("gateway.toml")).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(!start().contains("chmod"), "the key is none, and that alone is said");
    for name in ["password", "token", "key.pem"] {
        for mode in [0o644, 0o660, 0o604] {
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
            let said = start();
            assert!(
                said.contains(&format!("/{name}: ")) && said.contains("chmod g-w,o="),
                "{mode:o}: {said}"
            );
        }
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o640)).unwrap();
    }
}
