//! What several integration tests share.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::FromRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::ptr::{null, null_mut};

/// A path below `../shared`; without that folder says which test is skipped and gives `None`.
pub fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    if !root.is_dir() {
        // CI says that the data must be there.
        assert!(std::env::var_os("FACELATCH_NEED_SHARED").is_none(), "{test}: no ../shared");
        println!("skipped: {test}: no ../shared");
        return None;
    }
    Some(root.join(path))
}

/// Runs the `facelatch` program.
pub fn facelatch<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_facelatch"))
        .args(arguments)
        .output()
        .expect("the facelatch program starts")
}

/// Starts `facelatch` with `arguments` and waits until its log says `word`; gives that line as well.
pub fn started<S: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = S>,
    word: &str,
) -> (Child, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_facelatch"));
    program.args(arguments);
    started_by(program, word)
}

/// The same with a command of one's own.
pub fn started_by(mut program: Command, word: &str) -> (Child, String) {
    let mut child = program.stderr(Stdio::piped()).spawn().expect("facelatch starts");
    let mut log = BufReader::new(child.stderr.take().expect("it was piped"));
    let mut line = String::new();
    while !line.contains(word) {
        line.clear();
        assert!(log.read_line(&mut line).expect("its log can be read") > 0, "it ended before {word}");
    }
    // Who does not read a pipe stops its writer.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    (child, line)
}

/// The only line on stderr of a command that ended with exit status 2.
pub fn one_error_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "stderr: {text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1, "one line is wanted: {text}");
    assert!(lines[0].starts_with("facelatch: "), "{text}");
    assert!(output.stdout.is_empty(), "nothing is answered on an error");
    lines[0].to_string()
}

/// A configuration file in `folder`, all whose files and folders lie there too.
pub fn config_within(folder: &Path) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "[store]\ngallery = \"{}\"\nkey = \"{}\"\n[daemon]\nsocket = \"{}\"\n[audit]\nfolder = \"{}\"\n\
         [recording]\nfile = \"{}\"\nframes_folder = \"{}\"\n",
        path("gallery"),
        path("key"),
        path("socket"),
        path("audit"),
        path("recording"),
        path("frames"),
    );
    std::fs::write(path("config.toml"), text).unwrap();
    std::fs::create_dir(path("audit")).unwrap();
    path("config.toml")
}

/// A face that ships with the program.
pub fn portrait() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/portraits/collins.jpg")
}

/// A recording of so many frames in which there is nobody.
pub fn empty_hall(folder: &Path, frames: u32) {
    std::fs::create_dir_all(folder).unwrap();
    let first = folder.join("0000.png");
    image::GrayImage::from_pixel(320, 240, image::Luma([90])).save(&first).unwrap();
    for n in 1..frames {
        std::fs::hard_link(&first, folder.join(format!("{n:04}.png"))).unwrap();
    }
}

/// Runs the command at a terminal, and types.
pub fn at_a_terminal<S: AsRef<std::ffi::OsStr>>(arguments: &[S], typed: &str) -> (String, Option<i32>) {
    let (mut master, mut slave) = (0, 0);
    // SAFETY: both places are ours; neither a name nor settings are asked for.
    let opened = unsafe { libc::openpty(&mut master, &mut slave, null_mut(), null(), null()) };
    assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: `openpty` has just opened them, and nobody else closes them.
    let (mut master, slave) = unsafe { (File::from_raw_fd(master), File::from_raw_fd(slave)) };
    let mut program = Command::new(env!("CARGO_BIN_EXE_facelatch"));
    program.args(arguments);
    program.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
    let mut child = program.spawn().unwrap();
    drop(program);
    master.write_all(typed.as_bytes()).unwrap();
    let (mut text, mut part) = (Vec::new(), [0; 4_096]);
    // The end of a terminal is an error.
    while let Ok(count) = master.read(&mut part) {
        if count == 0 {
            break;
        }
        text.extend_from_slice(&part[..count]);
    }
    (String::from_utf8_lossy(&text).into_owned(), child.wait().unwrap().code())
}

/// The program `facelatch-gateway`, which cargo builds for the tests as an example.
pub fn gateway_program() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_facelatch")).with_file_name("examples").join("gateway")
}
