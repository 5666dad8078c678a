//! SeaweedFS with its S3 gateway, one for the whole run: an S3 that nobody here wrote and that checks signatures.

use std::{
    fs, io,
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::{
    absent,
    children::{Child, tied_to_us},
    ports, run_folder, services, try_http,
    world::{ACCESS_KEY, SECRET_KEY},
};

/// A running SeaweedFS; its keys are [`ACCESS_KEY`] and [`SECRET_KEY`].
#[derive(Debug)]
pub struct SeaweedFs {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    _process: Child,
}

static SEAWEEDFS: OnceLock<Option<SeaweedFs>> = OnceLock::new();

/// Starts it at the first call.
pub fn seaweedfs() -> Option<&'static SeaweedFs> {
    SEAWEEDFS
        .get_or_init(|| start().unwrap_or_else(|error| absent(&format!("SeaweedFS that starts: {error}"))))
        .as_ref()
}

fn start() -> io::Result<Option<SeaweedFs>> {
    let program = services().join("servers/bin/weed");
    if !program.is_file() {
        return Ok(absent("SeaweedFS"));
    }
    let folder = run_folder("seaweedfs")?;
    let keys = folder.join("s3.json");
    let credentials = format!("[{{\"accessKey\":\"{ACCESS_KEY}\",\"secretKey\":\"{SECRET_KEY}\"}}]");
    let actions = "[\"Admin\",\"Read\",\"List\",\"Tagging\",\"Write\"]";
    let identity = format!("{{\"name\":\"tidemill\",\"credentials\":{credentials},\"actions\":{actions}}}");
    fs::write(&keys, format!("{{\"identities\":[{identity}]}}"))?;
    let data = folder.join("data");
    fs::create_dir_all(&data)?;
    let ports = ports::free_ports(8);
    let names = ["master", "volume", "filer", "s3"];
    let log = fs::File::create(folder.join("weed.log"))?;
    let mut command = Command::new(program);
    command.args([
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        "-master.telemetry=false",
    ]);
    command.args(["-master.volumeSizeLimitMB=64", "-volume.max=30", &format!("-dir={}", data.display())]);
    command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]).arg(format!("-s3.config={}", keys.display()));
    for (name, pair) in names.iter().zip(ports.chunks(2)) {
        command.arg(format!("-{name}.port={}", pair[0])).arg(format!("-{name}.port.grpc={}", pair[1]));
    }
    command.current_dir(&folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut process = tied_to_us(command)?;
    let endpoint = format!("http://127.0.0.1:{}", ports[6]);
    process.answers("SeaweedFS", 60_000, &folder.join("weed.log"), || {
        // Without keys it refuses; that it does is the sign that it checks them.
        try_http("GET", &format!("{endpoint}/"), "").ok().filter(|answer| answer.status == 403)
    });
    Ok(Some(SeaweedFs { endpoint, _process: process }))
}
