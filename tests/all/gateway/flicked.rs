//! Two faces flicked at the door push out nothing that the audit log is for.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use facelatch::audit::Entry;
use facelatch::demo::portrait::Portrait;
use facelatch::demo::walkup::{Walk, WalkUp};
use image::imageops;

use super::bench::{Bench, SOON, wait_for};
use super::flood::{SMALL, is_for_a_person, keeps_to_the_budgets, kind, log, stands_for, with_a_log};

#[test]
fn faces_flicked_at_the_door_push_out_no_release() {
    let film = |folder: &Path| {
        with_a_log(folder);
        let visit = WalkUp::new("test", Portrait::collins().unwrap(), Walk::VISIT);
        let path = |n: u64| folder.join(format!("{n:05}.jpg"));
        (0..visit.len()).for_each(|n| visit.frame(n).save(path(n)).unwrap());
        // A stranger, and the same beside herself, in turn; then she stays.
        let stranger = WalkUp::new("test", Portrait::hopper().unwrap(), Walk::VISIT.seeded(3));
        let stands: Vec<_> = (0..8).map(|n| stranger.frame(stranger.len() / 2 + n)).collect();
        let one = &stands[0];
        let (width, height) = one.dimensions();
        let half = imageops::crop_imm(one, width / 4, 0, width / 2, height).to_image();
        let mut two = one.clone();
        imageops::replace(&mut two, &half, 0, 0);
        imageops::replace(&mut two, &half, i64::from(width / 2), 0);
        // Each picture is made once: a film is full of links.
        let picture = |name: &str, frame: &image::RgbImage| {
            let path = folder.parent().unwrap().join(name);
            frame.save(&path).unwrap();
            path
        };
        let two = picture("two.jpg", &two);
        let stands: Vec<_> =
            stands.iter().enumerate().map(|(n, frame)| picture(&format!("{n}.jpg"), frame)).collect();
        let flicked = (0..320).map(|n| if n % 4 < 2 { &stands[0] } else { &two });
        let stays = (0..700).map(|n| &stands[n % stands.len()]);
        for (n, shown) in flicked.chain(stays).enumerate() {
            fs::hard_link(shown, path(visit.len() + n as u64)).unwrap();
        }
    };
    // A stranger who stays is told again soon: a second kind of entry without an end.
    let settings = format!("{SMALL}[lockout]\nattempts = 0\nagain_ms = 1000\n");
    let mut bench = Bench::before("[\"view\"]", &settings, film);
    let release = wait_for(|| log(&bench).into_iter().find(is_for_a_person));
    let began = Instant::now();
    let two = |entry: &&Entry| kind(entry) == "deny reason=several_faces";
    let until = began + SOON + Duration::from_secs(60);
    while log(&bench).iter().all(|entry| entry.event != "stopped") {
        assert!(Instant::now() < until, "the film is too long");
        thread::sleep(Duration::from_millis(500));
    }
    let time = began.elapsed();
    bench.stop();
    let entries = log(&bench);
    let flicks: Vec<&Entry> = entries.iter().filter(two).collect();
    let more: u64 = flicks.iter().map(|entry| stands_for(entry)).filter(|n| *n > 1).sum();
    println!("two faces: {} entries are left, {more} counted, in {time:?}", flicks.len());
    assert!(flicks.len() <= 61 && more > 5, "{} entries, {more} counted", flicks.len());
    keeps_to_the_budgets(&entries, time);
    assert!(entries.contains(&release), "entry {} is gone", release.seq);
    assert_eq!(bench.command(&["audit", "verify"]).status.code(), Some(0));
}
