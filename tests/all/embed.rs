//! Networks and their cards, from files: what loads, what is refused, and how that reads.

use crate::common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{facelatch, one_error_line, shared};
use facelatch::embed::{Card, CropView, Embed, EmbedError, Embedder, Pixels};
use facelatch::picture::{Gray, Rect};
use image::RgbImage;
use sha2::{Digest, Sha256};

const NETWORKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/networks");
const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models");

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes a card for the network in `onnx` and puts the network beside it.
fn with_card(folder: &Path, onnx: &[u8], input: &str, output: &str) -> PathBuf {
    fs::write(folder.join("network.onnx"), onnx).unwrap();
    let card = folder.join("network.toml");
    let text = format!(
        "[model]\nname = \"a network\"\nfile = \"network.onnx\"\nsha256 = \"{}\"\n[input]\n{input}\n[output]\n\
         {output}\n[thresholds]\ndefault_fmr = 0.01\nat_fmr = {{ \"0.01\" = 0.5 }}\nattempt = 0.6\n",
        sha256(onnx)
    );
    fs::write(&card, text).unwrap();
    card
}

const SMALL_INPUT: &str = "width = 24\nheight = 32\ncolour = \"gray\"\nmean = [0.0]\ndeviation = [1.0]";
const SMALL_OUTPUT: &str = "size = 32\nmetric = \"euclidean\"";

/// A picture with structure, different for each seed.
fn picture(seed: usize) -> Gray {
    let value = |i: usize| ((i % 120 * (seed + 3)) ^ (i / 120 * (2 * seed + 5))) as u8;
    Gray::from_pixels(120, 140, (0..120 * 140).map(value).collect()).unwrap()
}

fn small(name: &str) -> Result<Embedder, EmbedError> {
    let folder = tempfile::tempdir().unwrap();
    let onnx = fs::read(format!("{NETWORKS}/{name}.onnx")).unwrap();
    Embedder::open(&with_card(folder.path(), &onnx, SMALL_INPUT, SMALL_OUTPUT))
}

#[test]
fn quantised_forms_agree_with_the_float_network() {
    let face = Rect::new(10, 12, 90, 110);
    let mut float = small("float").unwrap();
    let metric = float.card().metric();
    for (name, tolerance) in [("dynamic-int8", 0.06), ("qdq", 0.06)] {
        let mut quantised = small(name).unwrap();
        for seed in 0..4 {
            let picture = picture(seed);
            let a = float.embed(picture.view(), face).unwrap();
            let b = quantised.embed(picture.view(), face).unwrap();
            let distance = metric.distance(&a, &b).unwrap();
            assert!(distance < tolerance, "{name}: {distance}");
        }
    }
}

#[test]
fn operators_that_the_runtime_lacks_are_named() {
    let error = small("qoperator").unwrap_err().to_string();
    assert!(error.contains("network.onnx") && error.contains("QGemm"), "{error}");
    assert!(error.contains("facelatch model quantize"), "the remedy: {error}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn our_quantiser_makes_a_file_of_a_quarter_that_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one.onnx", "two.onnx"].map(|n| folder.path().join(n));
    for out in [&one, &two] {
        let source = format!("{NETWORKS}/float.onnx");
        let output = facelatch(["model", "quantize", &source, &out.to_string_lossy()]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let bytes = fs::read(&one).unwrap();
    assert_eq!(bytes, fs::read(&two).unwrap(), "the same input gives the same bytes");
    let float_bytes = fs::read(format!("{NETWORKS}/float.onnx")).unwrap();
    assert!(bytes.len() * 100 < float_bytes.len() * 30, "{} of {}", bytes.len(), float_bytes.len());

    let card = with_card(folder.path(), &bytes, SMALL_INPUT, SMALL_OUTPUT);
    let output = facelatch([
        "model".as_ref(),
        "check".as_ref(),
        card.as_os_str(),
        "--float".as_ref(),
        format!("{NETWORKS}/float.onnx").as_ref(),
        "--json".as_ref(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // 3x3 filters: 12x16 places of 8 from 1, 6x8 places of 16 from 8; then 768 to 32.
    let filters = 12 * 16 * 8 * 9 + 6 * 8 * 16 * 8 * 9 + 768 * 32;
    let counted = line["multiply_adds"].as_u64().unwrap();
    // The division by the length adds a few.
    assert!((filters..filters + 100).contains(&counted), "{counted} for {filters}");
    assert_eq!(line["parameters"], 8 * 9 + 8 + 16 * 8 * 9 + 16 + 768 * 32 + 32);
    assert_eq!(line["parameters_int8"], 8 * 9 + 16 * 8 * 9 + 768 * 32);
    assert_eq!(line["bytes"], bytes.len());
    assert!(line["against_float"]["mean_error_share"].as_f64().unwrap() < 0.02, "{line}");
    assert!(line["against_float"]["max_error"].as_f64().unwrap() > 0.0, "{line}");
    assert!(line["latency_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(line["card"]["model"]["name"], "a network");

    let twice = facelatch(["model".as_ref(), "quantize".as_ref(), one.as_os_str(), two.as_os_str()]);
    assert!(one_error_line(&twice).contains("already"));
}

#[test]
fn bad_files_are_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let good = fs::read(format!("{NETWORKS}/float.onnx")).unwrap();
    let picture = folder.path().join("face.png");
    image::GrayImage::from_pixel(92, 112, image::Luma([90])).save(&picture).unwrap();
    let place = |name: &str| {
        let place = folder.path().join(name);
        fs::create_dir(&place).unwrap();
        place
    };
    let network = |name: &str, bytes: &[u8]| with_card(&place(name), bytes, SMALL_INPUT, SMALL_OUTPUT);

    let missing_network = network("missing", &good);
    fs::remove_file(missing_network.with_file_name("network.onnx")).unwrap();
    let changed = network("changed", &good);
    fs::write(changed.with_file_name("network.onnx"), &good[..good.len() - 1]).unwrap();
    let unknown_key = network("key", &good);
    let text = fs::read_to_string(&unknown_key).unwrap();
    fs::write(&unknown_key, text.replace("width", "breadth")).unwrap();
    let mut nan = good.clone();
    // The last bias, raw floats at a place that the search finds.
    let at = nan.windows(2).rposition(|w| w == b"b3").unwrap() + 4;
    nan[at..at + 8].copy_from_slice(&[0xff; 8]);

    let cases: Vec<(PathBuf, &[&str])> = vec![
        (folder.path().join("none.toml"), &["none.toml", "model card"]),
        (folder.path().to_path_buf(), &["model card"]),
        (missing_network, &["network.onnx", "beside the card"]),
        (changed, &["network.onnx", "SHA-256", "restore the file"]),
        (unknown_key, &["network.toml", "line 6", "breadth"]),
        (network("empty", b""), &["network.onnx", "empty"]),
        (network("text", b"This is a picture of a cat.\n"), &["network.onnx", "not an ONNX file"]),
        (network("cut", &good[..good.len() / 2]), &["network.onnx", "damaged"]),
        (network("nan", &nan), &["network.onnx"]),
        (
            with_card(&place("shape"), &good, &SMALL_INPUT.replace("24", "92"), SMALL_OUTPUT),
            &["network.onnx", "1x1x32x24", "1x1x32x92", "card"],
        ),
        (
            with_card(&place("size"), &good, SMALL_INPUT, &SMALL_OUTPUT.replace("32", "128")),
            &["network.onnx", "32 values", "output.size = 128"],
        ),
        (
            with_card(&place("output"), &good, SMALL_INPUT, &format!("{SMALL_OUTPUT}\nname = \"other\"")),
            &["network.onnx", "\"other\"", "vector"],
        ),
    ];
    for (card, told) in cases {
        let output = facelatch([
            "compare".as_ref(),
            "--whole".as_ref(),
            picture.as_os_str(),
            picture.as_os_str(),
            "--model".as_ref(),
            card.as_os_str(),
        ]);
        let line = one_error_line(&output);
        for part in told {
            assert!(line.contains(part), "{part:?} is missing: {line}");
        }
        assert!(line.len() < 600, "too long to read: {line}");
    }
    let output = facelatch(["model".as_ref(), "check".as_ref(), picture.as_os_str()]);
    assert!(one_error_line(&output).contains("face.png"));
}

/// Damage must end as an error or as a network that runs, never as a panic or an abort.
#[test]
fn damaged_networks_never_panic() {
    let path = Path::new(MODELS).join("embedder.toml");
    let card = Card::parse(&fs::read_to_string(&path).unwrap(), &path).unwrap();
    let good = fs::read(path.with_file_name(&card.model.file)).unwrap();
    let small = fs::read(format!("{NETWORKS}/dynamic-int8.onnx")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let small_card = with_card(folder.path(), &small, SMALL_INPUT, SMALL_OUTPUT);
    let small_card = Card::parse(&fs::read_to_string(&small_card).unwrap(), &small_card).unwrap();
    let mut state = 88_172_645_463_325_252u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let attempt = |card: &Card, bytes: &[u8]| {
        let mut card = card.clone();
        card.model.sha256 = sha256(bytes);
        match Embedder::from_parts(card, &path, bytes) {
            Ok(mut embedder) => {
                let _ = embedder.embed(picture(1).view(), Rect::new(5, 5, 100, 100));
                true
            }
            Err(error) => {
                let line = error.to_string();
                assert!(!line.contains('\n') && line.len() < 1000, "{line}");
                false
            }
        }
    };
    let (mut loaded, mut refused) = (0, 0);
    let mut count = |ok| if ok { loaded += 1 } else { refused += 1 };
    for round in 0..30 {
        let mut cut = good[..random(good.len())].to_vec();
        count(attempt(&card, &cut));
        // Structure lies at the ends of the file and of the small one everywhere.
        cut = small[..random(small.len())].to_vec();
        count(attempt(&small_card, &cut));
        let mut flipped = small.clone();
        for _ in 0..=round % 6 {
            let near_end = small.len() - 1 - random(small.len().min(2500));
            let at = if round % 2 == 0 { near_end } else { random(small.len()) };
            flipped[at] ^= 1 << random(8);
        }
        count(attempt(&small_card, &flipped));
        let mut flipped = good.clone();
        let at = if round % 2 == 0 { random(4000) } else { good.len() - 1 - random(4000) };
        flipped[at] ^= 1 << random(8);
        count(attempt(&card, &flipped));
    }
    assert!(refused > 60 && loaded > 5, "{refused} refused, {loaded} loaded");
}

#[test]
fn colour_and_layout_reach_the_network() {
    // A gray frame of a colour picture and the picture itself give a gray network the same vector.
    let rgb =
        RgbImage::from_fn(120, 140, |x, y| image::Rgb([(x * 2) as u8, (y * 3 / 2) as u8, (x ^ y) as u8]));
    let gray = Gray::from_rgb(120, 140, rgb.as_raw()).unwrap();
    let face = Rect::new(10, 12, 90, 110);
    let mut network = small("float").unwrap();
    let pixels = Pixels::with_colour(gray.view(), &rgb).unwrap();
    assert_eq!(
        network.embed_pixels(pixels, face, CropView::Plain).unwrap(),
        network.embed(gray.view(), face).unwrap()
    );
}

#[test]
fn third_party_networks_load_or_are_refused_with_a_reason() {
    let Some(models) = shared("third_party_networks_load_or_are_refused_with_a_reason", "models") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, input: &str, output: &str| {
        let place = folder.path().join(name);
        fs::create_dir_all(&place).unwrap();
        let onnx = fs::read(models.join(name)).unwrap();
        Embedder::open(&with_card(&place, &onnx, input, output))
    };
    let colour = |size: usize| {
        format!(
            "width = {size}\nheight = {size}\ncolour = \"rgb\"\nmean = [0.485, 0.456, 0.406]\n\
             deviation = [0.229, 0.224, 0.225]"
        )
    };
    let cosine = "size = 128\nmetric = \"cosine\"\nnormalise = true";

    let mut network = open("mobilefacenet.onnx", &colour(112), cosine).unwrap();
    let metric = network.card().metric();
    let whole = Rect::new(0, 0, 120, 140);
    let [a, b] = [1, 9].map(|seed| network.embed(picture(seed).view(), whole).unwrap());
    let length: f32 = a.values().iter().map(|v| v * v).sum();
    assert!((length - 1.0).abs() < 1e-4, "normalised");
    assert!(metric.distance(&a, &b).unwrap() > 0.05);

    for name in ["fasnet_2_7.onnx", "fasnet_4_0.onnx"] {
        let mut network = open(name, &colour(80), "size = 3\nmetric = \"euclidean\"").unwrap();
        assert_eq!(network.embed(picture(1).view(), whole).unwrap().values().len(), 3);
        let error = open(name, &colour(80), cosine).unwrap_err().to_string();
        assert!(error.contains("3 values"), "{error}");
        let error = open(name, &colour(112), cosine).unwrap_err().to_string();
        assert!(error.contains("3x80x80"), "{error}");
    }
    let error = open("ultralight-rfb-320.onnx", &colour(112), cosine).unwrap_err().to_string();
    assert!(error.contains("1x3x240x320"), "{error}");
    let wide = colour(240).replacen("240", "320", 1);
    let error = open("ultralight-rfb-320.onnx", &wide, cosine).unwrap_err().to_string();
    assert!(error.contains("2 outputs (scores, boxes)") && error.contains("output.name"), "{error}");
    let onnx = models.join("mobilefacenet.onnx");
    let target = folder.path().join("q.onnx");
    let output = facelatch(["model".as_ref(), "quantize".as_ref(), onnx.as_os_str(), target.as_os_str()]);
    let line = one_error_line(&output);
    assert!(line.contains("operator set 11") && line.contains("export it again"), "{line}");
    assert!(!target.exists());
}
