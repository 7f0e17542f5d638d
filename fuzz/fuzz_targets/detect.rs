//! A cascade and a picture made of any bytes: every instruction set finds what the naive detector of
//! the tests finds.

#![no_main]

#[path = "../../tests/naive_detector/mod.rs"]
mod reference;

use facelatch::detect::Detector;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut dice = reference::Dice::new(bytes);
    let (cascade, picture, params) = (dice.cascade(), dice.picture(), dice.params());
    let expected = reference::detect(&cascade, picture.view(), &params);
    for set in Detector::instruction_sets() {
        let found = Detector::with_instruction_set(cascade.clone(), set).detect(picture.view(), &params);
        assert_eq!(found, expected, "{} {params:?}", set.name());
    }
});
