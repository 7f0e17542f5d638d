//! The edges on a real kernel's interfaces: run by `lab/board.sh` inside the virtual board, which has a
//! gpio-sim chip (lines RELAY, BUTTON, REX) and a v4l2loopback camera. Elsewhere skipped by name.

#![cfg(all(feature = "v4l", feature = "gpiocdev"))]

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use facelatch::camera::{CameraError, CameraSettings, FrameSource, Next, V4lCamera};
use facelatch::clock;
use facelatch::gpio::{Backend, Bias, Polarity};
use facelatch::lines::{InputLine, InputSettings, open_inputs};
use facelatch::strike::{self, StrikeError, StrikeSettings, StrikeState};

/// gpio-sim's folder of lines in sysfs, or why there is none.
fn board(test: &str) -> Option<PathBuf> {
    let lines = std::env::var_os("FACELATCH_LAB_LINES").map(PathBuf::from);
    if lines.is_none() {
        println!("skipped: {test}: not in the lab (run lab/run.sh)");
    }
    lines
}

fn settings(line: &str, polarity: Polarity) -> StrikeSettings {
    StrikeSettings {
        backend: Backend::Gpiocdev,
        line: Some(line.parse().unwrap()),
        polarity,
        ..Default::default()
    }
}

#[test]
fn strike_drives_the_relay() {
    let Some(lines) = board("strike_drives_the_relay") else { return };
    let level = || fs::read_to_string(lines.join("sim_gpio4/value")).unwrap().trim().to_owned();
    let chip = lines.file_name().unwrap().to_string_lossy().into_owned();
    for address in ["RELAY".to_owned(), format!("{chip}:4"), format!("/dev/{chip}:4"), "lab:4".to_owned()] {
        for (polarity, secured, released) in
            [(Polarity::ActiveHigh, "0", "1"), (Polarity::ActiveLow, "1", "0")]
        {
            let mut strike = strike::open(&settings(&address, polarity)).unwrap();
            assert_eq!(level(), secured, "{address} opened");
            for _ in 0..2 {
                strike.set(StrikeState::Released).unwrap();
                assert_eq!(level(), released, "{address} released");
                strike.set(StrikeState::Secured).unwrap();
                assert_eq!(level(), secured, "{address} secured");
            }
            // The chip resets a line that is given back, so the end is watched while it is held: see
            // the daemon's test in board.sh for what is left behind.
            let again = strike::open(&settings(&address, polarity)).err().expect("taken already").to_string();
            assert!(again.contains("in use by \"facelatch strike\""), "{again}");
        }
    }
    let missing =
        strike::open(&settings(&format!("{chip}:99"), Polarity::ActiveHigh)).err().expect("no such line");
    assert!(matches!(&missing, StrikeError::Open { why, .. } if why.contains("8 lines")), "{missing}");
}

#[test]
fn inputs_report_edges_in_the_kernels_time() {
    let Some(lines) = board("inputs_report_edges_in_the_kernels_time") else { return };
    let pull = |number: u32, way: &str| fs::write(lines.join(format!("sim_gpio{number}/pull")), way).unwrap();
    let input = |line, address: &str, polarity, debounce| InputSettings {
        line,
        address: address.parse().unwrap(),
        polarity,
        bias: Bias::AsIs,
        debounce: Duration::from_millis(debounce),
    };
    pull(5, "pull-down");
    pull(6, "pull-up");
    let mut inputs = open_inputs(
        Backend::Gpiocdev,
        &[
            input(InputLine::Button, "BUTTON", Polarity::ActiveHigh, 0),
            input(InputLine::Rex, "REX", Polarity::ActiveLow, 0),
        ],
    )
    .unwrap();
    assert_eq!(inputs.active(InputLine::Button).unwrap(), Some(false));
    assert_eq!(inputs.active(InputLine::Rex).unwrap(), Some(false), "high is inactive on an active-low line");
    assert_eq!(inputs.active(InputLine::DoorSensor).unwrap(), None);
    assert_eq!(inputs.wait(Duration::from_millis(20)).unwrap(), None);

    for (number, way, line, active) in [
        (5, "pull-up", InputLine::Button, true),
        (6, "pull-down", InputLine::Rex, true),
        (5, "pull-down", InputLine::Button, false),
        (6, "pull-up", InputLine::Rex, false),
    ] {
        let before = clock::now();
        pull(number, way);
        let event = inputs.wait(Duration::from_secs(1)).unwrap().expect("an edge");
        assert_eq!((event.line, event.active), (line, active));
        assert!(before <= event.at && event.at <= clock::now(), "{event:?} is not of now");
    }
    drop(inputs);

    // The kernel swallows bounces shorter than the debounce time.
    let mut inputs =
        open_inputs(Backend::Gpiocdev, &[input(InputLine::Button, "BUTTON", Polarity::ActiveHigh, 60)])
            .unwrap();
    pull(5, "pull-up");
    sleep(Duration::from_millis(5));
    pull(5, "pull-down");
    assert_eq!(inputs.wait(Duration::from_millis(300)).unwrap(), None, "a bounce came through");
    pull(5, "pull-up");
    assert!(inputs.wait(Duration::from_secs(1)).unwrap().expect("an edge").active);
    pull(5, "pull-down");
}

#[test]
fn camera_gives_frames_in_monotonic_time() {
    if board("camera_gives_frames_in_monotonic_time").is_none() {
        return;
    }
    let settings =
        CameraSettings { device: "/dev/video0".into(), fps: 20, colour: true, ..Default::default() };
    let mut camera = V4lCamera::open(settings.clone()).unwrap();
    println!("{}", camera.describe());
    let mut last = None;
    for _ in 0..20 {
        let Next::Frame(frame) = camera.next(Duration::from_secs(2)).unwrap() else { panic!("no frame") };
        assert_eq!((frame.gray.width(), frame.gray.height()), (640, 480));
        assert_eq!(frame.colour.as_ref().map(image::RgbImage::dimensions), Some((640, 480)));
        let age = clock::now().since(frame.captured);
        assert!(age < Duration::from_millis(500), "a frame {age:?} old");
        if let Some((captured, sequence)) = last {
            assert!(frame.captured > captured && frame.sequence > sequence, "time and numbers go on");
        }
        last = Some((frame.captured, frame.sequence));
    }
    assert_eq!(camera.counters().frames, 20);

    // Newest frame wins: after a pause the next frame is of now, and the older ones are counted.
    sleep(Duration::from_millis(1500));
    let Next::Frame(frame) = camera.next(Duration::from_secs(2)).unwrap() else { panic!("no frame") };
    let age = clock::now().since(frame.captured);
    assert!(age < Duration::from_millis(200), "a frame {age:?} old came first after a pause");
    assert!(camera.counters().skipped > 0, "{:?}", camera.counters());

    let wrong = CameraSettings { format: Some(facelatch::camera::PixelFormat::Nv12), ..settings };
    drop(camera);
    let error = V4lCamera::open(wrong).err().expect("not offered");
    assert!(matches!(error, CameraError::Format { .. }), "{error}");
}

/// The kernel's own test camera, bound to its driver or not: as plugged in or not.
#[test]
fn a_camera_unplugged_comes_back() {
    let Some(number) = std::env::var_os("FACELATCH_LAB_VIVID").map(|n| n.to_string_lossy().into_owned())
    else {
        println!("skipped: a_camera_unplugged_comes_back: not in the lab (run lab/run.sh)");
        return;
    };
    let driver = PathBuf::from("/sys/bus/platform/drivers/vivid");
    let plug = |how: &str| fs::write(driver.join(how), "vivid.0").unwrap();
    let settings =
        CameraSettings { device: format!("/dev/video{number}").into(), fps: 25, ..Default::default() };
    let read = |camera: &mut V4lCamera, wait: Duration| matches!(camera.next(wait).unwrap(), Next::Frame(_));

    // Every format that facelatch reads and the driver has.
    for format in facelatch::camera::PixelFormat::ALL {
        let settings = CameraSettings { format: Some(format), colour: true, ..settings.clone() };
        match V4lCamera::open(settings) {
            Ok(mut camera) => {
                let Next::Frame(frame) = camera.next(Duration::from_secs(2)).unwrap() else {
                    panic!("{format}: no frame")
                };
                let mean = frame.gray.pixels().iter().map(|&p| u64::from(p)).sum::<u64>() / 307_200;
                println!("{} mean gray {mean}", camera.describe());
                assert!((20..=235).contains(&mean), "{format}: the test picture is neither black nor white");
            }
            Err(CameraError::Format { .. }) => println!("{format} is not offered"),
            Err(error) => panic!("{format}: {error}"),
        }
    }

    let mut camera = V4lCamera::open(settings.clone()).unwrap();
    for _ in 0..5 {
        assert!(read(&mut camera, Duration::from_secs(2)), "no frame");
    }
    plug("unbind");
    let from = clock::now();
    // Frames may still be on their way; then there is none, and no error either.
    while read(&mut camera, Duration::from_millis(200)) {
        assert!(clock::now().since(from) < Duration::from_secs(3), "frames from a camera that is gone");
    }
    assert!(camera.describe().contains("lost"), "{}", camera.describe());
    assert!(!settings.device.exists());
    assert!(!read(&mut camera, Duration::from_secs(1)));

    plug("bind");
    let from = clock::now();
    while !read(&mut camera, Duration::from_millis(100)) {
        assert!(clock::now().since(from) < Duration::from_secs(5), "not back after 5 s");
    }
    println!("frames again {:.2} s after the camera came back", clock::now().since(from).as_secs_f64());
    assert_eq!(camera.counters().reopened, 1);

    // While it is away another program sets another size: ours is restored.
    plug("unbind");
    while read(&mut camera, Duration::from_millis(200)) {}
    plug("bind");
    let other = CameraSettings { width: 320, height: 180, ..settings };
    let mut other = V4lCamera::open(other).unwrap();
    assert!(read(&mut other, Duration::from_secs(2)));
    assert!(!read(&mut camera, Duration::from_secs(1)), "the camera is the other program's");
    drop(other);
    let from = clock::now();
    let frame = loop {
        if let Next::Frame(frame) = camera.next(Duration::from_millis(100)).unwrap() {
            break frame;
        }
        assert!(clock::now().since(from) < Duration::from_secs(5), "not ours again after 5 s");
    };
    assert_eq!((frame.gray.width(), frame.gray.height()), (640, 480), "our size is restored");
    println!(
        "our format again {:.2} s after the other program ended",
        clock::now().since(from).as_secs_f64()
    );
}
