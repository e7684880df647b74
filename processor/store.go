package processor

import (
	"context"
	"errors"
)

// Header is R: what the store holds of a partition beside states and timers.
type Header struct {
	ID      string // cluster id, group, input topic id, partition count
	Epoch   int64  // of the last claim (e)
	Version int64  // writes since that claim (v); with Epoch it names the content uniquely
	Seq     int64  // of the newest batch (s)
	History History
	Last    int64 // seq of the newest batch that had records (l)
	Offset  int64 // next offset to apply (o)
	Clock   int64 // partition clock, ms (c)
	Base    int64 // first offset of this group's history (b)
	// Evidence is where the records of every batch above Seq lie at or above (x).
	Evidence Evidence
	Wiping   bool  // the partition is being emptied (wipe)
	Sweep    Sweep // (y)
	// Oldest is the seq of the oldest outbox entry, 0 if the outbox is empty. Peek
	// tells it; nothing else looks at it.
	Oldest int64
}

// Evidence names an offset in the send and the decision partition.
type Evidence struct {
	SendPartition     int32
	SendOffset        int64
	DecisionPartition int32
	DecisionOffset    int64
}

// Claim asks for a partition under a new epoch.
type Claim struct {
	ID    string
	Epoch int64
	// Claimer names the claiming process, so that a claim repeated after a lost
	// reply knows its own.
	Claimer string
	Base    int64 // offset of a header that has to be made
	// Names are the rule set's names by id, kept beside the states.
	Names map[uint32]string
	// Takeover, if not nil, gives a header of another identity to this claim.
	Takeover *Takeover
}

// Takeover says that what is stored under ID is to be taken over, to go on at
// Offset: its header gets the claim's id, and that offset.
type Takeover struct {
	ID     string
	Offset int64
}

// Claimed is what a claim found.
type Claimed struct {
	Header Header
	Outbox []OutboxEntry // ascending by seq
	Names  map[uint32]string
	// Buckets are the timer buckets that exist.
	Buckets []Bucket
}

// OutboxEntry holds the records of one batch, as outboxWriter wrote them.
type OutboxEntry struct {
	Seq     int64
	Records []byte
}

// Fence names what a store holds of a partition: e and v of the header, which no two
// contents share. The zero Fence stands for whatever it holds.
type Fence struct{ Epoch, Version int64 }

// Fence names the content that the header belongs to; the zero Fence if there is none.
func (h *Header) Fence() Fence {
	if h == nil {
		return Fence{}
	}
	return Fence{h.Epoch, h.Version}
}

// StateWrite is a user's new state.
type StateWrite struct {
	User  string
	State []byte
}

// Bucket is a span of time whose timers are kept together.
type Bucket struct {
	Start int64 // ms, a multiple of the width
	Width int64 // ms: MinuteBucket or FarBucket
}

// End is the first moment after the bucket.
func (b Bucket) End() int64 { return b.Start + b.Width }

// The widths of buckets: a minute for what is due soon, four hours for the rest.
// A narrow bucket that holds little costs ten times its content, so narrow ones
// are used only where few can exist at a time.
const (
	MinuteBucket = 60_000
	FarBucket    = 4 * 3_600_000
)

// TimerWrite adds index entries to one bucket.
type TimerWrite struct {
	Bucket  Bucket
	New     bool // the bucket did not exist
	Entries []TimerEntry
}

// TimerEntry is a hint to look at a user at a time, in whole seconds.
type TimerEntry struct {
	At   int64 // ms, a multiple of 1,000
	User string
}

// Batch is one atomic write.
type Batch struct {
	Epoch, Version int64  // the fence: what the header must hold
	Next           Header // the header after the write (Epoch and ID stand)
	Published      int64  // outbox entries up to this seq are dropped
	States         []StateWrite
	Gone           []string // users whose states are deleted; none is in States
	// Erased are entries taken out of the timer index, before Timers are added: all
	// that the bucket has like them.
	Erased []TimerWrite
	Timers []TimerWrite
	Done   []Bucket     // buckets that are over
	Outbox *OutboxEntry // nil: the batch has no records
}

// Errors of a Store. Any other error means that the outcome is unknown or that
// the store is out of reach: the identical call is to be repeated.
var (
	// ErrFenced: another claim holds the partition.
	ErrFenced = errors.New("fenced: another owner has claimed the partition")
	// ErrLost: the store does not stand where this owner left it.
	ErrLost = errors.New("the store has lost writes of this owner")
	// ErrIdentity: what is stored belongs to another cluster, group, topic or
	// partition count.
	ErrIdentity = errors.New("the stored state belongs to another input")
)

// Store keeps state, timers and outbox of partitions. Each method but Claim,
// Peek and Wipe is called by the one owner of the partition.
type Store interface {
	// Peek reads a header without changing it; nil if there is none.
	Peek(ctx context.Context, tp TopicPartition) (*Header, error)
	// Claim takes the partition under a new epoch. ErrFenced if the header
	// holds a higher one, or the same of another claimer; ErrIdentity if it
	// holds an id that is neither the claim's nor one to be taken over. A repeated claim that finds its own epoch is answered
	// as the first. A header that has to be made has Wiping set: what may be
	// left beside it is to be wiped.
	Claim(ctx context.Context, tp TopicPartition, c Claim) (*Claimed, error)
	// Write applies a batch, or nothing: ErrFenced, ErrLost. A batch that was
	// applied already is answered with nil.
	Write(ctx context.Context, tp TopicPartition, b *Batch) error
	// Fence returns epoch and version as they stand; ErrLost without a header.
	Fence(ctx context.Context, tp TopicPartition) (epoch, version int64, err error)
	// States, Users and Timers read from the content that the fence names, and from no
	// other: ErrFenced, ErrLost. A store that has fallen back and comes to itself again
	// between a read and the write that follows from it would not be noticed by the
	// write.

	// States returns the stored states, nil for users without one.
	States(ctx context.Context, tp TopicPartition, at Fence, users []string) ([][]byte, error)
	// Users returns the users of a slice, with their states, and the number of
	// slices: 1 or more. Each user is in one slice, from 0, and stays there as long
	// as the header does.
	Users(ctx context.Context, tp TopicPartition, at Fence, slice int) (users []StateWrite, of int, err error)
	// Timers returns n entries of a bucket, or as many as there are, from the one
	// whose number is from: they are numbered from 0 in the order they were written.
	Timers(ctx context.Context, tp TopicPartition, at Fence, b Bucket, from, n int) ([]TimerEntry, error)
	// Wipe removes everything of the partition but the header, which then says
	// that nothing is applied.
	Wipe(ctx context.Context, tp TopicPartition, epoch int64) error
}
