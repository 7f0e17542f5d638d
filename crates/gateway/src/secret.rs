//! The gateway's secrets: the operator's password, hashed, and the token for Prometheus.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::GatewayError;
use facelatch_host::disk::{self, FileSystem};

/// The fewest characters of a password.
pub const MIN_LENGTH: usize = 10;
/// The most: hashing takes time.
pub const MAX_LENGTH: usize = 200;
/// A hash that asks for more memory, in KiB, or for more passes was not made here.
const MAX_COST: (u32, u32) = (64 * 1_024, 16);

/// The operator's password, as its hash.
pub struct OperatorPassword {
    argon2: Argon2<'static>,
    salt: Salt,
    hash: Output,
    /// For [`OperatorPassword::device`].
    key: Fingerprint,
}

impl std::fmt::Debug for OperatorPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OperatorPassword(redacted)")
    }
}

/// The memory that passwords are hashed in. It is taken once: however often a password is tried, the
/// process does not grow.
#[derive(Default)]
pub struct HashMemory(Vec<Block>);

impl std::fmt::Debug for HashMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HashMemory({} KiB)", self.0.len())
    }
}

impl HashMemory {
    /// Takes what this password needs.
    pub fn prepare(&mut self, password: &OperatorPassword) {
        let blocks = password.argon2.params().block_count();
        if self.0.len() != blocks {
            self.0 = Vec::new();
            self.0 = vec![Block::default(); blocks];
        }
    }
}

impl OperatorPassword {
    /// Reads the hash that [`set_password`] wrote.
    ///
    /// # Errors
    /// When there is none, others can read it, or it is not a hash.
    pub fn load(path: &Path) -> Result<Self, GatewayError> {
        let bytes = read(PASSWORD, path, "set one: sudo facelatch-gateway password")?;
        Self::parse(&bytes).ok_or_else(|| {
            error(
                PASSWORD,
                path,
                "not an argon2 hash; set the password again: sudo facelatch-gateway password",
            )
        })
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim();
        let parsed = PasswordHash::new(text).ok()?;
        let params = Params::try_from(&parsed).ok()?;
        if params.m_cost() > MAX_COST.0 || params.t_cost() > MAX_COST.1 {
            return None;
        }
        let algorithm = Algorithm::try_from(parsed.algorithm.as_str()).ok()?;
        let version = parsed.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
        Some(OperatorPassword {
            argon2: Argon2::new(algorithm, version, params),
            salt: parsed.salt?,
            hash: parsed.hash?,
            key: Fingerprint::of(text),
        })
    }

    /// True for the right one. Takes tens of milliseconds, and as a rule 19 MiB of `memory`, which holds
    /// nothing of it afterwards.
    pub fn is(&self, password: &str, memory: &mut HashMemory) -> bool {
        if password.chars().count() > MAX_LENGTH {
            return false;
        }
        memory.prepare(self);
        let mut output = Zeroizing::new([0; Output::MAX_LENGTH]);
        let Some(output) = output.get_mut(..self.hash.len()) else { return false };
        let (word, salt) = (password.as_bytes(), self.salt.as_ref());
        let hashed = self.argon2.hash_password_into_with_memory(word, salt, output, &mut memory.0);
        memory.0.fill(Block::default());
        // Comparing two outputs takes the same time whatever is in them.
        hashed.is_ok() && Output::new(output).is_ok_and(|output| output == self.hash)
    }

    /// A word for a browser from which the right password was given. It opens nothing; it is known again
    /// as long as the password stays.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn device(&self) -> Result<String, GatewayError> {
        let id = token()?;
        Ok(format!("{id}.{}", self.mark(&id)))
    }

    /// Which device this word was made for, if it was made with this password.
    pub fn known_device(&self, word: &str) -> Option<Fingerprint> {
        let (id, mark) = word.split_once('.')?;
        (Fingerprint::of(mark) == Fingerprint::of(&self.mark(id))).then(|| Fingerprint::of(id))
    }

    /// What only who has the hash can make of an id.
    fn mark(&self, id: &str) -> String {
        let keyed = |bytes: &[u8]| -> [u8; 32] {
            Sha256::new().chain_update(self.key.0).chain_update(bytes).finalize().into()
        };
        encoded(&keyed(&keyed(id.as_bytes())))
    }
}

/// Writes a password's hash (argon2id, 19 MiB, 2 passes), for the owner of its folder alone.
///
/// # Errors
/// When it is too short or too long, or the file cannot be written.
pub fn set_password(path: &Path, password: &str) -> Result<(), GatewayError> {
    if !(MIN_LENGTH..=MAX_LENGTH).contains(&password.chars().count()) {
        let problem = format!("the password must have {MIN_LENGTH} to {MAX_LENGTH} characters");
        return Err(error(PASSWORD, path, problem));
    }
    let hash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|e| error(PASSWORD, path, format!("cannot hash: {e}")))?;
    write(PASSWORD, path, &hash.to_string())
}

/// The hash of a token: what is compared, so that the time it takes tells nothing of the token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of this token.
    pub fn of(token: &str) -> Self {
        Fingerprint(Sha256::digest(token.as_bytes()).into())
    }
}

fn encoded(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// A new secret word of 256 random bits.
pub fn token() -> Result<String, GatewayError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| std::io::Error::other(e.to_string()))?;
    Ok(encoded(&bytes))
}

/// Makes a new token for Prometheus and writes it; the previous one becomes invalid.
///
/// # Errors
/// When the file cannot be written.
pub fn set_token(path: &Path) -> Result<String, GatewayError> {
    let token = token()?;
    write(TOKEN, path, &token)?;
    Ok(token)
}

/// The token for Prometheus, if one was made.
///
/// # Errors
/// When the file is there but cannot be read, or others can read it.
pub fn load_token(path: &Path) -> Result<Option<Fingerprint>, GatewayError> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = read(TOKEN, path, "make one: sudo facelatch-gateway token")?;
    Ok(Some(Fingerprint::of(String::from_utf8_lossy(&bytes).trim())))
}

/// Reads a secret, unless everybody on the board can read it or its group can change it.
///
/// # Errors
/// What is wrong with the file, and what to do.
pub(super) fn guarded(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let unreadable = |e| format!("cannot be read: {e}");
    let mut file = fs::File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.mode() & 0o027 != 0 {
        return Err("its group can change it, or others can read or change it: chmod g-w,o= it".to_owned());
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// Which content a file has, without reading it: another one whenever it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileStamp([i128; 5]);

impl FileStamp {
    /// Of the file there; `None` when there is none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        let time = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Some(FileStamp([
            i128::from(found.dev()),
            i128::from(found.ino()),
            i128::from(found.size()),
            time(found.mtime(), found.mtime_nsec()),
            time(found.ctime(), found.ctime_nsec()),
        ]))
    }
}

const PASSWORD: &str = "password file";
const TOKEN: &str = "token file";

fn error(what: &'static str, path: &Path, problem: impl Into<String>) -> GatewayError {
    GatewayError::File { what, path: path.to_owned(), problem: problem.into() }
}

fn read(what: &'static str, path: &Path, remedy: &str) -> Result<Zeroizing<Vec<u8>>, GatewayError> {
    guarded(path).map_err(|problem| match path.exists() {
        true => error(what, path, problem),
        false => error(what, path, format!("{problem}; {remedy}")),
    })
}

/// Writes a file of mode 0600 for the owner of its folder: root sets what the gateway's user reads.
fn write(what: &'static str, path: &Path, text: &str) -> Result<(), GatewayError> {
    let fail = |e: std::io::Error| error(what, path, format!("cannot be written: {e}"));
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner = fs::metadata(folder).map_err(fail)?;
    let part = path.with_extension("new");
    // Anew: the folder is the gateway's, and root must not follow a link that somebody has put there.
    match fs::remove_file(&part) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(fail(e)),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&part).map_err(fail)?;
    writeln!(file, "{text}").map_err(fail)?;
    let own = file.metadata().map_err(fail)?;
    if (own.uid(), own.gid()) != (owner.uid(), owner.gid()) {
        fchown(&file, Some(owner.uid()), Some(owner.gid())).map_err(fail)?;
    }
    disk::swap_in(&FileSystem, &part, path).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        assert!(
            OperatorPassword::load(&path).unwrap_err().to_string().contains("facelatch-gateway password")
        );
        assert!(set_password(&path, "short").is_err());
        set_password(&path, "a long password").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("$argon2id$") && !text.contains("long"), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let password = OperatorPassword::load(&path).unwrap();
        let mut memory = HashMemory::default();
        let mut is = |word: &str| password.is(word, &mut memory);
        assert!(is("a long password") && !is("a long passwore") && !is("") && is("a long password"));
        assert!(memory.0.iter().all(|block| block.as_ref().iter().all(|word| *word == 0)), "nothing is left");
        assert_eq!(format!("{password:?}"), "OperatorPassword(redacted)");
        fs::write(&path, "a long password").unwrap();
        assert!(OperatorPassword::load(&path).is_err(), "a password in plain words is none");
        let greedy = text.replace("m=19456", "m=4194304");
        assert!(
            greedy != text && OperatorPassword::parse(greedy.as_bytes()).is_none(),
            "4 GiB are not taken"
        );
    }

    #[test]
    fn a_device_is_known_as_long_as_the_password_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let set = || {
            set_password(&path, "a long password").unwrap();
            OperatorPassword::load(&path).unwrap()
        };
        let password = set();
        let (one, two) = (password.device().unwrap(), password.device().unwrap());
        assert!(password.known_device(&one).is_some());
        assert!(password.known_device(&one) != password.known_device(&two));
        let (id, mark) = one.split_once('.').unwrap();
        for forged in
            [id.to_owned(), format!("{id}."), format!("x{id}.{mark}"), format!("{id}.{mark}="), String::new()]
        {
            assert!(password.known_device(&forged).is_none(), "{forged}");
        }
        let again = set();
        assert!(again.known_device(&one).is_none(), "set again, it is another one");
    }

    #[test]
    fn a_secret_that_others_can_read_or_change_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        set_token(&path).unwrap();
        for (mode, good) in [
            (0o600, true),
            (0o640, true),
            (0o400, true),
            (0o644, false),
            (0o604, false),
            (0o660, false),
            (0o602, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(guarded(&path).is_ok(), good, "{mode:o}");
            let token = load_token(&path).map_err(|e| e.to_string());
            assert!(token.as_ref().err().is_none_or(|e| e.contains("chmod g-w,o=")), "{:?}", token.err());
            assert_eq!(token.is_ok(), good, "{mode:o}");
        }
    }

    #[test]
    fn whatever_is_written_changes_the_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(FileStamp::of(&path).is_none());
        set_token(&path).unwrap();
        let first = FileStamp::of(&path);
        assert!(first.is_some() && first == FileStamp::of(&path));
        set_token(&path).unwrap();
        assert!(first != FileStamp::of(&path));
    }

    #[test]
    fn a_new_token_replaces_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(load_token(&path).unwrap().is_none());
        let first = set_token(&path).unwrap();
        assert!(load_token(&path).unwrap() == Some(Fingerprint::of(&first)) && first.len() == 43);
        let second = set_token(&path).unwrap();
        assert!(second != first && load_token(&path).unwrap() == Some(Fingerprint::of(&second)));
        // A link in its way is removed, not followed.
        let other = folder.path().join("other");
        fs::write(&other, "kept").unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join("token.new")).unwrap();
        set_token(&path).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "kept");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }
}
