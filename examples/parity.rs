//! Compares this detector with expected rectangles, case by case: the second half of `make parity`.
//!
//! Usage: `parity CASCADE SETS < CASES`, where SETS is `all` or names of instruction sets, separated
//! by commas. CASES comes from `tests/parity/expect.py`; all numbers are little-endian: per frame
//! width, height, number of cases (u32 each) and the gray pixels; per case the scale factor (f64),
//! min neighbors, min size, number of rectangles (u32 each), and x, y, width, height (i32) of each.
//!
//! Prints a line per instruction set; exit status 1 if any rectangle differs, in value or in order.

use std::io::Read;
use std::process::ExitCode;

use facelatch::detect::{Cascade, Detector, InstructionSet, ScanParams};
use facelatch::picture::{Gray, Rect};

type Failure = Box<dyn std::error::Error>;

fn array<const N: usize>(from: &mut impl Read) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn number(from: &mut impl Read) -> std::io::Result<u32> {
    Ok(u32::from_le_bytes(array(from)?))
}

fn main() -> Result<ExitCode, Failure> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: parity CASCADE SETS < CASES";
    let cascade = arguments.next().ok_or(usage)?;
    let wanted = arguments.next().ok_or(usage)?;
    let cascade = Cascade::from_bytes(&std::fs::read(&cascade)?)?;
    let mut detectors: Vec<(InstructionSet, Detector, usize)> = Detector::instruction_sets()
        .filter(|s| wanted == "all" || wanted.split(',').any(|name| name == s.name()))
        .map(|s| (s, Detector::with_instruction_set(cascade.clone(), s), 0))
        .collect();
    if detectors.is_empty() {
        return Err(format!("no instruction set of this processor is named in `{wanted}`").into());
    }

    let mut input = std::io::BufReader::new(std::io::stdin().lock());
    let (mut frames, mut cases, mut rectangles) = (0, 0, 0);
    while let Ok(width) = number(&mut input) {
        let (height, count) = (number(&mut input)?, number(&mut input)?);
        let mut pixels = vec![0; width as usize * height as usize];
        input.read_exact(&mut pixels)?;
        let picture = Gray::from_pixels(width as usize, height as usize, pixels)?;
        frames += 1;
        for _ in 0..count {
            let scale_factor = f64::from_le_bytes(array(&mut input)?);
            let params = ScanParams::new(scale_factor, number(&mut input)?, number(&mut input)?, 0)?;
            let mut expected = Vec::new();
            for _ in 0..number(&mut input)? {
                let mut edge = || array(&mut input).map(i32::from_le_bytes);
                expected.push(Rect::new(edge()?, edge()?, edge()?, edge()?));
            }
            cases += 1;
            rectangles += expected.len();
            for (set, detector, mismatches) in &mut detectors {
                let found = detector.detect(picture.view(), &params);
                if found != expected {
                    *mismatches += 1;
                    if *mismatches <= 5 {
                        let odd = |a: &[Rect], b: &[Rect]| a.iter().filter(|r| !b.contains(r)).count();
                        println!(
                            "{}: frame {frames} ({width}x{height}) {params:?}: {} found, {} expected, \
                             {} surplus, {} missing",
                            set.name(),
                            found.len(),
                            expected.len(),
                            odd(&found, &expected),
                            odd(&expected, &found),
                        );
                    }
                }
            }
        }
    }
    let mut equal = true;
    for (set, _, mismatches) in &detectors {
        equal &= *mismatches == 0;
        println!(
            "{:<8} frames {frames} cases {cases} rectangles {rectangles} mismatches {mismatches}",
            set.name()
        );
    }
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
