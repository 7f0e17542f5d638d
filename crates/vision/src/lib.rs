//! Vision: a frame becomes a sighting.
//!
//! Detect, track, crop, embed, compare. What goes on to the decision is the [`Sighting`], which holds
//! no biometric data; the embedding rides beside it for enrolment only.

pub mod embed;
mod pose;
mod quality;
mod reduce;
mod tracker;

pub use pose::Pose;
pub use quality::{QualityRules, sharpness};
pub use tracker::{TrackRules, Tracker};

use crate::embed::{CropView, Embed, EmbedError, LivenessNetwork, Pixels};
use facelatch_core::access::{Seen, Sighting, TrackId};
use facelatch_core::detect::{Detector, SearchParams, Searcher};
use facelatch_core::liveness::{Cues, Watch, turn};
use facelatch_core::matching::{Gallery, Matcher, Metric};
use facelatch_core::observation::{Observation, Purpose};
use facelatch_core::picture::{Gray, Rect};
use facelatch_core::time::Timestamp;
use image::RgbImage;

/// One picture of the scene, as vision needs it.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// When it was captured.
    pub captured: Timestamp,
    /// Counts the pictures of the source.
    pub sequence: u64,
    /// 8 bits a pixel.
    pub gray: &'a Gray,
    /// The same picture in colour, where there is one.
    pub colour: Option<&'a RgbImage>,
}

/// The numbers of vision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VisionRules {
    /// How and when to search for faces.
    pub search: SearchParams,
    /// How one face is followed.
    pub tracking: TrackRules,
    /// What makes a face fit for enrolment.
    pub quality: QualityRules,
}

/// A stage of vision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VisionStage {
    /// Looking for faces.
    Detect,
    /// Crop and network.
    Embed,
    /// Comparing with everybody.
    Compare,
}

/// What measures liveness.
struct Watcher {
    watch: Watch,
    network: Option<LivenessNetwork>,
    /// Frames looked at. Motion is measured in every second one, the picture in the two others of four:
    /// that bounds the cost.
    frames: u64,
    /// The face when it was asked to turn.
    asked: Option<(TrackId, turn::FaceView)>,
}

impl Watcher {
    fn look(
        &mut self,
        pixels: Pixels<'_>,
        face: Rect,
        track: TrackId,
        purpose: Purpose,
    ) -> Result<Cues, EmbedError> {
        let mut cues = self.measure(pixels, face, track)?;
        self.asked = self.asked.take().filter(|(asked, _)| *asked == track && purpose == Purpose::Challenge);
        match &self.asked {
            Some((_, view)) => {
                let turned = view.turned(pixels.view(), face);
                (cues.turn, cues.nod) = (turned.map(|t| t.turn), turned.map(|t| t.nod));
            }
            None if purpose == Purpose::Challenge => {
                self.asked = Some((track, turn::FaceView::new(pixels.view(), face)));
            }
            None => {}
        }
        Ok(cues)
    }

    fn measure(&mut self, pixels: Pixels<'_>, face: Rect, track: TrackId) -> Result<Cues, EmbedError> {
        let turn = self.frames % 4;
        self.frames += 1;
        match turn {
            0 => Ok(self.watch.measure_texture(pixels.view(), face, track.0)),
            2 => {
                self.watch.push(pixels.view(), face, track.0);
                let network = self.network.as_mut().map(|network| network.score(pixels, face));
                Ok(Cues { network: network.transpose()?, ..Cues::default() })
            }
            _ => Ok(self.watch.measure_motion(pixels.view(), face, track.0)),
        }
    }
}

/// Turns frames into observations, one after the other.
pub struct Vision {
    rules: VisionRules,
    searcher: Searcher,
    embedder: Box<dyn Embed + Send>,
    matcher: Matcher,
    tracker: Tracker,
    /// The track of the face compared last.
    track: Option<TrackId>,
    pose: Pose,
    liveness: Option<Watcher>,
    /// The view of the face embedded last.
    view: CropView,
}

impl Vision {
    /// Vision with this detector and embedder; `metric` is the one of the embedder's card.
    pub fn new(
        rules: VisionRules,
        detector: Detector,
        embedder: Box<dyn Embed + Send>,
        metric: Metric,
    ) -> Self {
        Vision {
            rules,
            searcher: Searcher::new(detector, rules.search),
            embedder,
            matcher: Matcher::new(metric),
            tracker: Tracker::new(rules.tracking),
            track: None,
            pose: Pose::default(),
            liveness: None,
            view: CropView::Mirrored,
        }
    }

    /// Measures liveness as well; with this network, or without its cue.
    #[must_use]
    pub fn watching(mut self, network: Option<LivenessNetwork>) -> Self {
        self.liveness = Some(Watcher { watch: Watch::new(), network, frames: 0, asked: None });
        self
    }

    /// Forgets the face followed: the next frames have nothing to do with those before.
    pub fn forget(&mut self) {
        self.tracker.lose();
        self.searcher.forget();
        if let Some(liveness) = &mut self.liveness {
            liveness.watch.forget();
            (liveness.frames, liveness.asked) = (0, None);
        }
        self.view = CropView::Mirrored;
    }

    /// Looks at a frame and compares its only face with the gallery.
    ///
    /// # Errors
    /// When the embedder fails.
    pub fn process(
        &mut self,
        scene: Scene<'_>,
        gallery: &Gallery,
        purpose: Purpose,
    ) -> Result<Observation, EmbedError> {
        self.process_marked(scene, gallery, purpose, &mut |_| ())
    }

    /// As [`Vision::process`]; `mark` is told of each stage when it is done.
    ///
    /// # Errors
    /// As [`Vision::process`].
    pub fn process_marked(
        &mut self,
        scene: Scene<'_>,
        gallery: &Gallery,
        purpose: Purpose,
        mark: &mut dyn FnMut(VisionStage),
    ) -> Result<Observation, EmbedError> {
        // While the scene is still, the faces are those of the frame scanned last. The probe is this
        // frame's anyway: sightings come at the camera's rate, and no score is used twice.
        self.searcher.search(scene.captured, scene.gray.view());
        mark(VisionStage::Detect);
        let faces = self.searcher.faces();
        let mut embedding = None;
        let seen = match faces {
            [] => Seen::NoFace,
            [face] => {
                let gray = scene.gray.view();
                let colour = scene.colour.and_then(|rgb| Pixels::with_colour(gray, rgb).ok());
                // Every other frame is looked at mirrored: the mean of an attempt and the template of an
                // enrolment then rest on both views at the cost of one.
                self.view = match self.view {
                    CropView::Plain => CropView::Mirrored,
                    CropView::Mirrored => CropView::Plain,
                };
                let pixels = colour.unwrap_or(Pixels::gray(gray));
                let probe = self.embedder.embed_pixels(pixels, *face, self.view)?;
                mark(VisionStage::Embed);
                let track = self.tracker.follow(scene.captured, *face);
                if self.track.replace(track) != Some(track) {
                    self.matcher.forget();
                }
                let likeness = self.matcher.compare(gallery, &probe);
                mark(VisionStage::Compare);
                embedding = Some(probe);
                let cues = match &mut self.liveness {
                    Some(liveness) => liveness.look(pixels, *face, track, purpose)?,
                    None => Cues::default(),
                };
                Seen::Face {
                    track,
                    cues,
                    face: *face,
                    likeness,
                    unusable: self.rules.quality.judge(
                        gray,
                        *face,
                        (purpose == Purpose::Enrol).then_some(&mut self.pose),
                    ),
                }
            }
            several => {
                self.tracker.lose();
                Seen::SeveralFaces { count: several.len() as u32 }
            }
        };
        let light = match (&seen, purpose) {
            (Seen::NoFace, Purpose::Enrol) => self.rules.quality.light(scene.gray.view()),
            _ => None,
        };
        let sighting = Sighting {
            captured: scene.captured,
            sequence: scene.sequence,
            gallery_version: gallery.version(),
            seen,
            light,
        };
        Ok(Observation { sighting, faces: faces.to_vec(), embedding })
    }
}
