package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
)

// reading is some commands that read from one content: under a fence they are a
// transaction that reads the fence, too.
type reading struct {
	s     *Store
	p     *partition
	at    processor.Fence
	pipe  goredis.Pipeliner
	fence *goredis.SliceCmd // nil: whatever is there is read
}

func (s *Store) reading(ctx context.Context, p *partition, at processor.Fence) *reading {
	r := &reading{s: s, p: p, at: at}
	if at == (processor.Fence{}) {
		r.pipe = s.client.Pipeline()
		return r
	}
	r.pipe = s.client.TxPipeline()
	r.fence = r.pipe.HMGet(ctx, p.header, "e", "v")
	return r
}

// exec runs what was put into pipe.
func (r *reading) exec(ctx context.Context, op string) error {
	sent, err := r.pipe.Exec(ctx)
	if err != nil {
		return r.s.failure(op, r.p, cause(err, sent))
	}
	if r.fence == nil {
		return nil
	}
	found, err := r.s.parseFence(op, r.p, r.fence.Val())
	switch {
	case err != nil:
		return err
	case found.Epoch != r.at.Epoch:
		return r.s.refused(op, r.p, "fenced", []any{strconv.FormatInt(found.Epoch, 10)}, r.at.Epoch, r.at.Version)
	case found.Version != r.at.Version:
		return r.s.refused(op, r.p, "lost", []any{strconv.FormatInt(found.Version, 10)}, r.at.Epoch, r.at.Version)
	}
	return nil
}

// absent is what a read says of a partition without a header.
func (s *Store) absent(op string, tp processor.TopicPartition, at processor.Fence) error {
	if at == (processor.Fence{}) {
		return nil
	}
	return s.refused(op, newPartition(s.group, tp), "lost", nil, at.Epoch, at.Version)
}

// parseFence reads what HMGET has found in a header of e and v.
func (s *Store) parseFence(op string, p *partition, v []any) (processor.Fence, error) {
	if len(v) != 2 || v[0] == nil {
		return processor.Fence{}, s.refused(op, p, "lost", nil, 0, 0)
	}
	epoch, err1 := strconv.ParseInt(text(v, 0), 10, 64)
	version, err2 := strconv.ParseInt(text(v, 1), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return processor.Fence{}, s.failure(op, p, &damage{fmt.Errorf("header: %w", err)})
	}
	return processor.Fence{Epoch: epoch, Version: version}, nil
}
