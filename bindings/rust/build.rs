//! Finds libmartlet: MARTLET_LIB_DIR, else what pkg-config says of `martlet`.
//!
//! Crates that depend on this one find the folder in `DEP_MARTLET_LIBDIR` of their build scripts.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const MISSING: &str = "
martlet: libmartlet was not found. Say where it is in one of these ways:
  MARTLET_LIB_DIR=PREFIX/lib cargo build                 the folder with libmartlet.so
  PKG_CONFIG_PATH=PREFIX/lib/pkgconfig cargo build       the folder with martlet.pc
PREFIX is what `make install PREFIX=...` was given in Martlet's sources; `make library` there leaves
the library in .build-dist/lib.
";

fn main() {
    for name in [
        "MARTLET_LIB_DIR",
        "PKG_CONFIG",
        "PKG_CONFIG_PATH",
        "PKG_CONFIG_LIBDIR",
    ] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("DOCS_RS").is_some() {
        return; // documentation links nothing
    }
    match find().and_then(|folder| Ok((link(&folder)?, folder))) {
        Ok((links, folder)) => {
            println!("cargo:rustc-link-lib=dylib=martlet");
            println!("cargo:rustc-link-search=native={}", links.display());
            println!("cargo:rustc-link-search=native={}", folder.display());
            // For this crate's own tests and examples; dependents say it themselves.
            println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
            println!("cargo:libdir={}", folder.display());
        }
        Err(reason) => {
            eprintln!("{}{reason}", MISSING);
            std::process::exit(1);
        }
    }
}

/// The folder with libmartlet.so, or why there is none.
fn find() -> Result<PathBuf, String> {
    if let Some(given) = env::var_os("MARTLET_LIB_DIR").filter(|given| !given.is_empty()) {
        let given = PathBuf::from(given);
        let folder = fs::canonicalize(&given).map_err(|error| {
            let start = env::current_dir().unwrap_or_default();
            let (given, start) = (given.display(), start.display());
            format!("(MARTLET_LIB_DIR is {given}: {error}; relative paths start in {start})")
        })?;
        return holds_library(folder, "MARTLET_LIB_DIR");
    }
    let command = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let said = Command::new(&command)
        .args(["--print-errors", "--variable=libdir", "martlet"])
        .output()
        .map_err(|error| format!("(MARTLET_LIB_DIR is not set; {command:?}: {error})"))?;
    let text = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    if !said.status.success() || text.is_empty() {
        let complaint = String::from_utf8_lossy(&said.stderr).trim().to_owned();
        return Err(format!(
            "(MARTLET_LIB_DIR is not set; pkg-config: {complaint})"
        ));
    }
    let folder = fs::canonicalize(&text).map_err(|error| format!("({text}: {error})"))?;
    holds_library(folder, "pkg-config's libdir")
}

fn holds_library(folder: PathBuf, source: &str) -> Result<PathBuf, String> {
    if folder.join("libmartlet.so").exists() {
        return Ok(folder);
    }
    Err(format!(
        "({source} is {}, and has no libmartlet.so)",
        folder.display()
    ))
}

/// A folder of this build's with links to the library: cargo puts it, and no other, into the path
/// in which `cargo run` and `cargo test` look for libraries, those of dependents too.
fn link(folder: &Path) -> Result<PathBuf, String> {
    let links = PathBuf::from(env::var_os("OUT_DIR").ok_or("(there is no OUT_DIR)")?);
    let entries =
        fs::read_dir(folder).map_err(|error| format!("({}: {error})", folder.display()))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with("libmartlet.so") {
            continue;
        }
        println!("cargo:rerun-if-changed={}", entry.path().display());
        let link = links.join(&name);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(entry.path(), &link)
            .map_err(|error| format!("({}: {error})", link.display()))?;
    }
    Ok(links)
}
