//! The edges of a door: one device or kind of file, one module.
//!
//! | Module | Reaches |
//! |---|---|
//! | [`camera`] | V4L2 cameras and recordings |
//! | [`picture_file`] | pictures as files |
//! | [`gpio`] | what a line is called; the kernel's and the Pi's way to it |
//! | [`lines`] | buttons, contacts, lights and buzzer |
//! | [`strike`] | the one output that opens the door |
//! | [`store`] | gallery, key, state, recordings |
//!
//! An edge does not import another, except that recordings are made of picture files and that lines and
//! strike are named by `gpio`.

pub mod camera;
pub mod gpio;
pub mod lines;
pub mod picture_file;
pub mod store;
pub mod strike;
