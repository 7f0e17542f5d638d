//! This detector behind the protocol of `benches/opencv/side.cpp`, so that one input serves both:
//! `side CASCADE.xml < INPUT`. Answers each scan with the number of rectangles.

use std::io::{BufRead, Read};

use facelatch::detect::{Cascade, Detector, ScanParams};
use facelatch::picture::Gray;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let path = std::env::args().nth(1).ok_or("usage: side CASCADE.xml < INPUT")?;
    let mut detector = Detector::new(Cascade::from_bytes(&std::fs::read(path)?)?);
    let mut picture = Gray::default();
    let mut input = std::io::stdin().lock();
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["F", width, height] => {
                let (width, height) = (width.parse()?, height.parse()?);
                let mut pixels = vec![0; width * height];
                input.read_exact(&mut pixels)?;
                picture = Gray::from_pixels(width, height, pixels)?;
            }
            ["R", factor, neighbors, least, _threads] => {
                let params = ScanParams::new(factor.parse()?, neighbors.parse()?, least.parse()?, 0)?;
                println!("{}", detector.detect(picture.view(), &params).len());
            }
            [] => {}
            _ => return Err(format!("not understood: {line}").into()),
        }
        line.clear();
    }
    Ok(())
}
