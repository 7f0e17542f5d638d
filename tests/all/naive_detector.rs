//! The detector, on every instruction set of this machine, against a naive one.

use crate::reference::{self, Dice};
use facelatch::detect::{Cascade, Detector};
use facelatch::picture::Rect;
use proptest::prelude::*;

/// The first stages of the frontal face alone: a face is not needed for hits.
fn first_stages(count: usize) -> Cascade {
    let whole = Cascade::frontal_face();
    Cascade::new(whole.window(), whole.features().to_vec(), whole.stages()[..count].to_vec()).unwrap()
}

fn agree(cascade: &Cascade, dice: &mut Dice<'_>) -> Result<Vec<Rect>, TestCaseError> {
    let (picture, params) = (dice.picture(), dice.params());
    let expected = reference::detect(cascade, picture.view(), &params);
    for set in Detector::instruction_sets() {
        let mut detector = Detector::with_instruction_set(cascade.clone(), set);
        let found = detector.detect(picture.view(), &params);
        prop_assert_eq!(&found, &expected, "{} {:?}", set.name(), params);
    }
    Ok(expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..Default::default() })]

    #[test]
    fn any_cascade_on_any_picture(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut dice = Dice::new(&bytes);
        let cascade = dice.cascade();
        agree(&cascade, &mut dice)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..Default::default() })]

    #[test]
    fn the_frontal_face_on_any_picture(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        stages in 1..=25usize,
    ) {
        agree(&first_stages(stages), &mut Dice::new(&bytes))?;
    }
}

/// The cases above are worth something: many windows pass, many do not.
#[test]
fn the_cases_have_hits() {
    let (mut with, mut without, mut rectangles) = (0, 0, 0);
    for seed in 0..150u32 {
        let bytes = seed.to_le_bytes();
        let mut dice = Dice::new(&bytes);
        let cascade = dice.cascade();
        let found = agree(&cascade, &mut dice).unwrap().len();
        rectangles += found;
        if found > 0 { with += 1 } else { without += 1 }
    }
    println!("{with} cases with hits, {without} without, {rectangles} rectangles");
    assert!(with > 30 && without > 10 && rectangles > 500, "{with} {without} {rectangles}");
}
