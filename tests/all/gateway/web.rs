//! The page: nobody comes in without a session, no form is taken without its token, and whatever is sent
//! leaves gateway and door as they were.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use facelatch::access::{Alarm, DenyCode, Fault, ReleaseReason};

use facelatch::protocol::{Person, Request};

use super::bench::{Answer, Bench, Gateway, gateway_program, gone, wait_for};

const GETS: [&str; 11] = [
    "/",
    "/live",
    "/live.js",
    "/picture.jpg",
    "/session",
    "/people",
    "/events",
    "/events/export?format=csv",
    "/health",
    "/metrics",
    "/no/such/page",
];
const POSTS: [&str; 11] = [
    "/people/enrol",
    "/people/cancel",
    "/people/0/rename",
    "/people/0/remove",
    "/people/0/expiry",
    "/door/secure",
    "/door/normal",
    "/door/hold",
    "/door/clear-lockout",
    "/logout",
    "/login",
];

#[test]
fn every_route_asks_for_a_session_and_every_form_for_its_token() {
    let bench = Bench::new("[\"view\", \"enrol\", \"release\"]");
    let gateway = Gateway::start(&bench, "");
    for path in GETS {
        assert_eq!(gateway.get(path, "").status(), 401, "{path}");
        assert_eq!(gateway.get(path, "facelatch=guessed").status(), 401, "{path}");
    }
    let asked = "GET /people HTTP/1.1\r\nHost: door\r\nAccept: text/html\r\n\r\n";
    let shown = gateway.send(asked.as_bytes());
    assert!(shown.status() == 303 && shown.0.contains("location: /login"), "{}", shown.0);
    for path in POSTS {
        let status = gateway.post(path, "", "sure=yes&name=x&seconds=5").status();
        assert_eq!(status, if path == "/login" { 403 } else { 401 }, "{path}");
    }
    for headers in ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff"] {
        assert!(gateway.get("/login", "").0.contains(headers), "{headers}");
    }
    assert_eq!(gateway.try_password("wrong+password").status(), 401);

    let (cookie, csrf) = gateway.log_in();
    for path in POSTS {
        for form in ["", "csrf=&sure=yes", "csrf=0000&name=x&seconds=5&sure=yes", "\u{1}=%%%", "{\"csrf\":1}"]
        {
            assert_eq!(gateway.post(path, &cookie, form).status(), 403, "{path} {form}");
        }
    }
    // The token of another session is no better.
    let (other, theirs) = gateway.log_in();
    assert_eq!(gateway.post("/door/secure", &cookie, &format!("csrf={theirs}")).status(), 403);
    assert!(bench.state().status.mode == facelatch::access::Mode::Normal, "none of it was done");
    assert_eq!(bench.state().status.people, 1);

    for path in GETS {
        let answer = match path {
            "/live" => first_events(&gateway, &cookie),
            _ => gateway.get(path, &cookie),
        };
        let expected = match path {
            "/no/such/page" => 404,
            "/session" => 204,
            _ => 200,
        };
        assert_eq!(answer.status(), expected, "{path}: {}", answer.0);
    }
    let form = |more: &str| format!("csrf={csrf}{more}");
    assert_eq!(gateway.post("/door/secure", &cookie, &form("")).status(), 303);
    assert!(bench.state().status.mode == facelatch::access::Mode::Secure);
    let bad = gateway.post("/people/0/rename", &cookie, &form("&name=%3Cb%3EAda%26"));
    assert!(bad.status() == 409 && bad.0.contains("&lt;b&gt;Ada&amp;"), "refused, and escaped: {}", bad.0);
    assert_eq!(gateway.post("/people/0/rename", &cookie, &form("&name=Ada+L.")).status(), 303);
    assert!(gateway.get("/people", &cookie).0.contains("Ada L."));
    assert_eq!(gateway.post("/people/0/expiry", &cookie, &form("&day=2099-12-31")).status(), 303);
    assert!(gateway.get("/people", &cookie).0.contains("2099-12-31"));
    assert_eq!(gateway.post("/people/0/expiry", &cookie, &form("&day=")).status(), 303);
    assert!(!gateway.get("/people", &cookie).0.contains("2099-12-31"), "and is taken back");
    assert_eq!(gateway.post("/people/0/remove", &cookie, &form("")).status(), 400, "one must be sure");
    for part in ["recording", "recording.old"] {
        std::fs::write(bench.path(part), "similarities of former days\n").unwrap();
    }
    assert_eq!(gateway.post("/people/0/remove", &cookie, &form("&sure=yes")).status(), 303);
    wait_for(|| (gone(&bench.path("recording")) && gone(&bench.path("recording.old"))).then_some(()));
    assert_eq!(bench.state().status.people, 0);
    let csv = gateway.get("/events/export?format=csv&event=renamed", &cookie).0;
    assert!(csv.contains("seq,time,event") && csv.contains("\"renamed\"") && !csv.contains("Ada"), "{csv}");
    // The door answers a gateway only so often in a second.
    std::thread::sleep(Duration::from_millis(1_500));
    let events = gateway.get("/events", &cookie).0;
    assert!(events.contains("The chain holds"), "{events}");

    assert_eq!(gateway.post("/logout", &cookie, &form("")).status(), 303);
    assert_eq!(gateway.get("/people", &cookie).status(), 401, "the session is over");
    assert_eq!(gateway.get("/people", &other).status(), 200, "the other one is not");
}

#[test]
fn an_enrolment_may_begin_as_soon_as_the_one_before_is_cancelled() {
    let bench = Bench::new("[\"view\", \"enrol\"]");
    let gateway = Gateway::start(&bench, "");
    let (cookie, csrf) = gateway.log_in();
    let post = |path: &str, more: &str| gateway.post(path, &cookie, &format!("csrf={csrf}{more}"));
    for name in ["Ada", "Bob"] {
        let begun = post("/people/enrol", &format!("&name={name}&anyway=yes"));
        assert_eq!(begun.status(), 303, "{name}: {}", begun.0);
        let second = post("/people/enrol", "&name=Eve");
        assert!(second.status() == 409 && second.0.contains("in progress"), "{}", second.0);
        let state = first_events(&gateway, &cookie).0;
        assert!(state.contains(&format!("{name}: ")) && state.contains("\"enrolment_runs\":true"), "{state}");
        assert_eq!(post("/people/cancel", "").status(), 303);
    }
    assert_eq!(bench.state().status.people, 1, "neither was enrolled");
}

#[test]
fn a_name_that_is_enrolled_is_a_question_and_nobody_is_replaced_without_an_answer() {
    let bench = Bench::new("[\"view\", \"enrol\"]");
    let gateway = Gateway::start(&bench, "");
    let (cookie, csrf) = gateway.log_in();
    let post = |path: &str, more: &str| gateway.post(path, &cookie, &format!("csrf={csrf}{more}"));
    let people = || -> Vec<Person> { bench.link().ask(&Request::People {}).unwrap() };
    let before = people();
    for (name, answer) in [("Eileen", ""), ("Eileen", "&existing=sure&id=0"), ("Eileen", "&existing=replace")]
    {
        let asked = post("/people/enrol", &format!("&name={name}&anyway=yes{answer}"));
        assert_eq!(asked.status(), 409, "{}", asked.0);
        for part in
            ["is enrolled already", "value=\"look\"", "value=\"replace\"", "1 of at most 4 looks", "unlike"]
        {
            assert!(asked.0.contains(part), "{part}: {}", asked.0);
        }
    }
    // One that looks like it, and one whose number is another's.
    let like = post("/people/enrol", "&name=eileen");
    assert!(like.status() == 409 && like.0.contains("too similar to"), "{}", like.0);
    let gone = post("/people/enrol", "&name=Eileen&existing=replace&id=7");
    assert!(gone.status() == 409 && gone.0.contains("is somebody else now"), "{}", gone.0);
    assert!(!bench.state().status.enrolling && people() == before);
    for existing in ["look", "replace"] {
        let begun = post("/people/enrol", &format!("&name=Eileen&id=0&existing={existing}"));
        assert_eq!(begun.status(), 303, "{}", begun.0);
        assert!(bench.state().status.enrolling);
        assert_eq!(post("/people/cancel", "").status(), 303);
    }
    assert_eq!(people(), before);
}

/// What `/live` sends until there was a picture and a state.
fn first_events(gateway: &Gateway, cookie: &str) -> Answer {
    let mut stream = gateway.connect();
    write!(stream, "GET /live HTTP/1.1\r\nHost: door\r\nCookie: {cookie}\r\n\r\n").unwrap();
    let (mut text, mut part) = (String::new(), [0; 4_096]);
    while !(text.contains("event: view") && text.contains("event: state")) {
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&part[..count]));
    }
    Answer(text)
}

#[test]
fn rights_that_the_gateway_has_not_got_are_refused_and_the_figures_take_a_token() {
    let bench = Bench::new("[\"view\"]");
    let gateway = Gateway::start(&bench, "");
    let (cookie, csrf) = gateway.log_in();
    for (path, more) in [
        ("/door/hold", "&seconds=5"),
        ("/door/secure", ""),
        ("/people/0/remove", "&sure=yes"),
        ("/people/enrol", "&name=Mallory"),
    ] {
        let answer = gateway.post(path, &cookie, &format!("csrf={csrf}{more}"));
        assert!(answer.status() == 403 && answer.0.contains("gateway.rights"), "{path}: {}", answer.0);
    }
    assert!(!gateway.get("/people", &cookie).0.contains("action=\"/people/enrol\""));
    wait_for(|| {
        let events = gateway.get("/events?event=refused", &cookie).0;
        events.contains("command=enroll by=gateway").then_some(())
    });

    let token = Command::new(gateway_program())
        .args(["token", "--config"])
        .arg(bench.path("gateway.toml"))
        .output()
        .unwrap();
    assert!(token.status.success());
    let token = String::from_utf8(token.stdout).unwrap();
    drop(gateway);
    let gateway = Gateway::start(&bench, "");
    let scrape = |token: &str| {
        gateway.send(
            format!("GET /metrics HTTP/1.1\r\nHost: d\r\nAuthorization: Bearer {token}\r\n\r\n").as_bytes(),
        )
    };
    assert_eq!(scrape("wrong").status(), 401);
    let metrics = wait_for(|| {
        let answer = scrape(token.trim());
        answer.0.contains("facelatch_frames_total").then_some(answer.0)
    });
    for name in [
        "facelatch_up 1",
        "facelatch_stage_duration_seconds_bucket{stage=\"detect\"",
        "facelatch_release_latency_seconds_count",
        "facelatch_camera_restarts_total",
    ] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
    // What has not happened yet is there: an increase is seen from the first time on.
    for (family, label, values) in [
        ("releases", "cause", ReleaseReason::NAMES.to_vec()),
        ("denials", "reason", DenyCode::ALL.map(DenyCode::name).to_vec()),
        ("alarms", "alarm", Alarm::ALL.map(Alarm::name).to_vec()),
        ("faults", "fault", Fault::ALL.map(Fault::name).to_vec()),
    ] {
        for value in values {
            let sample = format!("\nfacelatch_{family}_total{{{label}=\"{value}\"}} ");
            let count = metrics.split(&sample).nth(1).and_then(|rest| rest.lines().next());
            let count: u64 =
                count.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{sample}{metrics}"));
            assert!(count == 0 || family == "releases" || family == "denials", "{sample}{count}");
        }
    }
    let started = |metrics: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix("process_start_time_seconds "));
        line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - 60.0..now).contains(&started(&metrics)), "{}", started(&metrics));
    assert_eq!(started(&metrics), started(&scrape(token.trim()).0), "the same with each scrape");
    assert!(!metrics.contains("Eileen"), "figures say nothing of a person");
    check_by_promtool(metrics.split("\r\n\r\n").nth(1).unwrap());
}

fn check_by_promtool(metrics: &str) {
    let tool =
        Command::new("promtool").args(["check", "metrics"]).stdin(std::process::Stdio::piped()).spawn();
    let Ok(mut tool) = tool else {
        println!("skipped: promtool check metrics: no promtool (apt-get install prometheus)");
        return;
    };
    tool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    assert!(tool.wait().unwrap().success(), "promtool finds fault with:\n{metrics}");
}

#[test]
fn a_thousand_malformed_requests_and_stuck_browsers_change_nothing() {
    let bench = Bench::new("[\"view\"]");
    let gateway = Gateway::start(&bench, "max_connections = 16\n");
    let (cookie, csrf) = gateway.log_in();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let good = [
        format!("GET /events?words=a HTTP/1.1\r\nHost: door\r\nCookie: {cookie}\r\n\r\n"),
        format!(
            "POST /door/hold HTTP/1.1\r\nHost: door\r\nCookie: {cookie}\r\nContent-Length: 60\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\ncsrf={csrf}&seconds=5"
        ),
        "GET /login HTTP/1.1\r\nHost: door\r\nCookie: ;;=;facelatch\r\n\r\n".to_owned(),
    ];
    for round in 0..1_000u32 {
        let mut bytes = good[next() as usize % good.len()].clone().into_bytes();
        match round % 5 {
            0 => bytes.truncate(next() as usize % bytes.len()),
            1 => {
                for _ in 0..1 + next() % 10 {
                    let at = next() as usize % bytes.len();
                    bytes[at] = next() as u8;
                }
            }
            2 => bytes = (0..next() % 3_000).map(|_| next() as u8).collect(),
            3 => {
                let at = next() as usize % bytes.len();
                let part: Vec<u8> = bytes.iter().copied().cycle().take(next() as usize % 9_000).collect();
                bytes.splice(at..at, part);
            }
            _ => bytes.splice(5..5, vec![b'%'; next() as usize % 5_000]).for_each(drop),
        }
        let mut stream = gateway.connect();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read(&mut [0; 512]);
    }
    assert_eq!(gateway.get("/people", &cookie).status(), 200);
    bench.works();
    assert!(bench.state().status.mode == facelatch::access::Mode::Normal, "nothing was let through");

    // As many as there is room for, who begin and do not go on, or do not read the live view.
    let stuck: Vec<TcpStream> = (0..16)
        .map(|n| {
            let mut stream = gateway.connect();
            let request = match n % 2 {
                0 => "GET / HTTP/1.1\r\nHost: ".to_owned(),
                _ => format!("GET /live HTTP/1.1\r\nHost: door\r\nCookie: {cookie}\r\n\r\n"),
            };
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    bench.works();
    assert_eq!(gateway.get("/people", &cookie).status(), 200, "there is room again");
    assert!(began.elapsed() < Duration::from_secs(15), "after the limits, {:?}", began.elapsed());
    drop(stuck);
}

#[test]
fn tls_is_spoken_and_plain_words_are_not() {
    let bench = Bench::new("[\"view\"]");
    let (certificate, key) = (bench.path("cert.pem"), bench.path("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        println!("skipped: tls: no openssl");
        return;
    }
    let files = format!("certificate = {certificate:?}\nkey = {key:?}\n");
    let gateway = Gateway::start(&bench, &files);
    assert!(!gateway.get("/login", "").0.contains("Log in"), "not in plain words");
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-servername", "localhost", "-CAfile"])
        .arg(&certificate)
        .args(["-connect", &gateway.address])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut asking = client.stdin.take().unwrap();
    asking.write_all(b"GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.stdout.take().unwrap().read_to_string(&mut answer).unwrap();
    drop(asking);
    let _ = client.wait();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Log in"), "{answer}");
    assert!(answer.contains("strict-transport-security") && answer.contains("; Secure"), "{answer}");
}
