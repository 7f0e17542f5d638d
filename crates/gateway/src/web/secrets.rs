//! What the files of password and token say at present.
//!
//! They are looked at with each request, and each second for those who only look at the live page: a
//! password that is changed, or taken away, counts at once.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::error::GatewayError;
use crate::secret::{FileStamp, Fingerprint, OperatorPassword, load_token};
use facelatch_host::lock::lock;

/// Both secrets, and from which files they are.
pub struct Secrets {
    password_file: PathBuf,
    token_file: PathBuf,
    held: Mutex<Held>,
}

struct Held {
    password: Option<Arc<OperatorPassword>>,
    token: Option<Fingerprint>,
    /// What the files were when they were read.
    stamps: [Option<FileStamp>; 2],
}

impl Secrets {
    /// Reads both.
    ///
    /// # Errors
    /// When there is no password, or a file cannot be used.
    pub fn open(password_file: &Path, token_file: &Path) -> Result<Self, GatewayError> {
        // Before the content: what is written in between is read again.
        let stamps = [FileStamp::of(password_file), FileStamp::of(token_file)];
        let password = Some(Arc::new(OperatorPassword::load(password_file)?));
        let token = load_token(token_file)?;
        let held = Mutex::new(Held { password, token, stamps });
        Ok(Secrets { password_file: password_file.to_owned(), token_file: token_file.to_owned(), held })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }

    /// The password; `None` when its file is gone or cannot be used: nobody logs in then.
    pub fn password(&self) -> Option<Arc<OperatorPassword>> {
        self.held().password.clone()
    }

    /// True for the token that the file holds.
    pub fn is_token(&self, given: &str) -> bool {
        self.held().token == Some(Fingerprint::of(given))
    }

    /// Reads what was written since. True when the password is another one or gone.
    pub fn refresh(&self) -> bool {
        let mut held = self.held();
        let stamp = FileStamp::of(&self.token_file);
        if stamp != held.stamps[1] {
            held.stamps[1] = stamp;
            held.token = load_token(&self.token_file).unwrap_or_else(|error| {
                log::error!("event=token_unusable error={:?}", error.to_string());
                None
            });
        }
        let stamp = FileStamp::of(&self.password_file);
        if stamp == held.stamps[0] {
            return false;
        }
        held.stamps[0] = stamp;
        held.password = match OperatorPassword::load(&self.password_file) {
            Ok(password) => Some(Arc::new(password)),
            Err(error) => {
                log::error!("event=password_unusable error={:?}", error.to_string());
                None
            }
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::secret::{HashMemory, set_password, set_token};

    #[test]
    fn what_is_written_counts_at_once_and_what_is_taken_away_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let (password, token) = (folder.path().join("password"), folder.path().join("token"));
        assert!(Secrets::open(&password, &token).is_err(), "without a password there is no page");
        set_password(&password, "the first one").unwrap();
        let secrets = Secrets::open(&password, &token).unwrap();
        let mut memory = HashMemory::default();
        let mut is = |word: &str| secrets.password().is_some_and(|p| p.is(word, &mut memory));
        assert!(!secrets.refresh() && is("the first one"));
        set_password(&password, "the second one").unwrap();
        assert!(secrets.refresh() && !secrets.refresh(), "once");
        assert!(is("the second one") && !is("the first one"));
        let first = set_token(&token).unwrap();
        assert!(!secrets.refresh() && secrets.is_token(&first), "a token ends no session");
        let second = set_token(&token).unwrap();
        assert!(!secrets.refresh() && secrets.is_token(&second) && !secrets.is_token(&first));
        for file in [&password, &token] {
            fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
        }
        assert!(secrets.refresh() && secrets.password().is_none(), "others can read it: it is none");
        assert!(!secrets.is_token(&second));
        set_password(&password, "the third one").unwrap();
        assert!(secrets.refresh() && is("the third one"));
        fs::remove_file(&password).unwrap();
        assert!(secrets.refresh() && secrets.password().is_none());
    }
}
