//! Compiles the .proto files with protox, a protobuf compiler in Rust: no `protoc` has to be installed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 4] = [
    "logtracer/v1/producer.proto",
    "logtracer/v1/consumer.proto",
    "opentelemetry/proto/collector/trace/v1/trace_service.proto",
    "opentelemetry/proto/collector/logs/v1/logs_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=logtracer");
    println!("cargo:rerun-if-changed=opentelemetry");

    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // Served by gRPC reflection.
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    tonic_prost_build::configure()
        .bytes(".")
        .include_file("modules.rs")
        .compile_fds(descriptors)?;
    Ok(())
}
