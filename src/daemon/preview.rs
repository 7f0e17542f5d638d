//! The picture for people who look: reduced, with hints for enrolment, and only while somebody looks.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use base64::Engine as _;

use super::broadcaster::Broadcaster;
use super::error::DaemonError;
use super::spawn::spawn;
use crate::access::QualityIssue;
use crate::camera::Frame;
use crate::clock;
use crate::lock::{lock, wait};
use crate::picture::{Gray, GrayView, Rect};
use crate::picture_file::encode_jpeg;
use crate::protocol::{Attempt, FramingHints, Reply, View};
use crate::time::Timestamp;
use crate::vision::{QualityRules, sharpness};

/// Between two pictures.
const VIEW_EVERY: Duration = Duration::from_millis(95);
/// A picture is reduced by a whole factor to at most this many pixels per row.
const VIEW_WIDTH: usize = 480;
const VIEW_QUALITY: i32 = 70;

/// A picture on its way to those who look.
struct PreviewFrame {
    gray: Gray,
    faces: Vec<Rect>,
    captured: Timestamp,
    sequence: u64,
}

/// The way of pictures from vision to those who look: newest wins, and none is taken while nobody looks.
#[derive(Clone)]
pub(super) struct PreviewEncoder {
    broadcaster: Arc<Broadcaster>,
    slot: Arc<(Mutex<Option<PreviewFrame>>, Condvar)>,
    taken: Timestamp,
}

impl PreviewEncoder {
    /// Starts the thread that reduces and packs. Its end would not be a reason to stop the door.
    pub(super) fn start(broadcaster: Arc<Broadcaster>, rules: QualityRules) -> Result<Self, DaemonError> {
        let slot = Arc::new((Mutex::new(None), Condvar::new()));
        let encoder = PreviewEncoder { broadcaster, slot, taken: Timestamp::ZERO };
        let own = encoder.clone();
        spawn("view", None, move || {
            loop {
                own.pack(&rules);
            }
        })?;
        Ok(encoder)
    }

    /// Takes a copy of a frame, if somebody looks and it is time.
    pub(super) fn offer(&mut self, frame: &Frame, faces: &[Rect]) {
        if !self.broadcaster.is_viewed() || frame.captured.since(self.taken) < VIEW_EVERY {
            return;
        }
        self.taken = frame.captured;
        let (captured, sequence) = (frame.captured, frame.sequence);
        let shot =
            PreviewFrame { gray: frame.gray.view().to_gray(), faces: faces.to_vec(), captured, sequence };
        if let Ok(mut slot) = self.slot.0.try_lock() {
            *slot = Some(shot);
            self.slot.1.notify_one();
        }
    }

    fn pack(&self, rules: &QualityRules) {
        let mut slot = lock(&self.slot.0);
        let shot = loop {
            match slot.take() {
                Some(shot) => break shot,
                None => slot = wait(&self.slot.1, slot),
            }
        };
        drop(slot);
        let attempt = self.broadcaster.attempt();
        match view(&shot, attempt, rules) {
            Ok(line) => self.broadcaster.show(line.into()),
            Err(error) => log::debug!("event=view_failed error={error:?}"),
        }
    }
}

fn view(shot: &PreviewFrame, attempt: Attempt, rules: &QualityRules) -> Result<Vec<u8>, String> {
    let (small, factor) = reduced(shot.gray.view());
    let jpeg = encode_jpeg(&small, VIEW_QUALITY)?;
    let by = factor as i32;
    let view = View {
        sequence: shot.sequence,
        age_ms: u64::try_from(clock::now().since(shot.captured).as_millis()).unwrap_or(u64::MAX),
        width: small.width(),
        height: small.height(),
        faces: shot
            .faces
            .iter()
            .map(|f| Rect::new(f.x / by, f.y / by, f.width / by, f.height / by))
            .collect(),
        aim: framing_hints(shot, rules),
        attempt,
        jpeg: base64::engine::general_purpose::STANDARD.encode(jpeg),
    };
    let mut line = serde_json::to_vec(&Reply::View { view: Box::new(view) }).map_err(|e| e.to_string())?;
    line.push(b'\n');
    Ok(line)
}

fn framing_hints(shot: &PreviewFrame, rules: &QualityRules) -> Option<FramingHints> {
    let [face] = shot.faces[..] else { return None };
    let region = shot.gray.view().region(face)?;
    let pixels = (0..region.height()).flat_map(|y| region.row(y)).map(|p| u64::from(*p)).sum::<u64>();
    let light = pixels as f32 / (region.width() * region.height()) as f32;
    Some(FramingHints {
        face_px: face.width,
        least_px: rules.min_width,
        light,
        sharpness: sharpness(region),
        least_sharpness: rules.min_sharpness,
        // The pose is judged by vision, during an enrolment.
        advice: rules
            .judge(shot.gray.view(), face, None)
            .filter(|unusable| *unusable != QualityIssue::PoseUnknown)
            .map(|unusable| unusable.advice().to_owned()),
    })
}

/// The picture as means of squares of `factor` pixels a side.
fn reduced(gray: GrayView<'_>) -> (Gray, usize) {
    let factor = gray.width().div_ceil(VIEW_WIDTH).max(1);
    let (width, height) = ((gray.width() / factor).max(1), (gray.height() / factor).max(1));
    let mut small = Gray::filled(width, height, 0);
    for y in 0..height {
        let mut sums = vec![0u32; width];
        for row in y * factor..(y + 1) * factor {
            for (sum, pixels) in sums.iter_mut().zip(gray.row(row).chunks_exact(factor)) {
                *sum += pixels.iter().map(|p| u32::from(*p)).sum::<u32>();
            }
        }
        let row = &mut small.pixels_mut()[y * width..(y + 1) * width];
        for (pixel, sum) in row.iter_mut().zip(sums) {
            *pixel = (sum / (factor * factor) as u32) as u8;
        }
    }
    (small, factor)
}
