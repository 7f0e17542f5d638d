//! The compact form of a cascade: its figures alone.
//!
//! Little-endian throughout: `"FLcascd1"`, window width and height (u8 each), number of features
//! (u32) and of stages (u16). A feature: one byte (bits 0-1 number of rectangles, bit 7 tilted),
//! then per rectangle x, y, width, height (u8 each) and weight (f32). A stage: threshold (f32),
//! number of trees (u16). A tree: numbers of nodes and leaves (u16 each); per node feature (u32),
//! threshold (f32), left and right (i16 each); per leaf a vote (f32). Last the FNV-1a checksum of
//! all before it (u64).

use super::model::{Cascade, CascadeError, Feature, Node, Stage, Tree, WeightedRect};

pub(super) const MAGIC: [u8; 8] = *b"FLcascd1";
const TILTED: u8 = 0x80;

fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

pub(super) fn encode(cascade: &Cascade) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    let (width, height) = cascade.window();
    out.extend([width as u8, height as u8]);
    out.extend((cascade.features().len() as u32).to_le_bytes());
    out.extend((cascade.stages().len() as u16).to_le_bytes());
    for feature in cascade.features() {
        out.push(feature.rects.len() as u8 | if feature.tilted { TILTED } else { 0 });
        for r in &feature.rects {
            out.extend([r.x, r.y, r.width, r.height]);
            out.extend(r.weight.to_le_bytes());
        }
    }
    for stage in cascade.stages() {
        out.extend(stage.threshold.to_le_bytes());
        out.extend((stage.trees.len() as u16).to_le_bytes());
        for tree in &stage.trees {
            out.extend((tree.nodes.len() as u16).to_le_bytes());
            out.extend((tree.leaves.len() as u16).to_le_bytes());
            for node in &tree.nodes {
                out.extend(node.feature.to_le_bytes());
                out.extend(node.threshold.to_le_bytes());
                out.extend(node.left.to_le_bytes());
                out.extend(node.right.to_le_bytes());
            }
            for leaf in &tree.leaves {
                out.extend(leaf.to_le_bytes());
            }
        }
    }
    let sum = checksum(&out);
    out.extend(sum.to_le_bytes());
    out
}

struct Reader<'a> {
    rest: &'a [u8],
    got: usize,
}

impl Reader<'_> {
    fn error(&self, problem: &'static str) -> CascadeError {
        CascadeError::Compact { got: self.got, problem }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], CascadeError> {
        let (head, rest) =
            self.rest.split_first_chunk::<N>().ok_or_else(|| self.error("it ends too early"))?;
        self.rest = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, CascadeError> {
        Ok(u8::from_le_bytes(self.take()?))
    }

    fn u16(&mut self) -> Result<u16, CascadeError> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    fn i16(&mut self) -> Result<i16, CascadeError> {
        Ok(i16::from_le_bytes(self.take()?))
    }

    fn u32(&mut self) -> Result<u32, CascadeError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn f32(&mut self) -> Result<f32, CascadeError> {
        Ok(f32::from_le_bytes(self.take()?))
    }

    /// Reads `n` items; the reservation is bounded by what the remaining bytes can hold.
    fn many<T>(
        &mut self,
        n: usize,
        item_size: usize,
        read: impl Fn(&mut Self) -> Result<T, CascadeError>,
    ) -> Result<Vec<T>, CascadeError> {
        if n.saturating_mul(item_size) > self.rest.len() {
            return Err(self.error("it ends too early"));
        }
        (0..n).map(|_| read(self)).collect()
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<Cascade, CascadeError> {
    let mut r = Reader { rest: bytes, got: bytes.len() };
    if r.take::<8>()? != MAGIC {
        return Err(CascadeError::Unrecognised);
    }
    let body = bytes.len().checked_sub(8).filter(|&n| n >= MAGIC.len());
    let (body, sum) = bytes.split_at(body.ok_or_else(|| r.error("it ends too early"))?);
    if sum != checksum(body).to_le_bytes() {
        return Err(r.error("its checksum does not match, the file is truncated or altered"));
    }
    r.rest = &body[MAGIC.len()..];
    let window = (u32::from(r.u8()?), u32::from(r.u8()?));
    let features = r.u32()? as usize;
    let stages = usize::from(r.u16()?);
    let features = r.many(features, 1, |r| {
        let kind = r.u8()?;
        let rects = r.many(usize::from(kind & !TILTED), 8, |r| {
            let [x, y, width, height] = r.take()?;
            Ok(WeightedRect { x, y, width, height, weight: r.f32()? })
        })?;
        Ok(Feature { rects, tilted: kind & TILTED != 0 })
    })?;
    let stages = r.many(stages, 6, |r| {
        let threshold = r.f32()?;
        let trees = usize::from(r.u16()?);
        let trees = r.many(trees, 4, |r| {
            let (nodes, leaves) = (usize::from(r.u16()?), usize::from(r.u16()?));
            let nodes = r.many(nodes, 12, |r| {
                Ok(Node { feature: r.u32()?, threshold: r.f32()?, left: r.i16()?, right: r.i16()? })
            })?;
            Ok(Tree { nodes, leaves: r.many(leaves, 4, Reader::f32)? })
        })?;
        Ok(Stage { threshold, trees })
    })?;
    if !r.rest.is_empty() {
        return Err(r.error("surplus bytes follow the last stage"));
    }
    Cascade::new(window, features, stages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_and_every_flip_is_noticed() {
        let whole = Cascade::frontal_face().to_compact();
        for cut in [0, 7, 8, 15, 16, 20, whole.len() / 2, whole.len() - 1] {
            assert!(decode(&whole[..cut]).is_err(), "cut at {cut}");
        }
        for at in (0..whole.len()).step_by(997) {
            let mut bad = whole.clone();
            bad[at] ^= 0x10;
            assert!(decode(&bad).is_err(), "flip at {at}");
        }
    }

    #[test]
    fn counts_that_lie_do_not_reserve_memory() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([24, 24, 0xff, 0xff, 0xff, 0xff, 1, 0]);
        bytes.extend(checksum(&bytes).to_le_bytes());
        assert!(matches!(decode(&bytes), Err(CascadeError::Compact { .. })));
    }
}
