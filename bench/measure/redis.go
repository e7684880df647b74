package measure

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// scanPage is how many keys are looked at with one round trip.
const scanPage = 1000

// Class is a kind of key that nudged keeps, by what follows the hash tag.
type Class string

const (
	States Class = "states" // …:u:*
	Timers Class = "timers" // …:t*
	Header Class = "header" // …:h
	Outbox Class = "outbox" // …:o
	Others Class = "others"
)

// Footprint is what the keys of one class take.
type Footprint struct {
	Keys    int64 `json:"keys"`
	Entries int64 `json:"entries"` // fields, elements, members; 1 for a plain string
	Bytes   int64 `json:"bytes"`   // MEMORY USAGE, every element looked at
}

// RedisMemory is what Redis holds.
type RedisMemory struct {
	ByClass    map[Class]Footprint `json:"by_class"`
	UsedMemory int64               `json:"used_memory_bytes"` // INFO, allocator's count of the whole server
}

// Redis asks a single Redis what its keys take.
func Redis(ctx context.Context, rdb *redis.Client) (RedisMemory, error) {
	m := RedisMemory{ByClass: map[Class]Footprint{}}
	used, err := UsedMemory(ctx, rdb)
	if err != nil {
		return m, err
	}
	m.UsedMemory = used
	err = eachPage(ctx, rdb, func(keys []string) error { return m.add(ctx, rdb, keys) })
	if err != nil {
		return m, fmt.Errorf("memory of Redis keys: %w", err)
	}
	return m, nil
}

// UsedMemory returns INFO's used_memory in bytes.
func UsedMemory(ctx context.Context, rdb *redis.Client) (int64, error) {
	info, err := rdb.Info(ctx, "memory").Result()
	if err != nil {
		return 0, fmt.Errorf("INFO memory: %w", err)
	}
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("INFO memory: used_memory is %q: %w", v, err)
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("INFO memory has no used_memory")
}

// Empty removes everything from a Redis that only nudged uses. It refuses when
// it finds a key that is not nudged's: then it may be somebody's real one.
func Empty(ctx context.Context, rdb *redis.Client) error {
	err := eachPage(ctx, rdb, func(keys []string) error {
		for _, k := range keys {
			if !strings.HasPrefix(k, "nudged:") {
				return fmt.Errorf("key %q is not nudged's: give the benchmark a Redis of its own", k)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("empty Redis: %w", err)
	}
	if err := rdb.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("empty Redis: %w", err)
	}
	return nil
}

func eachPage(ctx context.Context, rdb *redis.Client, visit func(keys []string) error) error {
	for cursor := uint64(0); ; {
		keys, next, err := rdb.Scan(ctx, cursor, "", scanPage).Result()
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			if err := visit(keys); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func (m *RedisMemory) add(ctx context.Context, rdb *redis.Client, keys []string) error {
	usage := make([]*redis.IntCmd, len(keys))
	kinds := make([]*redis.StatusCmd, len(keys))
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, k := range keys {
			usage[i] = p.MemoryUsage(ctx, k, 0) // SAMPLES 0: all elements
			kinds[i] = p.Type(ctx, k)
		}
		return nil
	})
	if err != nil {
		return err
	}
	entries := make([]*redis.IntCmd, len(keys))
	_, err = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, k := range keys {
			switch kinds[i].Val() {
			case "hash":
				entries[i] = p.HLen(ctx, k)
			case "list":
				entries[i] = p.LLen(ctx, k)
			case "zset":
				entries[i] = p.ZCard(ctx, k)
			case "set":
				entries[i] = p.SCard(ctx, k)
			default:
				entries[i] = p.Exists(ctx, k)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, k := range keys {
		c := Classify(k)
		f := m.ByClass[c]
		f.Keys++
		f.Entries += entries[i].Val()
		f.Bytes += usage[i].Val()
		m.ByClass[c] = f
	}
	return nil
}

// Classify tells the kind of a key of the form nudged:{group:topic:partition}:….
func Classify(key string) Class {
	_, rest, ok := strings.Cut(key, "}:")
	if !ok || !strings.HasPrefix(key, "nudged:{") {
		return Others
	}
	switch kind, _, _ := strings.Cut(rest, ":"); {
	case kind == "u":
		return States
	case strings.HasPrefix(kind, "t"):
		return Timers
	case kind == "h":
		return Header
	case kind == "o":
		return Outbox
	}
	return Others
}
