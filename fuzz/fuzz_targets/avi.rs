//! Any bytes as an AVI, with and without a sound head: an error, or frames that lie in the file; and each of
//! them as a frame of Motion JPEG.

#![no_main]

use std::io::Cursor;

use facelatch::camera::avi;
use facelatch::camera::pixel::{Layout, PixelFormat, decode, decode_mjpeg};
use libfuzzer_sys::fuzz_target;

fn look(file: &[u8]) {
    let Ok(index) = avi::index(Cursor::new(file)) else { return };
    assert!(!index.frames.is_empty());
    assert!(index.rate.is_none_or(|rate| rate > 0.0 && rate <= 1000.0));
    for &(at, length) in &index.frames {
        assert!(at + u64::from(length) <= file.len() as u64, "a frame lies outside the file");
    }
    for &(at, length) in index.frames.iter().take(3) {
        let bytes = &file[at as usize..][..length as usize];
        if let Ok(decoded) = decode_mjpeg(bytes, Some(index.height as usize), true) {
            let colour = decoded.colour.expect("it was asked for");
            assert_eq!(colour.width() as usize, decoded.gray.width());
            assert_eq!(colour.height() as usize, decoded.gray.height());
        }
        let layout = Layout { format: PixelFormat::Mjpg, width: 64, height: 48, stride: 0 };
        if let Ok(decoded) = decode(layout, bytes, false) {
            assert_eq!((decoded.gray.width(), decoded.gray.height()), (64, 48));
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    look(bytes);
    let head = b"RIFF\xff\xff\xff\xffAVI LIST\x04\0\0\0moviLIST\xff\xff\xff\0hdrlstrh\x38\0\0\0vidsMJPG";
    look(&[&head[..], &[0; 48], b"00dc", bytes].concat());
});
