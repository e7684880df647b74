// Package rescale moves the users of an input topic to the partitions where they
// belong after the topic has got more of them, so that nothing is lost and nothing
// is sent twice, whatever interrupts it.
//
// Kafka's position of a partition says under which numbers of partitions it is
// processed: the counts. While they are the former ones, the states that count are
// those where the former number puts their user; once they are the present ones,
// those where the present number does. All positions change in one transaction.
// Everything before that adds copies and takes nothing away; everything after it
// takes away what lies elsewhere. So each step can be cut short and done again.
//
//	survey  every user lies where the partitioner puts him, else nothing is begun
//	mark    where in each partition records of the former layout end and those of the
//	        present one begin is written into the positions (processor.Recount)
//	drain   what was written under the former number is applied, and published
//	claim   each partition is taken under an identity that no daemon goes on from
//	copy    users who move, with entries of the timer index
//	verify  every copy is read back
//	commit  the positions under the present numbers, in one transaction
//	clean   what lies elsewhere is removed, and the identity is the present one
//
// A header under the moving identity while the counts are the former ones means that
// an earlier attempt has left copies: they are removed, and it begins anew. While they
// are the present ones, only cleaning is left, and copying where Redis has lost copies.
package rescale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
)

// Kafka is what is needed of it. All partitions of the topic belong to this process
// alone from the first Publish on.
type Kafka interface {
	// Inspect returns what Kafka holds of partitions, as processor.Log.Inspect.
	Inspect(ctx context.Context, tps []processor.TopicPartition) (map[processor.TopicPartition]processor.Inspection, error)
	// Scan calls f for the records of a partition from one offset up to another, in
	// their order. Values are left out.
	Scan(ctx context.Context, tp processor.TopicPartition, from, until int64, f func(*processor.Record) error) error
	// Publish commits positions, all of them or none.
	Publish(ctx context.Context, pubs []*processor.Publication) error
	// Drain applies what lies below the targets as a daemon would that goes by the
	// former numbers of partitions, and whose wall clock stands still. Everything that
	// it decided is published when it returns.
	Drain(ctx context.Context, before processor.Counts, targets map[processor.TopicPartition]int64) error
}

// Config is what one topic's users are moved by.
type Config struct {
	Topic, Group string
	Claimer      string // random 8 hex digits of this process
	Set          *rules.Set
	Store        processor.Store
	Kafka        Kafka
	// Home is the partition that the partitioner of the producers chooses.
	Home func(user string, partitions int32) int32
	// Now reads the wall clock, ms.
	Now func() int64
	// Settle is for how long no record may have been written under the former number
	// of partitions, ms. A producer asks for the number now and then only.
	Settle int64
	// Progress hears of a stage and how many of its partitions are done. May be nil.
	Progress func(stage string, done, of int)
}

// Report says what was done, or would be.
type Report struct {
	Topic  string           `json:"topic"`
	Before processor.Counts `json:"before"`
	After  processor.Counts `json:"after"`
	// Needed is false if the numbers have not changed.
	Needed bool `json:"needed"`
	// Resumed says that an interrupted move was carried through: figures are of what
	// was left of it.
	Resumed    bool        `json:"resumed,omitempty"`
	Partitions []Partition `json:"partitions,omitempty"`
}

// Partition is one partition in a Report.
type Partition struct {
	Partition int32 `json:"partition"`
	Users     int64 `json:"users"`     // before
	MovedOut  int64 `json:"moved_out"` // users
	MovedIn   int64 `json:"moved_in"`  // users
	Timers    int64 `json:"timers_in"` // of the users moved in: entries of the timer index
	Bytes     int64 `json:"bytes_in"`  // of their ids and states
	Unread    int64 `json:"unread"`    // records that lay between the committed offset and the end
	Late      int64 `json:"late"`      // of these, written under the former number for a user who moves
	Early     int64 `json:"early"`     // of these, written under the present number for a user who moves here
	Gone      int64 `json:"removed"`   // states removed where they lay before
	newest    int64 // timestamp of the newest late record, ms
}

// MemoryNeeded estimates how many bytes Redis needs while both copies are there.
func (r *Report) MemoryNeeded() int64 {
	total := int64(0)
	for _, p := range r.Partitions {
		total += p.Bytes + p.MovedIn*48 + p.Timers*20
	}
	return total
}

// Total adds up a figure.
func (r *Report) Total(of func(*Partition) int64) int64 {
	total := int64(0)
	for i := range r.Partitions {
		total += of(&r.Partitions[i])
	}
	return total
}

// Plan says what Run would do. It changes nothing.
func Plan(ctx context.Context, c Config) (*Report, error) {
	m, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	if m.phase != moving {
		m.report.Resumed = m.phase == finishing
		return m.report, nil
	}
	for _, s := range m.sides[:m.before.Input] {
		m.report.Resumed = m.report.Resumed || s.r != nil && s.r.ID == m.movingID()
	}
	if err := m.survey(ctx, m.report.Resumed); err != nil {
		return nil, err
	}
	if m.before.Input != m.after.Input {
		for _, s := range m.old() {
			if _, err := m.scan(ctx, s, s.applied()); err != nil {
				return nil, err
			}
		}
	}
	return m.report, nil
}

// Run moves the users of the topic. What it has begun, an earlier Run included, it
// carries through. Interrupted at any step it loses and repeats nothing, and the next
// Run goes on; meanwhile no daemon does.
func Run(ctx context.Context, c Config) (*Report, error) {
	m, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	if m.phase == finishing {
		m.report.Resumed = true
		if err := m.finish(ctx); err != nil {
			return nil, err
		}
		done := m.report
		if m, err = c.look(ctx); err != nil || m.phase == nothing {
			return done, err
		}
	}
	if m.phase == nothing {
		return m.report, nil
	}
	if err := m.reset(ctx); err != nil {
		return nil, err
	}
	if err := m.survey(ctx, false); err != nil {
		return nil, err
	}
	if err := m.drainAll(ctx); err != nil {
		return nil, err
	}
	if err := m.survey(ctx, false); err != nil { // of the users that came while draining, too
		return nil, err
	}
	if err := m.take(ctx); err != nil {
		return nil, err
	}
	if err := m.copy(ctx); err != nil {
		return nil, err
	}
	if err := m.verify(ctx); err != nil {
		return nil, err
	}
	if err := m.commit(ctx); err != nil {
		return nil, err
	}
	return m.report, m.finish(ctx)
}

// tries is how long a call to the store is repeated that gets no answer.
const tries = 30 * time.Second

// try repeats a call to the store that has no answer: the identical call, since its
// outcome may be that it was carried out.
func try(ctx context.Context, what string, call func() error) error {
	deadline := time.Now().Add(tries)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := call()
		var permanent interface{ Temporary() bool }
		switch {
		case err == nil:
			return nil
		case errors.Is(err, processor.ErrFenced), errors.Is(err, processor.ErrLost), errors.Is(err, processor.ErrIdentity):
			return fmt.Errorf("%s: %w; another process is at work on the partition: stop all processes of the group and run nudged rescale again", what, err)
		case errors.As(err, &permanent) && !permanent.Temporary(), time.Now().After(deadline), ctx.Err() != nil:
			return fmt.Errorf("%s: %w; nothing is lost: run nudged rescale again", what, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (m *move) progress(stage string, done, of int) {
	if m.Progress != nil {
		m.Progress(stage, done, of)
	}
}
