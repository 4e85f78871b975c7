//! The whole engine in virtual time.
