//! Hilum: five chest-radiograph vision-language systems in one engine, natively and on WebGPU.
#![recursion_limit = "256"]

pub mod kernels;
pub mod nn;
