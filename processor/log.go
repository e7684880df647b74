package processor

import (
	"context"
	"errors"

	"github.com/nudged/nudged/sinks"
)

// Record is one input record.
type Record struct {
	Offset    int64
	Timestamp int64 // the record's own, ms
	Key       []byte
	Value     []byte // nil: a tombstone
	Headers   []sinks.Header
	// Control marks a transaction marker: it takes up an offset and nothing else.
	Control bool
}

// Publication is what one partition contributes to a transaction.
type Publication struct {
	Input   TopicPartition
	Entries [][]byte // outbox entries; EachRecord reads them
	Commit  Position
	// AckedSend and AckedDecision are filled in by Publish: the offsets after the last send and
	// decision record, 0 where there was none.
	AckedSend, AckedDecision int64
}

// EachRecord calls f for each record of the publication, in their order.
func (p *Publication) EachRecord(f func(*sinks.Record) error) error {
	for _, entry := range p.Entries {
		if err := EachRecord(entry, f); err != nil {
			return err
		}
	}
	return nil
}

// Inspection is what Kafka holds of one input partition.
type Inspection struct {
	// Committed says whether the group has an offset, and which, with what
	// metadata. Read stable: no transaction of an earlier owner is pending.
	Committed bool
	Offset    int64
	Metadata  string
	// Start and End bound the log: first offset, and the one after the last
	// committed record.
	Start, End int64
	Evidence   Evidence // ends of the send and decision partition, read uncommitted
	TopicID    string   // as in Position
	Counts     Counts
}

// Errors of a Log.
var (
	// ErrNotOwner: the group has given a partition of the transaction to
	// somebody else. Nothing was committed.
	ErrNotOwner = errors.New("not the owner of the partition any more")
	// ErrNotPublished: the transaction was not committed, or its outcome was
	// unknown and has been settled since: what Kafka holds now tells.
	ErrNotPublished = errors.New("the transaction was not committed")
	// ErrUnsettled: the context ended while the outcome of the transaction was
	// unknown. The next start, or the next owner, finds out.
	ErrUnsettled = errors.New("the outcome of a transaction is left to the next start")
	// ErrProducerFenced: another process uses the same transactional id.
	ErrProducerFenced = errors.New("another process uses the same transactional id")
	// ErrEvidenceEnd: there is no more evidence. Not io.EOF: what a connection that
	// was closed fails with wraps that.
	ErrEvidenceEnd = errors.New("there is no more evidence")
)

// Log is what the commit protocol needs of Kafka. One Publish runs at a time.
type Log interface {
	// Inspect returns what Kafka holds of the partitions.
	Inspect(ctx context.Context, tps []TopicPartition) (map[TopicPartition]Inspection, error)
	// Evidence reads what the send and the decision partition hold from the
	// offsets of from, or from their beginning where that is later, up to those of
	// until.
	Evidence(ctx context.Context, from, until Evidence) (EvidenceReader, error)
	// Publish makes the records visible and commits the positions in one
	// transaction. It returns only when the outcome is settled, or soon after ctx
	// has ended.
	Publish(ctx context.Context, pubs []*Publication) error
}

// EvidenceRecord is a committed record of the send or the decision topic.
type EvidenceRecord struct {
	Mark  []byte // the value of MarkHeader, nil if there is none
	Value []byte
}

// EvidenceReader reads committed records of a send and a decision partition. It
// is used by one goroutine.
type EvidenceReader interface {
	// Next returns the next records of the send partition, or of the decision
	// partition, in their order, and ErrEvidenceEnd after the last. It waits until nothing
	// below the end is pending any more: a position may be visible in Kafka before
	// the records that were committed with it. The records are the caller's.
	Next(ctx context.Context, send bool) ([]EvidenceRecord, error)
	// Start says where the partitions are read from.
	Start() Evidence
	Close()
}

// Source feeds the records of partitions. Records of a partition are delivered
// in order of offsets from where Start said, until Stop returns.
type Source interface {
	Start(tp TopicPartition, offset int64)
	Stop(tp TopicPartition)
	// Pause and Resume hold and continue delivery; a few records may still come.
	Pause(tp TopicPartition)
	Resume(tp TopicPartition)
	// Ends returns the offsets after the last record that can be read now.
	Ends(ctx context.Context, tps []TopicPartition) (map[TopicPartition]int64, error)
}
