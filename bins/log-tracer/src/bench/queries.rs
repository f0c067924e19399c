//! What answers cost: warm, averaged over some, and the first one after a start with a cold page cache.

use serde::Serialize;

use super::{
    BenchError,
    load::{Percentiles, tally},
    process,
    questions::{self, Kind},
    server::Server,
};

/// One question.
#[derive(Clone, Debug, Serialize)]
pub struct Query {
    /// What was asked.
    pub name: String,
    /// Spans, records, traces or counts in the answer.
    pub hits: u64,
    /// As the client saw it.
    pub latency: Percentiles,
    /// CPU time of the server for one answer; none where there is no /proc.
    pub cpu_ms: Option<f64>,
    /// What it may be.
    pub budget_cpu_ms: Option<f64>,
    /// Answers that may lack something.
    pub partial: u64,
}

pub(super) async fn ask(
    server: &Server,
    repeats: u32,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Vec<Query>, BenchError> {
    let mut client = server.query().await?;
    let mut figures = Vec::new();
    for question in questions::all(&mut client).await? {
        progress(&format!("asking: {}", question.name));
        let mut took = tally::micros()?;
        let (mut hits, mut partial) = (0, 0);
        // The first answer reads what the others find in memory.
        questions::ask(&mut client, &question.kind).await?;
        let before = process::cpu(server.pid());
        for _ in 0..repeats {
            let answered = questions::ask(&mut client, &question.kind).await?;
            tally::record(&mut took, answered.took);
            hits = answered.hits;
            partial += u64::from(answered.is_partial);
        }
        let cpu = before.zip(process::cpu(server.pid()));
        let cpu = cpu.map(|(before, after)| after.saturating_sub(before) / repeats.max(1));
        figures.push(Query {
            name: question.name.to_owned(),
            hits,
            latency: Percentiles::of(&took),
            cpu_ms: cpu.map(|cpu| cpu.as_secs_f64() * 1e3),
            budget_cpu_ms: question.budget_cpu_ms,
            partial,
        });
    }
    Ok(figures)
}

/// The first answer of each of a few kinds after a start with nothing in the page cache; nothing where the page cache
/// cannot be emptied.
#[cfg(target_os = "linux")]
pub(super) async fn ask_cold(
    server: &mut Server,
    progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Vec<Query>, BenchError> {
    let all = questions::all(&mut server.query().await?).await?;
    let mut figures = Vec::new();
    for question in all {
        let is_asked = match &question.kind {
            Kind::Trace(_) | Kind::Histogram("") => true,
            Kind::Logs(_) => question.budget_cpu_ms.is_some(),
            _ => false,
        };
        if !is_asked {
            continue;
        }
        progress(&format!("asking after a cold start: {}", question.name));
        server.restart_cold().await?;
        // Opening blocks in the background is not the question's.
        server.settle().await;
        let mut client = server.query().await?;
        let before = process::cpu(server.pid());
        let answered = questions::ask(&mut client, &question.kind).await?;
        let cpu = before.zip(process::cpu(server.pid()));
        let mut took = tally::micros()?;
        tally::record(&mut took, answered.took);
        figures.push(Query {
            name: question.name.to_owned(),
            hits: answered.hits,
            latency: Percentiles::of(&took),
            cpu_ms: cpu.map(|(before, after)| after.saturating_sub(before).as_secs_f64() * 1e3),
            budget_cpu_ms: None,
            partial: u64::from(answered.is_partial),
        });
    }
    Ok(figures)
}

/// The page cache cannot be emptied here.
#[cfg(not(target_os = "linux"))]
pub(super) async fn ask_cold(
    _server: &mut Server,
    _progress: &mut (dyn FnMut(&str) + Send),
) -> Result<Vec<Query>, BenchError> {
    Ok(Vec::new())
}
