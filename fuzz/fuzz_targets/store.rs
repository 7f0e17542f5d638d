//! Any bytes as the gallery's file, and as the content of one: an error, or a gallery that makes sense. A
//! file that no key has sealed never gives anybody access.

#![no_main]

use std::io;
use std::path::Path;

use facelatch::disk::Disk;
use facelatch::store::{GalleryStore, StoreKey, from_json, to_json};
use libfuzzer_sys::fuzz_target;

/// A disk whose gallery is these bytes.
#[derive(Debug)]
struct Bytes(Vec<u8>);

impl Disk for Bytes {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("gallery") => Ok(self.0.clone()),
            Some("key") => Ok(vec![7; 32]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn write(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let disk = Bytes(bytes.to_vec());
    let key = StoreKey::on(&disk, Path::new("key")).expect("a key of 32 bytes");
    let error = GalleryStore::on(Box::new(disk), Path::new("gallery"), key).load().expect_err("nobody sealed it");
    assert!(!error.to_string().is_empty());

    let Ok(json) = serde_json::from_slice(bytes) else { return };
    match from_json(json) {
        Err(error) => assert!(!error.is_empty()),
        Ok(people) => {
            for subject in people.subjects() {
                assert!(!subject.name.is_empty() && !subject.templates.is_empty());
            }
            assert_eq!(from_json(to_json(&people)).as_ref(), Ok(&people));
        }
    }
});
