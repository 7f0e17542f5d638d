//! The gateway's secrets: the operator's password, hashed, and the token for Prometheus.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use sha2::{Digest, Sha256};

use super::GatewayError;
use crate::store::disk::{self, FileSystem};

/// A password has at least so many characters.
pub const SHORTEST: usize = 10;
/// And no more: hashing takes time.
pub const LONGEST: usize = 200;

/// The operator's password, as its hash.
#[derive(Clone)]
pub struct Password(String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(redacted)")
    }
}

impl Password {
    /// Reads the hash that [`set_password`] wrote.
    ///
    /// # Errors
    /// When there is none, or it is no hash.
    pub fn load(path: &Path) -> Result<Self, GatewayError> {
        let text = read("password file", path, "set one: sudo facelatch gateway password")?;
        let hash = text.trim().to_owned();
        match PasswordHash::new(&hash) {
            Ok(_) => Ok(Password(hash)),
            Err(_) => {
                Err(error("password file", path, "it is no argon2 hash: sudo facelatch gateway password"))
            }
        }
    }

    /// True for the right one. Takes tens of milliseconds and 19 MiB.
    pub fn is(&self, password: &str) -> bool {
        password.chars().count() <= LONGEST
            && PasswordHash::new(&self.0)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    }
}

/// Writes a password's hash (argon2id, 19 MiB, 2 passes), for the owner of its folder alone.
///
/// # Errors
/// When it is too short or too long, or the file cannot be written.
pub fn set_password(path: &Path, password: &str) -> Result<(), GatewayError> {
    if !(SHORTEST..=LONGEST).contains(&password.chars().count()) {
        let problem = format!("the password must have {SHORTEST} to {LONGEST} characters");
        return Err(error("password file", path, problem));
    }
    let hash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|e| error("password file", path, format!("cannot hash: {e}")))?;
    write("password file", path, &hash.to_string())
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

/// A new secret word of 256 random bits.
pub fn token() -> Result<String, GatewayError> {
    use base64::Engine as _;
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| std::io::Error::other(e.to_string()))?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

/// Makes a new token for Prometheus and writes it; the one before is no longer good.
///
/// # Errors
/// When the file cannot be written.
pub fn set_token(path: &Path) -> Result<String, GatewayError> {
    let token = token()?;
    write("token file", path, &token)?;
    Ok(token)
}

/// The token for Prometheus, if one was made.
///
/// # Errors
/// When the file is there but cannot be read.
pub fn load_token(path: &Path) -> Result<Option<Fingerprint>, GatewayError> {
    if !path.exists() {
        return Ok(None);
    }
    let text = read("token file", path, "make one: sudo facelatch gateway token")?;
    Ok(Some(Fingerprint::of(text.trim())))
}

fn error(what: &'static str, path: &Path, problem: impl Into<String>) -> GatewayError {
    GatewayError::File { what, path: path.to_owned(), problem: problem.into() }
}

fn read(what: &'static str, path: &Path, remedy: &str) -> Result<String, GatewayError> {
    fs::read_to_string(path).map_err(|e| error(what, path, format!("cannot be read: {e}; {remedy}")))
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
        assert!(Password::load(&path).unwrap_err().to_string().contains("facelatch gateway password"));
        assert!(set_password(&path, "short").is_err());
        set_password(&path, "a long password").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("$argon2id$") && !text.contains("long"), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let password = Password::load(&path).unwrap();
        assert!(password.is("a long password") && !password.is("a long passwore") && !password.is(""));
        assert_eq!(format!("{password:?}"), "Password(redacted)");
        fs::write(&path, "a long password").unwrap();
        assert!(Password::load(&path).is_err(), "a password in plain words is none");
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
