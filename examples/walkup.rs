//! Renders a walk-up of a portrait that ships with facelatch, as a folder of pictures:
//! `cargo run --example walkup -- collins|hopper enrolment|visit FOLDER`. For tests that need a camera.

use facelatch::demo::portrait::Portrait;
use facelatch::demo::walkup::{Walk, WalkUp};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [who, walk, folder] = &arguments[..] else {
        return Err("usage: walkup collins|hopper enrolment|visit FOLDER".into());
    };
    let portrait = match who.as_str() {
        "collins" => Portrait::collins()?,
        "hopper" => Portrait::hopper()?,
        _ => return Err("the portraits are collins and hopper".into()),
    };
    let walk = if walk == "enrolment" { Walk::ENROLMENT } else { Walk::VISIT };
    std::fs::create_dir_all(folder)?;
    let walkup = WalkUp::new("test", portrait, walk);
    for n in 0..walkup.len() {
        walkup.frame(n).save(std::path::Path::new(folder).join(format!("{n:06}.jpg")))?;
    }
    Ok(())
}
