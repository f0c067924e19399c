//! The thread that writes: it takes what waits, writes it as one group, makes it durable, and only then says so.
//!
//! The next group is written only after the one before is durable. Recovery depends on it ([`crate::recovery`]).

use std::{sync::Arc, time::Duration};

use log_tracer_transport::Offset;

use crate::{
    admission::{Admission, Answer, Next, Plan},
    error::Error,
    files::{self, Lock},
    group::GroupBuilder,
    keeper,
    log::{Written, WrittenEnvelope},
    shared::{Phase, Shared, State},
};

/// Runs until the journal is closed or nobody is left, and then gives the directory back.
pub(crate) fn run(shared: &Arc<Shared>, lock: Box<dyn Lock>) {
    let keeper = keeper::start(Arc::clone(shared));
    let mut writer = Writer {
        shared,
        builder: GroupBuilder::default(),
    };
    let ended = match keeper {
        Ok(keeper) => {
            let ended = writer.run();
            shared.lock().keeper_ends = true;
            shared.tell_keeper();
            let kept = keeper.join().unwrap_or(Err(Error::Stopped("the keeper")));
            ended.and(kept)
        }
        Err(error) => {
            writer.fail(Error::io("starting a thread", error), Vec::new());
            writer.run()
        }
    };
    {
        let mut state = shared.lock();
        state.phase = Phase::Closed;
        state.prepared = None;
        state.log.ring.clear();
        state.log.segments.clear();
    }
    // Whoever hears of the end may open the directory again.
    drop(lock);
    shared.ended.send_replace(Some(ended));
    shared.arrivals.send_replace(());
}

struct Writer<'a> {
    shared: &'a Arc<Shared>,
    /// Used for every group, with its memory.
    builder: GroupBuilder,
}

enum Work {
    Write(Box<Plan>),
    Close,
    Abandon,
}

impl Writer<'_> {
    fn run(&mut self) -> Result<(), Error> {
        loop {
            match self.wait() {
                Work::Write(plan) => self.write(*plan),
                Work::Close => return self.close(),
                Work::Abandon => return Ok(()),
            }
        }
    }

    /// The next thing to do.
    fn wait(&self) -> Work {
        let mut state = self.shared.lock();
        let mut lingered = self.shared.config.linger_micros == 0;
        loop {
            if state.phase == Phase::Abandoned {
                return Work::Abandon;
            }
            let closing = state.phase == Phase::Closing;
            if state.failed.is_some() {
                state.refuse_all(|state| Error::Failed(state.cause()));
                if closing {
                    return Work::Close;
                }
                state = self.shared.wait_for_work(state);
                continue;
            }
            if !lingered && !closing && !state.queue.is_empty() {
                lingered = true;
                let time = Duration::from_micros(self.shared.config.linger_micros);
                state = self.shared.linger(state, time);
                continue;
            }
            match state.next(self.shared) {
                Next::Write(plan) => {
                    state.syncing_since = Some(self.shared.now());
                    return Work::Write(plan);
                }
                Next::Idle if closing => return Work::Close,
                Next::Idle => {}
                Next::Full(_) if closing => {
                    state.refuse_all(|_| Error::Closed);
                    continue;
                }
                Next::Full(why) => state.why_full = why,
                Next::Prepare(bytes) => {
                    state.prepare_bytes = bytes;
                    if closing && (state.disk.full.is_some() || state.trouble.is_some()) {
                        state.refuse_all(|_| Error::Closed);
                        continue;
                    }
                    self.shared.tell_keeper();
                }
            }
            state = self.shared.wait_for_work(state);
        }
    }

    fn write(&mut self, plan: Plan) {
        let Plan {
            number,
            segment,
            start,
            base,
            envelopes,
            answers,
        } = plan;
        let unix_millis = self.shared.place.files.unix_millis();
        self.builder.start(segment.salt, number, start, unix_millis);
        if let Some(base) = &base {
            self.builder.base(base);
        }
        let envelopes: Vec<WrittenEnvelope> = envelopes
            .into_iter()
            .map(|(one, offset): (_, Offset)| {
                let at = self.builder.envelope(&one.envelope, &one.header, offset);
                WrittenEnvelope {
                    envelope: one.envelope,
                    offset,
                    at,
                }
            })
            .collect();
        let end = self.builder.end();
        let written = files::write_all(&*segment.file, &mut self.builder.slices(), start)
            .and_then(|()| files::sync(&*segment.file));
        if let Err(source) = written {
            let error = Error::io(format_args!("writing group {number}"), source);
            self.fail(error, answers);
            return;
        }
        let rolled = base.is_some();
        {
            let mut state = self.shared.lock();
            state.syncing_since = None;
            state.log.append(Written {
                number,
                started: base.map(|base| (segment, base)),
                envelopes,
                end,
                unix_millis,
                now: self.shared.now(),
            });
            if rolled {
                state.log.retire(self.shared.now());
            }
        }
        if rolled {
            self.shared.tell_keeper();
        }
        self.shared.arrivals.send_replace(());
        for (answer, acks) in answers {
            // Whoever asked may have gone.
            let _gone = answer.send(Ok(acks));
        }
    }

    /// Ends all writing: nobody knows what is on the disk after this.
    fn fail(&mut self, error: Error, answers: Vec<Answer>) {
        log::error!(
            "journal {}: {error}; nothing more is written until it is opened again",
            self.shared.place.directory.display()
        );
        let error = Arc::new(error);
        {
            let mut state = self.shared.lock();
            state.syncing_since = None;
            state.failed = Some(Arc::clone(&error));
        }
        for (answer, _) in answers {
            let _gone = answer.send(Err(Error::OutcomeUnknown(Arc::clone(&error))));
        }
    }

    /// Writes the seal that says that nothing was under way.
    fn close(&mut self) -> Result<(), Error> {
        let (number, segment, start, room) = {
            let mut state = self.shared.lock();
            state.refuse_all(|_| Error::Closed);
            if state.failed.is_some() {
                return Err(Error::Failed(state.cause()));
            }
            let Some(active) = state.log.active() else {
                return Ok(());
            };
            let (segment, start) = (Arc::clone(&active.segment), active.end);
            let room = segment.bytes - start;
            (state.log.last_group + 1, segment, start, room)
        };
        let now = self.shared.place.files.unix_millis();
        self.builder.start(segment.salt, number, start, now);
        self.builder.seal();
        let end = self.builder.end();
        if end - start > room {
            // Without a seal it is opened as after a crash, which loses nothing.
            return Ok(());
        }
        files::write_all(&*segment.file, &mut self.builder.slices(), start)
            .and_then(|()| files::sync(&*segment.file))
            .map_err(|source| Error::io("writing the seal", source))?;
        let mut state = self.shared.lock();
        state.log.append(Written {
            number,
            started: None,
            envelopes: Vec::new(),
            end,
            unix_millis: now,
            now: self.shared.now(),
        });
        state.log.snapshot_due = true;
        Ok(())
    }
}

impl State {
    fn next(&mut self, shared: &Shared) -> Next {
        let next = Admission {
            config: &shared.config,
            log: &mut self.log,
            queue: &mut self.queue,
            prepared: &mut self.prepared,
            disk_full: self.disk.full.as_deref(),
        }
        .next();
        if matches!(&next, Next::Write(plan) if plan.base.is_some()) {
            self.prepare_bytes = shared.config.segment_bytes;
        }
        next
    }

    fn refuse_all(&mut self, error: impl Fn(&Self) -> Error) {
        while let Some(waiting) = self.queue.take_first() {
            let _gone = waiting.answer.send(Err(error(self)));
        }
    }

    /// Why it has failed.
    pub(crate) fn cause(&self) -> Arc<Error> {
        self.failed
            .clone()
            .unwrap_or_else(|| Arc::new(Error::Stopped("the writer")))
    }
}
