//! Faces in fewer pixels, for the measures of quality and pose.

use facelatch_core::picture::GrayView;

/// The picture as `across` by `down` means of its pixels, row by row.
pub(super) fn reduce(
    picture: GrayView<'_>,
    across: usize,
    down: usize,
) -> impl Iterator<Item = f32> + use<'_> {
    let span = |i: usize, of: usize, to: usize| i * of / to..((i + 1) * of / to).max(i * of / to + 1);
    (0..across * down).map(move |i| {
        let columns = span(i % across, picture.width(), across);
        let rows = span(i / across, picture.height(), down);
        let count = rows.len() * columns.len();
        let row_sum = |y| picture.row(y)[columns.clone()].iter().map(|p| u32::from(*p)).sum::<u32>();
        rows.map(row_sum).sum::<u32>() as f32 / count as f32
    })
}
