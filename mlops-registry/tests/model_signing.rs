//! Model signatures against the reference implementation, both ways: theirs are verified here,
//! ours by them.
//!
//! `MLOPS_MODEL_SIGNING` is the path of its program, `model_signing` (pip's `model-signing`).
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]
#![expect(clippy::print_stdout, reason = "says what it skips and what the other said")]

use std::fs;
use std::path::Path;
use std::process::Command;

use mlops_registry::audit::{ModelManifest, ModelSigner, ModelVerifier};

fn program() -> Option<String> {
    let found = std::env::var("MLOPS_MODEL_SIGNING").ok();
    if found.is_none() {
        println!("skipped: MLOPS_MODEL_SIGNING is not set");
    }
    found
}

fn run(program: &str, arguments: &[&str], paths: &[(&str, &Path)]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments);
    for (option, path) in paths {
        if !option.is_empty() {
            command.arg(option);
        }
        command.arg(path);
    }
    let output = command.output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    println!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

/// Names whose order by letters is not that by parts, an empty file, and one larger than a buffer.
fn model(at: &Path) {
    let large = vec![7; 200_000];
    for (name, bytes) in [
        ("model.onnx", large.as_slice()),
        ("d0/f", b"3"),
        ("d0-1", b"2"),
        ("d0/e/größe", b"5"),
        ("Z", b""),
        (".hidden", b"6"),
        (".gitignore", b"x"),
    ] {
        let path = at.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn ours_is_verified_by_them_and_theirs_by_us() {
    let Some(program) = program() else { return };
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    model(&at("model"));
    let signer = ModelSigner::generate().unwrap();
    fs::write(at("key.pem"), signer.to_secret_pem().unwrap()).unwrap();
    fs::write(at("key.pub"), signer.verifier().to_pem().unwrap()).unwrap();
    let verifies = || {
        let [model, signature, key] = [at("model"), at("ours.sig"), at("key.pub")];
        run(
            &program,
            &["verify", "key"],
            &[("", &model), ("--signature", &signature), ("--public_key", &key)],
        )
    };

    let manifest = ModelManifest::of_directory(at("model"), &[]).unwrap();
    fs::write(at("ours.sig"), signer.sign(&manifest).unwrap()).unwrap();
    assert!(verifies());

    let [model, signature, key] = [at("model"), at("theirs.sig"), at("key.pem")];
    assert!(run(
        &program,
        &["sign", "key"],
        &[("", &model), ("--signature", &signature), ("--private_key", &key)],
    ));
    let verifier = ModelVerifier::from_pem(&fs::read_to_string(at("key.pub")).unwrap()).unwrap();
    let theirs = fs::read_to_string(signature).unwrap();
    let read = verifier.verify_directory(&theirs, at("model"), &[]).unwrap();
    assert_eq!(read, manifest);

    fs::write(at("model/d0/f"), "4").unwrap();
    assert!(!verifies());
    assert!(verifier.verify_directory(&theirs, at("model"), &[]).is_err());
}
