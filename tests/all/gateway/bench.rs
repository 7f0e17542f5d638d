//! A real daemon before a recorded camera, and a real gateway beside it.

#![allow(dead_code, reason = "tests and the load bench use a part of this each")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use facelatch::demo::portrait::Portrait;
use facelatch::demo::walkup::{Walk, WalkUp};
use facelatch::protocol::{Request, State};
use facelatch_gateway::daemon_link::DaemonLink;
use facelatch_gateway::secret::set_password;

use crate::common;

pub use common::gateway_program;
use common::{started, started_by};

const PROGRAM: &str = env!("CARGO_BIN_EXE_facelatch");
pub const SOON: Duration = Duration::from_secs(20);

/// A running daemon before a person who comes again and again; killed at the end of a test.
pub struct Bench {
    folder: tempfile::TempDir,
    pub daemon: Option<Child>,
}

impl Bench {
    pub fn new(rights: &str) -> Self {
        Self::before(rights, "", Self::visits)
    }

    /// A film of somebody who comes 80 times.
    pub fn visits(film: &Path) {
        let walkup = WalkUp::new("test", Portrait::collins().unwrap(), Walk::VISIT);
        for n in 0..walkup.len() {
            let first = film.join(format!("0000-{n:04}.jpg"));
            walkup.frame(n).save(&first).unwrap();
            for round in 1..80 {
                fs::hard_link(&first, film.join(format!("{round:04}-{n:04}.jpg"))).unwrap();
            }
        }
    }

    /// One before a film of one's own; `audit` goes into `[audit]`.
    pub fn before(rights: &str, audit: &str, film: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        fs::create_dir_all(dir.join("visit")).unwrap();
        film(&dir.join("visit"));
        let text = format!(
            "[camera]\nrecording = \"{0}/visit\"\nfps = 20\n[liveness]\ncheck = false\n[access]\nhold_ms = 400\ncooldown_ms = 1000\n\
             [store]\ngallery = \"{0}/gallery\"\nkey = \"{0}/key\"\nstate = \"{0}/state\"\n\
             [recording]\nfile = \"{0}/recording\"\nframes_folder = \"{0}/frames\"\n\
             [audit]\nfolder = \"{0}/audit\"\n{audit}[daemon]\nsocket = \"{0}/socket\"\n\
             [gateway]\nsocket = \"{0}/gateway\"\nrights = {rights}\n",
            dir.display()
        );
        fs::write(dir.join("facelatch.toml"), text).unwrap();
        let mut bench = Bench { folder, daemon: None };
        let portrait = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/portraits/collins.jpg");
        let enrolled = bench.command(&["enroll", "Eileen", "--pictures", portrait.to_str().unwrap()]);
        assert!(enrolled.status.success(), "{enrolled:?}");
        bench.start();
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> std::process::Output {
        let config = self.path("facelatch.toml");
        Command::new(PROGRAM).args(arguments).arg("--config").arg(config).output().unwrap()
    }

    pub fn start(&mut self) {
        let config = self.path("facelatch.toml");
        let (child, _) = started(["run".as_ref(), "--config".as_ref(), config.as_os_str()], "event=started");
        self.daemon = Some(child);
    }

    /// Stops it in good order.
    pub fn end(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            let told = Command::new("kill").arg(child.id().to_string()).status().unwrap();
            assert!(told.success() && child.wait().unwrap().success());
        }
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn link(&self) -> DaemonLink {
        DaemonLink::new(&self.path("gateway"))
    }

    pub fn raw(&self) -> UnixStream {
        UnixStream::connect(self.path("gateway")).unwrap()
    }

    pub fn state(&self) -> State {
        self.link().ask(&Request::State {}).unwrap()
    }

    /// The daemon processes frames.
    pub fn works(&self) {
        let before = self.state();
        let after = wait_for(|| {
            let after = self.state();
            (after.status.frames >= before.status.frames + 10).then_some(after)
        });
        assert!(after.metrics.faults.is_empty(), "{:?}", after.metrics.faults);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The first answer that is some, within [`SOON`].
pub fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(began.elapsed() < SOON, "it never came");
        thread::sleep(Duration::from_millis(50));
    }
}

pub fn gone(path: &Path) -> bool {
    !path.exists()
}

/// The page's password.
pub const PASSWORD: &str = "a good password";

/// A gateway beside a bench; killed at the end of a test.
pub struct Gateway {
    child: Child,
    /// Where it listens.
    pub address: String,
}

impl Gateway {
    /// Starts it on a free port; `more` goes into `[web]`.
    pub fn start(bench: &Bench, more: &str) -> Self {
        Self::start_at(bench, more, 0)
    }

    /// The same with the priority that its unit gives it.
    pub fn start_as_unit(bench: &Bench, more: &str) -> Self {
        Self::start_at(bench, more, 10)
    }

    fn start_at(bench: &Bench, more: &str, nice: u8) -> Self {
        set_password(&bench.path("password"), PASSWORD).unwrap();
        let text = format!(
            "[door]\nsocket = \"{0}/gateway\"\n[web]\nlisten = \"127.0.0.1:0\"\n\
             password_file = \"{0}/password\"\ntoken_file = \"{0}/token\"\n{more}",
            bench.path("").display()
        );
        fs::write(bench.path("gateway.toml"), text).unwrap();
        let config = bench.path("gateway.toml");
        let mut program = Command::new("nice");
        program.args(["-n", &nice.to_string()]).arg(gateway_program()).arg("--config").arg(config);
        let (child, line) = started_by(program, "event=web_listening");
        let address = line.rsplit("://").next().unwrap().trim().trim_end_matches('/').to_owned();
        Gateway { child, address }
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A connection.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        // A try of a password may have to wait for its turn.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends bytes and returns the whole answer.
    pub fn send(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Answer(String::from_utf8_lossy(&answer).into_owned())
    }

    /// A request for a page, with this cookie.
    pub fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: door\r\nCookie: {cookie}\r\n\r\n").as_bytes())
    }

    /// A form that is sent.
    pub fn post(&self, path: &str, cookie: &str, form: &str) -> Answer {
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: door\r\nCookie: {cookie}\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        );
        self.send(text.as_bytes())
    }

    /// Tries a password; the answer.
    pub fn try_password(&self, password: &str) -> Answer {
        self.try_password_from("", password)
    }

    /// The same from a browser that has this cookie already.
    pub fn try_password_from(&self, cookie: &str, password: &str) -> Answer {
        let page = self.get("/login", "");
        let csrf = page.field("csrf");
        let cookies = format!("facelatch-login={csrf}; {cookie}");
        self.post("/login", &cookies, &format!("csrf={csrf}&password={password}"))
    }

    /// Logs in; cookie and the forms' token.
    pub fn log_in(&self) -> (String, String) {
        let answer = self.try_password(&PASSWORD.replace(' ', "+"));
        assert_eq!(answer.status(), 303, "{}", answer.0);
        let cookie = answer.cookie("facelatch=");
        let csrf = self.get("/people", &cookie).field("csrf");
        (cookie, csrf)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer, as it came.
pub struct Answer(pub String);

impl Answer {
    /// The status; 0 without an answer.
    pub fn status(&self) -> u16 {
        self.0.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// The cookie that is set and begins like this.
    pub fn cookie(&self, start: &str) -> String {
        let mut cookies = self.0.split("set-cookie: ").skip(1);
        let found = cookies.find(|cookie| cookie.starts_with(start)).unwrap_or_else(|| panic!("{}", self.0));
        found.split(';').next().unwrap().to_owned()
    }

    /// The value of a form's hidden field.
    pub fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        self.0
            .split(&start)
            .nth(1)
            .unwrap_or_else(|| panic!("{}", self.0))
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    }
}
