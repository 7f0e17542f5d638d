//! A cascade from the forms that it is kept in, and the cascades that the program carries.

use super::model::{Cascade, CascadeError};
use super::{compact, xml};

impl Cascade {
    /// A cascade from OpenCV's XML, in the format of `opencv_traincascade` ("new") or of
    /// `opencv_haartraining` ("old").
    ///
    /// # Errors
    /// Says which stage, tree or feature is unusable, and why.
    pub fn from_xml(text: &str) -> Result<Self, CascadeError> {
        xml::parse(text)
    }

    /// A cascade from the compact form that [`Cascade::to_compact`] makes.
    ///
    /// # Errors
    /// When bytes are missing, surplus or altered, or the content breaks a promise of the type.
    pub fn from_compact(bytes: &[u8]) -> Result<Self, CascadeError> {
        compact::decode(bytes)
    }

    /// The compact form: the figures alone, little-endian, with a checksum.
    pub fn to_compact(&self) -> Vec<u8> {
        compact::encode(self)
    }

    /// A cascade from either form, told apart by the first bytes.
    ///
    /// # Errors
    /// As [`Cascade::from_xml`] and [`Cascade::from_compact`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CascadeError> {
        if bytes.starts_with(&compact::MAGIC) {
            return Self::from_compact(bytes);
        }
        let text = xml::text(bytes);
        if text.trim_start_matches('\u{feff}').trim_start().starts_with('<') {
            Self::from_xml(&text)
        } else {
            Err(CascadeError::Unrecognised)
        }
    }

    /// The embedded default: OpenCV's frontal face cascade (`haarcascade_frontalface_default`,
    /// 24x24, 25 stages of 2,913 stumps). Its licence is `models/cascades.LICENSE`.
    pub fn frontal_face() -> Self {
        Self::embedded(include_bytes!("../../../../../models/frontalface_default.cascade"))
    }

    /// OpenCV's `haarcascade_frontalface_alt2` (20x20, 20 stages of small trees), which is particular
    /// about faces being turned to the camera.
    pub fn frontal_face_alt2() -> Self {
        Self::embedded(include_bytes!("../../../../../models/frontalface_alt2.cascade"))
    }

    /// OpenCV's `haarcascade_profileface` (20x20): faces turned to one side; those turned to the other
    /// are found in the mirrored picture.
    pub fn profile_face() -> Self {
        Self::embedded(include_bytes!("../../../../../models/profileface.cascade"))
    }

    fn embedded(bytes: &[u8]) -> Self {
        // The files are part of the program; a unit test loads them.
        Self::from_compact(bytes).expect("the embedded cascade is sound")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_cascades_are_whole() {
        let cascade = Cascade::frontal_face();
        assert_eq!(cascade.window(), (24, 24));
        assert_eq!(cascade.stages().len(), 25);
        assert_eq!(cascade.stages().iter().map(|s| s.trees.len()).sum::<usize>(), 2913);
        assert_eq!(Cascade::from_compact(&cascade.to_compact()), Ok(cascade));
        for other in [Cascade::frontal_face_alt2(), Cascade::profile_face()] {
            assert_eq!(other.window(), (20, 20));
            assert_eq!(Cascade::from_compact(&other.to_compact()), Ok(other));
        }
    }
}
