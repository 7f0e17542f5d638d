//! Who is let in and what is not: living people on real webcam clips, drawn photographs and screens of them.
//!
//! `FACELATCH_ATTACKS=26 cargo test --release --test all liveness:: -- --nocapture` prints the tables of
//! `docs/results/2026-11-liveness.md`; without the variable fewer attacks are drawn.

use crate::common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::shared;
use facelatch::access::{AccessRules, ChallengeEnd, DenyReason, Event};
use facelatch::attempt::{Simulation, Watched};
use facelatch::camera::{FrameSource, Recording};
use facelatch::config::Config;
use facelatch::demo::attack::{Attack, Figures, Kind};
use facelatch::demo::portrait::Portrait;
use facelatch::demo::walkup::{DrawnGesture, Walk, WalkUp};
use facelatch::detect::{Cascade, Detector};
use facelatch::door::{ModelFacts, Report};
use facelatch::embed::{Embedder, LivenessNetwork, Pixels};
use facelatch::face::FaceFinder;
use facelatch::liveness::{Asked, ChallengeRules, Cue, CueSet, LivenessRules, Unsure};
use facelatch::matching::Gallery;
use facelatch::picture::{Gray, Rect};
use facelatch::vision::Vision;

const SIZE: (u32, u32) = (640, 480);

/// The network that ships, or another one to compare: that of the card named in `FACELATCH_LIVENESS`.
fn network() -> LivenessNetwork {
    match std::env::var_os("FACELATCH_LIVENESS") {
        Some(card) => LivenessNetwork::open(Path::new(&card)).unwrap(),
        None => LivenessNetwork::embedded_default().unwrap(),
    }
}

/// A door with everything as it ships.
fn simulation() -> Simulation {
    simulation_under(|rules| rules)
}

/// The same with other rules.
fn simulation_under(change: impl FnOnce(LivenessRules) -> LivenessRules) -> Simulation {
    let config = Config::default();
    let embedder = Embedder::embedded_default().unwrap();
    let rules = config.access_rules(embedder.card(), Path::new("(defaults)")).unwrap();
    let card = embedder.card();
    let metric = card.metric();
    let distinct_person_threshold = card.threshold_at_fmr(0.01).unwrap();
    let model = ModelFacts { hash: embedder.model_hash(), metric, distinct_person_threshold };
    let detector = Detector::new(Cascade::frontal_face());
    let vision =
        Vision::new(config.vision_rules(), detector, Box::new(embedder), metric).watching(Some(network()));
    let rules = AccessRules { liveness: rules.liveness.map(change), ..rules };
    let mut simulation = Simulation::new(vision, rules, model);
    simulation.enrol_anyway();
    simulation
}

/// Only this cue, by its sign.
fn alone(rules: AccessRules, cue: Cue) -> AccessRules {
    let cues = CueSet::of(|other| other == cue);
    let liveness =
        LivenessRules { cues, live: 0.0, spoof: 0.0, veto: f32::NEG_INFINITY, ..LivenessRules::default() };
    AccessRules { liveness: Some(liveness), ..rules }
}

/// The rules compared: none, each cue alone, all.
fn variants(rules: AccessRules) -> Vec<(&'static str, AccessRules)> {
    let mut variants = vec![("no check", AccessRules { liveness: None, ..rules })];
    variants.extend(Cue::ALL.map(|cue| (cue.name(), alone(rules, cue))));
    variants.push(("all cues", rules));
    variants
}

/// A gallery of one, from a clip.
fn enrolled(simulation: &mut Simulation, name: &str, clip: &[Watched]) -> Arc<Gallery> {
    let _ = simulation.enrol_watched(name, clip).unwrap();
    let gallery = simulation.gallery().only(&[name.to_owned()]).unwrap_or_default();
    Arc::new(gallery)
}

#[test]
fn a_photograph_of_an_enrolled_person_opens_nothing() {
    let mut simulation = simulation();
    let enrolment = &mut WalkUp::new("enrolment", Portrait::collins().unwrap(), Walk::ENROLMENT);
    let clip = simulation.watch(enrolment).unwrap();
    let gallery = enrolled(&mut simulation, "Collins", &clip);
    assert_eq!(gallery.subjects().len(), 1, "she is enrolled");
    let picture = image::open(common::portrait()).unwrap().to_rgb8();
    let gray = Gray::from_rgb(picture.width() as usize, picture.height() as usize, picture.as_raw()).unwrap();
    let face = FaceFinder::new().find(gray.view()).unwrap();
    let hall = WalkUp::empty_scene("hall", Walk::NOBODY).frame(0);
    let rules = *simulation.rules();
    let mut known = 0;
    for seed in 0..6 {
        let kind = if seed % 2 == 0 { Kind::Print } else { Kind::Screen };
        let mut attack = Attack::new(Figures::drawn(kind, seed), picture.clone(), face, &hall, 40);
        let clip = simulation.watch(&mut attack).unwrap();
        let unchecked = AccessRules { liveness: None, ..rules };
        known += usize::from(simulation.release_under(unchecked, &gallery, &clip).is_some());
        assert_eq!(simulation.release_of(&gallery, &clip), None, "{:?}", attack.figures());
    }
    assert!(known >= 2, "without the check only {known} of 6 would have opened: the attacks are no test");
}

/// A door at which nobody is clearly alive, so that everybody is asked.
fn asking(asked: Asked, rules: LivenessRules) -> LivenessRules {
    let challenge = ChallengeRules { asked, ..ChallengeRules::default() };
    LivenessRules { live: 10.0, unsure: Unsure::Challenge, challenge, ..rules }
}

/// The same where the gesture is all there is: no other cue says anything against a face.
fn gesture_alone(asked: Asked, rules: LivenessRules) -> LivenessRules {
    let cues = CueSet::of(|cue| cue == Cue::Background);
    LivenessRules { cues, spoof: -10.0, veto: f32::NEG_INFINITY, ..asking(asked, rules) }
}

/// What became of who came.
#[derive(Debug, Default, PartialEq)]
struct Answered {
    asked: bool,
    end: Option<ChallengeEnd>,
    spoof: bool,
    released: bool,
}

fn answer(simulation: &mut Simulation, source: &mut dyn FrameSource) -> Answered {
    let mut answered = Answered::default();
    let summary = simulation.probe(source, |played| {
        for report in played.reports {
            match report {
                Report::Event(Event::Denied(DenyReason::TurnHead { .. } | DenyReason::Nod { .. })) => {
                    answered.asked = true;
                }
                Report::Event(Event::Denied(DenyReason::ChallengeFailed { end, .. })) => {
                    answered.end.get_or_insert(*end);
                }
                Report::Event(Event::Denied(DenyReason::Spoof { .. })) => answered.spoof = true,
                _ => {}
            }
        }
    });
    answered.released = summary.unwrap().first_release.is_some();
    answered
}

/// Somebody who stands before the door and makes a gesture, or none.
fn visitor(portrait: Portrait, turn: f32, nod: f32) -> WalkUp {
    let gesture = DrawnGesture { turn, nod, after: 1.5, time: 2.0 };
    let walk = Walk { approach: 0.8, stand: 4.5, leave: 0.3, empty_after: 0.0, gesture, ..Walk::VISIT };
    WalkUp::new("visit", portrait, walk)
}

#[test]
fn a_drawn_head_that_does_what_it_is_asked_is_let_in() {
    let portrait = Portrait::collins().unwrap();
    // A drawn head is made of a photograph, and the other cues see that.
    let mut simulation = simulation_under(|rules| gesture_alone(Asked::Turn, rules));
    let enrolment = &mut WalkUp::new("enrolment", portrait.clone(), Walk::ENROLMENT);
    let _ = simulation.enrol("Collins", enrolment, |_| ()).unwrap().unwrap();
    for (turn, nod) in [(-0.35, 0.0), (0.0, 0.3)] {
        let answered = answer(&mut simulation, &mut visitor(portrait.clone(), turn, nod));
        println!("asked to turn, turns by {turn}, nods by {nod}: {answered:?}");
        assert!(answered.asked, "{answered:?}");
        assert_eq!(answered.released, turn != 0.0, "{answered:?}");
    }
}

#[test]
fn a_photograph_that_is_turned_by_hand_does_what_nobody_asked() {
    // An attack takes half a minute: a flat print and a bent one where the turn is all that protects, unless
    // FACELATCH_TURNED asks for so many of each kind, also against nods and the door as it ships.
    let all: Option<u64> = std::env::var("FACELATCH_TURNED").ok().map(|n| n.parse().unwrap());
    let each = all.unwrap_or(1);
    let hall = WalkUp::empty_scene("hall", Walk::NOBODY).frame(0);
    let picture = image::open(common::portrait()).unwrap().to_rgb8();
    let gray = Gray::from_rgb(picture.width() as usize, picture.height() as usize, picture.as_raw()).unwrap();
    let face = FaceFinder::new().find(gray.view()).unwrap();
    println!("rules         gesture  bend  asked  called pictures  let in");
    let mut asked_alone = 0;
    for alone in [false, true].into_iter().filter(|alone| *alone || all.is_some()) {
        for asked in
            [Asked::Turn, Asked::Nod].into_iter().filter(|asked| *asked == Asked::Turn || all.is_some())
        {
            let rules = if alone { gesture_alone } else { asking };
            let mut simulation = simulation_under(|shipped| rules(asked, shipped));
            let enrolment = &mut WalkUp::new("enrolment", Portrait::collins().unwrap(), Walk::ENROLMENT);
            let _ = simulation.enrol("Collins", enrolment, |_| ()).unwrap().unwrap();
            for bend in [None, Some(0.8)] {
                let (mut counts, turned) =
                    ([0; 3], if asked == Asked::Turn { [0.45, 0.0] } else { [0.0, 0.45] });
                for seed in 0..each {
                    // A screen is not bent.
                    let kind = if seed % 2 == 0 || bend.is_some() { Kind::Print } else { Kind::Screen };
                    let drawn = Figures::drawn(kind, 9_000 + seed);
                    let bend = bend.map_or(drawn.bend, |bend| (bend, drawn.bend.1));
                    let figures = Figures { turned: (turned, 0.3), bend, ..drawn };
                    let mut attack = Attack::new(figures, picture.clone(), face, &hall, 100);
                    let answered = answer(&mut simulation, &mut attack);
                    let told = [answered.asked, answered.spoof, answered.released];
                    counts.iter_mut().zip(told).for_each(|(count, told)| *count += u32::from(told));
                    assert!(!answered.released, "{answered:?} {figures:?}");
                }
                let name = if alone { "gesture alone" } else { "as it ships" };
                println!(
                    "{name:<13} {asked:<8?} {:<5} {:>2} of {each:<3} {:>6} {:>15}",
                    bend.unwrap_or(0.0),
                    counts[0],
                    counts[1],
                    counts[2]
                );
                asked_alone += u32::from(alone) * counts[0];
            }
        }
    }
    assert!(asked_alone > 0, "none was asked: no test");
}

struct Person {
    name: String,
    clips: [PathBuf; 2],
}

fn people(walkup: &Path) -> Vec<Person> {
    ["00", "02", "03", "07"]
        .map(|name| Person {
            name: name.to_owned(),
            clips: [1, 2].map(|n| walkup.join(format!("{name}-{n}"))),
        })
        .into()
}

fn watch(simulation: &mut Simulation, clip: &Path) -> Vec<Watched> {
    simulation.watch(&mut Recording::open(clip, 20.0, Some(SIZE), false).unwrap()).unwrap()
}

/// Pictures of a clip that the gallery's person is most like in: what an attacker would print.
fn best_pictures(clip: &Path, watched: &[Watched], gallery: &Gallery, count: usize) -> Vec<(PathBuf, Rect)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(clip).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let metric = Embedder::embedded_default().unwrap().card().metric();
    let mut ranked: Vec<(f32, PathBuf, Rect)> = files
        .into_iter()
        .zip(watched)
        .filter_map(|(file, watched)| {
            let scores = gallery.scores(watched.embedding()?, metric);
            Some((scores.first()?.similarity, file, watched.face()?))
        })
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    // The clip is a quarter of the camera's size.
    let small = |r: Rect| Rect::new(r.x / 4, r.y / 4, r.width / 4, r.height / 4);
    ranked.into_iter().step_by(3).take(count).map(|(_, file, face)| (file, small(face))).collect()
}

/// What became of clips and attacks, for each of the rules compared.
#[derive(Default)]
struct Tally {
    clips: usize,
    /// Living people let in.
    live: Vec<usize>,
    /// Attacks of each [`Kind`], and those of them that were let in.
    drawn: [usize; 2],
    released: Vec<[usize; 2]>,
    /// Attacks in a calm hand, and those that all cues let in.
    calm: (usize, usize),
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.live.resize(other.live.len(), 0);
        self.released.resize(other.released.len(), [0; 2]);
        self.clips += other.clips;
        self.calm = (self.calm.0 + other.calm.0, self.calm.1 + other.calm.1);
        self.live.iter_mut().zip(&other.live).for_each(|(a, b)| *a += b);
        let add = |a: &mut [usize; 2], b: &[usize; 2]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        add(&mut self.drawn, &other.drawn);
        self.released.iter_mut().zip(&other.released).for_each(|(a, b)| add(a, b));
    }
}

/// The same attack in a hand that hardly moves.
fn calm(figures: Figures) -> Figures {
    let (drift, tremor, bend) = (figures.drift, figures.tremor, figures.bend);
    Figures {
        drift: (0.1 * drift.0, drift.1),
        tremor: (0.6 * tremor.0, tremor.1),
        bend: (bend.0, 0.2 * bend.1),
        roll: 0.1 * figures.roll,
        nearer: 0.1 * figures.nearer,
        tilt: 0.15 * figures.tilt,
        ..figures
    }
}

/// Plays a person's clips, and `each` attacks on either, under all rules compared. Each attack is drawn and
/// looked at once.
fn play(number: usize, person: &Person, places: &[PathBuf], each: usize) -> Tally {
    let mut simulation = simulation();
    let variants = variants(*simulation.rules());
    let all = variants.len() - 1;
    let mut tally = Tally { live: vec![0; all + 1], released: vec![[0; 2]; all + 1], ..Tally::default() };
    let watched = [0, 1].map(|n| watch(&mut simulation, &person.clips[n]));
    for probe in 0..2 {
        let enrolment = format!("{}-{}", person.name, 2 - probe);
        let gallery = enrolled(&mut simulation, &enrolment, &watched[1 - probe]);
        tally.clips += 1;
        let open = |clip: &[Watched], simulation: &Simulation| -> Vec<bool> {
            let open = |rules| simulation.release_under(rules, &gallery, clip).is_some();
            variants.iter().map(|(_, rules)| open(*rules)).collect()
        };
        let told = open(&watched[probe], &simulation);
        println!("live {} enrolled from {enrolment}: {told:?}", person.clips[probe].display());
        tally.live.iter_mut().zip(told).for_each(|(sum, open)| *sum += usize::from(open));
        let pictures = best_pictures(&person.clips[probe], &watched[probe], &gallery, each);
        let mut attack =
            |n: usize, seed: usize, (file, face): &(PathBuf, Rect), change: fn(Figures) -> Figures| {
                let kind = if n.is_multiple_of(2) { Kind::Print } else { Kind::Screen };
                let seed = seed + (2 * number + probe + 1) * 100 + n;
                let picture = image::open(file).unwrap().to_rgb8();
                let place = image::open(&places[(seed * 37) % places.len()]).unwrap().to_rgb8();
                let figures = change(Figures::drawn(kind, seed as u64));
                let mut attack = Attack::new(figures, picture, *face, &place, 32);
                let source: &mut dyn FrameSource = &mut attack;
                let clip = simulation.watch(source).unwrap();
                let told = open(&clip, &simulation);
                if told[all] {
                    println!("RELEASED: {file:?} {:?}", attack.figures());
                    println!("{:?}", simulation.evidence(&clip));
                }
                (kind, told)
            };
        for (n, picture) in pictures.iter().enumerate() {
            let (kind, told) = attack(n, 1_000, picture, |figures| figures);
            tally.drawn[kind as usize] += 1;
            for (released, open) in tally.released.iter_mut().zip(told) {
                released[kind as usize] += usize::from(open);
            }
        }
        for (n, picture) in pictures.iter().step_by(4).enumerate() {
            let (_, told) = attack(n, 5_000, picture, calm);
            tally.calm = (tally.calm.0 + 1, tally.calm.1 + usize::from(told[all]));
        }
    }
    tally
}

#[test]
fn living_people_are_let_in_and_their_pictures_are_not() {
    let name = "living_people_are_let_in_and_their_pictures_are_not";
    let (Some(walkup), Some(places)) = (shared(name, "data/walkup"), shared(name, "data/negatives")) else {
        return;
    };
    let each: usize = std::env::var("FACELATCH_ATTACKS").ok().map_or(2, |n| n.parse().unwrap());
    let mut places: Vec<PathBuf> = std::fs::read_dir(places).unwrap().map(|e| e.unwrap().path()).collect();
    places.sort();
    let people = people(&walkup);
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let worker = |part: usize| {
            let (people, places) = (&people, &places);
            move || -> Vec<Tally> {
                let mine = people.iter().enumerate().skip(part).step_by(2);
                mine.map(|(number, person)| play(number, person, places, each)).collect()
            }
        };
        let other = scope.spawn(worker(1));
        worker(0)().iter().for_each(|part| tally.add(part));
        other.join().unwrap().iter().for_each(|part| tally.add(part));
    });
    let Tally { clips, live, drawn, released, calm } = tally;
    let variants = variants(*simulation().rules());
    println!("cues           live let in   prints let in   screens let in");
    for (((name, _), live), [prints, screens]) in variants.iter().zip(&live).zip(&released) {
        println!(
            "{name:<13} {live:>5} of {clips:<5} {prints:>6} of {:<6} {screens:>6} of {:<6}",
            drawn[0], drawn[1]
        );
    }
    println!("in a calm hand: {} of {} let in by all cues", calm.1, calm.0);
    let (unchecked, checked) = (0, variants.len() - 1);
    assert!(live[checked] + 1 >= live[unchecked], "at most one of the living is lost");
    assert_eq!(released[checked], [0, 0], "no picture opens");
    assert!(calm.1 * 20 <= calm.0, "{} of {} pictures in a calm hand open", calm.1, calm.0);
    assert!(released[unchecked].iter().sum::<usize>() > 0, "without the check pictures open: a real test");
}

#[test]
fn a_third_party_network_can_be_configured_by_its_card() {
    let name = "a_third_party_network_can_be_configured_by_its_card";
    let (Some(file), Some(nuaa)) = (shared(name, "models/fasnet_2_7.onnx"), shared(name, "data/nuaa")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(dir.path().join("fasnet.onnx"), &bytes).unwrap();
    let sum = <sha2::Sha256 as sha2::Digest>::digest(&bytes);
    let hash: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    let card = format!(
        "[model]\nname = \"third-party\"\nfile = \"fasnet.onnx\"\nsha256 = \"{hash}\"\n\
         [input]\nwidth = 80\nheight = 80\ncolour = \"bgr\"\nmean = [0.0, 0.0, 0.0]\n\
         deviation = [0.003921569, 0.003921569, 0.003921569]\n\
         [crop]\nwidth = 2.7\nheight = 2.7\n[output]\nclasses = 3\nlive = 1\n"
    );
    let path = dir.path().join("fasnet.toml");
    std::fs::write(&path, card).unwrap();
    let mut network = LivenessNetwork::open(&path).unwrap();
    let mut finder = FaceFinder::new();
    let mut wrong = (0, 0);
    for (live, kind) in [(true, "live"), (false, "photo")] {
        for person in ["0001", "0004", "0008"] {
            let mut files: Vec<PathBuf> =
                std::fs::read_dir(nuaa.join(kind).join(person)).unwrap().map(|e| e.unwrap().path()).collect();
            files.sort();
            for file in files.into_iter().step_by(9) {
                let rgb = image::open(&file).unwrap().to_rgb8();
                let gray = Gray::from_rgb(rgb.width() as usize, rgb.height() as usize, rgb.as_raw()).unwrap();
                let Some(face) = finder.find(gray.view()) else { continue };
                let pixels = Pixels::with_colour(gray.view(), &rgb).unwrap();
                let score = network.score(pixels, face).unwrap();
                wrong = (wrong.0 + usize::from((score >= 0.5) != live), wrong.1 + 1);
            }
        }
    }
    println!("the third-party network is wrong on {} of {} pictures", wrong.0, wrong.1);
    assert!(wrong.1 > 20 && wrong.0 * 10 <= wrong.1, "{wrong:?}");
}

/// The answer of `facelatch liveness-test --json`, a class a line.
fn tested(arguments: &[&str]) -> Vec<serde_json::Value> {
    let out = common::facelatch([&["liveness-test", "--json"], arguments].concat());
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_operator_tests_with_his_own_print() {
    let dir = tempfile::tempdir().unwrap();
    let portraits = common::portrait().parent().unwrap().to_owned();
    let text = |path: PathBuf| path.display().to_string();
    let (face, place) = (text(portraits.join("collins.jpg")), text(portraits.join("hopper.jpg")));
    let attack = text(dir.path().join("prints/one"));
    let drawn = ["attack", "--picture", &face, "--place", &place, "--kind", "print", "--seed", "7"];
    let out = common::facelatch([&drawn[..], &["--frames", "30", "--out", &attack]].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

    let prints = format!("print={}", text(dir.path().join("prints")));
    let classes = tested(&["--attack", &prints, "--ablation"]);
    assert_eq!(classes.len(), 1 + Cue::ALL.len(), "all cues, and each alone");
    for class in &classes {
        assert_eq!((&class["kind"], &class["presentations"]), (&"print".into(), &1.into()), "{class}");
    }
    assert_eq!((&classes[0]["called_spoof"], &classes[0]["apcer"]), (&1.into(), &0.0.into()));

    let still = dir.path().join("live");
    std::fs::create_dir(&still).unwrap();
    std::fs::copy(portraits.join("collins.jpg"), still.join("collins.jpg")).unwrap();
    let classes = tested(&["--live", &text(still), "--stills"]);
    assert_eq!((&classes[0]["presentations"], &classes[0]["called_live"]), (&1.into(), &1.into()));
}
