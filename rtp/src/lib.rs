//! RTP and RTCP packets, header extensions, feedback and payload formats, sans-IO
#![forbid(unsafe_code)]
#![deny(missing_docs)]
