//! Which pictures are compared: LFW's list of pairs, or all pairs of a folder of people.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use facelatch_edges::picture_file::{PictureFileError, list_pictures};

/// The most pairs that are compared in one run.
pub const MOST_PAIRS: usize = 20_000_000;

/// Two pictures to compare, as indices into [`PairSet::pictures`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// First picture.
    pub a: usize,
    /// Second picture.
    pub b: usize,
    /// Whether both are of one person.
    pub genuine: bool,
}

/// Pictures and the pairs of them to compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairSet {
    /// Each picture once.
    pub pictures: Vec<PathBuf>,
    /// The pairs, in the order of the list or of the folders.
    pub pairs: Vec<Pair>,
}

/// Why there are no pairs to compare.
#[derive(Debug, thiserror::Error)]
pub enum PairsError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {source}; {remedy}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A person's folder cannot be listed.
    #[error(transparent)]
    Folder(#[from] PictureFileError),
    /// A line of a list of pairs is not understood.
    #[error(
        "{path}: line {line} is neither `name i j` nor `name i name j`, separated by tabs; correct it or remove it"
    )]
    Line {
        /// The list.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// There is nothing to compare.
    #[error("{path}: {message}")]
    Empty {
        /// The list or folder.
        path: PathBuf,
        /// What is missing, and the remedy.
        message: String,
    },
}

/// Reads a list in the format of Labeled Faces in the Wild: a line a pair, tab-separated, `name i j` for
/// two pictures of one person or `name i name j` for two people; picture `i` is
/// `ROOT/name/name_%04d.jpg`. LFW's own first line (one or two
/// numbers) is skipped.
///
/// # Errors
/// When the list cannot be read, or a line is not understood.
pub fn lfw(root: &Path, list: &Path) -> Result<PairSet, PairsError> {
    let text = fs::read_to_string(list).map_err(|source| PairsError::Read {
        path: list.to_path_buf(),
        source,
        remedy: "give a list of pairs in the format of LFW's pairs.txt",
    })?;
    let mut set = PairSet::default();
    let mut known = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        let is_count = fields.len() <= 2 && fields.iter().all(|f| f.parse::<u32>().is_ok());
        if line.trim().is_empty() || (index == 0 && is_count) {
            continue;
        }
        let bad = || PairsError::Line { path: list.to_path_buf(), line: index + 1 };
        let (one, two) = match fields[..] {
            [name, i, j] => ((name, i), (name, j)),
            [name, i, other, j] => ((name, i), (other, j)),
            _ => return Err(bad()),
        };
        let mut picture = |(name, number): (&str, &str)| {
            let number: u32 = number.parse().ok()?;
            let plain = !name.is_empty() && !name.contains(['/', '\\']) && name != "..";
            plain.then(|| {
                let path = root.join(name).join(format!("{name}_{number:04}.jpg"));
                *known.entry(path.clone()).or_insert_with(|| {
                    set.pictures.push(path);
                    set.pictures.len() - 1
                })
            })
        };
        let (a, b) = picture(one).zip(picture(two)).ok_or_else(bad)?;
        set.pairs.push(Pair { a, b, genuine: one.0 == two.0 });
    }
    if set.pairs.is_empty() {
        let message = "holds no pairs; give a list in the format of LFW's pairs.txt".into();
        return Err(PairsError::Empty { path: list.to_path_buf(), message });
    }
    Ok(set)
}

/// All pairs of the pictures in `folder`, which holds a folder of pictures for each person. Files
/// beside the folders, and files that are not pictures by their name, are left out; people and pictures come in the order of
/// their names.
///
/// # Errors
/// When a folder cannot be read, or there are fewer than two pictures.
pub fn subjects(folder: &Path) -> Result<PairSet, PairsError> {
    let mut set = PairSet::default();
    let mut people = Vec::new();
    for (person, path) in entries(folder)?.into_iter().filter(|p| p.is_dir()).enumerate() {
        for picture in list_pictures(&path)? {
            set.pictures.push(picture);
            people.push(person);
        }
    }
    let n = set.pictures.len();
    let pairs = n.saturating_mul(n.saturating_sub(1)) / 2;
    if pairs == 0 || pairs > MOST_PAIRS {
        let message = if pairs == 0 {
            "holds fewer than two pictures; give a folder that holds a folder of pictures for each person"
                .to_string()
        } else {
            format!(
                "its {n} pictures make {pairs} pairs, at most {MOST_PAIRS} are compared; give fewer people"
            )
        };
        return Err(PairsError::Empty { path: folder.to_path_buf(), message });
    }
    for a in 0..n {
        for b in a + 1..n {
            set.pairs.push(Pair { a, b, genuine: people[a] == people[b] });
        }
    }
    Ok(set)
}

/// What a folder holds, in name order, without hidden entries.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, PairsError> {
    let fail = |source| PairsError::Read {
        path: folder.to_path_buf(),
        source,
        remedy: "give a folder that holds a folder of pictures for each person",
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        if !hidden {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<PairSet, PairsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.txt");
        fs::write(&path, text).unwrap();
        lfw(Path::new("root"), &path)
    }

    #[test]
    fn pairs_share_their_pictures() {
        let set = list("1\t2\nAda\t1\t12\nAda\t1\tBob_B\t3\n\n").unwrap();
        let names = ["root/Ada/Ada_0001.jpg", "root/Ada/Ada_0012.jpg", "root/Bob_B/Bob_B_0003.jpg"];
        assert_eq!(set.pictures, names.map(PathBuf::from));
        let pairs = [Pair { a: 0, b: 1, genuine: true }, Pair { a: 0, b: 2, genuine: false }];
        assert_eq!(set.pairs, pairs);
    }

    #[test]
    fn odd_lines_are_named() {
        for line in
            ["Ada", "Ada\tx\t2", "Ada\t1\t2\t3\t4", "../Ada\t1\t2", "..\t1\t2", "Ada 1 2", "Ada\t-1\t2"]
        {
            let error = list(&format!("Ada\t1\t2\n{line}\n")).unwrap_err().to_string();
            assert!(error.contains("line 2"), "{line}: {error}");
        }
        assert!(list("").unwrap_err().to_string().contains("no pairs"));
        assert!(list("10\t300\n").unwrap_err().to_string().contains("no pairs"));
    }

    #[test]
    fn subjects_make_all_pairs() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["s1/1.png", "s1/2.png", "s10/1.png", "s2/1.png", "s2/.hidden"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::write(folder.path().join("README"), "").unwrap();
        let set = subjects(folder.path()).unwrap();
        assert_eq!(set.pictures.len(), 4);
        assert!(set.pictures[2].ends_with("s10/1.png"));
        assert_eq!(set.pairs.len(), 6);
        assert_eq!(set.pairs.iter().filter(|p| p.genuine).count(), 1);
        assert!(subjects(&folder.path().join("s10")).is_err());
        assert!(subjects(&folder.path().join("none")).is_err());
    }
}
