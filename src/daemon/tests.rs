//! The loop that owns the strike, with disks that fail or hang under it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::{io, thread};

use super::effects::enrolment_failed;
use super::request::{ClientRequest, Replies};
use super::*;
use crate::access::{
    AccessRules, ApproachRules, ButtonRules, EnrolmentRules, LockoutRules, Restored, Score, Seen, Sighting,
    SubjectId, TrackId, UnsetClock, WindowRules,
};
use crate::audit::{self, AuditError, AuditLog, Context, FolderDisk, Hash, Rotation};
use crate::clock::WallClock;
use crate::disk::FileSystem;
use crate::door::Existing;
use crate::lines::NoLights;
use crate::matching::{Metric, ModelHash};
use crate::observation::Observation;
use crate::picture::Rect;
use crate::protocol::metrics::StageTimes;
use crate::protocol::{Reply, Request, Status};
use crate::store::{self, GalleryStore, StateStore, StoreKey};
use crate::strike::{Simulated, StrikeState, Transitions};

const MODEL: ModelFacts =
    ModelFacts { hash: ModelHash([7; 32]), metric: Metric::Euclidean, distinct_person_threshold: 0.3 };
const HOLD: Duration = Duration::from_millis(600);
/// Nothing in these tests takes longer.
const SOON: Duration = Duration::from_secs(10);

/// A switch that makes a disk fail, and a lock that makes it hang while somebody holds it.
#[derive(Clone, Debug, Default)]
struct Trouble {
    fails: Arc<AtomicBool>,
    hangs: Arc<Mutex<()>>,
}

impl Trouble {
    fn set(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }

    fn hang(&self) -> MutexGuard<'_, ()> {
        self.hangs.lock().unwrap()
    }

    fn check(&self) -> io::Result<()> {
        drop(self.hangs.lock().unwrap());
        if self.fails.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

/// The machine's disk under the audit log, in trouble.
#[derive(Debug)]
struct AuditDisk(FolderDisk, Trouble);

impl audit::LogDisk for AuditDisk {
    fn place(&self, name: &str) -> String {
        self.0.place(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.0.read(name)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.1.check()?;
        self.0.create(name)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.1.check()?;
        self.0.write_at(name, offset, bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.0.sync(name)
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.0.truncate(name, len)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
}

/// The machine's disk under gallery and state, in trouble.
#[derive(Debug)]
struct StoreDisk(Trouble);

impl crate::disk::Disk for StoreDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        FileSystem.read(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.0.check()?;
        FileSystem.write(path, bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        FileSystem.sync(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        FileSystem.rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        FileSystem.sync_folder(path)
    }
}

fn rules() -> AccessRules {
    let ms = Duration::from_millis;
    AccessRules {
        window: WindowRules {
            frames: 3,
            threshold: 0.3,
            gallery_raise: 0.0,
            margin: 0.0,
            max_gap: ms(500),
            max_age: ms(5_000),
        },
        hold: HOLD,
        max_hold_open: ms(60_000),
        approach: ApproachRules { gap: ms(50), cooldown: ms(60_000) },
        max_frame_age: ms(1_000),
        lockout: LockoutRules {
            attempts: 9,
            first: ms(30_000),
            longest: ms(60_000),
            forget: ms(60_000),
            again: ms(60_000),
        },
        unset_clock: UnsetClock::Deny,
        held_open_after: ms(60_000),
        enrolment: EnrolmentRules {
            countdown: ms(1_000),
            frames: 1,
            templates: 1,
            timeout: ms(60_000),
            max_gap: ms(500),
            restart_after: ms(1_000),
        },
        button: ButtonRules::default(),
        liveness: None,
    }
}

/// A door whose disks can be put into trouble; its loop runs in a thread of its own.
struct Bench {
    inbox: SyncSender<Message>,
    strike: Transitions,
    audit: Trouble,
    store: Trouble,
    folder: tempfile::TempDir,
    track: u64,
    running: Option<thread::JoinHandle<()>>,
}

impl Bench {
    /// `wait`: how long a release for a face waits for its entry.
    fn new(wait: Duration) -> Self {
        Bench::with(wait, Trouble::default())
    }

    fn with(wait: Duration, audit: Trouble) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = AuditLocation {
            folder: folder.path().join("audit"),
            rotation: Rotation { file_bytes: 1 << 20, keep_files: 2, pool_bytes: 1 << 20 },
            context: Context { model: Hash::ZERO, config: Hash::ZERO },
        };
        let store = Trouble::default();
        let key = StoreKey::open_or_create(&folder.path().join("key")).unwrap();
        let gallery =
            GalleryStore::on(Box::new(StoreDisk(store.clone())), &folder.path().join("gallery"), key);
        let state = StateStore::on(Box::new(StoreDisk(store.clone())), &folder.path().join("state"), "boot");

        let (inbox, messages) = sync_channel(64);
        let troubled = audit.clone();
        let open = move || {
            troubled.check().map_err(|source| AuditError::Io {
                place: place.folder.display().to_string(),
                what: "open",
                source,
            })?;
            let disk = AuditDisk(FolderDisk::for_writing(&place.folder)?, troubled.clone());
            AuditLog::open(disk, place.rotation, place.context, stamp(clock::now()))
        };
        let recorder = Recorder::start(open, Books::default(), &inbox, Arc::default()).unwrap();
        let people = Arc::new(Gallery::default());
        let files = StoredFiles {
            store: gallery,
            gallery: Arc::clone(&people),
            ledger: store::Ledger::default(),
            state,
            saved: Some(PersistentState::default()),
            recording: None,
            recorded: PathBuf::from("/no/recording"),
            tail: recorder.tail().clone(),
        };
        let strike = Simulated::new();
        let transitions = strike.transitions();
        let mut executor = Executor::new(ExecutorParts {
            door: Door::new(rules(), MODEL, Arc::clone(&people)),
            outputs: Outputs::new(Box::new(strike), Box::new(NoLights), clock::now()),
            disk: DiskThread::start(files, &inbox).unwrap(),
            trail: AuditTrail::new(recorder),
            public: Publisher::new(Arc::default(), rules().window),
            expiry: ExpiryWatch::new(WallClock::open(None, None).unwrap(), Expiry::default()),
            shared: Arc::new(Mutex::new(people)),
            unrecorded: UnrecordedRules { wait, release: false },
            frames: None,
        });
        let effects = executor.door.start(clock::now(), Restored::Fresh);
        executor.apply_effects(effects).unwrap();
        let vitals = Vitals::new(clock::now(), SOON, String::new(), 0.3, MODEL);
        let mut event_loop = EventLoop { executor, vitals, wanted: Wanted::default() };
        let running = thread::spawn(move || {
            event_loop.run(&messages, &Supervisor::from_env()).unwrap();
            event_loop.executor.secure().unwrap();
            event_loop.executor.flush(&messages);
            event_loop.executor.trail.wait_until_written(SOON);
        });
        Bench { inbox, strike: transitions, audit, store, folder, track: 0, running: Some(running) }
    }

    /// The person steps out of the picture and back: a window of frames.
    fn face(&mut self, similarity: f32) {
        thread::sleep(Duration::from_millis(60));
        self.track += 1;
        for n in 0..3 {
            let seen = Seen::Face {
                track: TrackId(self.track),
                face: Rect::new(0, 0, 99, 99),
                likeness: vec![Score { subject: crate::access::SubjectId(0), similarity }].into(),
                unusable: None,
                cues: crate::liveness::Cues::default(),
            };
            let captured = clock::now();
            let sighting = Sighting { captured, sequence: n, gallery_version: 0, seen, light: None };
            let observation = Observation { sighting, faces: Vec::new(), embedding: None };
            self.send(Message::Seen(Box::new(observation), StageTimes::default()));
        }
    }

    fn rex(&self) {
        self.send(Message::Line(LineEvent { line: InputLine::Rex, active: true, at: clock::now() }));
    }

    fn send(&self, message: Message) {
        self.inbox.send(message).unwrap();
    }

    fn ask(&self, request: Request) -> (Receiver<Reply>, Arc<()>) {
        let (client, replies, alive) = Replies::new();
        self.send(Message::Asked(ClientRequest {
            request,
            people: Gallery::default(),
            peer: Peer::Operator,
            client,
        }));
        (replies, alive)
    }

    fn status(&self) -> Status {
        let (replies, _alive) = self.ask(Request::Status {});
        let Reply::Ok { result } = replies.recv_timeout(SOON).unwrap() else { panic!("no status") };
        serde_json::from_value(result).unwrap()
    }

    /// Waits until the strike has made this many changes; returns them.
    fn changes(&self, count: usize) -> Vec<StrikeState> {
        let until = clock::now() + SOON;
        while self.strike.states().len() <= count {
            assert!(clock::now() < until, "only {:?}", self.strike.all());
            thread::sleep(Duration::from_millis(2));
        }
        self.strike.states()[1..].to_vec()
    }

    /// The time between the strike's change `n` (from 1) and the next.
    fn between(&self, n: usize) -> Duration {
        let all = self.strike.all();
        all[n + 1].at.since(all[n].at)
    }

    /// Ends the loop and returns the events of the audit log.
    fn stop(mut self) -> Vec<String> {
        self.send(Message::Stop);
        self.running.take().unwrap().join().unwrap();
        let mut events = Vec::new();
        let disk = FolderDisk::for_reading(&self.folder.path().join("audit"));
        audit::check(&disk, None, |entry, _| {
            events.push(format!("{} {}", entry.event, entry.detail.as_deref().unwrap_or_default()));
        })
        .unwrap()
        .unwrap();
        events
    }
}

use StrikeState::{Released, Secured};

/// Late by a loop that was not scheduled at once.
const LATE: Duration = Duration::from_millis(300);

fn lasted_the_hold_time(time: Duration) {
    assert!(time >= HOLD - Duration::from_millis(20) && time < HOLD + LATE, "{time:?}");
}

#[test]
fn rex_opens_at_once_while_a_face_waits_for_its_entry() {
    let mut bench = Bench::new(SOON);
    // The entry hangs: the face waits.
    let trouble = bench.audit.clone();
    let hung = trouble.hang();
    bench.face(0.9);
    thread::sleep(HOLD / 4);
    let status = bench.status();
    assert_eq!((status.strike, bench.strike.states()), (Secured, vec![Secured]));
    let pressed = clock::now();
    bench.rex();
    assert_eq!(bench.changes(1), [Released]);
    assert!(bench.strike.all()[1].at.since(pressed) < LATE, "it waited for the disk");
    // It ends when the face's release would have ended, the disk still hanging.
    assert_eq!(bench.changes(2), [Released, Secured]);
    assert!(bench.between(1) < HOLD + LATE);
    drop(hung);
    let events = bench.stop();
    assert!(events.contains(&"release cause=identified".to_owned()), "{events:?}");
    assert!(events.contains(&"release cause=rex".to_owned()), "{events:?}");
}

#[test]
fn a_full_disk_keeps_faces_out_and_lets_people_leave() {
    let mut bench = Bench::new(Duration::from_millis(100));
    bench.audit.set(true);
    bench.store.set(true);
    bench.rex();
    assert_eq!(bench.changes(2), [Released, Secured]);
    lasted_the_hold_time(bench.between(1));
    bench.face(0.9);
    thread::sleep(Duration::from_millis(400));
    let status = bench.status();
    assert_eq!(bench.strike.states(), [Secured, Released, Secured], "nobody is let in unrecorded");
    assert!(!status.audit_written);
    assert!(status.last_denial.unwrap().contains("log cannot be written"));
    // There is room again.
    bench.audit.set(false);
    bench.store.set(false);
    thread::sleep(Duration::from_millis(1_200));
    assert!(bench.status().audit_written);
    bench.face(0.9);
    assert_eq!(bench.changes(3)[2..], [Released]);
    let events = bench.stop();
    assert!(events.contains(&"deny reason=not_recorded".to_owned()), "{events:?}");
}

#[test]
fn an_audit_log_that_cannot_be_opened_is_tried_again() {
    let audit = Trouble::default();
    audit.set(true);
    let mut bench = Bench::with(Duration::from_millis(100), audit);
    bench.face(0.9);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(bench.strike.states(), [Secured]);
    bench.rex();
    assert_eq!(bench.changes(2), [Released, Secured]);
    lasted_the_hold_time(bench.between(1));
    bench.audit.set(false);
    thread::sleep(Duration::from_millis(1_200));
    bench.face(0.9);
    assert_eq!(bench.changes(3)[2..], [Released]);
    let events = bench.stop();
    let kinds: BTreeSet<&str> = events.iter().map(String::as_str).collect();
    for event in ["release cause=rex", "deny reason=not_recorded", "release cause=identified"] {
        assert!(kinds.contains(event), "what happened meanwhile is in the log: {events:?}");
    }
}

#[test]
fn a_state_that_cannot_be_written_in_mid_release_keeps_nobody_in() {
    let mut bench = Bench::new(SOON);
    bench.store.set(true);
    // A stranger outside, whose attempt cannot be saved, while somebody leaves.
    bench.rex();
    assert_eq!(bench.changes(1), [Released]);
    bench.face(0.0);
    assert_eq!(bench.changes(2), [Released, Secured]);
    lasted_the_hold_time(bench.between(1));
    // What a face opened it ends: that the denials are forgotten cannot be saved.
    let trouble = bench.store.clone();
    let hung = trouble.hang();
    bench.face(0.9);
    assert_eq!(bench.changes(3)[2..], [Released]);
    drop(hung);
    assert_eq!(bench.changes(4)[3..], [Secured]);
    assert!(bench.between(3) < HOLD / 2, "{:?}", bench.between(3));
    let events = bench.stop();
    assert!(events.iter().any(|e| e == "secured why=fault"), "{events:?}");
}

#[test]
fn a_gallery_that_is_long_in_writing_delays_nothing_and_counts_when_it_is_written() {
    let bench = Bench::new(SOON);
    let trouble = bench.store.clone();
    let hung = trouble.hang();
    let add = |name: &str| Request::Add {
        name: name.to_owned(),
        model: MODEL.hash,
        embeddings: vec![vec![1.0, 0.0], vec![1.0, 0.0]],
        allow_duplicate: false,
        existing: Existing::Refuse,
        unlike: false,
    };
    let (first, _alive) = bench.ask(add("Ada"));
    let (second, _alive) = bench.ask(add("Eve"));
    let Reply::Error { message, .. } = second.recv_timeout(SOON).unwrap() else { panic!("two at a time") };
    assert!(message.contains("try again"), "{message}");
    bench.rex();
    assert_eq!(bench.changes(2), [Released, Secured]);
    lasted_the_hold_time(bench.between(1));
    assert_eq!(bench.status().people, 0, "not before it is on the disk");
    assert!(first.try_recv().is_err());
    drop(hung);
    assert_eq!(first.recv_timeout(SOON).unwrap(), Reply::ok());
    assert_eq!(bench.status().people, 1);
    // One that cannot be written is refused, and nothing has changed.
    bench.store.set(true);
    let (refused, _alive) = bench.ask(Request::Remove { name: "Ada".into() });
    let Reply::Error { message, .. } = refused.recv_timeout(SOON).unwrap() else { panic!("not written") };
    assert!(message.contains("cannot write"), "{message}");
    assert_eq!(bench.status().people, 1);
    bench.store.set(false);
    // A stop does not lose a change that was asked for.
    let (removed, _alive) = bench.ask(Request::Remove { name: "Ada".into() });
    let events = bench.stop();
    assert_eq!(removed.recv_timeout(SOON).unwrap(), Reply::ok());
    assert!(events.ends_with(&["removed ".to_owned(), "erased frames=0".to_owned()]), "{events:?}");
}

#[test]
fn the_gateway_is_not_told_whom_a_newcomer_is_like() {
    let alike = |like| Report::EnrolRefused {
        reason: "already enrolled as \"Ada\"".to_owned(),
        logged: "already enrolled".to_owned(),
        like,
    };
    for (report, peer, named) in [
        (alike(Some(SubjectId(3))), Peer::Gateway, false),
        (alike(Some(SubjectId(3))), Peer::Operator, true),
        (alike(None), Peer::Gateway, true),
    ] {
        let Some(Err(reason)) = report.ends_enrolment() else { panic!("{report:?} ends it") };
        let Reply::Error { message, .. } = enrolment_failed(&report, &reason, peer) else {
            panic!("an error")
        };
        assert!(message.starts_with("enrolment failed: already enrolled"), "{message}");
        assert_eq!(message.contains("Ada"), named, "{message}");
    }
}
