//! The networks' side of `make bench-embedder`: tract's time for one run, asked for again and again.
//!
//! Usage: `embedder CARD-OR-ONNX...`. Each line on stdin is `INDEX RUNS`: that network is run so often, and
//! the CPU time of this thread for one run, in milliseconds, is printed (the median of the runs). The
//! script `benches/networks/compare.py` takes turns between this program and onnxruntime, so that a busy
//! machine slows both alike.

use std::io::{BufRead, Write};
use std::path::Path;

use facelatch::embed::{BareNetwork, Embedder};
use rustix::time::{ClockId, clock_gettime};

type Failure = Box<dyn std::error::Error>;

enum Network {
    Card(Box<Embedder>),
    Bare(Box<BareNetwork>),
}

impl Network {
    /// A card is opened as the daemon opens it; of a bare file the input is `1x3x112x112`.
    fn open(path: &str) -> Result<(Self, usize), Failure> {
        if path.ends_with(".toml") {
            let embedder = Embedder::open(Path::new(path))?;
            let len = embedder.input_len();
            return Ok((Network::Card(Box::new(embedder)), len));
        }
        let shape = [1, 3, 112, 112];
        let network = BareNetwork::load(&std::fs::read(path)?, &shape).map_err(|e| format!("{path}: {e}"))?;
        Ok((Network::Bare(Box::new(network)), shape.iter().product()))
    }

    fn run(&mut self, values: &[f32]) -> Result<(), Failure> {
        match self {
            Network::Card(embedder) => drop(embedder.embed_values(values)?),
            Network::Bare(network) => drop(network.run(values)?),
        }
        Ok(())
    }
}

fn cpu_ms() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}

fn main() -> Result<(), Failure> {
    let paths: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    if paths.is_empty() {
        println!("skipped: embedder bench: run `make bench-embedder`, which names the networks");
        return Ok(());
    }
    let mut networks = paths.iter().map(|p| Network::open(p)).collect::<Result<Vec<_>, _>>()?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (index, runs) = line.trim().split_once(' ').ok_or("a line is `INDEX RUNS`")?;
        let (network, len) = networks.get_mut(index.parse::<usize>()?).ok_or("no network of that number")?;
        let values: Vec<f32> = (0..*len).map(|i| (i * 37 % 256) as f32 / 255.0).collect();
        let mut times = Vec::new();
        for _ in 0..runs.parse::<usize>()?.max(1) {
            let start = cpu_ms();
            network.run(&values)?;
            times.push(cpu_ms() - start);
        }
        times.sort_by(f64::total_cmp);
        writeln!(out, "{}", times[times.len() / 2])?;
        out.flush()?;
    }
    Ok(())
}
