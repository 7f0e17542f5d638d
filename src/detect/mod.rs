//! Face detection: Viola–Jones on integral images (Viola and Jones, CVPR 2001).
