//! `facelatch people` and `facelatch enrol` without a daemon and with one: notes, names, copies, a new key, whom an
//! enrolment may replace, and the entries of all that.

use crate::common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Output};

use common::{at_a_terminal, config_within, empty_hall, facelatch, one_error_line, started};
use facelatch::demo::portrait::Portrait;
use facelatch::demo::walkup::{Walk, WalkUp};
use facelatch::protocol::Person;
use facelatch::store::{GalleryStore, StoreKey};

#[test]
fn people_are_noted_copied_restored_and_moved() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let config = config_within(folder.path());
    fs::write(path("recording"), "similarities\n").unwrap();
    let run = |arguments: &[&str]| facelatch(arguments.iter().chain(&["--config", &config]));
    let done = |arguments: &[&str]| {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    };
    let portraits = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/portraits");
    let portrait = |name: &str| portraits.join(name).display().to_string();
    done(&["enroll", "Ada", "--pictures", &portrait("hopper.jpg")]);
    done(&["enroll", "Mike", "--pictures", &portrait("collins.jpg")]);
    let twice = one_error_line(&run(&["enroll", "Eve", "--pictures", &portrait("collins.jpg")]));
    assert!(twice.contains("already enrolled as \"Mike\""), "{twice}");
    done(&["people", "note", "Ada", "--consent", "form 12", "--expires", "2100-01-31"]);
    let shown = done(&["people", "show", "Ada"]);
    assert!(shown.contains("form 12") && shown.contains("2100-01-31"), "{shown}");
    done(&["people", "rename", "Mike", "Michael"]);
    let taken = one_error_line(&run(&["people", "rename", "Ada", "Michael"]));
    assert!(taken.contains("already enrolled"), "{taken}");

    let (backup, backup_key) = (path("backup"), path("backup-key"));
    done(&["people", "backup", &backup, "--key", &backup_key]);
    done(&["people", "remove", "Ada"]);
    assert!(!Path::new(&path("recording")).exists(), "similarities to Ada stood in it");
    let restored = run(&["people", "restore", &backup, "--key", &backup_key]);
    assert_eq!(restored.status.code(), Some(1), "somebody was left out");
    assert!(!done(&["people", "list"]).contains("Ada"), "who was removed stays removed");
    fs::remove_file(path("gallery")).unwrap();
    done(&["people", "restore", &backup, "--key", &backup_key]);
    let copy = path("copy");
    done(&["people", "export", &copy, "--key", &path("copy-key"), "Ada"]);
    done(&["people", "rename", "Ada", "Eve"]);
    let known = one_error_line(&run(&["people", "import", &copy, "--key", &path("copy-key")]));
    assert!(known.contains("already enrolled as \"Eve\""), "{known}");
    done(&["people", "remove", "Eve"]);
    let sealed = one_error_line(&run(&["people", "import", &copy, "--key", &backup_key]));
    assert!(sealed.contains("another key"), "{sealed}");
    done(&["people", "import", &copy, "--key", &path("copy-key")]);
    assert!(done(&["people", "show", "Ada"]).contains("form 12"));

    let before = fs::read(path("key")).unwrap();
    done(&["people", "rotate-key"]);
    assert_ne!(fs::read(path("key")).unwrap(), before);
    let list = done(&["people", "list"]);
    assert!(list.contains("Ada") && list.contains("Michael"), "{list}");
    fs::write(path("key"), before).unwrap();
    let old = one_error_line(&run(&["people", "list"]));
    assert!(old.contains("another key"), "{old}");

    let entries = done(&["audit", "show"]);
    for event in
        ["enrolled", "noted", "renamed", "exported", "removed", "restored", "key_rotated", "from=copy"]
    {
        assert!(entries.contains(event), "{event}: {entries}");
    }
    assert!(!entries.contains("Ada") && !entries.contains("form 12"), "no name and no note in the log");
}

/// A door of its own in a folder, with a daemon before a recorded camera where it is started.
struct Board {
    folder: tempfile::TempDir,
    daemon: Option<Child>,
}

impl Board {
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config_within(folder.path());
        let text = fs::read_to_string(&config).unwrap().replace("[store]", "[store]\nstate = \"STATE\"");
        let text = text.replace("STATE", &folder.path().join("state").display().to_string());
        let camera = folder.path().join("camera").display().to_string();
        let text = format!(
            "[camera]\nrecording = \"{camera}\"\nfps = 20\n[liveness]\ncheck = false\n{more}\n{text}\
             [gateway]\nsocket = \"\"\n"
        );
        fs::write(&config, text).unwrap();
        Board { folder, daemon: None }
    }

    /// Nobody comes.
    fn empty(more: &str) -> Self {
        let board = Board::new(more);
        empty_hall(&board.path("camera"), 6_000);
        board
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn start(&mut self) {
        let config = self.text("config.toml");
        self.daemon = Some(started(["run", "--config", &config], "event=started").0);
    }

    fn with_config(&self, arguments: &[&str]) -> Vec<String> {
        let config = ["--config".to_owned(), self.text("config.toml")];
        arguments.iter().map(|a| (*a).to_owned()).chain(config).collect()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        facelatch(self.with_config(arguments))
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        said
    }

    /// What the command says in refusing.
    #[track_caller]
    fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        said(&output)
    }

    fn people(&self) -> Vec<Person> {
        let listed = self.done(&["people", "list", "--json"]);
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn audit(&self) -> String {
        self.done(&["audit", "show", "--last", "100000"])
    }

    /// Asks the daemon in words of one's own.
    fn ask(&self, request: &str) -> String {
        let mut stream = UnixStream::connect(self.path("socket")).unwrap();
        // What is too long is not read to its end.
        let _ = stream.write_all(format!("{request}\n").as_bytes());
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn portrait(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/portraits").join(name);
    path.display().to_string()
}

/// The portrait in another light, as another look.
fn brighter(board: &Board, name: &str, by: i32) -> String {
    let path = board.text(&format!("{by}-{name}.png"));
    let mut picture = image::open(portrait(name)).unwrap().to_luma8();
    picture.pixels_mut().for_each(|p| p.0[0] = (i32::from(p.0[0]) + by).clamp(0, 255) as u8);
    picture.save(&path).unwrap();
    path
}

#[test]
fn copies_of_many_work_with_the_daemon_running_and_an_import_is_all_or_nothing() {
    let (mut here, mut there) = (Board::empty(""), Board::empty(""));
    here.done(&["enroll", "Grace O'Brien", "--pictures", &portrait("hopper.jpg")]);
    here.done(&["enroll", "Mike", "--pictures", &portrait("collins.jpg")]);
    here.done(&["enroll", "प्रिया", "--pictures", &portrait("collins.jpg"), "--anyway"]);
    here.done(&["people", "note", "Mike", "--consent", "form 12"]);
    here.start();
    there.start();
    let (backup, copy, key) = (here.text("backup"), here.text("copy"), here.text("copy-key"));
    for round in 0..30 {
        here.done(&["people", "backup", &backup, "--key", &key]);
        here.done(&["people", "export", &copy, "--key", &key, "Mike", "Grace O'Brien", "प्रिया"]);
        let read = |file: &str| {
            GalleryStore::read_copy(Path::new(file), StoreKey::open(Path::new(&key)).unwrap()).unwrap()
        };
        let names = |file: &str| read(file).subjects().iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&backup), ["Grace O'Brien", "Mike", "प्रिया"], "{round}");
        assert_eq!(names(&copy), ["Mike", "Grace O'Brien", "प्रिया"], "{round}");
    }
    let exported = here.audit().matches("exported").count();
    assert_eq!(exported, 30 * 6);
    let missing = here.refused(&["people", "export", &copy, "--key", &key, "Mike", "Mallory"], 2);
    assert!(missing.contains("\"Mallory\" is not enrolled"), "{missing}");
    assert_eq!(here.audit().matches("exported").count(), exported, "nobody is exported by halves");

    // The third is like the second: without a word nobody is taken in, with it all are.
    let import = ["people", "import", &copy, "--key", &key];
    for round in 0..20 {
        let alike = there.refused(&import, 2);
        assert!(alike.contains("nobody was imported: \"प्रिया\": already enrolled as \"Mike\""), "{alike}");
        assert!(there.people().is_empty(), "{round}");
        there.done(&[&import[..], &["--anyway"]].concat());
        let people = there.people();
        assert_eq!(people.len(), 3, "{round}");
        assert_eq!(people[0].consent.as_deref(), Some("form 12"));
        let taken = there.refused(&[&import[..], &["--anyway"]].concat(), 2);
        assert!(taken.contains("nobody was imported: \"Mike\""), "{taken}");
        assert_eq!(there.people(), people, "{round}");
        for person in people {
            there.done(&["people", "remove", &person.name]);
        }
    }
    // One set of entries an import.
    let audit = there.audit();
    let events: Vec<&str> =
        audit.lines().filter(|l| l.contains("enrolled") || l.contains("removed")).collect();
    for set in events.chunks(6) {
        let of = |word: &str| set.iter().filter(|line| line.contains(word)).count();
        assert_eq!((set.len(), of("enrolled"), of("removed")), (6, 3, 3), "{set:?}");
        assert!(set[..3].iter().all(|line| line.contains("from=copy")), "{set:?}");
    }
    assert_eq!(events.len(), 20 * 6);
}

/// With the daemon or without: the same questions.
fn nobody_is_replaced_silently(board: &Board) {
    fs::write(board.path("recording"), "similarities\n").unwrap();
    let (grace, mike) = (portrait("hopper.jpg"), portrait("collins.jpg"));
    board.done(&["enrol", "Zoe\u{308}", "--pictures", &grace]);
    let before = board.people();
    assert_eq!(before[0].name, "Zo\u{eb}");
    let id = before[0].id;
    // Not a word of whom is enrolled: refused, whoever the face is of, and however the name is typed.
    for face in [&grace, &mike] {
        let asked = board.refused(&["enroll", "Zo\u{eb}", "--pictures", face], 2);
        assert!(asked.contains(&format!("(id {id}, enrolled ")), "{asked}");
        assert!(asked.contains("--replace") && asked.contains("--add-look"), "{asked}");
    }
    let alike = board.refused(&["enroll", "zo\u{eb}", "--pictures", &mike], 2);
    assert!(alike.contains("too similar to the enrolled \"Zo\u{eb}\""), "{alike}");
    // Another face needs its own word.
    for word in ["--replace", "--add-look"] {
        let unlike = board.refused(&["enroll", "Zo\u{eb}", "--pictures", &mike, word], 2);
        assert!(unlike.contains("not like that of \"Zo\u{eb}\"") && unlike.contains("--unlike"), "{unlike}");
    }
    assert_eq!(board.people(), before, "nothing has changed");
    assert!(!board.audit().contains("removed"), "{}", board.audit());
    assert!(board.path("recording").exists());

    // Looks are added, up to a number.
    for n in 2..=4 {
        let look = brighter(board, "hopper.jpg", n);
        let done = board.done(&["enrol", "Zoe\u{308}", "--add-look", "--pictures", &look]);
        assert!(done.contains(&format!("added a look to Zo\u{eb}: {n} of at most 4")), "{done}");
        let shown = board.done(&["people", "show", "Zo\u{eb}"]);
        assert!(shown.contains(&format!("looks      {n} of at most 4")), "{shown}");
        let person = &board.people()[0];
        assert_eq!((person.id, person.looks, person.templates), (id, n as usize, n as usize));
    }
    let full = board.refused(&["enrol", "Zo\u{eb}", "--add-look", "--pictures", &grace], 2);
    assert!(full.contains("has 4 looks, which is the limit"), "{full}");
    let nobody = board.refused(&["enrol", "Mike", "--add-look", "--pictures", &mike], 2);
    assert!(nobody.contains("\"Mike\" is not enrolled"), "{nobody}");
    // A look of somebody else is refused as every enrolment of them is.
    board.done(&["enrol", "Mike", "--pictures", &mike]);
    let other = board.refused(&["enrol", "Mike", "--add-look", "--unlike", "--pictures", &grace], 2);
    assert!(other.contains("already enrolled as \"Zo\u{eb}\""), "{other}");

    // The same face again: what was agreed holds, what was recorded stays.
    board.done(&["people", "note", "Zo\u{eb}", "--consent", "form 12"]);
    let again =
        board.done(&["enrol", "Zo\u{eb}", "--replace", "--pictures", &brighter(board, "hopper.jpg", 5)]);
    assert!(
        again.contains(&format!("Zo\u{eb} (id {id}, enrolled ")) && again.contains("is replaced"),
        "{again}"
    );
    assert!(again.contains(&format!("in place of id {id}")), "{again}");
    let zoe = board.people().into_iter().find(|p| p.name == "Zo\u{eb}").unwrap();
    assert_eq!((zoe.looks, zoe.templates, zoe.consent.as_deref()), (1, 1, Some("form 12")));
    assert!(zoe.id != id && board.path("recording").exists());
    assert!(
        board.audit().contains(&format!("why=replaced by={} another=false", zoe.id)),
        "{}",
        board.audit()
    );
    // Another face, with every word: all that is known of the one before goes.
    board.done(&["people", "remove", "Mike"]);
    fs::write(board.path("recording"), "similarities\n").unwrap();
    board.done(&["enrol", "Zo\u{eb}", "--replace", "--unlike", "--pictures", &mike]);
    let other = &board.people()[0];
    assert_eq!(
        (other.name.as_str(), other.consent.as_deref()),
        ("Zo\u{eb}", None),
        "another agreed to nothing"
    );
    assert!(!board.path("recording").exists(), "similarities to the one before stood in it");
    let audit = board.audit();
    let removed = format!("removed subject={}", zoe.id);
    assert!(audit.contains(&removed), "{audit}");
    assert!(audit.contains(&format!("why=replaced by={} another=true", other.id)), "{audit}");
    assert_eq!(audit.matches("look_added").count(), 3, "{audit}");
    assert!(!audit.contains("Zo"), "no name in the log: {audit}");
}

#[test]
fn an_enrolment_says_whom_it_replaces_and_asks_without_a_daemon() {
    nobody_is_replaced_silently(&Board::new(""));
}

#[test]
fn an_enrolment_says_whom_it_replaces_and_asks_with_the_daemon_running() {
    let mut board = Board::empty("");
    board.start();
    nobody_is_replaced_silently(&board);
    // A client that knows of no question is refused in words, whichever way it asks.
    let before = board.people();
    let name = &before[0].name;
    for command in ["enroll", "enrol"] {
        let answer = board.ask(&format!("{{\"command\":\"{command}\",\"name\":\"{name}\",\"anyway\":true}}"));
        assert!(answer.contains("\"reply\":\"error\"") && answer.contains("is already enrolled"), "{answer}");
    }
    let key = StoreKey::open(&board.path("key")).unwrap();
    let model = GalleryStore::for_reading(&board.path("gallery"), key).load().unwrap().subjects()[0].model;
    let model = serde_json::to_string(&model).unwrap();
    let values = format!("[{}1.0]", "0.0,".repeat(127));
    let answer = board.ask(&format!(
        "{{\"command\":\"add\",\"name\":\"{name}\",\"anyway\":true,\"model\":{model},\"embeddings\":[{values}]}}"
    ));
    assert!(answer.contains("\"reply\":\"error\"") && answer.contains("is already enrolled"), "{answer}");
    // Nor is anybody replaced who has the name by now.
    let answer = board
        .ask(&format!("{{\"command\":\"enroll\",\"name\":\"{name}\",\"existing\":{{\"replace\":4000}}}}"));
    assert!(answer.contains("is somebody else now"), "{answer}");
    assert_eq!(board.people(), before);
    // A request that is too long is answered in words, too.
    let long = board.ask(&format!("{{\"command\":\"people\",\"x\":\"{}\"}}", "x".repeat(17 << 20)));
    assert!(long.contains("a request has at most"), "{long}");
}

#[test]
fn at_a_terminal_it_is_asked_what_is_to_happen_to_the_one_who_has_the_name() {
    let mut board = Board::empty("");
    board.start();
    let picture = portrait("hopper.jpg");
    let enrol = ["enrol", "D\u{2019}Angelo", "--pictures", &picture];
    board.done(&enrol);
    let before = board.people();
    for nothing in ["\n", "no\n", "yes\n"] {
        let (text, code) = at_a_terminal(&board.with_config(&enrol), nothing);
        assert_eq!(code, Some(1), "{text}");
        assert!(
            text.contains("is already enrolled (id 0, enrolled ") && text.contains("nothing was changed"),
            "{text}"
        );
    }
    assert_eq!(board.people(), before);
    let (text, code) = at_a_terminal(&board.with_config(&enrol), "look\n");
    assert!(code == Some(0) && text.contains("added a look to D\u{2019}Angelo: 2 of at most 4"), "{text}");
    let (text, code) = at_a_terminal(&board.with_config(&enrol), "replace\n");
    assert!(code == Some(0) && text.contains("in place of id 0"), "{text}");
    let people = board.people();
    assert_eq!((people.len(), people[0].id, people[0].looks), (1, 1, 1));
}

/// A camera before which this person stands again and again.
fn stands_there(board: &Board, who: Portrait) {
    let folder = board.path("camera");
    fs::create_dir_all(&folder).unwrap();
    let walkup = WalkUp::new("test", who, Walk::ENROLMENT);
    for n in 0..walkup.len() {
        let first = folder.join(format!("00-{n:04}.jpg"));
        walkup.frame(n).save(&first).unwrap();
        for round in 1..30 {
            fs::hard_link(&first, folder.join(format!("{round:02}-{n:04}.jpg"))).unwrap();
        }
    }
}

#[test]
fn before_the_camera_nobody_is_replaced_silently_either() {
    let mut board = Board::new("[enrolment]\ncountdown_ms = 2000\ntimeout_ms = 30000");
    stands_there(&board, Portrait::hopper().unwrap());
    board.done(&["enroll", "Mike", "--pictures", &portrait("collins.jpg")]);
    board.start();
    let done = board.done(&["enrol", "น้ำฝน"]);
    assert!(done.contains("Image will be taken in ") && done.contains("enrolled น้ำฝน"), "{done}");
    let before = board.people();
    let asked = board.refused(&["enrol", "น้ำฝน"], 2);
    assert!(asked.contains("(id 1, enrolled ") && !asked.contains("Image will be taken"), "{asked}");
    let look = board.done(&["enrol", "น้ำฝน", "--add-look"]);
    assert!(look.contains("added a look to น้ำฝน: 2 of at most 4"), "{look}");
    assert_eq!(board.people()[1].looks, 2);
    // Somebody else before the camera than the one who has the name.
    let unlike = board.refused(&["enrol", "Mike", "--replace", "--anyway"], 1);
    assert!(unlike.contains("not like that of \"Mike\""), "{unlike}");
    let again = board.done(&["enrol", "น้ำฝน", "--replace"]);
    assert!(again.contains("in place of id 1"), "{again}");
    let people = board.people();
    assert_eq!((people.len(), &people[0], people[1].id, people[1].looks), (2, &before[0], 2, 1));
    let audit = board.audit();
    assert!(
        audit.contains("removed subject=1") && audit.contains("why=replaced by=2 another=false"),
        "{audit}"
    );
    assert!(audit.contains("enrol_refused reason=\"unlike subject 0"), "{audit}");
}

#[test]
fn an_enrolment_that_fails_says_which_gate_refused_how_many_frames_and_is_never_silent() {
    let mut board = Board::empty("[enrolment]\ntimeout_ms = 13000");
    board.start();
    let failed = board.refused(&["enrol", "Nobody"], 1);
    let words = "enrolment failed: no single usable face was seen for long enough (";
    let counts = failed.split(words).nth(1).unwrap_or_else(|| panic!("{failed}")).split(')').next().unwrap();
    let numbers: Vec<u32> =
        counts.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    assert!(counts.contains(" without a face") && counts.contains("0 fit") && numbers[0] > 20, "{failed}");
    assert!(numbers[0] == numbers[1..].iter().sum::<u32>(), "every frame is one of them: {failed}");
    let said: Vec<&str> = failed.lines().take_while(|line| !line.contains("failed")).collect();
    assert!(said.len() >= 3, "something every 5 s: {failed}");
    assert!(said.iter().any(|line| line.contains(" s left)")), "{failed}");
    let audit = board.audit();
    let entry = format!("frames={} fit=0 no_face=", numbers[0]);
    assert!(audit.contains("enrol_failed") && audit.contains(&entry), "{audit}");
    let mut stream = UnixStream::connect(board.path("socket")).unwrap();
    stream.write_all(b"{\"command\":\"enrol\",\"name\":\"Nobody\"}\n").unwrap();
    let replies: Vec<String> = BufReader::new(stream).lines().map(Result::unwrap).collect();
    let last: serde_json::Value = serde_json::from_str(replies.last().unwrap()).unwrap();
    assert_eq!(last["reply"], "error");
    assert!(last["frames"]["no_face"].as_u64() > Some(20), "{last}");
    assert_eq!(last["frames"]["fit"], 0);
}
