//! Finds the frames of an MJPEG AVI file.
//!
//! An AVI file is a RIFF tree: `RIFF AVI ` holds `LIST hdrl` (what the streams are) and `LIST movi`
//! (their data in chunks named by stream number and kind: `00dc`); files over 1 GiB continue in
//! `RIFF AVIX` parts. Layout: Microsoft's "AVI RIFF File Reference" and the OpenDML 1.02 extensions.
//!
//! Writers get the tree wrong in many ways, so the file is read as a sequence of chunks: a list is entered
//! and its size not used, the index at the end is not needed, and where no chunk begins (no padding, a
//! wrong size, stray bytes) the next one is looked for. A truncated recording plays up to the cut.

use std::io::{self, Read, Seek, SeekFrom};

/// Where the frames are.
#[derive(Clone, Debug, PartialEq)]
pub struct AviIndex {
    /// Width as the header says, in pixels; 0 when it says nothing.
    pub width: u32,
    /// Height as the header says, in pixels; 0 when it says nothing.
    pub height: u32,
    /// Frames a second as the header says; `None` when it says nothing usable.
    pub rate: Option<f64>,
    /// Offset and length of each frame's JPEG. A length of 0 stands for "as before".
    pub frames: Vec<(u64, u32)>,
    /// How many frames the header promises, if it does.
    pub promised: Option<u32>,
    /// Whether the file ends before its last chunk does.
    pub truncated: bool,
}

/// Why a file is not an MJPEG AVI.
#[derive(Debug, thiserror::Error)]
pub enum AviError {
    /// Reading failed.
    #[error("reading it: {0}")]
    Io(#[from] io::Error),
    /// Not an AVI at all.
    #[error("not an AVI file")]
    NotAvi,
    /// An AVI without a video stream.
    #[error("it has no video stream")]
    NoVideo,
    /// Another codec.
    #[error("its video is {0}, not MJPEG")]
    Codec(String),
    /// No frame in it.
    #[error("it holds no frame")]
    Empty,
}

/// The most frames that are indexed: 10 hours at 30 a second.
const MAX_FRAMES: usize = 1_080_000;

/// A promise of more frames is none: writers that cannot go back to the header leave such a number.
const MAX_PROMISED: u32 = 100_000_000;

/// Reads the chunks of an AVI file.
///
/// # Errors
/// See [`AviError`].
pub fn index<R: Read + Seek>(reader: R) -> Result<AviIndex, AviError> {
    let mut file = Bytes::new(reader)?;
    if file.get::<4>(0)? != Some(*b"RIFF") || file.get::<4>(8)? != Some(*b"AVI ") {
        return Err(AviError::NotAvi);
    }
    let mut walk = Walk {
        file,
        streams: Vec::new(),
        format_follows: false,
        data_began: false,
        rate: None,
        promised: None,
        frames: Vec::new(),
        truncated: false,
    };
    walk.run()?;
    walk.finish()
}

/// A file, read in blocks.
struct Bytes<R> {
    reader: R,
    end: u64,
    /// Where `block` begins in the file.
    begins: u64,
    block: Vec<u8>,
}

impl<R: Read + Seek> Bytes<R> {
    fn new(mut reader: R) -> Result<Self, AviError> {
        let end = reader.seek(SeekFrom::End(0))?;
        Ok(Bytes { reader, end, begins: 0, block: Vec::new() })
    }

    /// The bytes from `at` on, at least `wanted` of them unless the file ends before.
    fn at(&mut self, at: u64, wanted: usize) -> Result<&[u8], AviError> {
        /// What is read at a time; a frame's header needs little more than 8 bytes.
        const BLOCK: usize = 2048;
        let wanted = wanted.min(usize::try_from(self.end.saturating_sub(at)).unwrap_or(usize::MAX));
        let held = at.checked_sub(self.begins).and_then(|skip| usize::try_from(skip).ok());
        if let Some(skip) = held.filter(|skip| skip + wanted <= self.block.len()) {
            return Ok(&self.block[skip..]);
        }
        self.block.clear();
        self.begins = at;
        self.reader.seek(SeekFrom::Start(at))?;
        (&mut self.reader).take(wanted.max(BLOCK) as u64).read_to_end(&mut self.block)?;
        Ok(&self.block)
    }

    /// `N` bytes at `at`, `None` past the end of the file.
    fn get<const N: usize>(&mut self, at: u64) -> Result<Option<[u8; N]>, AviError> {
        Ok(self.at(at, N)?.get(..N).and_then(|bytes| bytes.try_into().ok()))
    }
}

#[derive(Default)]
struct Stream {
    is_video: bool,
    handler: [u8; 4],
    compression: [u8; 4],
    width: u32,
    height: u32,
    rate: Option<f64>,
    promised: Option<u32>,
}

impl Stream {
    fn is_mjpeg(&self) -> bool {
        [self.handler, self.compression].iter().any(|c| c.eq_ignore_ascii_case(b"MJPG"))
    }

    fn codec(&self) -> String {
        let code = if self.compression == [0; 4] { self.handler } else { self.compression };
        let name: String = code.iter().map(|&b| char::from(b)).filter(char::is_ascii_graphic).collect();
        if name.is_empty() { "raw".to_owned() } else { name }
    }
}

/// A chunk by its first bytes.
#[derive(Clone, Copy)]
enum Chunk {
    /// A list whose chunks are read one by one.
    Enter,
    /// A list or chunk that is skipped, or looked into as a header.
    Leaf { id: [u8; 4], size: u32 },
    /// Data of a video stream.
    Frame { stream: u8, size: u32 },
}

/// A frame as it was found.
struct Found {
    stream: u8,
    at: u64,
    length: u32,
    /// Whether it begins as a JPEG does.
    jpeg: bool,
}

struct Walk<R> {
    file: Bytes<R>,
    /// In the order of their headers, which is their number.
    streams: Vec<Stream>,
    /// Whether the last stream still waits for its format.
    format_follows: bool,
    /// After the first data, headers are another file's.
    data_began: bool,
    /// Of the main header.
    rate: Option<f64>,
    promised: Option<u32>,
    frames: Vec<Found>,
    truncated: bool,
}

impl<R: Read + Seek> Walk<R> {
    fn run(&mut self) -> Result<(), AviError> {
        let mut at = 12;
        while at + 8 <= self.file.end {
            let Some(chunk) = self.chunk(at)? else {
                match self.search(at + 1)? {
                    Some(found) => at = found,
                    None => break,
                }
                continue;
            };
            let (Chunk::Leaf { size, .. } | Chunk::Frame { size, .. }) = chunk else {
                self.data_began |= self.file.get::<4>(at + 8)? == Some(*b"movi");
                at += 12;
                continue;
            };
            let data = at + 8;
            let after = data + u64::from(size);
            self.take(chunk, data)?;
            at = match self.next(after, size)? {
                Some(next) => next,
                None => {
                    let found = self.search(data)?;
                    if matches!(chunk, Chunk::Frame { .. }) {
                        self.mend(found, after)?;
                    } else {
                        self.truncated |= found.is_none() && after > self.file.end;
                    }
                    match found {
                        Some(found) => found,
                        None => break,
                    }
                }
            };
        }
        Ok(())
    }

    /// The chunk that begins at `at`, if one does. One of an unknown name counts when another follows it.
    fn chunk(&mut self, at: u64) -> Result<Option<Chunk>, AviError> {
        if let Some(known) = self.known(at)? {
            return Ok(Some(known));
        }
        let Some([a, b, c, d, size @ ..]) = self.file.get::<8>(at)? else { return Ok(None) };
        let (id, size) = ([a, b, c, d], u32::from_le_bytes(size));
        let after = at + 8 + u64::from(size);
        if after > self.file.end || !id.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
            return Ok(None);
        }
        for next in [after + u64::from(size % 2), after] {
            if next + 8 > self.file.end || self.known(next)?.is_some() {
                return Ok(Some(Chunk::Leaf { id, size }));
            }
        }
        Ok(None)
    }

    /// The same of the chunks that AVI files are made of.
    fn known(&mut self, at: u64) -> Result<Option<Chunk>, AviError> {
        let Some([a, b, c, d, size @ ..]) = self.file.get::<8>(at)? else { return Ok(None) };
        let (id, size) = ([a, b, c, d], u32::from_le_bytes(size));
        let kind = self.file.get::<4>(at + 8)?.unwrap_or_default();
        let fits = at + 8 + u64::from(size) <= self.file.end;
        Ok(match &id {
            b"RIFF" if matches!(&kind, b"AVI " | b"AVIX") => Some(Chunk::Enter),
            b"LIST" if matches!(&kind, b"hdrl" | b"strl" | b"movi" | b"rec " | b"odml") => Some(Chunk::Enter),
            b"LIST" if fits && kind.iter().all(u8::is_ascii_graphic) => Some(Chunk::Leaf { id, size }),
            b"avih" | b"strh" | b"strf" | b"strd" | b"strn" | b"dmlh" | b"vprp" | b"indx" | b"idx1"
            | b"JUNK" => Some(Chunk::Leaf { id, size }),
            [tens, units, b'd' | b'D', b'c' | b'b' | b'C' | b'B']
                if tens.is_ascii_digit() && units.is_ascii_digit() =>
            {
                Some(Chunk::Frame { stream: 10 * (tens - b'0') + (units - b'0'), size })
            }
            // Sound, palettes, text; and the index of a stream.
            [tens, units, x, y] | [x, y, tens, units]
                if fits
                    && tens.is_ascii_digit()
                    && units.is_ascii_digit()
                    && x.is_ascii_alphabetic()
                    && y.is_ascii_alphabetic() =>
            {
                Some(Chunk::Leaf { id, size })
            }
            _ => None,
        })
    }

    /// Where the chunk behind one that ends at `after` begins: behind the padding, or where a writer without
    /// padding put it. The end of the file is as good. `None` when no chunk begins there.
    fn next(&mut self, after: u64, size: u32) -> Result<Option<u64>, AviError> {
        if after > self.file.end {
            return Ok(None);
        }
        let padded = after + u64::from(size % 2);
        for at in [padded, after] {
            if at + 8 > self.file.end || self.chunk(at)?.is_some() {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// The next place from `from` on where a chunk begins beyond doubt: a frame with a JPEG, a list, an
    /// index, a further part.
    fn search(&mut self, mut from: u64) -> Result<Option<u64>, AviError> {
        /// The most bytes that are looked at to know a chunk.
        const HEAD: usize = 12;
        const STEP: usize = 1 << 16;
        while from + HEAD as u64 <= self.file.end {
            let bytes = self.file.at(from, STEP)?;
            let found = bytes.windows(HEAD).position(|w| {
                let kind = &w[8..12];
                match &w[..4] {
                    b"RIFF" => matches!(kind, b"AVI " | b"AVIX"),
                    b"LIST" => matches!(kind, b"hdrl" | b"strl" | b"movi" | b"rec " | b"odml" | b"INFO"),
                    // An index begins with the name of a chunk.
                    b"idx1" => kind[0].is_ascii_digit() && kind[1].is_ascii_digit(),
                    [tens, units, b'd' | b'D', b'c' | b'b' | b'C' | b'B'] => {
                        tens.is_ascii_digit()
                            && units.is_ascii_digit()
                            && kind.starts_with(&[0xff, 0xd8, 0xff])
                    }
                    _ => false,
                }
            });
            if let Some(found) = found {
                return Ok(Some(from + found as u64));
            }
            from += (bytes.len().max(HEAD) - HEAD + 1) as u64;
        }
        Ok(None)
    }

    /// Sets the length of the last frame right, behind whose stated end (`after`) no chunk began; `found` is
    /// where one did.
    fn mend(&mut self, found: Option<u64>, after: u64) -> Result<(), AviError> {
        /// So near to its end a frame holds the end marker; behind it there may be padding.
        const TAIL: u64 = 16;
        let end = self.file.end;
        let stop = found.unwrap_or(end);
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        let mut ended = |at: u64| -> Result<bool, AviError> {
            let from = at.saturating_sub(TAIL).max(frame.at);
            let length = at.saturating_sub(from) as usize;
            let bytes = self.file.at(from, length)?;
            Ok(bytes[..length.min(bytes.len())].windows(2).any(|w| w == [0xff, 0xd9]))
        };
        if after > end && found.is_none() && !ended(stop)? {
            // Cut off in mid-frame.
            self.truncated = true;
            self.frames.pop();
        } else if after > stop || !ended(after)? {
            frame.length = u32::try_from(stop - frame.at).unwrap_or(frame.length);
        }
        Ok(())
    }

    /// What a chunk says, or that it is a frame.
    fn take(&mut self, chunk: Chunk, data: u64) -> Result<(), AviError> {
        let id = match chunk {
            Chunk::Enter => return Ok(()),
            Chunk::Frame { stream, size } => {
                self.data_began = true;
                let jpeg = self.file.get::<2>(data)? == Some([0xff, 0xd8]);
                if self.frames.len() < MAX_FRAMES {
                    self.frames.push(Found { stream, at: data, length: size, jpeg });
                }
                return Ok(());
            }
            Chunk::Leaf { id, .. } if self.data_began => {
                // `dmlh` alone may stand behind the data, too.
                if id != *b"dmlh" {
                    return Ok(());
                }
                id
            }
            Chunk::Leaf { id, .. } => id,
        };
        match &id {
            b"avih" => {
                if let Some(head) = self.file.get::<20>(data)? {
                    self.rate = usable(1e6 / f64::from(word(&head, 0)));
                    self.promised = self.promised.max(promise(word(&head, 16)));
                }
            }
            b"dmlh" => {
                let total = self.file.get::<4>(data)?.map_or(0, u32::from_le_bytes);
                self.promised = self.promised.max(promise(total));
            }
            b"strh" => {
                if let Some(head) = self.file.get::<36>(data)?
                    && self.streams.len() < 100
                {
                    let rate = f64::from(word(&head, 24)) / f64::from(word(&head, 20));
                    self.streams.push(Stream {
                        is_video: head.starts_with(b"vids"),
                        handler: word(&head, 4).to_le_bytes(),
                        rate: usable(rate),
                        promised: promise(word(&head, 32)),
                        ..Stream::default()
                    });
                    self.format_follows = true;
                }
            }
            b"strf" if self.format_follows => {
                self.format_follows = false;
                if let Some(format) = self.file.get::<20>(data)?
                    && let Some(stream) = self.streams.last_mut().filter(|s| s.is_video)
                {
                    stream.width = word(&format, 4);
                    // A negative height means rows from the top.
                    stream.height = word(&format, 8).cast_signed().unsigned_abs();
                    stream.compression = word(&format, 16).to_le_bytes();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Result<AviIndex, AviError> {
        let number = self.streams.iter().position(|s| s.is_video);
        let mut pictures = [0usize; 100];
        for frame in self.frames.iter().filter(|frame| frame.jpeg) {
            pictures[usize::from(frame.stream)] += 1;
        }
        // Some writers count the streams otherwise in the data than in the header.
        let mut chosen = number.unwrap_or(0);
        if pictures.get(chosen).is_none_or(|n| *n == 0) {
            let other = (0..pictures.len()).rev().max_by_key(|n| pictures[*n]).unwrap_or(0);
            chosen = if pictures[other] > 0 { other } else { chosen };
        }
        let shows_jpegs = pictures.get(chosen).is_some_and(|n| *n > 0);
        if number.is_none() && !shows_jpegs {
            return Err(AviError::NoVideo);
        }
        let stream = number.map(|n| self.streams.swap_remove(n)).unwrap_or_default();
        if !stream.is_mjpeg() && !shows_jpegs {
            return Err(AviError::Codec(stream.codec()));
        }
        let frames: Vec<_> = self
            .frames
            .iter()
            .filter(|f| usize::from(f.stream) == chosen)
            .map(|f| (f.at, f.length))
            .collect();
        if frames.is_empty() {
            return Err(AviError::Empty);
        }
        Ok(AviIndex {
            width: stream.width,
            height: stream.height,
            rate: stream.rate.or(self.rate),
            frames,
            promised: stream.promised.max(self.promised),
            truncated: self.truncated,
        })
    }
}

/// The little-endian word at `at`, 0 where there is none.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// Frame rates that make sense.
fn usable(rate: f64) -> Option<f64> {
    (rate.is_finite() && rate > 0.0 && rate <= 1000.0).then_some(rate)
}

/// Numbers of frames that make sense.
fn promise(frames: u32) -> Option<u32> {
    (1..=MAX_PROMISED).contains(&frames).then_some(frames)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn chunk(id: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let mut bytes = id.to_vec();
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        if data.len() % 2 == 1 {
            bytes.push(0);
        }
        bytes
    }

    fn list(id: &[u8; 4], kind: &[u8; 4], parts: &[Vec<u8>]) -> Vec<u8> {
        let mut data = kind.to_vec();
        data.extend(parts.concat());
        chunk(id, &data)
    }

    /// An AVI of `frames` (bytes of each) with a sound stream before the video stream.
    pub(crate) fn avi(codec: &[u8; 4], width: u32, height: u32, fps: u32, frames: &[Vec<u8>]) -> Vec<u8> {
        let mut avih = vec![0; 56];
        avih[..4].copy_from_slice(&(1_000_000 / fps).to_le_bytes());
        let sound = list(
            b"LIST",
            b"strl",
            &[chunk(b"strh", &[b"auds".to_vec(), vec![0; 52]].concat()), chunk(b"strf", &[0; 18])],
        );
        let mut strh = [b"vids".to_vec(), codec.to_vec(), vec![0; 48]].concat();
        strh[20..24].copy_from_slice(&1u32.to_le_bytes());
        strh[24..28].copy_from_slice(&fps.to_le_bytes());
        let mut strf = vec![0; 40];
        strf[4..8].copy_from_slice(&width.to_le_bytes());
        strf[8..12].copy_from_slice(&height.to_le_bytes());
        strf[16..20].copy_from_slice(codec);
        let video = list(b"LIST", b"strl", &[chunk(b"strh", &strh), chunk(b"strf", &strf)]);
        let mut movi: Vec<_> = frames.iter().map(|f| chunk(b"01dc", f)).collect();
        movi.insert(1.min(movi.len()), chunk(b"00wb", &[7; 5]));
        list(
            b"RIFF",
            b"AVI ",
            &[
                list(b"LIST", b"hdrl", &[chunk(b"avih", &avih), sound, video]),
                chunk(b"JUNK", &[0; 13]),
                list(b"LIST", b"movi", &movi),
                chunk(b"idx1", &[0; 32]),
            ],
        )
    }

    fn frames() -> Vec<Vec<u8>> {
        vec![vec![1; 10], vec![2; 11], vec![], vec![3; 12]]
    }

    #[test]
    fn frames_are_found_between_sound() {
        let file = avi(b"MJPG", 320, 240, 25, &frames());
        let index = index(Cursor::new(&file)).unwrap();
        assert_eq!((index.width, index.height, index.rate, index.truncated), (320, 240, Some(25.0), false));
        let found: Vec<_> =
            index.frames.iter().map(|&(at, n)| file[at as usize..][..n as usize].to_vec()).collect();
        assert_eq!(found, frames());
    }

    #[test]
    fn a_cut_file_plays_up_to_the_cut() {
        let file = avi(b"MJPG", 320, 240, 25, &frames());
        let whole = index(Cursor::new(&file)).unwrap().frames;
        let cut = whole[3].0 as usize + 5;
        let index = index(Cursor::new(&file[..cut])).unwrap();
        assert!(index.truncated);
        assert_eq!(index.frames, whole[..3]);
    }

    #[test]
    fn sizes_never_filled_in_are_coped_with() {
        let mut file = avi(b"MJPG", 320, 240, 25, &frames());
        let movi = file.windows(4).position(|w| w == b"movi").unwrap();
        file[4..8].fill(0);
        file[movi - 4..movi].fill(0);
        assert_eq!(index(Cursor::new(&file)).unwrap().frames.len(), 4);
    }

    #[test]
    fn a_second_part_goes_on() {
        let mut file = avi(b"mjpg", 320, 240, 25, &frames());
        file.extend(list(b"RIFF", b"AVIX", &[list(b"LIST", b"movi", &[chunk(b"01dc", &[9; 9])])]));
        assert_eq!(index(Cursor::new(&file)).unwrap().frames.len(), 5);
    }

    /// A frame that begins and ends as a JPEG does; its length is odd for an odd `n`.
    fn jpeg(n: u8) -> Vec<u8> {
        [&[0xff, 0xd8, 0xff, n][..], &vec![n; 40 + usize::from(n)], &[0xff, 0xd9]].concat()
    }

    fn jpegs() -> Vec<Vec<u8>> {
        (0..6).map(jpeg).collect()
    }

    /// The bytes of the frames of a file.
    fn found(file: &[u8]) -> Vec<Vec<u8>> {
        let index = index(Cursor::new(file)).unwrap();
        index.frames.iter().map(|&(at, n)| file[at as usize..][..n as usize].to_vec()).collect()
    }

    /// Where each chunk of this name begins.
    fn places(file: &[u8], id: &[u8; 4]) -> Vec<usize> {
        (0..file.len() - 4).filter(|&at| &file[at..at + 4] == id).collect()
    }

    #[test]
    fn what_writers_get_wrong_is_put_right() {
        let plain = avi(b"MJPG", 320, 240, 25, &jpegs());
        assert_eq!(found(&plain), jpegs());
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut file = plain.clone();
            change(&mut file);
            file
        };
        let movi = places(&plain, b"movi")[0];
        let third = places(&plain, b"01dc")[2];
        let cases: [(&str, Vec<u8>); 14] = [
            ("RIFF's size too small", with(&|f| f[4..8].copy_from_slice(&5000u32.to_le_bytes()))),
            ("RIFF's size too large", with(&|f| f[4..8].fill(0xff))),
            ("movi's size too small", with(&|f| f[movi - 4..movi].copy_from_slice(&100u32.to_le_bytes()))),
            ("movi's size too large", with(&|f| f[movi - 4..movi].fill(0xff))),
            ("nulls before movi (VLC)", with(&|f| drop(f.splice(movi - 8..movi - 8, [0; 4])))),
            ("a null before movi", with(&|f| f.insert(movi - 8, 0))),
            ("nulls between frames", with(&|f| drop(f.splice(third..third, [0; 7])))),
            ("noise between frames", with(&|f| drop(f.splice(third..third, *b"00dcLIST\xff\xd8idx1 01d")))),
            (
                "a frame's size too small",
                with(&|f| f[third + 4..third + 8].copy_from_slice(&9u32.to_le_bytes())),
            ),
            ("a frame's size too large", with(&|f| f[third + 4] += 8)),
            ("a frame's size nonsense", with(&|f| f[third + 4..third + 8].fill(0xee))),
            ("no index", with(&|f| f.truncate(places(f, b"idx1")[0]))),
            (
                "an index of nonsense",
                with(&|f| {
                    let at = places(f, b"idx1")[0];
                    f[at + 4..].fill(0x77)
                }),
            ),
            ("noise behind the end", with(&|f| f.extend(b"and more of it behind the end"))),
        ];
        for (name, file) in cases {
            let found = found(&file);
            assert_eq!(found.len(), 6, "{name}");
            for (n, (found, right)) in found.iter().zip(jpegs()).enumerate() {
                // A length that was put right may take in what stands behind the frame.
                assert!(found.starts_with(&right[..right.len() - 1]), "{name}: frame {n}");
            }
        }
    }

    #[test]
    fn frames_without_padding_are_found() {
        let plain = avi(b"MJPG", 320, 240, 25, &[]);
        let movi = places(&plain, b"movi")[0];
        let mut file = plain[..movi + 4].to_vec();
        for frame in jpegs() {
            file.extend(b"01dc");
            file.extend((frame.len() as u32).to_le_bytes());
            file.extend(frame);
        }
        file.extend(&plain[movi + 4..]);
        assert_eq!(found(&file), jpegs());
    }

    #[test]
    fn lists_in_movi_and_further_parts_are_entered() {
        let plain = avi(b"MJPG", 320, 240, 25, &jpegs()[..2]);
        let movi = places(&plain, b"movi")[0];
        let records: Vec<Vec<u8>> = jpegs()[2..4]
            .iter()
            .map(|frame| {
                list(
                    b"LIST",
                    b"rec ",
                    &[chunk(b"01dc", frame), chunk(b"00wb", b"snd"), chunk(b"JUNK", &[0; 20])],
                )
            })
            .collect();
        let mut file = plain[..movi + 4].to_vec();
        file.extend(&plain[movi + 4..places(&plain, b"idx1")[0]]);
        file.extend(records.concat());
        file.extend(chunk(b"JUNK", &[0; 512]));
        let part = [chunk(b"01dc", &jpegs()[4]), chunk(b"ix01", &[0; 24]), chunk(b"01dc", &jpegs()[5])];
        file.extend(list(b"RIFF", b"AVIX", &[list(b"LIST", b"movi", &part)]));
        assert_eq!(found(&file), jpegs());
    }

    #[test]
    fn only_one_stream_is_taken_whatever_its_number() {
        let both = |ids: [&[u8; 4]; 2]| {
            let plain = avi(b"MJPG", 320, 240, 25, &[]);
            let movi = places(&plain, b"movi")[0];
            let frames: Vec<u8> =
                jpegs().iter().flat_map(|f| [chunk(ids[0], f), chunk(ids[1], &[9; 30])].concat()).collect();
            [&plain[..movi + 4], &frames, &plain[movi + 4..]].concat()
        };
        // `db` is for bitmaps, but some writers name JPEGs so; others count the streams in another way.
        for ids in [
            [b"01dc", b"02dc"],
            [b"01db", b"02dc"],
            [b"00dc", b"02dc"],
            [b"00DC", b"01wb"],
            [b"03dc", b"01dc"],
        ] {
            assert_eq!(found(&both(ids)), jpegs(), "{}", String::from_utf8_lossy(ids[0]));
        }
    }

    #[test]
    fn the_header_is_believed_within_reason() {
        let plain = avi(b"MJPG", 320, 240, 25, &jpegs());
        let strh = places(&plain, b"strh")[1] + 8;
        let avih = places(&plain, b"avih")[0] + 8;
        let with = |words: &[(usize, u32)]| {
            let mut file = plain.clone();
            for &(at, value) in words {
                file[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            index(Cursor::new(&file)).unwrap()
        };
        for (scale, rate, right) in [
            (1001, 30_000, Some(30_000.0 / 1001.0)),
            (33_333, 1_000_000, Some(1_000_000.0 / 33_333.0)),
            // Nonsense: the main header's 25 stand.
            (0, 30, Some(25.0)),
            (1, 0, Some(25.0)),
            (1, 90_000, Some(25.0)),
        ] {
            assert_eq!(with(&[(strh + 20, scale), (strh + 24, rate)]).rate, right, "{rate}/{scale}");
        }
        assert_eq!(with(&[(strh + 20, 0), (avih, 0)]).rate, None);
        assert_eq!(with(&[]).promised, None, "a count of 0 promises nothing");
        assert_eq!(with(&[(avih + 16, 9)]).promised, Some(9));
        assert_eq!(with(&[(avih + 16, 3), (strh + 32, 12)]).promised, Some(12));
        assert_eq!(with(&[(avih + 16, u32::MAX)]).promised, None);
        // JPEGs are JPEGs, whatever the header calls them.
        for codec in [b"jpeg", b"dmb1", b"AVRn", &[0; 4]] {
            assert_eq!(found(&avi(codec, 320, 240, 25, &jpegs())), jpegs());
        }
    }

    #[test]
    fn the_last_frame_counts_when_it_is_whole() {
        let plain = avi(b"MJPG", 320, 240, 25, &jpegs());
        let end = places(&plain, b"idx1")[0];
        let last = places(&plain, b"01dc")[5];
        let mut file = plain[..end].to_vec();
        file[last + 4..last + 8].copy_from_slice(&70_000u32.to_le_bytes());
        assert_eq!(found(&file).len(), 6);
        file.truncate(end - 20);
        let index = index(Cursor::new(&file)).unwrap();
        assert_eq!((index.frames.len(), index.truncated), (5, true));
    }

    #[test]
    fn other_files_are_named() {
        let error = |bytes: &[u8]| index(Cursor::new(bytes)).unwrap_err().to_string();
        assert_eq!(error(b""), "not an AVI file");
        assert_eq!(error(b"RIFF\x04\0\0\0WAVE"), "not an AVI file");
        assert!(error(&avi(b"H264", 320, 240, 25, &frames())).contains("H264, not MJPEG"));
        assert_eq!(error(&avi(b"MJPG", 320, 240, 25, &[])), "it holds no frame");
        assert_eq!(error(&list(b"RIFF", b"AVI ", &[])), "it has no video stream");
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic_or_hang(
            damage in proptest::collection::vec((0..700usize, any::<u8>()), 0..12),
            cut in 0..700usize,
        ) {
            let mut file = avi(b"MJPG", 320, 240, 25, &frames());
            for (at, value) in damage {
                let at = at % file.len();
                file[at] = value;
            }
            file.truncate(file.len() - cut % file.len());
            if let Ok(index) = index(Cursor::new(&file)) {
                for (at, n) in index.frames {
                    prop_assert!(at + u64::from(n) <= file.len() as u64);
                }
            }
        }

        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut file = b"RIFF\0\0\0\0AVI LIST".to_vec();
            file.extend(bytes);
            let _ = index(Cursor::new(&file));
        }
    }
}
