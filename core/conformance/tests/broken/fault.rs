//! What is wrong with a broken transport.

/// One mistake each, of the kind that a real transport makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None: the wrapper itself breaks nothing.
    Nothing,

    // Publishing.
    /// Acks at once and stores a little later.
    AcksBeforeStoring,
    /// Gives the acks of a call in the wrong order.
    ReversesTheAcks,
    /// Stores the envelopes of a call from last to first.
    ReversesACall,
    /// Takes a limit for the first value that is too large.
    RefusesTheLargest,
    /// Stores the first thousand envelopes of a call.
    TakesAThousand,
    /// Makes something of every argument instead of refusing it.
    ChecksNothing,
    /// Stores the envelopes of a call each for itself, up to one that is refused.
    StoresOneByOne,
    /// Stores a call in two steps between which it can be dropped.
    StoresInTwoSteps,
    /// Acks what it has no room for.
    DropsWhenFull,
    /// Waits for room as long as it takes.
    IgnoresTheDeadline,
    /// Does not wait for room.
    RefusesAtOnce,
    /// Remembers no batch, and claims to.
    RemembersNothing,
    /// Publishes each call once more, as client libraries do when a reply is late.
    RetriesBehindTheScenes,
    /// Stores every part of a batch as the whole of it.
    ForgetsParts,
    /// Keeps a lock that a dropped call had taken.
    KeepsThePlaceOfADroppedCall,

    // Room.
    /// Keeps more than it may.
    GrowsWithoutBound,
    /// Claims to refuse and drops the oldest.
    DropsTheOldestInstead,
    /// Says that all is well.
    AlwaysReady,
    /// Says that it takes nothing.
    ClaimsToTakeNothing,

    // Reading.
    /// Loses the envelope after a delivery that is as full as it may be.
    SkipsAfterAFullDelivery,
    /// Hands out as much as it likes.
    IgnoresReadLimits,
    /// Changes a bit of a payload.
    FlipsABit,
    /// Takes an empty payload for no envelope.
    LosesEmptyPayloads,
    /// Reads partitions that were not named.
    ReadsEveryPartition,
    /// Takes a position for what was read last.
    StartsOneLate,
    /// Does not tell a reader at the end that something came.
    NeverWakes,
    /// Hands each envelope to one of its readers.
    SharesOnePosition,
    /// Reads a partition only when those before it have nothing.
    StarvesPartitions,
    /// Reads on at the end when the position lies beyond it.
    ClampsToTheEnd,
    /// Reads on at the first that is kept when the position has left.
    JumpsOverWhatLeft,
    /// Takes a delivery and then waits once more before it hands it out.
    LosesADroppedDelivery,

    // Committing.
    /// Commits for every group what anybody has read.
    CommitsWhatIsRead,
    /// Keeps the last cursor instead of the highest.
    CommitsGoBack,
    /// Keeps one cursor for all groups.
    SharesCursors,
    /// Takes the cursors of a call up to one that is refused.
    CommitsOneByOne,
    /// Starts a reader without a position where some group is.
    StartsAtTheCommit,

    // The end.
    /// Says that it is closed.
    ClosesNothing,
    /// Fails when it is closed already.
    ClosesOnce,
    /// Has a task that never ends.
    LeavesATask,
    /// Lives on in its subscriptions.
    OutlivesItsOwner,

    // Identity.
    /// Has one partition, whatever was asked for.
    HasOnePartition,
    /// Gives every log the same id.
    KeepsOneLogId,
    /// Claims to survive what it does not.
    ClaimsADisk,
    /// Gives the watermarks of the time before.
    ShowsOldWatermarks,
}
