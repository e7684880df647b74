package redis

import (
	"context"
	"encoding/binary"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
)

// maxTimerHead is the most bytes that stand before the user.
const maxTimerHead = binary.MaxVarintLen64

// appendTimer encodes an entry of a bucket.
func appendTimer(to []byte, b processor.Bucket, e *processor.TimerEntry) ([]byte, error) {
	if e.At < b.Start || e.At >= b.End() || e.At%1000 != 0 {
		return to, fmt.Errorf("timer at %d ms is not a whole second within its bucket, %d to %d ms", e.At, b.Start, b.End())
	}
	to = binary.AppendUvarint(to, uint64(e.At-b.Start)/1000)
	return append(to, e.User...), nil
}

// userOf is the user of an entry, "" if it cannot be read.
func userOf(member string) string {
	if _, n := binary.Uvarint([]byte(member[:min(len(member), maxTimerHead)])); n > 0 {
		return member[n:]
	}
	return ""
}

func parseTimer(b processor.Bucket, member string) (processor.TimerEntry, error) {
	// A varint of seconds within a bucket has two bytes at most.
	seconds, n := binary.Uvarint([]byte(member[:min(len(member), maxTimerHead)]))
	if n <= 0 || int64(seconds) >= b.Width/1000 {
		return processor.TimerEntry{}, &damage{fmt.Errorf("timer bucket %d: an entry of %d bytes that begins with %x", b.Start, len(member), member[:min(len(member), 2)])}
	}
	return processor.TimerEntry{At: b.Start + int64(seconds)*1000, User: member[n:]}, nil
}

// Timers implements processor.Store.
func (s *Store) Timers(ctx context.Context, tp processor.TopicPartition, at processor.Fence, b processor.Bucket, from, n int) ([]processor.TimerEntry, error) {
	const op = "reading timers"
	p := newPartition(s.group, tp)
	read := s.reading(ctx, p, at)
	cmd := read.pipe.LRange(ctx, p.timerList(bucketNumber(b)), int64(from), int64(from+n)-1)
	err := read.exec(ctx, op)
	if err != nil {
		return nil, err
	}
	list := cmd.Val()
	out := make([]processor.TimerEntry, len(list))
	for i, member := range list {
		if out[i], err = parseTimer(b, member); err != nil {
			return nil, s.failure(op, p, err)
		}
	}
	return out, nil
}

// CountTimers returns how many entries the timer index of the partition holds. It
// reads lengths only, and need not be of one moment.
func (s *Store) CountTimers(ctx context.Context, tp processor.TopicPartition) (int64, error) {
	const op = "counting timers"
	p := newPartition(s.group, tp)
	numbers, err := s.client.SMembers(ctx, p.timers).Result()
	if err != nil {
		return 0, s.failure(op, p, err)
	}
	if len(numbers) == 0 {
		return 0, nil
	}
	lengths := make([]*goredis.IntCmd, len(numbers))
	_, err = s.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for i, n := range numbers {
			lengths[i] = pipe.LLen(ctx, p.prefix+"t:"+n)
		}
		return nil
	})
	if err != nil {
		return 0, s.failure(op, p, err)
	}
	total := int64(0)
	for _, l := range lengths {
		total += l.Val()
	}
	return total, nil
}
