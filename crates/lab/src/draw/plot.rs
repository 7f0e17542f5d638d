//! Plots with axes: curves (ROC, DET, loss) and histograms, linear or logarithmic.

use image::RgbImage;

use super::{Colour, Font, fill_rect, line, text};
use facelatch_core::picture::Rect;

/// Distinct colours on white ground, readable with the common kinds of colour blindness
/// (Okabe and Ito's palette, 2008).
pub const PALETTE: [Colour; 6] = [
    image::Rgb([0, 114, 178]),
    image::Rgb([213, 94, 0]),
    image::Rgb([0, 158, 115]),
    image::Rgb([204, 121, 167]),
    image::Rgb([86, 180, 233]),
    image::Rgb([230, 159, 0]),
];

const PAPER: Colour = image::Rgb([255, 255, 255]);
const INK: Colour = image::Rgb([30, 30, 30]);
const GRID: Colour = image::Rgb([224, 226, 230]);

/// How numbers become places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps for equal differences.
    Linear,
    /// Equal steps for equal ratios; numbers up to 0 are drawn at the axis' lower end.
    Log,
}

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What is measured, with its unit.
    pub label: String,
    /// Lower and upper end.
    pub range: (f64, f64),
    /// Linear or logarithmic.
    pub scale: Scale,
}

impl Axis {
    /// A linear axis.
    pub fn linear(label: &str, low: f64, high: f64) -> Self {
        Axis { label: label.into(), range: (low, high), scale: Scale::Linear }
    }

    /// A logarithmic axis; both ends above 0.
    pub fn log(label: &str, low: f64, high: f64) -> Self {
        Axis { label: label.into(), range: (low, high), scale: Scale::Log }
    }

    /// The ends as drawn: ordered, finite, apart, and above 0 on a logarithmic axis.
    fn ends(&self) -> (f64, f64) {
        let (a, b) = self.range;
        let (mut low, mut high) = (a.min(b), a.max(b));
        if !low.is_finite() || !high.is_finite() {
            (low, high) = (0.0, 1.0);
        }
        if self.scale == Scale::Log {
            low = low.max(1e-12);
            high = high.max(low);
            if high <= low * 1.000_001 {
                high = low * 10.0;
            }
        } else if high - low <= low.abs().max(high.abs()) * 1e-9 {
            high = low + low.abs().max(1.0);
        }
        (low, high)
    }

    /// Where `v` lies between the ends: 0 at the lower one, 1 at the upper one.
    fn place(&self, v: f64) -> f64 {
        let (low, high) = self.ends();
        match self.scale {
            Scale::Linear => (v - low) / (high - low),
            Scale::Log => (v.max(low).ln() - low.ln()) / (high.ln() - low.ln()),
        }
    }

    /// The numbers that get a tick: multiples of 1, 2 or 5 times a power of ten, or the powers of
    /// ten on a logarithmic axis (with 2 and 5 between them when there are few).
    pub fn ticks(&self) -> Vec<f64> {
        let (low, high) = self.ends();
        let inside = |v: &f64| *v >= low - (high - low) * 1e-9 && *v <= high + (high - low) * 1e-9;
        if self.scale == Scale::Log {
            let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
            let powers: Vec<f64> = decades.clone().map(|e| 10f64.powi(e)).filter(inside).collect();
            if powers.len() > 2 {
                return powers;
            }
            return decades.flat_map(|e| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(e))).filter(inside).collect();
        }
        let rough = (high - low) / 6.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(rough);
        let first = (low / step).ceil();
        (0..=20).map(|i| (first + f64::from(i)) * step).filter(inside).collect()
    }
}

/// What is drawn for a series.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Straight lines from point to point.
    Line(Vec<(f64, f64)>),
    /// A level from each x to the next one, then a jump: an empirical curve.
    Steps(Vec<(f64, f64)>),
    /// A square at each point.
    Points(Vec<(f64, f64)>),
    /// Bars from the axis up: (left, right, height).
    Bars(Vec<(f64, f64, f64)>),
    /// A vertical line over the whole height: a threshold.
    Vertical(f64),
    /// A horizontal line over the whole width.
    Horizontal(f64),
}

/// One series of a plot.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its line in the legend; empty for none.
    pub label: String,
    /// Its colour.
    pub colour: Colour,
    /// Its figures; those that are not finite are left out.
    pub shape: Shape,
}

impl Series {
    /// A series.
    pub fn new(label: &str, colour: Colour, shape: Shape) -> Self {
        Series { label: label.into(), colour, shape }
    }
}

/// Where the legend stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corner {
    /// Upper left.
    TopLeft,
    /// Upper right.
    TopRight,
    /// Lower left.
    BottomLeft,
    /// Lower right.
    BottomRight,
}

/// A plot.
#[derive(Clone, Debug)]
pub struct Plot {
    /// The title row.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis; its label is written above it.
    pub y: Axis,
    /// What is drawn, the first one at the bottom.
    pub series: Vec<Series>,
    /// Where the legend stands.
    pub legend: Corner,
    /// Width and height of the picture in pixels.
    pub size: (u32, u32),
}

const LEFT: i32 = 64;
const RIGHT: i32 = 22;
const TOP: i32 = 58;
const BOTTOM: i32 = 48;

impl Plot {
    /// Draws the plot on white ground.
    pub fn draw(&self) -> RgbImage {
        let width = self.size.0.clamp(200, 8192) as i32;
        let height = self.size.1.clamp(160, 8192) as i32;
        let mut img = RgbImage::from_pixel(width as u32, height as u32, PAPER);
        let area = Rect::new(LEFT, TOP, width - LEFT - RIGHT, height - TOP - BOTTOM);
        let (right, bottom) = (area.x + area.width, area.y + area.height);

        text(&mut img, 12, 8, Font::Heading, INK, &Font::Heading.fit(&self.title, (width - 24) as u32));
        let y_label = Font::Small.fit(&self.y.label, (width - 24) as u32);
        text(&mut img, 12, TOP - 24, Font::Small, INK, &y_label);
        let x_label = Font::Small.fit(&self.x.label, area.width as u32);
        let x = area.x + (area.width - Font::Small.width_of(&x_label) as i32) / 2;
        text(&mut img, x, height - 20, Font::Small, INK, &x_label);

        for tick in self.x.ticks() {
            let x = area.x + (self.x.place(tick) * f64::from(area.width)).round() as i32;
            fill_rect(&mut img, Rect::new(x, area.y, 1, area.height), GRID);
            fill_rect(&mut img, Rect::new(x, bottom, 1, 5), INK);
            let s = number(tick);
            let w = Font::Small.width_of(&s) as i32;
            text(&mut img, (x - w / 2).min(width - w - 2), bottom + 8, Font::Small, INK, &s);
        }
        for tick in self.y.ticks() {
            let y = bottom - (self.y.place(tick) * f64::from(area.height)).round() as i32;
            fill_rect(&mut img, Rect::new(area.x, y, area.width, 1), GRID);
            fill_rect(&mut img, Rect::new(area.x - 5, y, 5, 1), INK);
            let s = number(tick);
            text(&mut img, area.x - 9 - Font::Small.width_of(&s) as i32, y - 6, Font::Small, INK, &s);
        }
        // The curves are drawn apart and only their part inside the axes is kept.
        let mut inner = img.clone();
        for series in &self.series {
            self.draw_series(&mut inner, area, series);
        }
        let kept = image::imageops::crop_imm(
            &inner,
            area.x as u32,
            area.y as u32,
            area.width as u32,
            area.height as u32,
        );
        image::imageops::replace(&mut img, &kept.to_image(), i64::from(area.x), i64::from(area.y));
        fill_rect(&mut img, Rect::new(area.x, area.y, 1, area.height), INK);
        fill_rect(&mut img, Rect::new(area.x, bottom, right - area.x + 1, 1), INK);
        self.draw_legend(&mut img, area);
        img
    }

    fn draw_series(&self, img: &mut RgbImage, area: Rect, series: &Series) {
        let at = |x: f64, y: f64| {
            // Far beyond the axes nothing is seen, and a huge coordinate would cost precision.
            let px = f64::from(area.x) + self.x.place(x).clamp(-4.0, 5.0) * f64::from(area.width);
            let bottom = f64::from(area.y + area.height);
            let py = bottom - self.y.place(y).clamp(-4.0, 5.0) * f64::from(area.height);
            (px as f32, py as f32)
        };
        let finite = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite();
        match &series.shape {
            Shape::Line(points) => {
                let points: Vec<_> = points.iter().filter(finite).map(|p| at(p.0, p.1)).collect();
                for pair in points.windows(2) {
                    line(img, pair[0], pair[1], 1.8, series.colour);
                }
            }
            Shape::Steps(points) => {
                let points: Vec<_> = points.iter().filter(finite).map(|p| at(p.0, p.1)).collect();
                for pair in points.windows(2) {
                    let corner = (pair[1].0, pair[0].1);
                    line(img, pair[0], corner, 1.8, series.colour);
                    line(img, corner, pair[1], 1.8, series.colour);
                }
            }
            Shape::Points(points) => {
                for p in points.iter().filter(finite) {
                    let (x, y) = at(p.0, p.1);
                    let square = Rect::new(x.round() as i32 - 3, y.round() as i32 - 3, 7, 7);
                    fill_rect(img, square, series.colour);
                }
            }
            Shape::Bars(bars) => {
                let base = self.y.ends().0;
                for (left, right, top) in bars.iter().filter(|b| b.0.is_finite() && b.1.is_finite()) {
                    let (x0, y0) = at(*left, base);
                    let (x1, y1) = at(*right, if top.is_finite() { *top } else { base });
                    tint(
                        img,
                        (x0.round() as i32, x1.round() as i32),
                        (y1.round() as i32, y0.round() as i32),
                        series.colour,
                    );
                    line(img, (x0, y1), (x1, y1), 1.6, series.colour);
                }
            }
            Shape::Vertical(v) if v.is_finite() => {
                let x = at(*v, self.y.ends().0).0.round();
                dashes(img, (x, area.y as f32), (x, (area.y + area.height) as f32), series.colour);
            }
            Shape::Horizontal(v) if v.is_finite() => {
                let y = at(self.x.ends().0, *v).1.round();
                dashes(img, (area.x as f32, y), ((area.x + area.width) as f32, y), series.colour);
            }
            Shape::Vertical(_) | Shape::Horizontal(_) => {}
        }
    }

    fn draw_legend(&self, img: &mut RgbImage, area: Rect) {
        let entries: Vec<&Series> = self.series.iter().filter(|s| !s.label.is_empty()).collect();
        let Some(widest) = entries.iter().map(|s| Font::Small.width_of(&s.label)).max() else { return };
        let w = (widest as i32 + 40).min(area.width);
        let h = entries.len() as i32 * 17 + 8;
        let x = match self.legend {
            Corner::TopLeft | Corner::BottomLeft => area.x + 10,
            Corner::TopRight | Corner::BottomRight => area.x + area.width - w - 10,
        };
        let y = match self.legend {
            Corner::TopLeft | Corner::TopRight => area.y + 8,
            Corner::BottomLeft | Corner::BottomRight => area.y + area.height - h - 10,
        };
        fill_rect(img, Rect::new(x, y, w, h), GRID);
        fill_rect(img, Rect::new(x + 1, y + 1, w - 2, h - 2), PAPER);
        for (i, series) in entries.iter().enumerate() {
            let top = y + 4 + i as i32 * 17;
            fill_rect(img, Rect::new(x + 8, top + 7, 18, 3), series.colour);
            let room = (w - 36).max(0) as u32;
            text(img, x + 32, top + 2, Font::Small, INK, &Font::Small.fit(&series.label, room));
        }
    }
}

/// Mixes a third of `colour` into columns `xs.0..xs.1` and rows `ys.0..ys.1`.
fn tint(img: &mut RgbImage, xs: (i32, i32), ys: (i32, i32), colour: Colour) {
    for y in ys.0.max(0)..ys.1.min(img.height() as i32) {
        for x in xs.0.max(0)..xs.1.min(img.width() as i32) {
            super::mix(img, i64::from(x), i64::from(y), colour, 0.35);
        }
    }
}

fn dashes(img: &mut RgbImage, from: (f32, f32), to: (f32, f32), colour: Colour) {
    let length = (to.0 - from.0).hypot(to.1 - from.1);
    let along = |d: f32| {
        let t = (d / length).min(1.0);
        (from.0 + (to.0 - from.0) * t, from.1 + (to.1 - from.1) * t)
    };
    for i in 0..(length / 9.0).ceil() as u32 {
        let start = i as f32 * 9.0;
        line(img, along(start), along(start + 5.0), 1.5, colour);
    }
}

/// A tick's number: plain between 0.001 and 100 000, else with a power of ten.
fn number(v: f64) -> String {
    let size = v.abs();
    if size < 1e-9 {
        return "0".into();
    }
    if !(1e-3..1e5).contains(&size) {
        return format!("{v:.0e}");
    }
    let s = format!("{v:.4}");
    s.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Counts `values` in `bins` equal bins of `range`: (left, right, count) each, as [`Shape::Bars`]
/// takes them. Values outside are left out; the upper end belongs to the last bin.
pub fn histogram(values: &[f64], range: (f64, f64), bins: usize) -> Vec<(f64, f64, f64)> {
    let bins = bins.max(1);
    let width = (range.1 - range.0) / bins as f64;
    let mut counts = vec![0u64; bins];
    for v in values.iter().filter(|v| **v >= range.0 && **v <= range.1) {
        let bin = ((v - range.0) / width) as usize;
        counts[bin.min(bins - 1)] += 1;
    }
    let edge = |i: usize| range.0 + width * i as f64;
    counts.iter().enumerate().map(|(i, n)| (edge(i), edge(i + 1), *n as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(shape: Shape) -> Plot {
        Plot {
            title: "T".into(),
            x: Axis::linear("distance", 0.0, 1.0),
            y: Axis::linear("share", 0.0, 1.0),
            series: vec![Series::new("", PALETTE[0], shape)],
            legend: Corner::TopRight,
            size: (400, 300),
        }
    }

    #[test]
    fn ticks_are_round_numbers() {
        let rounded = |a: Axis| a.ticks().iter().map(|t| number(*t)).collect::<Vec<_>>().join(" ");
        assert_eq!(rounded(Axis::linear("", 0.0, 1.0)), "0 0.2 0.4 0.6 0.8 1");
        assert_eq!(rounded(Axis::linear("", -1.3, 2.9)), "-1 0 1 2");
        assert_eq!(rounded(Axis::linear("", 0.0, 37.0)), "0 10 20 30");
        assert_eq!(rounded(Axis::log("", 1e-4, 1.0)), "1e-4 0.001 0.01 0.1 1");
        assert_eq!(rounded(Axis::log("", 0.02, 0.6)), "0.02 0.05 0.1 0.2 0.5");
    }

    #[test]
    fn places() {
        let log = Axis::log("", 0.001, 1.0);
        assert!((log.place(0.001)).abs() < 1e-12);
        assert!((log.place(0.1) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(log.place(0.0), 0.0);
        assert!((Axis::linear("", -1.0, 3.0).place(0.0) - 0.25).abs() < 1e-12);
    }

    #[test]
    fn a_line_passes_through_its_points_and_stays_inside_the_axes() {
        let img = plot(Shape::Line(vec![(0.0, 0.5), (f64::NAN, 3.0), (1.0, 0.5)])).draw();
        let (w, h) = (400 - LEFT - RIGHT, 300 - TOP - BOTTOM);
        let middle = (TOP + h / 2) as u32;
        assert_eq!(*img.get_pixel((LEFT + w / 4) as u32, middle), PALETTE[0]);
        assert_ne!(*img.get_pixel((LEFT - 20) as u32, middle), PALETTE[0]);
        let far = plot(Shape::Line(vec![(-50.0, -50.0), (1e300, 1e300)])).draw();
        assert!(far.enumerate_pixels().all(|(x, _, p)| *p != PALETTE[0] || x as i32 >= LEFT));
    }

    #[test]
    fn bars_stand_on_the_axis() {
        let img = plot(Shape::Bars(vec![(0.0, 0.5, 1.0), (0.5, 1.0, f64::NAN)])).draw();
        let (w, h) = (400 - LEFT - RIGHT, 300 - TOP - BOTTOM);
        let at = |fx: f64, fy: f64| {
            *img.get_pixel(
                (LEFT + (f64::from(w) * fx) as i32) as u32,
                (TOP + (f64::from(h) * fy) as i32) as u32,
            )
        };
        assert_ne!(at(0.25, 0.47), PAPER);
        assert_eq!(at(0.75, 0.47), PAPER);
    }

    #[test]
    fn histograms_count_everything_once() {
        let bins = histogram(&[0.0, 0.1, 0.5, 1.0, 1.1, -0.1, f64::NAN], (0.0, 1.0), 4);
        assert_eq!(bins.iter().map(|b| b.2).collect::<Vec<_>>(), [2.0, 0.0, 1.0, 1.0]);
        assert_eq!((bins[1].0, bins[1].1), (0.25, 0.5));
        assert!(histogram(&[1.0], (1.0, 1.0), 0).len() == 1);
    }

    #[test]
    fn odd_axes_do_not_panic() {
        for range in [(0.0, 0.0), (5.0, 1.0), (f64::NAN, 1.0), (-1.0, f64::INFINITY), (1e9, 1e9 + 1e-9)] {
            for scale in [Scale::Linear, Scale::Log] {
                let mut p = plot(Shape::Steps(vec![(0.0, 1.0), (1.0, 0.0)]));
                p.x.range = range;
                p.y.range = range;
                p.x.scale = scale;
                p.y.scale = scale;
                p.series.push(Series::new("limit", PALETTE[1], Shape::Vertical(f64::NAN)));
                p.series.push(Series::new("limit", PALETTE[1], Shape::Horizontal(0.5)));
                p.size = (1, 1);
                p.draw();
            }
        }
    }
}
