//! The recording on disk: append-only lines of JSON, two files of bounded size.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use facelatch_core::access::record::Line;

/// Writes a recording. Not synced: after a power cut its end may be missing.
#[derive(Debug)]
pub struct RecordingFile {
    path: PathBuf,
    file: File,
    written: u64,
    max_bytes: u64,
}

impl RecordingFile {
    /// Goes on with the file at `path`. When it has grown beyond `max_bytes` it is set aside as
    /// `path.old`, in place of an older one, at the next snapshot.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path, max_bytes: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut written = file.metadata()?.len();
        if written > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                // A line that a power cut left half.
                file.write_all(b"\n")?;
                written += 1;
            }
        }
        Ok(RecordingFile { path: path.to_owned(), file, written, max_bytes })
    }

    /// Removes everything that was recorded, in the part set aside as well. The next line should be a
    /// snapshot.
    ///
    /// # Errors
    /// When a file cannot be emptied.
    pub fn erase(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.written = 0;
        remove_if_there(&old(&self.path))
    }

    /// Removes the recording at `path` that nobody writes, and the part set aside; there may be none.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove(path: &Path) -> io::Result<()> {
        remove_if_there(path)?;
        remove_if_there(&old(path))
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When it cannot be written; a part of it may be in the file.
    pub fn add(&mut self, line: &Line) -> io::Result<()> {
        if matches!(line, Line::Snapshot(_)) && self.written >= self.max_bytes {
            fs::rename(&self.path, old(&self.path))?;
            *self = Self::open(&self.path.clone(), self.max_bytes)?;
        }
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.file.write_all(&bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Where the part before is set aside.
fn old(path: &Path) -> PathBuf {
    let mut old = path.as_os_str().to_owned();
    old.push(".old");
    old.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use facelatch_core::access::record::{Call, Step};
    use facelatch_core::access::{Civil, CivilTime, Weekday};
    use facelatch_core::access::{Input, QualityIssue, Score, Seen, Sighting, SubjectId, TrackId};
    use facelatch_core::picture::Rect;
    use facelatch_core::time::Timestamp;

    fn line(similarity: f32) -> Line {
        let seen = Seen::Face {
            track: TrackId(u64::MAX),
            face: Rect::new(-1, 2, 3, 4),
            likeness: vec![Score { subject: SubjectId(3), similarity }].into(),
            unusable: Some(QualityIssue::Flat),
            cues: facelatch_core::liveness::Cues { peak: Some(1.25), ..Default::default() },
        };
        let captured = Timestamp::from_nanos(123_456_789_012_345);
        let sighting = Sighting { captured, sequence: 9, gallery_version: 2, seen, light: None };
        let civil = Civil::At(CivilTime { weekday: Weekday::Sunday, minute: 1_439 });
        Line::Step(Step {
            at: captured,
            call: Call::Input(Input::Sighting { sighting, civil }),
            actions: vec![],
        })
    }

    #[test]
    fn lines_return_and_a_half_line_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recording");
        RecordingFile::open(&path, 1_000).unwrap().add(&line(1.0 / 3.0)).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], &whole[..20]].concat()).unwrap();
        RecordingFile::open(&path, 1_000).unwrap().add(&line(f32::NAN)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().map(serde_json::from_str::<Line>).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].as_ref().unwrap(), &line(1.0 / 3.0));
        assert!(lines[1].is_err());
        assert!(format!("{:?}", lines[2].as_ref().unwrap()).contains("NaN"));
    }
}
