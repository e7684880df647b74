package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/chaos/services"
	"github.com/nudged/nudged/internal/chaos/verify"
)

// visible is all that a consumer who reads committed records sees.
type visible struct {
	inputs  []verify.Input
	outputs []verify.Output
	dead    []verify.DeadLetter
}

// readAll reads the topics of a world from their beginning, with a consumer of its
// own.
func (s *stage) readAll(ctx context.Context, w *world) (*visible, error) {
	ctx, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	all := &visible{}
	adm := s.kafka.Admin()
	var ends kadm.ListedOffsets
	err := services.Eventually(ctx, drainPatience, func(ctx context.Context) (err error) {
		ends, err = whole(adm.ListCommittedOffsets(ctx, w.events, w.sends, w.decisions, w.dead))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the topics of %s: %w", w.name, err)
	}
	left := map[string]map[int32]int64{} // by topic and partition: the end that is to be reached
	from := map[string]map[int32]kgo.Offset{}
	n := 0
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset == 0 {
			return
		}
		if left[o.Topic] == nil {
			left[o.Topic], from[o.Topic] = map[int32]int64{}, map[int32]kgo.Offset{}
		}
		left[o.Topic][o.Partition] = o.Offset
		from[o.Topic][o.Partition] = kgo.NewOffset().At(0)
		n++
	})
	if n == 0 {
		return all, nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.Addresses()...), kgo.ClientID("chaos-reader"), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	for n > 0 {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("read the topics of %s: %d partitions are not at their end: %w", w.name, n, err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			end := left[r.Topic][r.Partition]
			if r.Offset < end && !r.Attrs.IsControl() {
				if err := all.add(w, r); err != nil {
					return nil, err
				}
			}
			if end > 0 && r.Offset+1 >= end {
				delete(left[r.Topic], r.Partition)
				n--
			}
		}
	}
	return all, nil
}

// whole is a list without an error in any partition: a leader that was just elected
// may not know its end yet (OFFSET_NOT_AVAILABLE).
func whole(listed kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err == nil {
		err = listed.Error()
	}
	return listed, err
}

// add takes a record in.
func (v *visible) add(w *world, r *kgo.Record) error {
	header := func(name string) string {
		for _, h := range r.Headers {
			if h.Key == name {
				return string(h.Value)
			}
		}
		return ""
	}
	switch r.Topic {
	case w.events:
		v.inputs = append(v.inputs, verify.Input{Partition: r.Partition, Offset: r.Offset, Value: r.Value})
	case w.sends, w.decisions:
		v.outputs = append(v.outputs, verify.Output{
			Send: r.Topic == w.sends, Partition: r.Partition, Offset: r.Offset,
			Appended: r.Timestamp.UnixMilli(), Mark: header("nudged-at"), Value: r.Value,
		})
	case w.dead:
		p, perr := strconv.ParseInt(header("nudged-partition"), 10, 32)
		o, oerr := strconv.ParseInt(header("nudged-offset"), 10, 64)
		if perr != nil || oerr != nil || header("nudged-topic") != w.events {
			return fmt.Errorf("%s/%d offset %d: a dead letter without its coordinates", r.Topic, r.Partition, r.Offset)
		}
		v.dead = append(v.dead, verify.DeadLetter{Partition: int32(p), Offset: o})
	}
	return nil
}

// closed waits until no transaction is open on what the world writes.
func (w *world) closed(ctx context.Context) error {
	adm := w.stage.kafka.Admin()
	return services.Eventually(ctx, drainPatience, func(ctx context.Context) error {
		stable, err := whole(adm.ListCommittedOffsets(ctx, w.sends, w.decisions, w.dead))
		if err != nil {
			return err
		}
		ends, err := whole(adm.ListEndOffsets(ctx, w.sends, w.decisions, w.dead))
		if err != nil {
			return err
		}
		var open error
		ends.Each(func(o kadm.ListedOffset) {
			if at, ok := stable.Lookup(o.Topic, o.Partition); !ok || at.Offset < o.Offset {
				open = fmt.Errorf("%s/%d: a transaction is open", o.Topic, o.Partition)
			}
		})
		return open
	})
}
