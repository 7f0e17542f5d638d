//! Files as other programs write them: pictures, recordings and cascades that are out of the ordinary.

use crate::common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{facelatch, one_error_line, portrait, shared, started};
use facelatch::camera::pixel::{Layout, PixelFormat, decode};
use facelatch::camera::{Frame, FrameSource, Next, Recording};
use facelatch::picture_file::{load, load_gray};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name)
}

/// The frames of a recording, with what it counted.
fn frames(path: &Path) -> Vec<Frame> {
    let mut recording = Recording::open(path, None, None, true).unwrap_or_else(|e| panic!("{e}"));
    let mut frames = Vec::new();
    while let Next::Frame(frame) = recording.next(Duration::ZERO).unwrap_or_else(|e| panic!("{e}")) {
        frames.push(frame);
    }
    frames
}

/// The size and the boxes that `facelatch detect --json` says of a picture.
fn detected(path: &Path) -> (u64, u64, Vec<[i64; 4]>) {
    let out = facelatch(["detect".as_ref(), "--json".as_ref(), path.as_os_str()]);
    assert!(out.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&out.stderr));
    let said: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let faces = said["faces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| ["x", "y", "width", "height"].map(|side| f[side].as_i64().unwrap()));
    (said["width"].as_u64().unwrap(), said["height"].as_u64().unwrap(), faces.collect())
}

/// What `facelatch attempt` says on stderr of a recording, and its summary line if there is one.
fn attempted(recording: &Path) -> (String, Option<serde_json::Value>) {
    let enroll = format!("Eileen={}", portrait().display());
    let probe = recording.display().to_string();
    let out = facelatch(["attempt", "--json", "--enroll", &enroll, "--probe", &probe]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let summary = text.lines().filter_map(|l| serde_json::from_str(l).ok()).next_back();
    (String::from_utf8_lossy(&out.stderr).into_owned(), summary)
}

fn chunk(id: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let padding = &[0][..data.len() % 2];
    [&id[..], &(data.len() as u32).to_le_bytes(), data, padding].concat()
}

/// An AVI of these frames of 200x192 whose header promises `promised` of them.
fn avi(frames: &[Vec<u8>], promised: u32) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
    let avih = words(&[50_000, 0, 0, 0, promised, 0, 1, 0, 200, 192, 0, 0, 0, 0]);
    let strh = [b"vidsMJPG".to_vec(), words(&[0, 0, 0, 1, 20, 0, promised, 0, 0, 0, 0, 0])].concat();
    let strf = [words(&[40, 200, 192]), vec![1, 0, 24, 0], b"MJPG".to_vec(), vec![0; 20]].concat();
    let list = |kind: &[u8; 4], held: Vec<u8>| chunk(b"LIST", &[&kind[..], &held].concat());
    let streams = list(b"strl", [chunk(b"strh", &strh), chunk(b"strf", &strf)].concat());
    let data = frames.iter().flat_map(|frame| chunk(b"00dc", frame)).collect();
    let parts = [list(b"hdrl", [chunk(b"avih", &avih), streams].concat()), list(b"movi", data)].concat();
    chunk(b"RIFF", &[&b"AVI "[..], &parts].concat())
}

#[test]
fn stills_recordings_and_enrolment_read_one_picture() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(portrait()).unwrap();
    // The portrait lying on its side, and an entry that says so.
    let sideways = image::imageops::rotate270(&load(&portrait(), true).unwrap().colour.unwrap());
    let mut jpeg = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 98).encode_image(&sideways).unwrap();
    let exif = b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let jpeg = [&jpeg[..2], exif, &jpeg[2..]].concat();
    let folder = dir.path().join("visit");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("0001.jpg"), &jpeg).unwrap();
    fs::write(folder.join("0002.jpg"), [&whole[..], b"and a film behind it"].concat()).unwrap();
    fs::copy(file("stray_before_restart.jpg"), folder.join("0003.jpg")).unwrap();
    // macOS lays one of these beside each picture.
    fs::write(folder.join("._0001.jpg"), b"\0\x05\x16\x07\0\x02\0\0Mac OS X        ").unwrap();

    let played = frames(&folder);
    assert_eq!(played.len(), 3);
    for (n, frame) in played.iter().enumerate() {
        let still = load_gray(&folder.join(format!("{:04}.jpg", n + 1))).unwrap();
        assert_eq!(frame.gray, still, "picture {n}: a recording's and a still's are the same");
    }
    // OpenCV: (153, 65, 97, 97) upright; its JPEG here is another, a pixel or two apart.
    let (width, height, faces) = detected(&folder.join("0001.jpg"));
    assert_eq!((width, height), (350, 334), "upright");
    let [[x, y, w, h]] = faces[..] else { panic!("{faces:?}") };
    assert!((x - 153).abs() <= 3 && (y - 65).abs() <= 3 && (w - 97).abs() <= 4 && w == h, "{faces:?}");
    assert_eq!(detected(&folder.join("0003.jpg")), (200, 191, vec![[88, 37, 56, 56]]), "as OpenCV");

    let config = common::config_within(dir.path());
    let out = facelatch(["enroll", "Eileen", "--config", &config, "--pictures", folder.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("of 3 picture(s)"), "{said}");
    assert!(!said.contains("0001.jpg: left out"), "the one on its side counts: {said}");
}

#[test]
fn a_recording_with_fewer_frames_than_promised_says_so_once() {
    let dir = tempfile::tempdir().unwrap();
    let jpeg = fs::read(file("stray_before_restart.jpg")).unwrap();
    let path = dir.path().join("door.avi");
    fs::write(&path, avi(&vec![jpeg.clone(); 20], 30)).unwrap();
    let (said, summary) = attempted(&path);
    assert_eq!(summary.unwrap()["frames"], 20);
    let missing: Vec<_> = said.lines().filter(|l| l.contains("event=recording_frames_missing")).collect();
    assert!(missing.len() == 1 && missing[0].contains("promised=30 found=20"), "{said}");

    fs::write(&path, avi(&vec![jpeg; 20], 20)).unwrap();
    assert!(!attempted(&path).0.contains("frames_missing"));

    fs::write(&path, avi(&vec![b"\xff\xd8\xff\xe0 no picture".to_vec(); 20], 20)).unwrap();
    let out = facelatch([
        "attempt",
        "--enroll",
        &format!("A={}", portrait().display()),
        "--probe",
        path.to_str().unwrap(),
    ]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(said.contains("none of its 20 frames can be read"), "{said}");
    assert_eq!(said.lines().filter(|l| l.contains("event=frame_skipped")).count(), 1, "{said}");
}

#[test]
fn the_daemon_plays_what_others_wrote_and_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let jpeg = fs::read(file("stray_before_restart.jpg")).unwrap();
    let mut bytes = avi(&vec![jpeg; 40], 50);
    let movi = bytes.windows(4).position(|w| w == b"movi").unwrap();
    // As VLC writes it, with the sizes that a writer leaves which died.
    bytes.splice(movi - 8..movi - 8, [0; 4]);
    bytes[4..8].fill(0);
    let path = dir.path().join("door.avi");
    fs::write(&path, bytes).unwrap();
    let config = common::config_within(dir.path());
    let more = format!("[camera]\nrecording = \"{}\"\nfps = 20\n", path.display());
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, more + &text).unwrap();
    let (mut child, line) = started(["run", "--config", &config], "event=recording_frames_missing");
    assert!(line.contains("promised=50 found=40"), "{line}");
    assert!(child.wait().unwrap().success(), "it plays to its end");
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("many");
    common::empty_hall(&folder, 40);
    let config = common::config_within(dir.path());
    let folder = folder.display().to_string();
    for args in [
        vec!["detect", &folder],
        vec!["detect", "--json", &folder],
        vec!["doctor", "--config", &config],
        vec!["completions", "bash"],
        vec!["audit", "export", "--config", &config],
        vec!["--help"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_facelatch"))
            .args(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let out = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(!said.contains("roken pipe") && !said.contains("panicked"), "{args:?}: {said}");
        // What a command answers (the doctor's "no") may still count.
        assert!(matches!(out.status.code(), Some(0 | 1)), "{args:?}: {:?} {said}", out.status);
    }
}

#[test]
fn a_terminal_that_has_gone_is_no_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_facelatch"))
        .args(["detect", "/no/such/picture.png"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(2), "not 101, a panic's");
}

#[test]
fn mistakes_on_the_command_line_are_one_line() {
    for (args, words) in [
        (
            vec!["detect"],
            "required arguments were not provided: <PATH>...; `facelatch detect --help` says more",
        ),
        (vec!["no-such-command"], "unrecognized subcommand 'no-such-command'"),
        (vec!["detect", "--jsno", "a.png"], "'--jsno'"),
        (vec!["detect", "--min-neighbors", "many", "a.png"], "'many'"),
        (vec!["detect", "two\nlines.png"], "two lines.png"),
    ] {
        let line = one_error_line(&facelatch(&args));
        assert!(line.contains(words), "{args:?}: {line}");
    }
    assert!(facelatch(["--version"]).status.success());
    let help = facelatch(["detect", "--help"]);
    assert!(help.status.success() && help.stdout.starts_with(b"Find faces"), "help goes to stdout");
}

#[test]
fn a_cascade_in_latin_1_is_read() {
    let out = facelatch(["cascade".as_ref(), "info".as_ref(), file("latin1.xml").as_os_str()]);
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("window           8x6"), "{said}");
}

#[test]
fn a_folder_of_a_phones_pictures_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("IMG_1.HEIC"), b"\0\0\0\x18ftypheic\0\0\0\0").unwrap();
    let line = one_error_line(&facelatch(["detect".as_ref(), dir.path().as_os_str()]));
    assert!(line.contains("mogrify -auto-orient -format png") && line.contains("/*.HEIC"), "{line}");
    let mut clip = fs::File::create(dir.path().join("clip.mp4")).unwrap();
    clip.write_all(b"\0\0\0\x18ftypisom\0\0\0\0").unwrap();
    let clip = dir.path().join("clip.mp4").display().to_string();
    let enroll = format!("A={}", portrait().display());
    let line = one_error_line(&facelatch(["attempt", "--enroll", &enroll, "--probe", &clip]));
    let command =
        format!("ffmpeg -i {clip} -an -c:v mjpeg -pix_fmt yuvj420p -q:v 3 {}", clip.replace(".mp4", ".avi"));
    assert!(line.contains(&command), "{line}");
}

/// The files that were collected from other projects' reports, with what OpenCV and ffmpeg read of them.
#[test]
fn collected_files_are_read_as_opencv_and_ffmpeg_read_them() {
    let Some(cases) = shared("collected_files_are_read_as_opencv_and_ffmpeg_read_them", "data/cases") else {
        return;
    };
    for (name, size, face) in [
        ("extra1.jpg", (640, 480), [288, 93, 139, 139]),
        ("nodht_jfif.jpg", (640, 480), [288, 93, 139, 139]),
        ("cmyk.jpg", (640, 480), [291, 95, 136, 136]),
        ("rgb16.png", (320, 240), [145, 48, 69, 69]),
        ("sideways_exif6.jpg", (640, 480), [289, 94, 140, 140]),
        ("size1088.jpg", (640, 496), [288, 97, 144, 144]),
    ] {
        let path = cases.join(name);
        assert_eq!(detected(&path), (size.0, size.1, vec![face]), "{name}");
        let frame = frames(&path).remove(0);
        assert_eq!(frame.gray, load_gray(&path).unwrap(), "{name}: as a recording");
    }
    for (name, count, size) in [
        ("plain.avi", 6, (640, 480)),
        ("nodht_noapp.avi", 6, (640, 480)),
        ("yuv444_optimal_huffman.avi", 10, (320, 240)),
        ("vlc_null_dword_before_movi.avi", 6, (640, 480)),
        ("riff_short.avi", 6, (640, 480)),
        ("no_padding.avi", 6, (640, 480)),
        ("avix_after_junk.avi", 6, (640, 480)),
        ("interlaced_two_fields.avi", 6, (640, 480)),
    ] {
        let frames = frames(&cases.join(name));
        assert_eq!(frames.len(), count, "{name}");
        for frame in &frames {
            assert_eq!((frame.gray.width(), frame.gray.height()), size, "{name}");
        }
    }
    for (name, words) in [
        ("kind.avif", "an AVIF, which facelatch does not read; convert it: ffmpeg -i "),
        ("kind.tif", "a TIFF, which facelatch does not read; convert it: ffmpeg -i "),
        ("kind.gif", "a GIF, which facelatch does not read; convert it: ffmpeg -i "),
        ("first100.jpg", "damaged or truncated"),
        ("appledouble_0050.jpg", "a side file of macOS"),
    ] {
        let path = cases.join(name).display().to_string();
        let line = one_error_line(&facelatch(["detect", &path]));
        assert!(line.contains(words), "{name}: {line}");
    }
    let camera = Layout { format: PixelFormat::Mjpg, width: 640, height: 480, stride: 0 };
    for name in ["extra1.jpg", "nodht_jfif.jpg", "size1088.jpg"] {
        let bytes = fs::read(cases.join(name)).unwrap();
        let decoded = decode(camera, &bytes, true).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((decoded.gray.width(), decoded.gray.height()), (640, 480), "{name}: as a camera's frame");
    }
    let out = facelatch(["cascade".as_ref(), "info".as_ref(), cases.join("latin1_comment.xml").as_os_str()]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
