//! The envelopes that could not be decoded: those of one consumer after the other.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use log_tracer_proto::v1::{ExportQuarantineRequest, ExportQuarantineResponse};
use tokio::time::{Instant, timeout};
use tonic::{Request, Status, Streaming};

use crate::{
    fan::{Client, Fan, clip},
    peer::{Kind, why},
};

/// Opens the quarantine of each set; the stream ends with UNAVAILABLE when something may be missing.
pub(crate) async fn open(
    fan: Arc<Fan>,
    deadline: Instant,
) -> Result<impl Stream<Item = Result<ExportQuarantineResponse, Status>> + Send + use<>, Status> {
    let permit = fan.stream()?;
    let view = fan.view(deadline).await;
    let ask = |mut client: Client, timeout| async move {
        let mut request = Request::new(ExportQuarantineRequest {});
        request.set_timeout(timeout);
        client
            .export_quarantine(request)
            .await
            .map(|it| it.into_inner())
    };
    let round = fan.ask_all(&view, Kind::Stream, deadline, ask).await?;
    let end = (!round.is_whole).then(|| {
        let reasons = round.gaps.join("; ");
        Err(Status::unavailable(clip(reasons)))
    });
    let silence_max = fan.config.deadline();
    let pieces = stream::iter(round.answers)
        .flat_map(move |answer| pieces(answer.body, answer.label, silence_max))
        .chain(stream::iter(end));
    // The permit lives as long as the stream.
    Ok(pieces.map(move |piece| {
        let _held = &permit;
        piece
    }))
}

fn pieces(
    source: Streaming<ExportQuarantineResponse>,
    label: String,
    silence_max: Duration,
) -> impl Stream<Item = Result<ExportQuarantineResponse, Status>> + Send {
    stream::unfold(Some((source, label)), move |state| async move {
        let (mut source, label) = state?;
        let piece = timeout(silence_max, source.message()).await;
        match piece {
            Ok(Ok(piece)) => Some((Ok(piece?), Some((source, label)))),
            Ok(Err(status)) => {
                let text = format!("{label}: {}", why(&status));
                Some((Err(Status::new(status.code(), clip(text))), None))
            }
            Err(_elapsed) => {
                let text = format!("{label}: it has gone silent");
                Some((Err(Status::deadline_exceeded(text)), None))
            }
        }
    })
    .boxed()
}
