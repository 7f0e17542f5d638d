use super::*;
use image::{Rgb, RgbaImage};

fn colours(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(3 * x) as u8, (4 * y) as u8, (x + y) as u8]))
}

fn jpeg_of(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 92).encode_image(picture).unwrap();
    bytes
}

/// The same JPEG with another segment behind its beginning.
fn with_segment(jpeg: &[u8], marker: u8, held: &[u8]) -> Vec<u8> {
    let length = (held.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, marker], &length, held, &jpeg[2..]].concat()
}

/// A PNG of the rows (each with its filter byte), with chunks between header and data.
fn png_of(size: (u32, u32), bits: u8, colour: png::ColorType, data: &[u8], palette: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size.0, size.1);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::from_u8(bits).unwrap());
    if !palette.is_empty() {
        encoder.set_palette(palette);
        encoder.set_trns(vec![0, 128, 255]);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    drop(writer);
    bytes
}

fn read_bytes(bytes: &[u8]) -> Picture {
    from_bytes(Path::new("picture"), bytes, true).unwrap_or_else(|e| panic!("{e}"))
}

fn refusal(name: &str, bytes: &[u8]) -> String {
    match from_bytes(Path::new(name), bytes, true) {
        Ok(_) => panic!("{name} was read"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn all_eight_orientations_come_out_upright() {
    // A picture whose corners differ: red, green / blue, white.
    let upright = RgbImage::from_fn(64, 32, |x, y| match (x < 32, y < 16) {
        (true, true) => Rgb([255, 0, 0]),
        (false, true) => Rgb([0, 255, 0]),
        (true, false) => Rgb([0, 0, 255]),
        (false, false) => Rgb([255, 255, 255]),
    });
    let close = |picture: &Picture, name: &str| {
        let colour = picture.colour.as_ref().unwrap();
        assert_eq!(colour.dimensions(), (64, 32), "{name}");
        assert_eq!((picture.gray.width(), picture.gray.height()), (64, 32), "{name}");
        for (x, y) in [(9, 5), (50, 5), (9, 25), (50, 25)] {
            let (got, right) = (colour.get_pixel(x, y).0, upright.get_pixel(x, y).0);
            assert!(got.iter().zip(right).all(|(a, b)| a.abs_diff(b) < 9), "{name} at {x},{y}: {got:?}");
            let gray = picture.gray.view().row(y as usize)[x as usize];
            assert!(gray.abs_diff(luma(right[0], right[1], right[2])) < 9, "{name} at {x},{y}: {gray}");
        }
    };
    for value in 1..=8u8 {
        // As the camera's sensor saw it: the inverse of what the orientation does.
        let mut seen = DynamicImage::ImageRgb8(upright.clone());
        let inverse = match value {
            6 => 8,
            8 => 6,
            other => other,
        };
        seen.apply_orientation(Orientation::from_exif(inverse).unwrap());
        let seen = seen.into_rgb8();
        for big in [false, true] {
            let block = exif::tests::block(big, value.into());
            let named = [b"Exif\0\0".to_vec(), block.clone()].concat();
            let plain = jpeg_of(&seen);
            close(&read_bytes(&with_segment(&plain, 0xe1, &named)), &format!("JPEG {value}"));
            // Another APP1 (XMP) before it.
            let two = with_segment(
                &with_segment(&plain, 0xe1, &named),
                0xe1,
                b"http://ns.adobe.com/xap/1.0/\0<x/>",
            );
            close(&read_bytes(&two), &format!("JPEG with XMP {value}"));
            let mut png = Vec::new();
            let mut info = png::Info::with_size(seen.width(), seen.height());
            info.color_type = png::ColorType::Rgb;
            info.bit_depth = png::BitDepth::Eight;
            info.exif_metadata = Some(block.into());
            let mut writer = png::Encoder::with_info(&mut png, info).unwrap().write_header().unwrap();
            writer.write_image_data(seen.as_raw()).unwrap();
            drop(writer);
            close(&read_bytes(&png), &format!("PNG {value}"));
        }
    }
}

#[test]
fn colour_pngs_are_gray_as_libpng_makes_them() {
    // What OpenCV 4.14 reads (IMREAD_GRAYSCALE) of these very pixels.
    let eight = [200u8, 10, 90, 0, 255, 0, 77, 77, 77, 1, 2, 3];
    let png = png_of((4, 1), 8, png::ColorType::Rgb, &eight, &[]);
    assert_eq!(read_bytes(&png).gray.pixels(), [75, 149, 77, 1]);
    let sixteen: Vec<u8> = [51_400u16, 2_600, 23_200, 0, 65_535, 0, 19_999, 19_999, 19_999, 300, 600, 65_000]
        .iter()
        .flat_map(|v| v.to_be_bytes())
        .collect();
    let png = png_of((4, 1), 16, png::ColorType::Rgb, &sixteen, &[]);
    let picture = read_bytes(&png);
    assert_eq!(picture.gray.pixels(), [76, 150, 78, 30]);
    assert_eq!(picture.colour.unwrap().into_raw(), [200, 10, 90, 0, 255, 0, 78, 78, 78, 1, 2, 253]);
}

#[test]
fn pngs_of_all_kinds_are_read() {
    let picture = read_bytes(&png_of((9, 1), 1, png::ColorType::Grayscale, &[0b1010_0000, 0b1000_0000], &[]));
    assert_eq!(picture.gray.pixels(), [255, 0, 255, 0, 0, 0, 0, 0, 255]);
    let picture = read_bytes(&png_of((3, 1), 4, png::ColorType::Grayscale, &[0x0f, 0x80], &[]));
    assert_eq!(picture.gray.pixels(), [0, 255, 136]);
    // Gray and transparency; the transparency is skipped.
    let picture = read_bytes(&png_of((2, 1), 8, png::ColorType::GrayscaleAlpha, &[9, 0, 200, 255], &[]));
    assert_eq!(
        (picture.gray.pixels(), picture.colour.unwrap().into_raw()),
        (&[9, 200][..], vec![9, 9, 9, 200, 200, 200])
    );
    let sixteen = [0x12, 0xff, 0, 0, 0xfe, 0x01, 0xff, 0xff];
    let picture = read_bytes(&png_of((2, 1), 16, png::ColorType::GrayscaleAlpha, &sixteen, &[]));
    assert_eq!(picture.gray.pixels(), [0x12, 0xfe]);
    let picture = read_bytes(&png_of((2, 1), 8, png::ColorType::Rgba, &[255, 0, 0, 0, 7, 7, 7, 9], &[]));
    assert_eq!(picture.gray.pixels(), [76, 7]);
    // A palette with transparent entries.
    let palette = [255, 0, 0, 0, 0, 255, 50, 50, 50];
    let picture = read_bytes(&png_of((3, 1), 8, png::ColorType::Indexed, &[0, 1, 2], &palette));
    assert_eq!(
        (picture.gray.pixels(), picture.colour.unwrap().into_raw()),
        (&[76, 29, 50][..], palette.to_vec())
    );
    let picture = read_bytes(&png_of((3, 1), 2, png::ColorType::Indexed, &[0b0110_0000], &palette));
    assert_eq!(picture.gray.pixels(), [29, 50, 76]);
    // Bytes behind the end.
    let mut png = png_of((2, 1), 8, png::ColorType::Grayscale, &[3, 4], &[]);
    png.extend([0; 99]);
    assert_eq!(read_bytes(&png).gray.pixels(), [3, 4]);
}

#[test]
fn other_formats_are_gray_as_opencv_makes_them() {
    // The 14-bit weights of OpenCV's own readers; its WebP reader takes those of 15 bits.
    let picture = RgbImage::from_raw(2, 1, vec![79, 14, 190, 39, 234, 13]).unwrap();
    let encode = |format| {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageRgb8(picture.clone()).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    for format in [ImageFormat::Bmp, ImageFormat::Pnm] {
        assert_eq!(read_bytes(&encode(format)).gray.pixels(), [54, 150], "{format:?}");
    }
    assert_eq!(read_bytes(&encode(ImageFormat::WebP)).gray.pixels(), [53, 151]);
    assert_eq!(read_bytes(b"P5 2 1 65535\n\x12\xff\xfe\x00").gray.pixels(), [0x12, 0xfe]);
    assert_eq!(read_bytes(b"P1\n# by hand\n3 1\n0 1 0\n").gray.pixels(), [255, 0, 255]);
    let mut bytes = Cursor::new(Vec::new());
    let clear = RgbaImage::from_raw(1, 1, vec![10, 20, 30, 0]).unwrap();
    DynamicImage::ImageRgba8(clear).write_to(&mut bytes, ImageFormat::Bmp).unwrap();
    assert_eq!(read_bytes(&bytes.into_inner()).colour.unwrap().into_raw(), [10, 20, 30]);
}

/// A picture by turbojpeg's encoder.
fn compressed(
    pixels: &[u8],
    size: (usize, usize),
    format: turbojpeg::PixelFormat,
    set: impl Fn(&mut turbojpeg::Compressor),
) -> Vec<u8> {
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_quality(95).unwrap();
    set(&mut compressor);
    let (width, height) = size;
    let image = turbojpeg::Image { pixels, width, height, pitch: width * format.size(), format };
    compressor.compress_to_vec(image).unwrap()
}

#[test]
fn jpegs_of_every_coding_are_one_picture() {
    let picture = colours(61, 43);
    let size = (61, 43);
    let close = |bytes: &[u8], most: u8, name: &str| {
        let read = read_bytes(bytes);
        let right = Gray::from_rgb(61, 43, picture.as_raw()).unwrap();
        let worst = read.gray.pixels().iter().zip(right.pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= most, "{name}: off by {worst}");
        let colour = read.colour.unwrap();
        let worst = colour.as_raw().iter().zip(picture.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 3 * most, "{name}: colours off by {worst}");
    };
    let subsampled = [
        turbojpeg::Subsamp::None,
        turbojpeg::Subsamp::Sub2x1,
        turbojpeg::Subsamp::Sub2x2,
        turbojpeg::Subsamp::Sub1x2,
        turbojpeg::Subsamp::Sub4x1,
        turbojpeg::Subsamp::Sub1x4,
    ];
    for subsamp in subsampled {
        for (progressive, optimal, arithmetic) in [
            (false, false, false),
            (false, true, false),
            (true, false, false),
            (false, false, true),
            (true, false, true),
        ] {
            let bytes = compressed(picture.as_raw(), size, turbojpeg::PixelFormat::RGB, |c| {
                c.set_subsamp(subsamp).unwrap();
                c.set_progressive(progressive).unwrap();
                c.set_optimize(optimal).unwrap();
                c.set_arithmetic(arithmetic).unwrap();
            });
            close(&bytes, 30, &format!("{subsamp:?}, progressive {progressive}, {optimal}, {arithmetic}"));
        }
    }
    // Inks with and without Adobe's mark: OpenCV takes both as Adobe stores them.
    let inks: Vec<u8> = picture.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2], 255]).collect();
    let marked = compressed(&inks, size, turbojpeg::PixelFormat::CMYK, |c| {
        c.set_subsamp(turbojpeg::Subsamp::None).unwrap();
    });
    close(&marked, 30, "YCCK");
    let mark = marked.windows(5).position(|w| w == b"Adobe").unwrap();
    let mut plain = marked.clone();
    plain[mark + 11] = 0;
    assert_ne!(read_bytes(&plain).gray, read_bytes(&marked).gray, "CMYK is not YCCK");
    let without = [&marked[..mark - 4], &marked[mark + 12..]].concat();
    assert_eq!(read_bytes(&without).gray, read_bytes(&plain).gray, "without the mark it is CMYK");
}

#[test]
fn warnings_are_no_errors_but_a_cut_is() {
    let picture = colours(64, 48);
    let whole = compressed(picture.as_raw(), (64, 48), turbojpeg::PixelFormat::RGB, |c| {
        c.set_subsamp(turbojpeg::Subsamp::None).unwrap();
    });
    let right = read_bytes(&whole).gray;
    let mut unended = whole.clone();
    unended.truncate(whole.len() - 2);
    let mut long = whole.clone();
    long.extend(b"a film behind the picture \xff\xd8\xff");
    for (name, bytes) in [("no end", &unended), ("more behind the end", &long)] {
        assert_eq!(read_bytes(bytes).gray, right, "{name}");
    }
    // An unknown revision of JFIF and an unknown colour transform are warnings of the header.
    let jfif = whole.windows(4).position(|w| w == b"JFIF").unwrap();
    let mut newer = whole.clone();
    newer[jfif + 5] = 3;
    assert_eq!(read_bytes(&newer).gray, right, "a later JFIF");
    // A stray byte before a marker.
    let end = whole.len() - 2;
    let stray = [&whole[..end], &[0], &whole[end..]].concat();
    assert_eq!(read_bytes(&stray).gray, right, "a stray byte");
    for cut in [10, whole.len() / 2, whole.len() - 20] {
        for ended in [false, true] {
            // A lone end marker does not make a head a picture.
            let mut bytes = whole[..whole.len() - cut].to_vec();
            if ended && cut == whole.len() - 20 {
                bytes.extend([0xff, 0xd9]);
            } else if ended {
                continue;
            }
            let said = refusal("cut.jpg", &bytes);
            assert!(said.starts_with("cut.jpg: damaged or truncated (") && !said.contains('\n'), "{said}");
        }
    }
}

#[test]
fn tables_that_a_camera_leaves_out_are_the_standard_ones() {
    let picture = colours(64, 48);
    let whole = jpeg_of(&picture);
    // The encoder writes the standard's tables: without them it is the same picture.
    let (mut bytes, mut at) = (whole[..2].to_vec(), 2);
    let mut tables = 0;
    while whole[at + 1] != 0xda {
        let next = at + 2 + usize::from(u16::from_be_bytes([whole[at + 2], whole[at + 3]]));
        if whole[at + 1] == 0xc4 {
            tables += 1;
        } else {
            bytes.extend(&whole[at..next]);
        }
        at = next;
    }
    bytes.extend(&whole[at..]);
    assert!(tables >= 1);
    assert_eq!(read_bytes(&bytes).gray, read_bytes(&whole).gray);
}

#[test]
fn what_is_not_read_says_how_it_is_converted() {
    for (name, bytes, words) in [
        (
            "a.tif",
            &b"II*\0\x08\0\0\0"[..],
            "a.tif: a TIFF, which facelatch does not read; convert it: ffmpeg -i a.tif -frames:v 1 a.png",
        ),
        (
            "a.jpg",
            b"\0\0\0\x18ftypheic\0\0\0\0",
            "a.jpg: a HEIC, which facelatch does not read; convert it: convert a.jpg a.png",
        ),
        (
            "a.avif",
            b"\0\0\0\x1cftypavif\0\0\0\0",
            "an AVIF, which facelatch does not read; convert it: ffmpeg -i a.avif",
        ),
        (
            "a.jpg",
            b"\xff\xd8\xff\xf7\0\x0b\x08\0\x10\0\x10\x01\x01\x11\0\xff\xda",
            "a.jpg: a JPEG of an unusual kind",
        ),
        ("a.png", b"RIFF\0\0\0\0AVI LIST", "a.png: a recording, not a picture"),
        ("._a.jpg", &[0, 5, 0x16, 7, 0, 2, 0, 0], "._a.jpg: a side file of macOS"),
        (
            "a.jpg",
            b"<!DOCTYPE html>",
            "a.jpg: not a picture that facelatch reads (PNG, JPEG, PGM/PPM, BMP, WebP); convert it, if it is one: convert a.jpg a.png",
        ),
        ("a.jpg", b"", "a.jpg: the file is empty; copy it again"),
    ] {
        let said = refusal(name, bytes);
        assert!(said.contains(words) && !said.contains('\n'), "{said}");
    }
}

#[test]
fn a_folder_is_its_visible_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| fs::write(folder.path().join(name), b"x").unwrap();
    for name in ["b.JPG", "a.png", "c.jfif", "._a.png", ".hidden.jpg", "notes.txt", "d.heic"] {
        at(name);
    }
    fs::create_dir(folder.path().join("e.png")).unwrap();
    let names: Vec<_> = list_pictures(folder.path())
        .unwrap()
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["a.png", "b.JPG", "c.jfif"]);
    let phone = tempfile::tempdir().unwrap();
    assert_eq!(list_pictures(phone.path()).unwrap(), Vec::<PathBuf>::new());
    for name in ["1.HEIC", "2.HEIC", "3.tif", "._1.HEIC"] {
        fs::write(phone.path().join(name), b"x").unwrap();
    }
    let said = list_pictures(phone.path()).unwrap_err().to_string();
    assert!(said.contains("3 picture(s) named .HEIC") && said.contains("mogrify -auto-orient"), "{said}");
}
