//! Where the corners of features lie in memory.

/// Room for reading past the end of a row or plane, in values.
pub(super) const SLACK: usize = 64;

/// Where the value for corner `(x, y)` lies, counted from the window's own place.
pub(super) trait Layout {
    fn at(&self, x: u32, y: u32, tilted: bool) -> u32;
}

/// Rows of the level's integral image one after the other.
pub(super) struct Plain {
    pub(super) stride: usize,
    pub(super) tilted: usize,
}

impl Layout for Plain {
    fn at(&self, x: u32, y: u32, tilted: bool) -> u32 {
        y * self.stride as u32 + x + if tilted { self.tilted as u32 } else { 0 }
    }
}

/// Each row split into its even and its odd columns, for windows two pixels apart.
pub(super) struct Split {
    pub(super) stride: usize,
    pub(super) tilted: usize,
}

impl Layout for Split {
    fn at(&self, x: u32, y: u32, tilted: bool) -> u32 {
        let half = if x % 2 == 1 { self.stride as u32 / 2 } else { 0 };
        y * self.stride as u32 + x / 2 + half + if tilted { self.tilted as u32 } else { 0 }
    }
}

/// Survivors: each corner's values of all lanes side by side.
pub(super) struct Packed {
    /// Columns of a window's integral image.
    pub(super) columns: usize,
    /// Windows in a vector.
    pub(super) lanes: usize,
    pub(super) tilted: usize,
}

impl Layout for Packed {
    fn at(&self, x: u32, y: u32, tilted: bool) -> u32 {
        let slot = y as usize * self.columns + x as usize + if tilted { self.tilted } else { 0 };
        (slot * self.lanes) as u32
    }
}
