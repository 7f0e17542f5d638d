//! Sealing with the store's key: XChaCha20-Poly1305, a fresh nonce for each file.
//!
//! A sealed file is 8 bytes that say its kind (5) and version (3), a 24-byte nonce, and the sealed
//! content. The 8 bytes, and where a file's name matters the name, are authenticated along with it.

use std::io;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::key::StoreKey;

const NONCE: usize = 24;

/// What the first bytes of a sealed file say.
pub(super) type Magic = [u8; 8];

/// Why a file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsealable {
    /// It ends before its content begins.
    Short,
    /// It is of another kind.
    Foreign,
    /// It is of a later version.
    Newer,
    /// Sealed with another key, or changed.
    Sealed,
}

/// The file with this content.
pub(super) fn seal(key: &StoreKey, magic: &Magic, name: &str, plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    let aad = [&magic[..], name.as_bytes()].concat();
    let sealed = cipher(key)
        .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &aad })
        .map_err(|_| io::Error::other("too large to be encrypted"))?;
    Ok([&magic[..], &nonce, &sealed].concat())
}

/// The content of a file.
pub(super) fn unseal(
    key: &StoreKey,
    magic: &Magic,
    name: &str,
    bytes: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
    let (found, rest) = bytes.split_first_chunk::<8>().ok_or(Unsealable::Short)?;
    if found[..5] != magic[..5] {
        return Err(Unsealable::Foreign);
    }
    if found != magic {
        return Err(Unsealable::Newer);
    }
    let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(Unsealable::Short)?;
    let aad = [&magic[..], name.as_bytes()].concat();
    cipher(key)
        .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad })
        .map(Zeroizing::new)
        .map_err(|_| Unsealable::Sealed)
}

fn cipher(key: &StoreKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.bytes().into())
}
