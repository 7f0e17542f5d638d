//! Finds the frames of an MJPEG AVI file.
//!
//! An AVI file is a RIFF tree: `RIFF AVI ` holds `LIST hdrl` (what the streams are) and `LIST movi`
//! (their data in chunks named by stream number and kind: `00dc`); files over 1 GiB go on in
//! `RIFF AVIX` parts. Only the tree is read here: the index at the end of the file is not needed, so
//! that a recording that was cut off plays up to the cut. Layout: Microsoft's "AVI RIFF File
//! Reference" and the OpenDML 1.02 extensions.

use std::io::{self, Read, Seek, SeekFrom};

/// Where the frames are.
#[derive(Clone, Debug, PartialEq)]
pub struct AviIndex {
    /// Width as the header says, in pixels.
    pub width: u32,
    /// Height as the header says, in pixels.
    pub height: u32,
    /// Frames a second as the header says; `None` when it says nothing usable.
    pub rate: Option<f64>,
    /// Offset and length of each frame's JPEG. A length of 0 stands for "as before".
    pub frames: Vec<(u64, u32)>,
    /// Whether the file ends before its last chunk does.
    pub truncated: bool,
}

/// Why a file is no MJPEG AVI.
#[derive(Debug, thiserror::Error)]
pub enum AviError {
    /// Reading failed.
    #[error("reading it: {0}")]
    Io(#[from] io::Error),
    /// Not an AVI at all.
    #[error("it is no AVI file")]
    NotAvi,
    /// An AVI without a video stream.
    #[error("it has no video stream")]
    NoVideo,
    /// Another codec.
    #[error("its video is {0}, not MJPEG; convert it: ffmpeg -i IN -c:v mjpeg -q:v 3 OUT.avi")]
    Codec(String),
    /// No frame in it.
    #[error("it holds no frame")]
    Empty,
}

/// The most frames that are indexed: 10 hours at 30 a second.
const MAX_FRAMES: usize = 1_080_000;

/// How deep lists may be nested; AVI needs 3.
const MAX_DEPTH: u32 = 6;

/// Reads the tree of an AVI file.
///
/// # Errors
/// See [`AviError`].
pub fn index<R: Read + Seek>(mut reader: R) -> Result<AviIndex, AviError> {
    let end = reader.seek(SeekFrom::End(0))?;
    let mut walk = Walk {
        reader,
        end,
        streams: 0,
        current: None,
        video: None,
        rate: None,
        frames: Vec::new(),
        truncated: false,
    };
    let mut at = 0;
    for part in 0.. {
        let Some(chunk) = walk.chunk(at, end)? else { break };
        let expected: &[u8; 4] = if part == 0 { b"AVI " } else { b"AVIX" };
        if chunk.id != *b"RIFF" || walk.bytes::<4>(chunk.data)?.as_ref() != Some(expected) {
            break;
        }
        walk.list(chunk.data + 4, walk.stop(&chunk, end), 0)?;
        at = walk.stop(&chunk, end).max(chunk.data + 4);
        at += at % 2;
        if part == 0 && walk.video.is_none() {
            return Err(AviError::NoVideo);
        }
    }
    if at == 0 {
        return Err(AviError::NotAvi);
    }
    let stream = walk.video.ok_or(AviError::NoVideo)?;
    if !stream.is_mjpeg() {
        return Err(AviError::Codec(stream.codec()));
    }
    if walk.frames.is_empty() {
        return Err(AviError::Empty);
    }
    Ok(AviIndex {
        width: stream.width,
        height: stream.height,
        rate: stream.rate.or(walk.rate),
        frames: walk.frames,
        truncated: walk.truncated,
    })
}

struct Chunk {
    id: [u8; 4],
    size: u32,
    data: u64,
}

#[derive(Default)]
struct Stream {
    number: u8,
    is_video: bool,
    handler: [u8; 4],
    compression: [u8; 4],
    width: u32,
    height: u32,
    rate: Option<f64>,
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

struct Walk<R> {
    reader: R,
    end: u64,
    /// Stream headers seen.
    streams: u8,
    /// The stream whose format comes next.
    current: Option<Stream>,
    /// The first video stream.
    video: Option<Stream>,
    /// Of the main header.
    rate: Option<f64>,
    frames: Vec<(u64, u32)>,
    truncated: bool,
}

impl<R: Read + Seek> Walk<R> {
    /// `N` bytes at `at`, `None` past the end of the file.
    fn bytes<const N: usize>(&mut self, at: u64) -> Result<Option<[u8; N]>, AviError> {
        if at.checked_add(N as u64).is_none_or(|stop| stop > self.end) {
            return Ok(None);
        }
        let mut bytes = [0; N];
        self.reader.seek(SeekFrom::Start(at))?;
        self.reader.read_exact(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn chunk(&mut self, at: u64, stop: u64) -> Result<Option<Chunk>, AviError> {
        if at.checked_add(8).is_none_or(|data| data > stop) {
            return Ok(None);
        }
        let Some(header) = self.bytes::<8>(at)? else { return Ok(None) };
        let [a, b, c, d, size @ ..] = header;
        Ok(Some(Chunk { id: [a, b, c, d], size: u32::from_le_bytes(size), data: at + 8 }))
    }

    /// Where the contents of a list end. A writer that died leaves sizes of 0: the list then
    /// reaches as far as what holds it.
    fn stop(&self, list: &Chunk, holder: u64) -> u64 {
        if list.size < 4 { holder } else { (list.data + u64::from(list.size)).min(holder) }
    }

    fn list(&mut self, mut at: u64, stop: u64, depth: u32) -> Result<(), AviError> {
        while let Some(chunk) = self.chunk(at, stop)? {
            let mut after = chunk.data + u64::from(chunk.size);
            if &chunk.id == b"LIST" {
                let inner = self.stop(&chunk, stop);
                let kind = self.bytes::<4>(chunk.data)?.unwrap_or_default();
                if depth < MAX_DEPTH && matches!(&kind, b"hdrl" | b"strl" | b"movi" | b"rec ") {
                    self.list(chunk.data + 4, inner, depth + 1)?;
                }
                after = inner.max(chunk.data + 4);
            } else if after > self.end {
                self.truncated = true;
                break;
            } else {
                self.leaf(&chunk)?;
            }
            at = after + after % 2;
        }
        Ok(())
    }

    fn leaf(&mut self, chunk: &Chunk) -> Result<(), AviError> {
        match &chunk.id {
            b"avih" => {
                let micros = self.bytes::<4>(chunk.data)?.map_or(0, u32::from_le_bytes);
                self.rate = usable(1e6 / f64::from(micros));
            }
            b"strh" => {
                let number = self.streams;
                self.streams = self.streams.saturating_add(1);
                if let Some(head) = self.bytes::<28>(chunk.data)? {
                    let rate = f64::from(word(&head, 24)) / f64::from(word(&head, 20));
                    self.current = Some(Stream {
                        number,
                        is_video: head.starts_with(b"vids"),
                        handler: word(&head, 4).to_le_bytes(),
                        rate: usable(rate),
                        ..Stream::default()
                    });
                }
            }
            b"strf" => {
                let Some(mut stream) = self.current.take().filter(|s| s.is_video && self.video.is_none())
                else {
                    return Ok(());
                };
                if let Some(format) = self.bytes::<20>(chunk.data)? {
                    stream.width = word(&format, 4);
                    // A negative height means rows from the top.
                    stream.height = word(&format, 8).cast_signed().unsigned_abs();
                    stream.compression = word(&format, 16).to_le_bytes();
                }
                self.video = Some(stream);
            }
            [tens, units, b'd', b'c' | b'b'] if tens.is_ascii_digit() && units.is_ascii_digit() => {
                let number = 10 * (tens - b'0') + (units - b'0');
                if self.video.as_ref().is_some_and(|v| v.number == number) && self.frames.len() < MAX_FRAMES {
                    self.frames.push((chunk.data, chunk.size));
                }
            }
            _ => {}
        }
        Ok(())
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

    #[test]
    fn other_files_are_named() {
        let error = |bytes: &[u8]| index(Cursor::new(bytes)).unwrap_err().to_string();
        assert_eq!(error(b""), "it is no AVI file");
        assert_eq!(error(b"RIFF\x04\0\0\0WAVE"), "it is no AVI file");
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
