//! Searches what the virtual board left behind for templates and pictures in plain.
//!
//! `lab_search GALLERY KEY WxH --played FOLDER... --in FILE...`
//!
//! Looks for pieces of 16 bytes: of the gallery's templates as numbers in memory, as hexadecimal digits and
//! as JSON, and of the pictures that the camera played, as gray and as YUYV. Each piece is looked for at
//! every byte of every file. That the search works is shown first by the sealed gallery, which must be
//! among the files.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use facelatch::camera::{FrameSource, Next, Recording};
use facelatch::store::{GalleryStore, StoreKey};

const PIECE: usize = 16;

/// What is looked for, by the pieces' first eight bytes.
#[derive(Default)]
struct Pieces {
    /// One bit for each hash: most bytes of a file are skipped by it.
    seen: Vec<bool>,
    by_start: HashMap<u64, Vec<(Vec<u8>, &'static str)>>,
    count: usize,
}

fn start(bytes: &[u8]) -> u64 {
    bytes[..8].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

fn slot(start: u64) -> usize {
    (start.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44) as usize
}

impl Pieces {
    /// Adds the pieces of `bytes` that are neither flat nor a ramp: those could be anything.
    fn add(&mut self, bytes: &[u8], what: &'static str) {
        self.seen.resize(1 << 20, false);
        for piece in bytes.chunks_exact(PIECE) {
            let different = |mut values: Vec<u8>| {
                values.sort_unstable();
                values.dedup();
                values.len()
            };
            // Every second byte of YUYV is the same.
            let steps = piece.windows(3).map(|w| w[2].wrapping_sub(w[0])).collect();
            if different(piece.to_vec()) >= 7 && different(steps) >= 5 {
                self.seen[slot(start(piece))] = true;
                self.by_start.entry(start(piece)).or_default().push((piece.to_vec(), what));
                self.count += 1;
            }
        }
    }

    /// How many pieces of each kind are in `bytes`.
    fn found(&self, bytes: &[u8]) -> HashMap<&'static str, usize> {
        let mut found: HashMap<_, usize> = HashMap::new();
        let mut window = 0;
        for (end, &byte) in bytes.iter().enumerate() {
            window = window << 8 | u64::from(byte);
            if end < 7 || !self.seen[slot(window)] {
                continue;
            }
            let here = &bytes[end - 7..];
            for (piece, what) in self.by_start.get(&window).into_iter().flatten() {
                if here.starts_with(piece) {
                    *found.entry(*what).or_default() += 1;
                }
            }
        }
        found
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let usage = "usage: lab_search GALLERY KEY WxH --played FOLDER... --in FILE...";
    let [gallery, key, size, rest @ ..] = args.as_slice() else { return Err(usage.into()) };
    let (width, height) = size.split_once('x').ok_or(usage)?;
    let size = (width.parse()?, height.parse()?);
    let mut lists = rest.split(|arg| arg == "--played" || arg == "--in").skip(1);
    let (Some(played), Some(files)) = (lists.next(), lists.next()) else { return Err(usage.into()) };

    let mut pieces = Pieces::default();
    let people = GalleryStore::open(Path::new(gallery), StoreKey::open(Path::new(key))?)?.load()?;
    for template in people.subjects().iter().flat_map(|s| &s.templates) {
        let bytes: Vec<u8> = template.values().iter().flat_map(|v| v.to_le_bytes()).collect();
        let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        pieces.add(&bytes, "template");
        pieces.add(digits.as_bytes(), "template in hexadecimal");
        pieces.add(serde_json::to_string(template.values())?.as_bytes(), "template as text");
    }
    let templates = pieces.count;
    for folder in played {
        let mut recording = Recording::open(Path::new(folder), 20.0, Some(size), false)?;
        while let Next::Frame(frame) = recording.next(Duration::ZERO)? {
            // Eight rows of each picture; a file with pictures in it has them all.
            let rows = frame.gray.pixels().chunks_exact(frame.gray.width());
            for row in rows.skip(frame.gray.height() / 4).step_by(frame.gray.height() / 16).take(8) {
                pieces.add(row, "picture");
                let yuyv: Vec<u8> = row.iter().flat_map(|&y| [y, 128]).collect();
                pieces.add(&yuyv, "picture in YUYV");
            }
        }
    }
    if templates == 0 || pieces.count == templates {
        return Err("nothing to look for: no template or no picture".into());
    }

    let mut sealed = Pieces::default();
    sealed.add(&fs::read(gallery)?, "sealed gallery");
    let (mut bytes, mut control, mut traces) = (0, 0, Vec::new());
    for file in files {
        let content = fs::read(file)?;
        bytes += content.len();
        control += sealed.found(&content).len();
        traces
            .extend(pieces.found(&content).iter().map(|(what, n)| format!("{file}: {n} pieces of a {what}")));
    }
    if control == 0 {
        return Err("the sealed gallery is in none of the files: they are not what the board wrote".into());
    }
    if !traces.is_empty() {
        return Err(traces.join("; ").into());
    }
    println!(
        "none of {templates} pieces of templates and {} of pictures in {} files, {} MiB",
        pieces.count - templates,
        files.len(),
        bytes >> 20
    );
    Ok(())
}
