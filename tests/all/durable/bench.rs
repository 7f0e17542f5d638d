//! A door whose program dies before the n-th step on its files, and what must hold after each start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use facelatch::audit::{Entry, FolderDisk, check};
use facelatch::door::Existing;
use facelatch::embed::Embedder;
use facelatch::matching::{Embedding, Gallery, ModelHash};
use facelatch::protocol::client::Client;
use facelatch::protocol::{Person, Request, Status};
use facelatch::store::{FrameLimits, FrameNote, FrameStore, GalleryStore, StoreKey};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_facelatch");
const SOON: Duration = Duration::from_secs(60);

/// What is preloaded: one library counts a program's steps and kills it before the n-th, one sets its clock.
fn preloaded() -> &'static str {
    static BUILT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let build = |name: &str| {
            let library =
                Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.so", std::process::id()));
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/all/durable/{name}.c"));
            let built = Command::new("cc")
                .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
                .args([&library, &source])
                .arg("-ldl")
                .status()
                .expect("a C compiler, which the dependencies need as well");
            assert!(built.success());
            library.display().to_string()
        };
        format!("{}:{}", build("kill"), build("clock"))
    });
    &BUILT
}

/// A door in a folder of its own.
pub struct Bench {
    folder: tempfile::TempDir,
    pub daemon: Option<Child>,
    pub model: ModelHash,
}

impl Bench {
    /// `camera`: what stands under `[camera]`.
    pub fn new(camera: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[camera]\n{camera}\n[liveness]\ncheck = false\n\
             [store]\ngallery = \"{0}/gallery\"\nkey = \"{0}/key\"\nstate = \"{0}/state\"\n\
             [recording]\nenabled = true\nfile = \"{0}/recording\"\nframes = true\nframes_folder = \"{0}/frames\"\n\
             [audit]\nfolder = \"{0}/audit\"\nfile_kib = 16\nkeep_files = 10000\n[daemon]\nsocket = \"{0}/socket\"\n\
             [gateway]\nsocket = \"\"\n[schedule]\nsynced_file = \"\"\n",
            folder.path().display()
        );
        fs::write(folder.path().join("facelatch.toml"), text).unwrap();
        let model = Embedder::embedded_default().unwrap().model_hash();
        Bench { folder, daemon: None, model }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, arguments: &[&str], step: Option<u64>) -> Command {
        let mut program = Command::new(PROGRAM);
        program.args(arguments).arg("--config").arg(self.path("facelatch.toml"));
        if let Some(step) = step {
            fs::write(self.path("kill-at"), step.to_string()).unwrap();
        }
        program.env("LD_PRELOAD", preloaded()).env("KILL_AT", self.path("kill-at"));
        program.env("CLOCK_OFFSET", self.path("clock"));
        program
    }

    /// Runs a command.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.disarm();
        self.program(arguments, None).output().unwrap()
    }

    /// What a command says that is done or answers no.
    pub fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_ne!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs a command that is killed before its step `step`; false when it has come to its end before.
    pub fn run_killed(&self, arguments: &[&str], step: u64) -> bool {
        let output = self.program(arguments, Some(step)).output().unwrap();
        self.disarm();
        let killed = output.status.signal() == Some(libc::SIGKILL);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(killed || output.status.success(), "{arguments:?} at step {step}: {stderr}");
        killed
    }

    pub fn disarm(&self) {
        let _ = fs::remove_file(self.path("kill-at"));
    }

    /// Starts the daemon, which may be killed before its step `step`; true when it is up.
    pub fn start(&mut self, step: Option<u64>) -> bool {
        if step.is_none() {
            self.disarm();
        }
        let mut child = self.program(&["run"], step).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            if log.read_line(&mut line).unwrap() == 0 {
                assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL), "it ended:\n{seen}");
                self.disarm();
                return false;
            }
            if line.contains("event=started") {
                break;
            }
            seen.push_str(&line);
        }
        // Who does not read a pipe stops its writer.
        thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        self.daemon = Some(child);
        true
    }

    /// Kills the daemon, or sees that it is dead; false when it had to be killed from here.
    pub fn kill(&mut self) -> bool {
        let Some(mut child) = self.daemon.take() else { return true };
        let _ = child.kill();
        let _ = child.wait();
        self.disarm();
        false
    }

    /// Waits for the daemon to die by itself, for so long.
    pub fn dies(&mut self, within: Duration) -> bool {
        let until = Instant::now() + within;
        while let Some(child) = &mut self.daemon {
            if let Some(status) = child.try_wait().unwrap() {
                assert_eq!(status.signal(), Some(libc::SIGKILL));
                self.daemon = None;
                self.disarm();
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Stops the daemon in good order.
    pub fn stop(&mut self) {
        let Some(mut child) = self.daemon.take() else { return };
        self.disarm();
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        assert!(child.wait().unwrap().success());
    }

    /// Counts steps from here: the daemon dies before the n-th.
    pub fn arm(&self, step: u64) {
        // In one piece: the daemon looks at any moment.
        fs::write(self.path("arming"), step.to_string()).unwrap();
        fs::rename(self.path("arming"), self.path("kill-at")).unwrap();
    }

    /// Asks the daemon; the error is its words, or that it died.
    pub fn ask(&self, request: &Request) -> Result<serde_json::Value, String> {
        let client = Client::new(&self.path("socket")).within(Duration::from_secs(20));
        client.ask(request).map_err(|e| e.to_string())
    }

    pub fn status(&self) -> Status {
        serde_json::from_value(self.ask(&Request::Status {}).unwrap()).unwrap()
    }

    pub fn people(&self) -> Vec<Person> {
        serde_json::from_value(self.ask(&Request::People {}).unwrap()).unwrap()
    }

    /// A request that enrols somebody whom nobody is like.
    pub fn add(&self, name: &str, axis: u64) -> Request {
        let values: Vec<f32> = look(axis).values().to_vec();
        let embeddings = vec![values.clone(), values];
        Request::Add {
            name: name.to_owned(),
            model: self.model,
            embeddings,
            allow_duplicate: true,
            existing: Existing::Refuse,
            unlike: false,
        }
    }

    /// A copy with somebody in it whose id no gallery has given out yet.
    pub fn backup(&self, id: u32) -> (String, String) {
        let mut people = Gallery::default();
        people.go_on_after(0, id);
        let _ = people.enrol(&format!("person {id}"), vec![look(u64::from(id))], self.model, 1).unwrap();
        let (file, key) = (self.path("backup"), self.path("backup-key"));
        GalleryStore::write_copy(&file, &StoreKey::open_or_create(&key).unwrap(), &people).unwrap();
        (file.display().to_string(), key.display().to_string())
    }

    /// Somebody is recorded: a frame, and a line of the controller's recording.
    pub fn somebody_is_recorded(&self) {
        let key = StoreKey::open(&self.path("key")).unwrap();
        let limits = FrameLimits { bytes: 1 << 20, age: Duration::from_secs(86_400) };
        let mut frames = FrameStore::open(&self.path("frames"), key, limits).unwrap();
        let note = FrameNote { wall_ms: now_ms(), captured_ns: 1, sequence: 1, faces: Vec::new() };
        frames.add(&note, &[0xff, 0xd8]).unwrap();
        fs::write(self.path("recording"), "similarities\n").unwrap();
    }

    /// When the recorded frames were taken.
    pub fn frames(&self) -> Vec<u64> {
        let Ok(folder) = fs::read_dir(self.path("frames")) else { return Vec::new() };
        let name = |entry: fs::DirEntry| entry.file_name().into_string().ok();
        folder.filter_map(|entry| name(entry.ok()?)?.split_once('-')?.0.parse().ok()).collect()
    }

    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let disk = FolderDisk::for_reading(&self.path("audit"));
        // What the daemon is writing is not a whole line for a moment.
        for _ in 0..50 {
            entries.clear();
            if check(&disk, None, |entry, _| entries.push(entry.clone())).is_ok_and(|found| found.is_ok()) {
                return entries;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the log is broken");
    }

    /// How often a daemon has said that it started.
    pub fn starts(&self) -> usize {
        let mut starts = 0;
        let count = |entry: &Entry, _: &[u8]| starts += usize::from(entry.event == "started");
        let _ = check(&FolderDisk::for_reading(&self.path("audit")), None, count);
        starts
    }

    /// Everybody who was enrolled has an entry, everybody else has one that says that they are gone, and no
    /// entry is there twice.
    pub fn entries_agree_with(&self, ids: impl IntoIterator<Item = u32>) {
        let mut told: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for entry in self.entries() {
            if let (Some(subject), "enrolled" | "removed") = (entry.subject, entry.event.as_str()) {
                told.entry(subject.0).or_default().push(entry.event);
            }
        }
        let ids: BTreeSet<u32> = ids.into_iter().collect();
        let by_log: BTreeSet<u32> =
            told.iter().filter(|(_, events)| events.len() == 1).map(|(id, _)| *id).collect();
        assert_eq!(by_log, ids, "by the log, and by the gallery: {told:?}");
        for (id, events) in &told {
            let wanted = &["enrolled", "removed"][..events.len().min(2)];
            assert_eq!(events.as_slice(), wanted, "person {id}");
        }
    }

    /// Waits until the log says so.
    pub fn wait_for(&self, what: &str, mut is: impl FnMut(&[Entry]) -> bool) -> Vec<Entry> {
        let until = Instant::now() + SOON;
        loop {
            let entries = self.entries();
            if is(&entries) {
                return entries;
            }
            assert!(Instant::now() < until, "{what} never came: {entries:#?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The version of the gallery up to which recorded frames are erased, and the one up to which they are to be.
    pub fn erased(&self) -> (u64, u64) {
        let (mut erased, mut due) = (0, 0);
        for entry in self.entries() {
            let marks = entry.marks.unwrap_or_default();
            erased = erased.max(marks.erased);
            if matches!(entry.event.as_str(), "removed" | "key_rotated") {
                due = due.max(marks.gallery);
            }
        }
        (erased, due)
    }

    pub fn verifies(&self) {
        let output = self.run(&["audit", "verify"]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A template of nobody else's.
pub fn look(axis: u64) -> Embedding {
    let mut state = axis.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut value = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let values: Vec<f32> = (0..128).map(|_| value()).collect();
    let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
    Embedding::new(values.into_iter().map(|v| v / length).collect())
}

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}
