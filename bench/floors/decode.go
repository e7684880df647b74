// Package floors holds the least that a program can do with the workload, to
// hold nudged's figures against: the machine and the broker differ from place
// to place, the distance to a floor measured in the same run does so less.
package floors

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/valyala/fastjson"

	"github.com/nudged/nudged/bench/load"
)

// Result is what a floor did.
type Result struct {
	Records int64            `json:"records"`
	Bytes   int64            `json:"bytes"` // of the values
	Types   map[string]int64 `json:"types"` // records by event type
	Sends   int64            `json:"sends"`
	Commits int64            `json:"commits"`
}

// decoder reads the four fields that every event has.
type decoder struct {
	parser fastjson.Parser
	result *Result
}

// take decodes one value and returns the fields; they are valid until the next call.
func (d *decoder) take(value []byte) (id, kind, user, at []byte, err error) {
	v, err := d.parser.ParseBytes(value)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	id, kind, user, at = v.GetStringBytes("id"), v.GetStringBytes("type"), v.GetStringBytes("user"), v.GetStringBytes("time")
	if id == nil || kind == nil || user == nil || at == nil {
		return nil, nil, nil, nil, fmt.Errorf("id, type, user or time is missing: %s", value)
	}
	d.result.Records++
	d.result.Bytes += int64(len(value))
	d.result.Types[string(kind)]++
	return id, kind, user, at, nil
}

// Decode reads a topic to its present end with a bare consumer, client defaults
// throughout, and decodes each value. Nothing is committed.
func Decode(ctx context.Context, brokers []string, topic string) (Result, error) {
	res := Result{Types: map[string]int64{}}
	ends, err := load.EndOffsets(ctx, brokers, topic)
	if err != nil {
		return res, err
	}
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return res, fmt.Errorf("consumer of topic %q: %w", topic, err)
	}
	defer cl.Close()
	d := decoder{result: &res}
	for total := sum(ends); res.Records < total; {
		fetches := cl.PollFetches(ctx)
		if err := fetchError(ctx, fetches); err != nil {
			return res, err
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if _, _, _, _, err := d.take(r.Value); err != nil {
				return res, fmt.Errorf("topic %q partition %d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
			}
		}
	}
	return res, nil
}

func sum(ends map[int32]int64) int64 {
	var n int64
	for _, end := range ends {
		n += end
	}
	return n
}

func fetchError(ctx context.Context, fetches kgo.Fetches) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, e := range fetches.Errors() {
		return fmt.Errorf("topic %q partition %d: %w", e.Topic, e.Partition, e.Err)
	}
	return nil
}
