//! The generated code in `src/gen` is what `sakuga/**/*.proto` says.
//!
//! Ordinary builds run no generator and need no protoc. This test compiles the protos with protox, generates in memory
//! and compares; `SAKUGA_REGENERATE=1 cargo test -p sakuga-proto --test bootstrap` writes the result.

use std::collections::BTreeMap;
use std::path::Path;

use prost_reflect::prost::Message as _;

/// Every file of the public API; what they import from elsewhere lies in `third_party`, or comes with protox.
const FILES: &[&str] = &[
    "sakuga/generation/v1/event.proto",
    "sakuga/generation/v1/generation_service.proto",
    "sakuga/generation/v1/job.proto",
    "sakuga/generation/v1/job_service.proto",
    "sakuga/generation/v1/request.proto",
    "sakuga/prompt/v1/diagnostic.proto",
    "sakuga/prompt/v1/prompt.proto",
    "sakuga/prompt/v1/prompt_service.proto",
    "sakuga/system/v1/activity.proto",
    "sakuga/system/v1/gpu_stats.proto",
    "sakuga/system/v1/system_service.proto",
];

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(proto_files(root), FILES, "list every proto file in FILES");
    let expected = generate(root);
    let directory = root.join("src/gen");
    if std::env::var_os("SAKUGA_REGENERATE").is_some() {
        std::fs::create_dir_all(&directory).expect("src/gen can be made");
        for (name, content) in &expected {
            std::fs::write(directory.join(name), content).expect("src/gen can be written");
        }
    }
    let mut present: Vec<String> = std::fs::read_dir(&directory)
        .expect("src/gen is there")
        .map(|entry| entry.expect("src/gen can be read").file_name().to_string_lossy().into_owned())
        .collect();
    present.sort();
    assert_eq!(present, expected.keys().cloned().collect::<Vec<_>>(), "files in src/gen");
    for (name, content) in &expected {
        let on_disk = std::fs::read(directory.join(name)).expect("generated file can be read");
        assert!(
            &on_disk == content,
            "src/gen/{name} differs from the protos; run SAKUGA_REGENERATE=1 cargo test -p sakuga-proto --test bootstrap"
        );
    }
}

/// The protos under `root/sakuga`, as import names, sorted.
fn proto_files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.join("sakuga")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).expect("proto folder can be read") {
            let path = entry.expect("proto folder can be read").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                let name = path.strip_prefix(root).expect("under root").to_string_lossy().replace('\\', "/");
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

/// File name to content of everything in `src/gen`.
fn generate(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let described = compile(root, true);
    let scratch = tempfile::tempdir().expect("temporary folder");
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    let out = scratch.path();
    tonic_prost_build::configure()
        .out_dir(out)
        .build_transport(false)
        .bytes(".sakuga.generation.v1.Preview.data")
        .bytes(".sakuga.generation.v1.ImageChunk.data")
        .extern_path(".google.rpc", "::tonic_types::pb")
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .compile_fds_with_config(described, config)
        .expect("code can be generated");

    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(out).expect("temporary folder can be read") {
        let path = entry.expect("temporary folder can be read").path();
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        if name.starts_with("sakuga.") {
            files.insert(name, std::fs::read(&path).expect("generated file can be read"));
        }
    }
    // Reflection and GetSchema serve this set; comments would triple its size.
    files.insert("descriptor.bin".into(), compile(root, false).encode_to_vec());
    files
}

/// The descriptors of [`FILES`] and their imports.
fn compile(root: &Path, comments: bool) -> prost_types::FileDescriptorSet {
    let mut compiler = protox::Compiler::new([root, &root.join("third_party")]).expect("proto folders are there");
    compiler.include_imports(true).include_source_info(comments);
    compiler.open_files(FILES).unwrap_or_else(|error| panic!("{error:?}"));
    compiler.file_descriptor_set()
}
