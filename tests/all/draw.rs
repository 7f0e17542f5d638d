//! Pictures for people, drawn by the public interface and read back from their PNG files.
//!
//! The files stay in `target/tmp`, to be looked at.

use std::path::PathBuf;

use facelatch::demo::portrait::Portrait;
use facelatch::demo::walkup::{Walk, WalkUp};
use facelatch::draw::plot::{Axis, Corner, PALETTE, Plot, Series, Shape, histogram};
use facelatch::draw::sheet::{Sheet, SheetSection, Tile, TileState, Tone};
use facelatch::draw::{STILL_BOX_THICKNESS, colour, frame_box, png_bytes};
use facelatch::picture::Rect;
use image::RgbImage;

fn kept(name: &str, img: &RgbImage) -> RgbImage {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, png_bytes(img).unwrap()).unwrap();
    image::open(&path).unwrap().to_rgb8()
}

#[test]
fn a_still_with_its_box() {
    let mut still = WalkUp::new("still", Portrait::hopper().unwrap(), Walk::VISIT).frame(50);
    let face = Rect::new(293, 137, 117, 117);
    let before = still.clone();
    frame_box(&mut still, face, colour::GREEN, STILL_BOX_THICKNESS);
    let read = kept("draw-still.png", &still);
    let (left, middle) = (face.x as u32, (face.y + face.height / 2) as u32);
    for dx in 0..5 {
        assert_eq!(read.get_pixel(left - 2 + dx, middle).0, [0, 255, 0], "column {dx} of 5");
    }
    for x in [left - 3, left + 3, left + 60] {
        assert_eq!(read.get_pixel(x, middle), before.get_pixel(x, middle), "beside the line");
    }
}

#[test]
fn a_sheet_of_every_state() {
    let visit = WalkUp::new("visit", Portrait::collins().unwrap(), Walk::VISIT);
    let frames: Vec<RgbImage> = [2, 26, 34, 44, 60, 66].iter().map(|n| visit.frame(*n)).collect();
    let face = Rect::new(300, 140, 110, 110);
    let states = [
        (TileState::NoFace, None, false),
        (TileState::Countdown { seconds: 3 }, None, false),
        (TileState::Identifying, Some((9, 15)), false),
        (TileState::Identified { name: "Eileen Collins".into(), mean: 0.91 }, Some((15, 15)), true),
        (TileState::Unknown { mean: 0.2 }, Some((15, 15)), false),
        (TileState::QualityIssue { reason: "come nearer".into() }, None, false),
    ];
    let tiles: Vec<Tile> = states
        .iter()
        .zip(&frames)
        .map(|((state, window, released), picture)| Tile {
            picture,
            boxes: if *state == TileState::NoFace { vec![] } else { vec![face] },
            state: state.clone(),
            window: *window,
            released: *released,
            caption: "frame 44  2.20 s  mean 0.91".into(),
        })
        .collect();
    let img = Sheet {
        title: "facelatch demo".into(),
        subtitle: "every state once".into(),
        sections: vec![
            SheetSection {
                heading: "Somebody known".into(),
                outcome: "RELEASED".into(),
                tone: Tone::Good,
                tiles: tiles[..4].to_vec(),
            },
            SheetSection {
                heading: "Somebody else".into(),
                outcome: "NOT RELEASED".into(),
                tone: Tone::Bad,
                tiles: tiles[4..].to_vec(),
            },
        ],
        columns: 4,
        tile_width: 240,
    }
    .draw();
    let read = kept("draw-sheet.png", &img);
    assert_eq!(read, img);
    let count = |c: image::Rgb<u8>| read.pixels().filter(|p| **p == c).count();
    for c in [colour::BLUE, colour::ORANGE, colour::GREEN, colour::RED, colour::GRAY] {
        assert!(count(c) > 300, "{c:?} occurs as box and words");
    }
    // The frame of release is outlined: 5 pixels around a tile of 240 x 180, the box and the words.
    assert!(count(colour::GREEN) > 2 * (240 + 180) * 5);
}

#[test]
fn a_curve_and_a_histogram() {
    let curve = |k: f64| (1..=400).map(|i| f64::from(i) / 400.0).map(|x| (x, x.powf(k))).collect::<Vec<_>>();
    let roc = Plot {
        title: "ROC".into(),
        x: Axis::log("false match rate (per comparison)", 1e-3, 1.0),
        y: Axis::linear("true match rate", 0.0, 1.0),
        series: vec![
            Series::new("A network", PALETTE[0], Shape::Line(curve(0.1))),
            Series::new("another one", PALETTE[1], Shape::Steps(curve(0.4))),
            Series::new("FMR 1 %", PALETTE[2], Shape::Vertical(0.01)),
        ],
        legend: Corner::BottomRight,
        size: (640, 420),
    };
    let read = kept("draw-roc.png", &roc.draw());
    for c in &PALETTE[..3] {
        assert!(read.pixels().filter(|p| *p == c).count() > 100);
    }
    let values: Vec<f64> = (0..500).map(|i| 0.5 + 0.3 * (f64::from(i) * 0.7).sin()).collect();
    let bars = histogram(&values, (0.0, 1.0), 40);
    assert_eq!(bars.iter().map(|b| b.2).sum::<f64>(), 500.0);
    let tallest = bars.iter().map(|b| b.2).fold(0.0, f64::max);
    let histogram = Plot {
        title: "Distances".into(),
        x: Axis::linear("distance", 0.0, 1.0),
        y: Axis::linear("pairs", 0.0, tallest * 1.1),
        series: vec![Series::new("genuine", PALETTE[0], Shape::Bars(bars))],
        legend: Corner::TopRight,
        size: (640, 360),
    };
    kept("draw-histogram.png", &histogram.draw());
}
