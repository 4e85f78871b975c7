//! Dubbo 2 (apache/dubbo: `ExchangeCodec`, `DubboCodec`): frames of a 16-byte head with a 64-bit id, bodies in one of many
//! serializations.
//!
//! A call begins with four strings (Dubbo's version, path, version of the service, method); its group and whatever
//! else routes may look at lie in the attachments behind its arguments. Of Hessian 2 the strings are read and the arguments
//! skipped, in bounded work and without making anything of them; calls in other serializations pass by the default route.

mod attachments;
mod codec;
mod hessian;

#[cfg(test)]
mod tests;

pub use codec::{Codec, MAGIC};
