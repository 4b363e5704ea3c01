//! The generated code in `src/gen` is what `sakuga/**/*.proto` says.
//!
//! Ordinary builds run no generator and need no protoc. This test compiles the protos with protox, generates in memory
//! and compares; `SAKUGA_REGENERATE=1 cargo test -p sakuga-proto --test bootstrap` writes the result.

use std::collections::BTreeMap;
use std::path::Path;

use prost_reflect::prost::Message as _;

/// Every file of the public API.
const FILES: &[&str] = &[
    "sakuga/asset/v1/asset_service.proto",
    "sakuga/generation/v1/event.proto",
    "sakuga/generation/v1/generation_service.proto",
    "sakuga/generation/v1/image_input.proto",
    "sakuga/generation/v1/job.proto",
    "sakuga/generation/v1/job_service.proto",
    "sakuga/generation/v1/request.proto",
    "sakuga/model/v1/model_service.proto",
    "sakuga/prompt/v1/diagnostic.proto",
    "sakuga/prompt/v1/prompt.proto",
    "sakuga/prompt/v1/prompt_service.proto",
    "sakuga/system/v1/activity.proto",
    "sakuga/system/v1/gpu_stats.proto",
    "sakuga/system/v1/system_service.proto",
];

/// What a client needs to read the answers besides the API: the details of errors, and every well-known type.
const STANDARD_FILES: &[&str] = &[
    "google/protobuf/any.proto",
    "google/protobuf/api.proto",
    "google/protobuf/descriptor.proto",
    "google/protobuf/duration.proto",
    "google/protobuf/empty.proto",
    "google/protobuf/field_mask.proto",
    "google/protobuf/source_context.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/timestamp.proto",
    "google/protobuf/type.proto",
    "google/protobuf/wrappers.proto",
    "google/rpc/code.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
];

/// Every file of the internal packages, which are not served by reflection or GetSchema.
const INTERNAL_FILES: &[&str] = &["sakuga/internal/store/v1/record.proto"];

/// The responses that the server sends already encoded, by their path in the API and in this crate.
const ENCODED: &[(&str, &str)] = &[
    (".sakuga.generation.v1.GenerateResponse", "crate::encoded::GenerateResponse"),
    (".sakuga.generation.v1.WatchJobResponse", "crate::encoded::WatchJobResponse"),
];

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut listed = [FILES, INTERNAL_FILES].concat();
    listed.sort_unstable();
    assert_eq!(proto_files(root), listed, "list every proto file in FILES or INTERNAL_FILES");
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

#[test]
fn every_language_has_a_package_of_its_own() {
    for file in compile(Path::new(env!("CARGO_MANIFEST_DIR")), FILES).file {
        if !file.name().starts_with("sakuga/") {
            continue;
        }
        // `sakuga.generation.v1`, of which `area` is `generation`.
        let area = file.package().split('.').nth(1).unwrap_or_else(|| panic!("{} has no area", file.name()));
        let capital = area[..1].to_uppercase() + &area[1..];
        let options = file.options.clone().unwrap_or_default();
        assert_eq!(options.go_package(), format!("sakuga.dev/go/{area}/v1;{area}v1"), "{}", file.name());
        assert_eq!(options.java_package(), format!("dev.sakuga.{area}.v1"), "{}", file.name());
        assert!(options.java_multiple_files() && !options.java_outer_classname().is_empty(), "{}", file.name());
        assert_eq!(options.csharp_namespace(), format!("Sakuga.{capital}.V1"), "{}", file.name());
        assert_eq!(options.php_namespace(), format!("Sakuga\\{capital}\\V1"), "{}", file.name());
        assert_eq!(options.ruby_package(), format!("Sakuga::{capital}::V1"), "{}", file.name());
        assert_eq!(options.objc_class_prefix(), format!("SK{}", &capital[..1]), "{}", file.name());
        assert_eq!(options.swift_prefix(), options.objc_class_prefix(), "{}", file.name());
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

/// File name to content of everything in `src/gen`: messages and clients, and after them the servers.
fn generate(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let described = compile(root, &[FILES, INTERNAL_FILES].concat());
    let mut files = generated(&described, |builder| builder.build_server(false));
    // The messages are there; `Encoded` takes the place of those that the server sends already encoded.
    let servers = generated(&described, |builder| {
        let builder = builder.build_client(false).extern_path(".sakuga", "crate");
        ENCODED.iter().fold(builder, |builder, (message, encoded)| builder.extern_path(*message, *encoded))
    });
    for (name, server) in servers {
        files.entry(name).or_default().extend(server);
    }
    files.insert("descriptor.bin".into(), served(root).encode_to_vec());
    files
}

/// What reflection and GetSchema serve: the API with its comments, and the standard files without.
fn served(root: &Path) -> prost_types::FileDescriptorSet {
    let mut set = compile(root, &[FILES, STANDARD_FILES].concat());
    for file in &mut set.file {
        let is_ours = file.name().starts_with("sakuga/");
        let locations = file.source_code_info.take().into_iter().flat_map(|info| info.location);
        let mut location: Vec<_> = locations
            .filter(|place| is_ours && (place.leading_comments.is_some() || place.trailing_comments.is_some()))
            .collect();
        // Lines and columns would make the set larger by half, and change with every line above.
        location.iter_mut().for_each(|place| place.span = vec![0, 0, 0]);
        file.source_code_info = is_ours.then_some(prost_types::SourceCodeInfo { location });
    }
    set
}

/// File name to content of the code that one run of the generator writes.
fn generated(
    described: &prost_types::FileDescriptorSet,
    configure: impl FnOnce(tonic_prost_build::Builder) -> tonic_prost_build::Builder,
) -> BTreeMap<String, Vec<u8>> {
    let out = tempfile::tempdir().expect("temporary folder");
    let builder = tonic_prost_build::configure()
        .out_dir(out.path())
        .build_transport(false)
        .bytes(".sakuga.asset.v1.GetAssetResponse.data")
        .bytes(".sakuga.asset.v1.UploadAssetRequest.data")
        .bytes(".sakuga.generation.v1.Preview.data")
        .bytes(".sakuga.generation.v1.ImageChunk.data")
        .bytes(".sakuga.generation.v1.ImageSource.inline")
        .extern_path(".google.rpc", "::tonic_types::pb")
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]");
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    configure(builder).compile_fds_with_config(described.clone(), config).expect("code can be generated");
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(out.path()).expect("temporary folder can be read") {
        let path = entry.expect("temporary folder can be read").path();
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        if name.starts_with("sakuga.") {
            files.insert(name, std::fs::read(&path).expect("generated file can be read"));
        }
    }
    files
}

/// The descriptors of files and their imports.
fn compile(root: &Path, files: &[&str]) -> prost_types::FileDescriptorSet {
    // One include folder is enough; protox brings the well-known types, as every protobuf compiler does.
    let mut compiler = protox::Compiler::new([root]).expect("the proto folder is there");
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(files).unwrap_or_else(|error| panic!("{error:?}"));
    compiler.file_descriptor_set()
}
