//! The V4L2 calls that a capture needs: the only unsafe code of the camera edge.
//!
//! Types and call numbers are the `v4l` crate's. Its own `Device` and `Stream` are not used for
//! capture: they panic on a card name that is not UTF-8, on an unknown field order and when a
//! stream of a dying device is dropped, and they queue a buffer twice after a timeout. A door must
//! continue in all four cases.

use std::ffi::c_void;
use std::io;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use v4l::Device;
use v4l::device::Handle;
use v4l::v4l_sys::{
    v4l2_buffer, v4l2_capability, v4l2_fmtdesc, v4l2_format, v4l2_frmivalenum, v4l2_requestbuffers,
    v4l2_streamparm,
};
use v4l::v4l2::{self, vidioc};

const CAPTURE: u32 = v4l::buffer::Type::VideoCapture as u32;
const MMAP: u32 = v4l::memory::Memory::Mmap as u32;
const CAP_CAPTURE: u32 = 0x0000_0001;
const CAP_STREAMING: u32 = 0x0400_0000;
const BUFFER_ERROR: u32 = 0x40;
const TIMESTAMP_MASK: u32 = 0xe000;
const TIMESTAMP_MONOTONIC: u32 = 0x2000;
const INTERVAL_DISCRETE: u32 = 1;
const EAGAIN: i32 = 11;

/// Buffers in flight. With newest-frame-wins more would only hold older frames.
const BUFFERS: u32 = 4;

/// What a node says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The driver: `uvcvideo`.
    pub driver: String,
    /// The camera's name.
    pub card: String,
    /// Where it is plugged in.
    pub bus: String,
    /// Whether pictures can be captured from it by mapped buffers.
    pub captures: bool,
}

/// A format as the driver holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Four-character code.
    pub fourcc: [u8; 4],
    /// Bytes a row.
    pub stride: u32,
}

/// An open video node.
pub struct DeviceNode {
    handle: Arc<Handle>,
}

impl DeviceNode {
    /// Opens a node, without waiting.
    pub fn open(path: &Path) -> io::Result<Self> {
        // A path with a NUL byte makes the crate panic.
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(DeviceNode { handle: Device::with_path(path)?.handle() })
    }

    /// One call on this node.
    ///
    /// # Safety
    /// `argument` must be of the type that the kernel documents for `request`.
    unsafe fn call<T>(&self, request: vidioc::_IOC_TYPE, argument: &mut T) -> io::Result<()> {
        // SAFETY: the descriptor is open as long as the handle; the argument is of the type that
        // the kernel reads and writes, as our caller promises, and outlives the call.
        unsafe { v4l2::ioctl(self.handle.fd(), request, std::ptr::from_mut(argument).cast::<c_void>()) }
    }

    /// What the node is.
    pub fn capabilities(&self) -> io::Result<Capabilities> {
        // SAFETY: all-zero is a valid value of this plain C struct, and VIDIOC_QUERYCAP takes it.
        let caps = unsafe {
            let mut caps: v4l2_capability = std::mem::zeroed();
            self.call(vidioc::VIDIOC_QUERYCAP, &mut caps)?;
            caps
        };
        Ok(Capabilities {
            driver: text(&caps.driver),
            card: text(&caps.card),
            bus: text(&caps.bus_info),
            captures: caps.device_caps & CAP_CAPTURE != 0 && caps.device_caps & CAP_STREAMING != 0,
        })
    }

    /// The four-character codes of the formats it can capture.
    pub fn formats(&self) -> Vec<[u8; 4]> {
        let mut codes = Vec::new();
        for index in 0..64 {
            // SAFETY: as above; VIDIOC_ENUM_FMT takes this struct.
            let code = unsafe {
                let mut description: v4l2_fmtdesc = std::mem::zeroed();
                description.index = index;
                description.type_ = CAPTURE;
                self.call(vidioc::VIDIOC_ENUM_FMT, &mut description).map(|()| description.pixelformat)
            };
            let Ok(code) = code else { break };
            codes.push(code.to_le_bytes());
        }
        codes
    }

    /// The highest rate in frames a second at a format and size; `None` when the driver does not say.
    pub fn best_rate(&self, fourcc: [u8; 4], width: u32, height: u32) -> Option<f64> {
        let mut best: Option<f64> = None;
        for index in 0..64 {
            // SAFETY: as above; VIDIOC_ENUM_FRAMEINTERVALS takes this struct. The union is read as
            // what `type_` says it holds; `stepwise` begins with its shortest interval.
            let interval = unsafe {
                let mut interval: v4l2_frmivalenum = std::mem::zeroed();
                interval.index = index;
                interval.pixel_format = u32::from_le_bytes(fourcc);
                interval.width = width;
                interval.height = height;
                if self.call(vidioc::VIDIOC_ENUM_FRAMEINTERVALS, &mut interval).is_err() {
                    break;
                }
                if interval.type_ == INTERVAL_DISCRETE {
                    interval.__bindgen_anon_1.discrete
                } else {
                    interval.__bindgen_anon_1.stepwise.min
                }
            };
            if let Some(rate) = rate(interval.numerator, interval.denominator) {
                best = Some(best.map_or(rate, |b| b.max(rate)));
            }
        }
        best
    }

    /// The present format.
    pub fn format(&self) -> io::Result<Format> {
        self.format_call(vidioc::VIDIOC_G_FMT, None)
    }

    /// What the driver would make of a format.
    pub fn try_format(&self, width: u32, height: u32, fourcc: [u8; 4]) -> io::Result<Format> {
        self.format_call(vidioc::VIDIOC_TRY_FMT, Some((width, height, fourcc)))
    }

    /// Sets the format; the driver answers with the nearest it has.
    pub fn set_format(&self, width: u32, height: u32, fourcc: [u8; 4]) -> io::Result<Format> {
        self.format_call(vidioc::VIDIOC_S_FMT, Some((width, height, fourcc)))
    }

    fn format_call(
        &self,
        request: vidioc::_IOC_TYPE,
        wanted: Option<(u32, u32, [u8; 4])>,
    ) -> io::Result<Format> {
        // SAFETY: as above; the three requests take this struct. `pix` is the member of the union
        // for single-planar capture, which `type_` says.
        let pix = unsafe {
            let mut format: v4l2_format = std::mem::zeroed();
            format.type_ = CAPTURE;
            if let Some((width, height, fourcc)) = wanted {
                format.fmt.pix.width = width;
                format.fmt.pix.height = height;
                format.fmt.pix.pixelformat = u32::from_le_bytes(fourcc);
            }
            self.call(request, &mut format)?;
            format.fmt.pix
        };
        Ok(Format {
            width: pix.width,
            height: pix.height,
            fourcc: pix.pixelformat.to_le_bytes(),
            stride: pix.bytesperline,
        })
    }

    /// Asks for a rate in frames a second; the rate the driver took, `None` when it does not say.
    pub fn set_rate(&self, fps: u32) -> io::Result<Option<f64>> {
        // SAFETY: as above; VIDIOC_S_PARM takes this struct, and `capture` is the member of the
        // union for capture, which `type_` says.
        let interval = unsafe {
            let mut parameters: v4l2_streamparm = std::mem::zeroed();
            parameters.type_ = CAPTURE;
            parameters.parm.capture.timeperframe.numerator = 1;
            parameters.parm.capture.timeperframe.denominator = fps;
            self.call(vidioc::VIDIOC_S_PARM, &mut parameters)?;
            parameters.parm.capture.timeperframe
        };
        Ok(rate(interval.numerator, interval.denominator))
    }

    /// Starts streaming.
    pub fn stream(self) -> io::Result<Stream> {
        // SAFETY: as above; VIDIOC_REQBUFS takes this struct.
        let count = unsafe {
            let mut request: v4l2_requestbuffers = std::mem::zeroed();
            request.count = BUFFERS;
            request.type_ = CAPTURE;
            request.memory = MMAP;
            self.call(vidioc::VIDIOC_REQBUFS, &mut request)?;
            request.count
        };
        let mut stream = Stream { node: self, maps: Vec::new() };
        for index in 0..count {
            stream.map(index)?;
        }
        for index in 0..count {
            stream.queue(index)?;
        }
        // SAFETY: VIDIOC_STREAMON takes the buffer type.
        unsafe { stream.node.call(vidioc::VIDIOC_STREAMON, &mut CAPTURE.clone())? };
        Ok(stream)
    }
}

/// A captured buffer; it must go back by [`Stream::queue`].
#[derive(Clone, Copy, Debug)]
pub struct Captured {
    /// Which buffer.
    pub index: u32,
    /// Bytes filled in.
    pub used: usize,
    /// Whether the driver marked the data as corrupt.
    pub corrupt: bool,
    /// Counts frames; wraps.
    pub sequence: u32,
    /// Time since boot by the monotonic clock, where the driver stamps by it.
    pub stamp: Option<Duration>,
}

/// A node that captures into mapped buffers.
pub struct Stream {
    node: DeviceNode,
    maps: Vec<Map>,
}

struct Map {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the maps are shared memory of this process, valid in every thread, and only reachable
// through the stream that owns them.
unsafe impl Send for Stream {}

impl Stream {
    /// The node.
    pub fn node(&self) -> &DeviceNode {
        &self.node
    }

    fn buffer(index: u32) -> v4l2_buffer {
        // SAFETY: all-zero is a valid value of this plain C struct.
        let mut buffer: v4l2_buffer = unsafe { std::mem::zeroed() };
        buffer.index = index;
        buffer.type_ = CAPTURE;
        buffer.memory = MMAP;
        buffer
    }

    fn map(&mut self, index: u32) -> io::Result<()> {
        let mut buffer = Self::buffer(index);
        // SAFETY: VIDIOC_QUERYBUF takes this struct; `offset` is the member of the union for mapped
        // memory, which `memory` says; length and offset go to the kernel as it gave them, and the
        // map is shared because the driver writes to it.
        let (start, length) = unsafe {
            self.node.call(vidioc::VIDIOC_QUERYBUF, &mut buffer)?;
            let length = buffer.length as usize;
            let (read, shared) = (libc::PROT_READ, libc::MAP_SHARED);
            let offset = libc::off_t::from(buffer.m.offset);
            (v4l2::mmap(std::ptr::null_mut(), length, read, shared, self.node.handle.fd(), offset)?, length)
        };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        self.maps.push(Map { start, length });
        Ok(())
    }

    /// Gives a buffer to the driver.
    pub fn queue(&mut self, index: u32) -> io::Result<()> {
        // SAFETY: VIDIOC_QBUF takes this struct.
        unsafe { self.node.call(vidioc::VIDIOC_QBUF, &mut Self::buffer(index)) }
    }

    /// Waits until a buffer is filled; false when none is within `wait`.
    pub fn wait(&self, wait: Duration) -> io::Result<bool> {
        // Rounded up, so that a short wait does not spin.
        let millis = i32::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX);
        match self.node.handle.poll(libc::POLLIN, millis) {
            Ok(ready) => Ok(ready > 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes the oldest filled buffer, if there is one.
    pub fn dequeue(&mut self) -> io::Result<Option<Captured>> {
        let mut buffer = Self::buffer(0);
        // SAFETY: VIDIOC_DQBUF takes this struct.
        match unsafe { self.node.call(vidioc::VIDIOC_DQBUF, &mut buffer) } {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(EAGAIN) => return Ok(None),
            Err(error) => return Err(error),
        }
        let monotonic = buffer.flags & TIMESTAMP_MASK == TIMESTAMP_MONOTONIC;
        let stamp = || {
            let secs = u64::try_from(buffer.timestamp.tv_sec).ok()?;
            let micros = u32::try_from(buffer.timestamp.tv_usec).ok().filter(|m| *m < 1_000_000)?;
            Some(Duration::new(secs, micros * 1000)).filter(|s| !s.is_zero())
        };
        Ok(Some(Captured {
            index: buffer.index,
            used: buffer.bytesused as usize,
            corrupt: buffer.flags & BUFFER_ERROR != 0,
            sequence: buffer.sequence,
            stamp: if monotonic { stamp() } else { None },
        }))
    }

    /// The bytes of a captured buffer.
    pub fn bytes(&self, captured: &Captured) -> &[u8] {
        let Some(map) = self.maps.get(captured.index as usize) else { return &[] };
        let length = captured.used.min(map.length);
        // SAFETY: the map is `map.length` bytes of readable memory until the stream is dropped,
        // which the borrow of `self` prevents, and the driver does not write to a buffer that is
        // not queued: `queue` needs `&mut self`, so none can be queued while this borrow lives.
        unsafe { std::slice::from_raw_parts(map.start.as_ptr(), length) }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Errors are of no use here: the device may be gone already, and the descriptor's end
        // frees what is left.
        // SAFETY: VIDIOC_STREAMOFF takes the buffer type; each map is unmapped once, as long as it
        // was mapped; VIDIOC_REQBUFS takes the struct.
        unsafe {
            let _ = self.node.call(vidioc::VIDIOC_STREAMOFF, &mut CAPTURE.clone());
            for map in self.maps.drain(..) {
                let _ = v4l2::munmap(map.start.as_ptr().cast(), map.length);
            }
            let mut request: v4l2_requestbuffers = std::mem::zeroed();
            request.type_ = CAPTURE;
            request.memory = MMAP;
            let _ = self.node.call(vidioc::VIDIOC_REQBUFS, &mut request);
        }
    }
}

fn rate(numerator: u32, denominator: u32) -> Option<f64> {
    (numerator > 0 && denominator > 0).then(|| f64::from(denominator) / f64::from(numerator))
}

/// A C string of a fixed length, whatever bytes a device puts into it.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_any_bytes() {
        assert_eq!(text(b"USB Camera\0\0rest"), "USB Camera");
        assert_eq!(text(b"\xff\xfe\n!"), "\u{fffd}\u{fffd}!");
        assert_eq!(text(b""), "");
    }
}
