//! The ends of rows, in plain code.

/// [`super::Isa::running_sums32`] one at a time, from the `from`th on.
#[inline(always)]
pub(super) fn running_sums_rest<T: Copy + Into<u32>>(
    columns: &[T],
    paired: bool,
    sums: &mut [u32],
    from: usize,
) {
    let mut total = from.checked_sub(1).map_or(0, |last| sums[last]);
    for (i, sum) in sums.iter_mut().enumerate().skip(from) {
        total = total.wrapping_add(if paired {
            columns[2 * i].into().wrapping_add(columns[2 * i + 1].into())
        } else {
            columns[i].into()
        });
        *sum = total;
    }
}

/// [`super::Isa::blend_down`] with whole products, each sum flipped by `flip`.
#[inline(always)]
pub(super) fn blend_down_plain(top: &[u8], bottom: &[u8], weight: u16, flip: u16, out: &mut [u16]) {
    for ((value, &a), &b) in out.iter_mut().zip(top).zip(bottom) {
        *value = (u16::from(a) * (256 - weight)).wrapping_add(u16::from(b) * weight) ^ flip;
    }
}
