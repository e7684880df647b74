package processor

import (
	"errors"
	"fmt"
)

// StopError says why a partition cannot go on and what to do about it. Other
// partitions are not concerned.
type StopError struct {
	Input  TopicPartition
	Group  string
	Reason string
	Wayout string
}

func (e *StopError) Error() string {
	return fmt.Sprintf("partition %s of group %q is stopped: %s. %s", e.Input, e.Group, e.Reason, e.Wayout)
}

// standing is where a claim finds a partition.
type standing int

const (
	standsNew   standing = iota // nothing was ever decided: start at the base
	standsClean                 // Redis and Kafka agree
	standsAhead                 // Redis holds batches that are not published yet
)

// finding is what judge looks at.
type finding struct {
	input TopicPartition
	group string
	id    string // identity that the store must hold
	kafka Inspection
	k     *Position // nil: nothing committed
	r     *Header   // nil: nothing stored
	// evidence is asked only when neither k nor r exist.
	evidence func() (bool, error)
}

// judge tells where a partition stands, or why it must stop: the recovery table
// of the protocol. It changes nothing.
func (f *finding) judge() (standing, error) {
	if err := f.judgeIdentity(); err != nil {
		return 0, err
	}
	k, r := f.k, f.r
	if r != nil && r.Wiping {
		r = nil
	}
	switch {
	case k == nil && f.r != nil:
		return 0, f.stop("Redis holds its state up to offset %d, Kafka holds no committed offset: the offsets have expired or the group was deleted", f.r.Offset)(
			"Start under a new group with new send and decision topics, or remove the state from Redis and do the same")
	case k == nil:
		has, err := f.evidence()
		if err != nil {
			return 0, err
		}
		if has {
			return 0, f.stop("neither Kafka nor Redis knows of it, but the send or decision topic holds records decided from it: the group was renamed, or everything else was lost")(
				"Use the former group name; or start over with new send and decision topics")
		}
		return standsNew, nil
	case r == nil && k.Seq == 0:
		return standsNew, f.inLog(k.Base)
	case r == nil:
		return 0, f.stop("Redis holds nothing of it, Kafka holds batch %d at offset %d: Redis was emptied", k.Seq, k.Offset)(rebuildWayout)
	}
	m := agreement(r.History, k.History, min(r.Seq, k.Seq))
	switch {
	case m == r.Seq && m == k.Seq:
		if r.Offset != k.Offset {
			return 0, f.stop("Redis and Kafka agree on batch %d but not on its offset: %d and %d", m, r.Offset, k.Offset)(
				"One of them was changed by hand: restore it")
		}
		return standsClean, f.inLog(r.Offset)
	case m == k.Seq:
		return standsAhead, f.inLog(r.Offset)
	case m == r.Seq:
		return 0, f.stop("Redis has lost writes: it stands at batch %d, offset %d, Kafka at batch %d, offset %d", r.Seq, r.Offset, k.Seq, k.Offset)(rebuildWayout)
	}
	return 0, f.stop("Redis holds a branch that was never published: both agree up to batch %d, Redis goes on to %d (offset %d), Kafka to %d (offset %d)",
		m, r.Seq, r.Offset, k.Seq, k.Offset)(rebuildWayout)
}

// rebuildWayout is the answer while a state cannot be rebuilt from the topics.
const rebuildWayout = "This version cannot rebuild the state from the topics yet: restore a backup of Redis that is not older, or start over under a new group with new send and decision topics"

func (f *finding) judgeIdentity() error {
	if k := f.k; k != nil {
		if k.Offset != f.kafka.Offset {
			return f.stop("the committed offset is %d, its metadata says %d: somebody has moved it", f.kafka.Offset, k.Offset)(
				fmt.Sprintf("Set the group's offset back to %d with the metadata %q, or start over under a new group", k.Offset, k.Metadata()))
		}
		if k.TopicID != f.kafka.TopicID {
			return f.stop("it was processed as topic id %s, the topic now has the id %s: the topic was created anew, or this is another cluster", k.TopicID, f.kafka.TopicID)(
				"Start under a new group with new send and decision topics")
		}
		if k.Counts != f.kafka.Counts {
			return f.stop("the numbers of partitions have changed: input, sends and decisions had %v, now %v", k.Counts, f.kafka.Counts)(
				"Set them back, or start under a new group with new send and decision topics")
		}
	}
	if f.r != nil && f.r.ID != f.id {
		return f.stop("Redis holds the state of another input: %s, expected %s: two deployments use one Redis with one group name, or the topic has changed", f.r.ID, f.id)(
			"Use another group name or another Redis")
	}
	return nil
}

func (f *finding) inLog(offset int64) error {
	if offset < f.kafka.Start {
		return f.stop("it has to go on at offset %d, the log begins at %d: retention has removed what was not processed yet", offset, f.kafka.Start)(
			"Start over under a new group with new send and decision topics, and raise retention.ms of the input")
	}
	if offset > f.kafka.End {
		return f.stop("it has to go on at offset %d, the log ends at %d: the topic has lost its newest records", offset, f.kafka.End)(
			"Check for unclean leader election, then start over under a new group")
	}
	return nil
}

// stop makes a StopError in two steps: the reason, then the way out.
func (f *finding) stop(format string, args ...any) func(wayout string) error {
	return func(wayout string) error {
		return &StopError{Input: f.input, Group: f.group, Reason: fmt.Sprintf(format, args...), Wayout: wayout}
	}
}

// readPosition turns what Kafka holds into K.
func (f *finding) readPosition() error {
	if !f.kafka.Committed {
		return nil
	}
	k, err := ParsePosition(f.kafka.Metadata)
	if err != nil {
		what := "cannot be read: " + err.Error()
		if errors.Is(err, ErrForeignMetadata) {
			what = "was not written by nudged: another consumer uses the group, or somebody has reset it"
		}
		return f.stop("the metadata of the committed offset %d %s", f.kafka.Offset, what)(
			"Use another group name, or start over under a new group with new send and decision topics")
	}
	f.k = &k
	return nil
}
