//! What a file is by its first bytes, and how to make one that facelatch reads of it.

use std::borrow::Cow;
use std::path::Path;

use image::ImageFormat;

/// How pictures and recordings that facelatch reads are named.
pub const PICTURES: [&str; 11] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "pgm", "ppm", "pnm", "pbm", "bmp", "webp"];

/// How pictures of other kinds are named, for folders: what stands in one is not skipped silently.
pub const OTHER_PICTURES: [&str; 23] = [
    "heic", "heif", "hif", "avif", "tif", "tiff", "gif", "jxl", "jp2", "j2k", "psd", "tga", "ico", "qoi",
    "dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf", "svg",
];

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A picture that is read.
    Picture(ImageFormat),
    /// A Motion JPEG AVI, or an AVI at least.
    Avi,
    /// A Y4M.
    Y4m,
    /// Something that another program can turn into one of those.
    Other(Other),
    /// The side file that macOS lays beside a picture.
    AppleDouble,
    /// Not known.
    Unknown,
}

/// A kind that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other {
    /// What people call it, with its article.
    pub name: &'static str,
    /// Whether it is a video.
    pub video: bool,
    /// What turns a picture of the kind into a PNG; IN and OUT stand for the files.
    command: &'static str,
}

const FFMPEG: &str = "ffmpeg -i IN -frames:v 1 OUT";
const MAGICK: &str = "convert IN OUT";
const MAGICK_FIRST: &str = "convert IN[0] OUT";

/// What turns a video into one that is read. The pixel format is named since ffmpeg would take others,
/// for which it makes tables of its own.
const VIDEO: &str = "ffmpeg -i IN -an -c:v mjpeg -pix_fmt yuvj420p -q:v 3 OUT";

/// Offset, bytes, and what they mean.
const OTHERS: [(usize, &[u8], &str, bool, &str); 25] = [
    (0, b"GIF8", "a GIF", false, FFMPEG),
    (0, b"II*\0", "a TIFF", false, FFMPEG),
    (0, b"MM\0*", "a TIFF", false, FFMPEG),
    (0, b"II+\0", "a BigTIFF", false, MAGICK),
    (0, b"MM\0+", "a BigTIFF", false, MAGICK),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL", false, FFMPEG),
    (0, b"\xff\x0a", "a JPEG XL", false, FFMPEG),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000", false, FFMPEG),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000", false, FFMPEG),
    (0, b"8BPS", "a Photoshop picture", false, MAGICK_FIRST),
    (0, b"\0\0\x01\0", "an icon", false, MAGICK_FIRST),
    (0, b"qoif", "a QOI", false, FFMPEG),
    (0, b"DDS ", "a DDS", false, FFMPEG),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR", false, MAGICK),
    (0, b"#?RADIANCE", "a Radiance picture", false, MAGICK),
    (0, b"gimp xcf", "a GIMP picture", false, "convert IN -flatten OUT"),
    (0, b"%PDF", "a PDF", false, "pdftoppm -png -singlefile IN OUT"),
    (0, b"<svg", "an SVG", false, MAGICK),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM video", true, FFMPEG),
    (0, b"\0\0\x01\xba", "an MPEG video", true, FFMPEG),
    (0, b"\0\0\x01\xb3", "an MPEG video", true, FFMPEG),
    (0, b"FLV\x01", "a Flash video", true, FFMPEG),
    (0, b"OggS", "an Ogg video", true, FFMPEG),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media video", true, FFMPEG),
    (4, b"moov", "a QuickTime video", true, FFMPEG),
];

/// Brands of the ISO container (`ftyp`); any other brand is a video's.
const BRANDS: [(&[u8], &str, &str); 10] = [
    (b"avif", "an AVIF", FFMPEG),
    (b"avis", "an AVIF", FFMPEG),
    (b"heic", "a HEIC", MAGICK),
    (b"heix", "a HEIC", MAGICK),
    (b"heim", "a HEIC", MAGICK),
    (b"heis", "a HEIC", MAGICK),
    (b"hevc", "a HEIC", MAGICK),
    (b"mif1", "a HEIF", MAGICK),
    (b"msf1", "a HEIF", MAGICK),
    (b"crx ", "a Canon raw picture", MAGICK),
];

/// What the first bytes of a file say that it is.
pub fn kind(bytes: &[u8]) -> FileKind {
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"AVI ") {
        return FileKind::Avi;
    }
    if bytes.starts_with(b"YUV4MPEG2") {
        return FileKind::Y4m;
    }
    if bytes.starts_with(&[0x00, 0x05, 0x16, 0x07]) {
        return FileKind::AppleDouble;
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        let brand = bytes.get(8..12).unwrap_or_default();
        let (name, video, command) = BRANDS
            .iter()
            .find(|(known, ..)| *known == brand)
            .map_or(("an MP4 video", true, FFMPEG), |&(_, name, command)| (name, false, command));
        return FileKind::Other(Other { name, video, command });
    }
    let read = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Pnm, ImageFormat::Bmp, ImageFormat::WebP];
    if let Ok(format) = image::guess_format(bytes)
        && read.contains(&format)
    {
        return FileKind::Picture(format);
    }
    OTHERS
        .iter()
        .find(|(at, magic, ..)| bytes.get(*at..*at + magic.len()) == Some(*magic))
        .map_or(FileKind::Unknown, |&(_, _, name, video, command)| {
            FileKind::Other(Other { name, video, command })
        })
}

impl Other {
    /// A JPEG that libjpeg-turbo does not decode.
    pub(super) const JPEG: Other = Other { name: "a JPEG of an unusual kind", video: false, command: FFMPEG };

    /// The command that makes a picture of the file at `path`.
    pub fn to_picture(self, path: &Path) -> String {
        fill(self.command, path, "png")
    }
}

/// The command that makes a recording which facelatch plays of the video at `path`.
pub fn to_recording(path: &Path) -> String {
    fill(VIDEO, path, "avi")
}

/// The command that makes PNGs of a folder's files with this ending.
pub fn to_pictures(folder: &Path, ending: &str) -> String {
    format!("mogrify -auto-orient -format png {}/*.{ending}", quoted(&folder.to_string_lossy()))
}

/// The command that is worth a try on a file of an unknown kind.
pub fn perhaps(path: &Path) -> String {
    fill(MAGICK, path, "png")
}

/// `command` with the files' names; the new file stands beside the old one.
fn fill(command: &str, path: &Path, ending: &str) -> String {
    let mut out = path.with_extension(ending);
    if out == path {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        out.set_file_name(format!("{stem}-new.{ending}"));
    }
    if command.starts_with("pdftoppm") {
        out.set_extension("");
    }
    let words = command.split(' ').map(|word| match word {
        "IN" => quoted(&path.to_string_lossy()).into_owned(),
        "IN[0]" => quoted(&format!("{}[0]", path.display())).into_owned(),
        "OUT" => quoted(&out.to_string_lossy()).into_owned(),
        word => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A word as a shell reads it.
fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_can_be_pasted() {
        let FileKind::Other(tiff) = kind(b"MM\0*\0\0\0\x08") else { panic!("a TIFF") };
        assert_eq!(
            tiff.to_picture(Path::new("/tmp/my face's.tif")),
            r"ffmpeg -i '/tmp/my face'\''s.tif' -frames:v 1 '/tmp/my face'\''s.png'"
        );
        assert_eq!(tiff.to_picture(Path::new("a.png")), "ffmpeg -i a.png -frames:v 1 a-new.png");
        let FileKind::Other(heic) = kind(b"\0\0\0\x18ftypheic\0\0\0\0") else { panic!("a HEIC") };
        assert_eq!(
            (heic.name, heic.to_picture(Path::new("a.heic"))),
            ("a HEIC", "convert a.heic a.png".into())
        );
        assert_eq!(
            to_recording(Path::new("a.avi")),
            "ffmpeg -i a.avi -an -c:v mjpeg -pix_fmt yuvj420p -q:v 3 a-new.avi"
        );
        assert_eq!(
            to_pictures(Path::new("my faces"), "heic"),
            "mogrify -auto-orient -format png 'my faces'/*.heic"
        );
    }

    #[test]
    fn kinds_are_told_by_their_first_bytes() {
        assert_eq!(kind(b"\xff\xd8\xff\xe0"), FileKind::Picture(ImageFormat::Jpeg));
        assert_eq!(kind(b"RIFF\0\0\0\0AVI LIST"), FileKind::Avi);
        assert_eq!(kind(b"RIFF\0\0\0\0WEBPVP8 "), FileKind::Picture(ImageFormat::WebP));
        assert_eq!(kind(b"YUV4MPEG2 W4"), FileKind::Y4m);
        assert_eq!(kind(&[0, 5, 0x16, 7, 0, 2]), FileKind::AppleDouble);
        for (bytes, name, video) in [
            (&b"GIF89a"[..], "a GIF", false),
            (b"\0\0\0\x1cftypavif", "an AVIF", false),
            (b"\0\0\0\x18ftypmp42", "an MP4 video", true),
            (b"\x1a\x45\xdf\xa3\x01", "a Matroska or WebM video", true),
        ] {
            let FileKind::Other(other) = kind(bytes) else { panic!("{name}") };
            assert_eq!((other.name, other.video), (name, video));
        }
        assert_eq!(kind(b"this is no picture"), FileKind::Unknown);
        assert_eq!(kind(b""), FileKind::Unknown);
    }
}
