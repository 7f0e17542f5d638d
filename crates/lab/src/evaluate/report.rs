//! The pictures of an evaluation: DET and ROC curves, score histogram, and the worst pairs.

use image::RgbImage;
use image::imageops::{self, FilterType};

use super::calibration::Trials;
use super::metrics::{EvaluationReport, PairScore, operating_points};
use crate::draw::plot::{Axis, Corner, PALETTE, Plot, Series, Shape, histogram};
use crate::draw::{Colour, Font, fill_rect, text};
use facelatch_core::picture::{Gray, Rect};

const SIZE: (u32, u32) = (760, 560);

/// The detection error trade-off: FNMR over FMR, both logarithmic.
pub fn det(scores: &[PairScore], report: &EvaluationReport, name: &str) -> RgbImage {
    let (low_x, low_y) = (floor(report.impostor), floor(report.genuine));
    let points = operating_points(scores);
    let curve = points.iter().map(|o| (o.fmr.max(low_x), o.fnmr.max(low_y))).collect();
    let mut series = vec![
        // Where both rates are equal.
        Series::new("", EQUAL, Shape::Line(vec![(low_x.max(low_y), low_x.max(low_y)), (1.0, 1.0)])),
        Series::new(name, PALETTE[0], Shape::Line(curve)),
    ];
    if let Some(eer) = report.eer {
        let label = format!("equal error rate {}", percent(eer));
        series.push(Series::new(&label, PALETTE[1], Shape::Points(vec![(eer.max(low_x), eer.max(low_y))])));
    }
    if let (Some(fmr), Some(fnmr)) = (report.fmr_at_threshold, report.fnmr_at_threshold) {
        let label =
            format!("threshold {:.3}: FMR {}, FNMR {}", report.threshold, percent(fmr), percent(fnmr));
        let point = (fmr.max(low_x), fnmr.max(low_y));
        series.push(Series::new(&label, PALETTE[2], Shape::Points(vec![point])));
    }
    Plot {
        title: format!("DET, {} genuine and {} impostor pairs", report.genuine, report.impostor),
        x: Axis::log("false-match rate per comparison", low_x, 1.0),
        y: Axis::log("false-non-match rate per comparison", low_y, 1.0),
        series,
        legend: Corner::BottomLeft,
        size: SIZE,
    }
    .draw()
}

/// The detection error trade-off of a calibration, per `what`: "comparison" or "attempt", with both
/// intervals at the threshold.
pub fn trade_off(genuine: &Trials, impostors: &Trials, threshold: f64, what: &str) -> RgbImage {
    let [accept, reject] =
        if what == "attempt" { ["false-accept", "false-reject"] } else { ["false-match", "false-non-match"] };
    let scores: Vec<PairScore> = [(genuine, true), (impostors, false)]
        .into_iter()
        .flat_map(|(trials, genuine)| {
            trials.scores().map(move |similarity| PairScore { genuine, similarity })
        })
        .collect();
    let (low_x, low_y) = (floor(impostors.len()), floor(genuine.len()));
    let curve = operating_points(&scores).iter().map(|o| (o.fmr.max(low_x), o.fnmr.max(low_y))).collect();
    let mut series = vec![
        Series::new("", EQUAL, Shape::Line(vec![(low_x.max(low_y), low_x.max(low_y)), (1.0, 1.0)])),
        Series::new(&format!("every {what}"), PALETTE[0], Shape::Steps(curve)),
    ];
    if let (Some(a), Some(r)) = (impostors.accepted(threshold), genuine.rejected(threshold)) {
        let bar = |(low, high): (f64, f64), floor: f64| (low.max(floor), high.max(floor));
        let (x, y) = (a.share.max(low_x), r.share.max(low_y));
        let ((left, right), (bottom, top)) = (bar(a.interval, low_x), bar(r.interval, low_y));
        let label = format!("threshold {threshold:.3}: {} and {}", percent(a.share), percent(r.share));
        series.push(Series::new("95 % intervals", PALETTE[2], Shape::Line(vec![(left, y), (right, y)])));
        series.push(Series::new("", PALETTE[2], Shape::Line(vec![(x, bottom), (x, top)])));
        series.push(Series::new(&label, PALETTE[2], Shape::Points(vec![(x, y)])));
    }
    Plot {
        title: format!("DET, {} genuine and {} impostor {what}s", genuine.len(), impostors.len()),
        x: Axis::log(&format!("{accept} rate per {what}"), low_x, 1.0),
        y: Axis::log(&format!("{reject} rate per {what}"), low_y, 1.0),
        series,
        legend: Corner::BottomLeft,
        size: SIZE,
    }
    .draw()
}

/// The receiver operating characteristic: TAR over FMR, which is logarithmic.
pub fn roc(scores: &[PairScore], report: &EvaluationReport, name: &str) -> RgbImage {
    let low = floor(report.impostor);
    let points = operating_points(scores);
    let curve = points.iter().map(|o| (o.fmr.max(low), 1.0 - o.fnmr)).collect();
    let label = report.auc.map_or_else(|| name.to_string(), |auc| format!("{name}, AUC {auc:.4}"));
    let mut series = vec![Series::new(&label, PALETTE[0], Shape::Steps(curve))];
    for (fmr, tar) in &report.tar_at_fmr {
        if let Ok(rate) = fmr.parse::<f64>() {
            let label = format!("TAR {} at FMR {}", percent(*tar), percent(rate));
            let colour = PALETTE[1 + series.len() % (PALETTE.len() - 1)];
            series.push(Series::new(&label, colour, Shape::Points(vec![(rate.max(low), *tar)])));
        }
    }
    Plot {
        title: format!("ROC, {} genuine and {} impostor pairs", report.genuine, report.impostor),
        x: Axis::log("false-match rate per comparison", low, 1.0),
        y: Axis::linear("true-accept rate", 0.0, 1.0),
        series,
        legend: Corner::BottomRight,
        size: SIZE,
    }
    .draw()
}

/// How the similarities of each kind of pair are spread.
pub fn score_histogram(scores: &[PairScore], report: &EvaluationReport) -> RgbImage {
    let of = |genuine: bool| -> Vec<f64> {
        scores.iter().filter(|s| s.genuine == genuine).filter_map(|s| s.similarity.map(f64::from)).collect()
    };
    let all = of(true).into_iter().chain(of(false)).chain([report.threshold]);
    let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), s| (l.min(s), h.max(s)));
    let (low, high) = if low < high { (low, high) } else { (low - 0.5, low + 0.5) };
    let bars = |genuine: bool, pairs: usize| -> Vec<(f64, f64, f64)> {
        histogram(&of(genuine), (low, high), 60)
            .into_iter()
            .map(|(left, right, count)| (left, right, count / pairs.max(1) as f64))
            .collect()
    };
    let (genuine, impostor) = (bars(true, report.genuine), bars(false, report.impostor));
    let tallest = genuine.iter().chain(&impostor).fold(0.0f64, |t, bar| t.max(bar.2)).max(0.01);
    // Outlines, so that neither kind hides the other.
    let outline = |bars: Vec<(f64, f64, f64)>| -> Vec<(f64, f64)> {
        let last = bars.last().map(|b| (b.1, 0.0));
        let first = bars.first().map(|b| (b.0, 0.0));
        first.into_iter().chain(bars.iter().map(|b| (b.0, b.2))).chain(last).collect()
    };
    Plot {
        title: format!("Scores of {} genuine and {} impostor pairs", report.genuine, report.impostor),
        x: Axis::linear("similarity", low, high),
        y: Axis::linear("share of the pairs of the kind", 0.0, tallest * 1.15),
        series: vec![
            Series::new("two people", PALETTE[1], Shape::Steps(outline(impostor))),
            Series::new("one person", PALETTE[0], Shape::Steps(outline(genuine))),
            Series::new("the card's threshold", PALETTE[2], Shape::Vertical(report.threshold)),
        ],
        legend: Corner::TopLeft,
        size: SIZE,
    }
    .draw()
}

/// The smallest rate that a plot of `n` trials shows: half of one trial.
fn floor(n: usize) -> f64 {
    0.5 / n.max(5) as f64
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    format!("{} %", (percent * 1000.0).round() / 1000.0)
}

/// One pair for the sheet of the worst pairs.
pub struct WorstPair {
    /// The two faces, as [`face_tile`] cuts them.
    pub faces: [RgbImage; 2],
    /// Which pictures they are.
    pub names: [String; 2],
    /// Their score, or that a face was not found.
    pub caption: String,
}

const EQUAL: Colour = image::Rgb([190, 194, 200]);
const GROUND: Colour = image::Rgb([21, 24, 30]);
const INK: Colour = image::Rgb([240, 242, 245]);
const MUTED: Colour = image::Rgb([150, 156, 166]);
/// Width and height of a face on the sheet in pixels.
pub const TILE: (u32, u32) = (110, 134);
const COLUMNS: usize = 4;
const GAP: i32 = 14;

/// A face cut from its picture (or the whole picture where there is no box), at the sheet's size.
pub fn face_tile(picture: &Gray, face: Option<Rect>) -> RgbImage {
    let view = face.and_then(|f| picture.view().region(f)).unwrap_or(picture.view());
    let part = view.to_gray();
    let (width, height) = (part.width() as u32, part.height() as u32);
    let gray = image::GrayImage::from_raw(width, height, part.pixels().to_vec()).unwrap_or_default();
    let mut tile = RgbImage::new(TILE.0, TILE.1);
    if width > 0 && height > 0 {
        let scale = (f64::from(TILE.0) / f64::from(width)).min(f64::from(TILE.1) / f64::from(height));
        let fit = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
        let small = imageops::resize(&gray, fit(width), fit(height), FilterType::Triangle);
        let small = image::DynamicImage::ImageLuma8(small).into_rgb8();
        let x = i64::from(TILE.0 - small.width().min(TILE.0)) / 2;
        let y = i64::from(TILE.1 - small.height().min(TILE.1)) / 2;
        imageops::replace(&mut tile, &small, x, y);
    }
    tile
}

/// The sheet of the worst pairs: sections of pairs, each with its heading.
pub fn worst_sheet(title: &str, sections: &[(String, Vec<WorstPair>)]) -> RgbImage {
    let cell = (2 * TILE.0 as i32 + 4, TILE.1 as i32 + 46);
    let width = GAP + COLUMNS as i32 * (cell.0 + GAP);
    let rows = |pairs: &[WorstPair]| pairs.len().div_ceil(COLUMNS).max(1) as i32;
    let height = 50 + sections.iter().map(|(_, p)| 34 + rows(p) * (cell.1 + GAP)).sum::<i32>();
    let mut sheet = RgbImage::new(width as u32, height as u32);
    fill_rect(&mut sheet, Rect::new(0, 0, width, height), GROUND);
    text(&mut sheet, GAP, 14, Font::Large, INK, title);
    let mut y = 50;
    for (heading, pairs) in sections {
        text(&mut sheet, GAP, y + 4, Font::Heading, INK, heading);
        y += 34;
        if pairs.is_empty() {
            text(&mut sheet, GAP, y, Font::Small, MUTED, "none");
        }
        for (index, pair) in pairs.iter().enumerate() {
            let x = GAP + (index % COLUMNS) as i32 * (cell.0 + GAP);
            let top = y + (index / COLUMNS) as i32 * (cell.1 + GAP);
            for (side, face) in pair.faces.iter().enumerate() {
                let left = x + side as i32 * (TILE.0 as i32 + 4);
                imageops::replace(&mut sheet, face, i64::from(left), i64::from(top));
            }
            let below = top + TILE.1 as i32 + 3;
            for (row, name) in pair.names.iter().enumerate() {
                let name = Font::Tiny.fit(name, cell.0 as u32);
                text(&mut sheet, x, below + 14 + row as i32 * 12, Font::Tiny, MUTED, &name);
            }
            text(&mut sheet, x, below, Font::Small, INK, &pair.caption);
        }
        y += rows(pairs) * (cell.1 + GAP);
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_scores_do_not_break_the_plots() {
        let one = |genuine, similarity| PairScore { genuine, similarity };
        let sets: [&[PairScore]; 4] = [
            &[],
            &[one(true, None), one(false, None)],
            &[one(true, Some(0.5)), one(false, Some(0.5))],
            &[one(true, Some(-3.0)), one(true, Some(0.9)), one(false, Some(0.1))],
        ];
        for scores in sets {
            let report = EvaluationReport::new(scores, 0.4);
            assert_eq!(det(scores, &report, "n").dimensions(), SIZE);
            assert_eq!(roc(scores, &report, "n").dimensions(), SIZE);
            assert_eq!(score_histogram(scores, &report).dimensions(), SIZE);
        }
    }

    #[test]
    fn tiles_have_the_sheets_size_whatever_the_picture() {
        for (width, height) in [(1, 1), (500, 3), (3, 500), (92, 112)] {
            let tile = face_tile(&Gray::filled(width, height, 200), Some(Rect::new(-5, -5, 300, 300)));
            assert_eq!(tile.dimensions(), TILE);
            assert!(tile.pixels().any(|p| p.0 == [200; 3]));
        }
        let pair = || WorstPair {
            faces: [RgbImage::new(TILE.0, TILE.1), RgbImage::new(TILE.0, TILE.1)],
            names: ["a".into(), "b".into()],
            caption: "0.5".into(),
        };
        let sheet = worst_sheet("t", &[("x".into(), (0..5).map(|_| pair()).collect()), ("y".into(), vec![])]);
        assert!(sheet.width() > 900 && sheet.height() > 400);
    }
}
