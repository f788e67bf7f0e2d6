//! A store of artifacts on a server that speaks S3.
//!
//! `MLOPS_S3` is its address, as `http://127.0.0.1:5000`; without it this test says that it skips.
//! The bucket `mlops-test` is made if the server lets everybody do so; credentials come from
//! `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, else they are `test`.
#![cfg(feature = "aws")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

use std::io::{Read, Write};
use std::net::TcpStream;

use mlops_registry::artifacts::{
    ArtifactStore, ArtifactStoreExt, Blob, CloudOptions, CloudStore, Transfer, conformance,
};

fn make_bucket(address: &str) {
    let host = address.trim_start_matches("http://").trim_end_matches('/');
    let Ok(mut server) = TcpStream::connect(host) else { return };
    let request = format!(
        "PUT /mlops-test HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    server.write_all(request.as_bytes()).unwrap();
    server.read_to_end(&mut Vec::new()).ok();
}

#[test]
fn s3() {
    let Ok(address) = std::env::var("MLOPS_S3") else {
        return println!("skipped: MLOPS_S3 names no server");
    };
    make_bucket(&address);
    let of = |name: &str| std::env::var(name).unwrap_or_else(|_| "test".into());
    let options = CloudOptions::new()
        .with("endpoint", &*address)
        .with("allow_http", "true")
        .with("region", "us-east-1")
        .with("access_key_id", of("AWS_ACCESS_KEY_ID"))
        .with("secret_access_key", of("AWS_SECRET_ACCESS_KEY"));
    let here = tempfile::tempdir().unwrap();
    let prefix = format!("run-{}", std::process::id());
    let url = format!("s3://mlops-test/{prefix}");
    let store = CloudStore::open(&url, &options, here.path()).unwrap();
    conformance::artifact_store(&store);

    // In parts, several at once, the last of them a byte.
    let store = store.with_parts(5 << 20, 3).unwrap();
    let large: Vec<u8> = (0..=15 << 20).map(|i: u32| (i >> 3) as u8).collect();
    let blob = store.put_bytes(&large).unwrap();
    assert_eq!(blob, Blob::of(&large));
    assert!(store.get_bytes(blob.digest, 1 << 30).unwrap() == large);

    // Stopped after a part, taken up by another store on the same directory.
    let other: Vec<u8> = large.iter().map(|byte| !byte).collect();
    let cancel = mlops_core::Cancel::new();
    let stop = |p: &mlops_core::Progress| {
        if p.bytes > other.len() as u64 / 2 + (2 << 20) {
            cancel.cancel();
        }
    };
    let one_by_one = store.clone().with_parts(5 << 20, 1).unwrap();
    let transfer = Transfer::new().on_progress(&stop).cancel(&cancel).total(other.len() as u64);
    let stopped = one_by_one.put(&mut other.as_slice(), &transfer).unwrap_err();
    assert!(stopped.is_cancelled(), "{stopped}");
    drop((store, one_by_one));
    let store = CloudStore::open(&url, &options, here.path()).unwrap();
    let digest = Blob::of(&other).digest;
    assert_eq!(store.unfinished().unwrap(), [digest]);
    store.resume(digest, &Transfer::new()).unwrap();
    assert!(store.get_bytes(digest, 1 << 30).unwrap() == other);
    for digest in [blob.digest, digest] {
        assert!(store.delete(digest).unwrap());
    }
}
