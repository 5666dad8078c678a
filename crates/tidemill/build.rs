//! How the binary is linked, and nothing else.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Nothing in the binary has to be moved when it starts: as one that may lie anywhere it carries 280,000 addresses that
    // the loader reads and writes first, 11 MiB of memory in every process and some milliseconds. Stack, heap and libraries
    // lie at random places as before.
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
