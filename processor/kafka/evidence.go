package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/nudged/nudged/processor"
)

// evidenceFetch bounds a fetch of evidence: of each topic so much lies in memory.
const evidenceFetch = 1 << 20

// evidence reads one send and one decision partition. Each has a client of its own:
// where one topic is far behind the other, what is read of that one stays little.
type evidence struct {
	cfg   *Config
	sides [2]evidenceSide
}

type evidenceSide struct {
	topic     string
	partition int32
	at, until int64
	stable    bool // nothing below until is pending
	client    *kgo.Client
}

// Evidence implements processor.Log.
func (g *Group) Evidence(ctx context.Context, from, until processor.Evidence) (processor.EvidenceReader, error) {
	starts, err := kadm.NewClient(g.cl()).ListStartOffsets(ctx, g.cfg.Sends, g.cfg.Decisions)
	if err != nil {
		return nil, fmt.Errorf("list start offsets: %w", err)
	}
	e := &evidence{cfg: &g.cfg, sides: [2]evidenceSide{
		{topic: g.cfg.Sends, partition: until.SendPartition, at: from.SendOffset, until: until.SendOffset},
		{topic: g.cfg.Decisions, partition: until.DecisionPartition, at: from.DecisionOffset, until: until.DecisionOffset},
	}}
	for i := range e.sides {
		s := &e.sides[i]
		start, err := listed(starts, s.topic, s.partition)
		if err != nil {
			return nil, err
		}
		s.at = max(s.at, start)
	}
	return e, nil
}

// Start implements processor.EvidenceReader. It is asked before anything is read.
func (e *evidence) Start() processor.Evidence {
	s, d := &e.sides[0], &e.sides[1]
	return processor.Evidence{SendPartition: s.partition, SendOffset: s.at, DecisionPartition: d.partition, DecisionOffset: d.at}
}

// Close implements processor.EvidenceReader.
func (e *evidence) Close() {
	for i := range e.sides {
		if cl := e.sides[i].client; cl != nil {
			cl.Close()
		}
	}
}

// Next implements processor.EvidenceReader.
func (e *evidence) Next(ctx context.Context, send bool) ([]processor.EvidenceRecord, error) {
	s := &e.sides[1]
	if send {
		s = &e.sides[0]
	}
	if s.at >= s.until {
		return nil, processor.ErrEvidenceEnd
	}
	if err := s.open(ctx, e.cfg); err != nil {
		return nil, err
	}
	for s.at < s.until {
		fetches := s.client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, fmt.Errorf("read %s/%d: %w", s.topic, s.partition, err)
		}
		for _, f := range fetches.Errors() {
			return nil, fmt.Errorf("read %s/%d: %w", s.topic, s.partition, e.cfg.denied(f.Err, s.topic, kmsg.ACLOperationRead))
		}
		var out []processor.EvidenceRecord
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if r.Offset >= s.until {
				s.at = s.until
				break
			}
			s.at = r.Offset + 1
			if r.Attrs.IsControl() {
				continue
			}
			out = append(out, processor.EvidenceRecord{Mark: markOf(r), Value: r.Value})
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	return nil, processor.ErrEvidenceEnd
}

func markOf(r *kgo.Record) []byte {
	for _, h := range r.Headers {
		if h.Key == processor.MarkHeader {
			return h.Value
		}
	}
	return nil
}

// open waits until nothing below the end is pending, then begins to read. What the
// committed position tells of may not be visible before: the markers of a
// transaction reach its partitions one by one.
func (s *evidenceSide) open(ctx context.Context, cfg *Config) error {
	if s.client != nil {
		return nil
	}
	opts := append(cfg.common("evidence"),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: {s.partition: kgo.NewOffset().At(s.at)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxPartitionBytes(evidenceFetch),
		kgo.FetchMaxBytes(evidenceFetch),
		kgo.FetchMaxWait(fetchWait),
	)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	for !s.stable {
		ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, s.topic)
		if err == nil {
			var end int64
			if end, err = listed(ends, s.topic, s.partition); err == nil && end >= s.until {
				s.stable = true
				break
			}
		}
		if err != nil {
			cl.Close()
			return fmt.Errorf("list end offsets: %w", err)
		}
		select {
		case <-ctx.Done():
			cl.Close()
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	s.client = cl
	return nil
}
