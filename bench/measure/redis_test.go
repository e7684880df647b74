package measure

import (
	"context"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/bench/redistest"
)

func ownRedis(t *testing.T) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func TestRedisFootprint(t *testing.T) {
	ctx, rdb := context.Background(), ownRedis(t)
	do := func(args ...any) {
		t.Helper()
		if err := rdb.Do(ctx, args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	value := strings.Repeat("x", 1000)
	do("HSET", "nudged:{g:e:0}:u:1", "a", value, "b", value)
	do("HSET", "nudged:{g:e:1}:u:1", "c", value)
	do("SET", "nudged:{g:e:1}:u:u7", value)
	do("RPUSH", "nudged:{g:e:0}:t:5", "a", "b", "c")
	do("ZADD", "nudged:{g:e:0}:t:6", 1, "a", 2, "b")
	do("HSET", "nudged:{g:e:0}:h", "s", 1)
	do("RPUSH", "nudged:{g:e:0}:o", "x")
	do("SADD", "somebody", "a", "b")
	m, err := Redis(ctx, rdb)
	if err != nil {
		t.Fatal(err)
	}
	for class, want := range map[Class]Footprint{
		States: {Keys: 3, Entries: 4}, Timers: {Keys: 2, Entries: 5},
		Header: {Keys: 1, Entries: 1}, Outbox: {Keys: 1, Entries: 1}, Others: {Keys: 1, Entries: 2},
	} {
		got := m.ByClass[class]
		if got.Bytes <= 0 {
			t.Errorf("%s take %d bytes", class, got.Bytes)
		}
		if got.Bytes = 0; got != want {
			t.Errorf("%s: %+v, want %+v", class, got, want)
		}
	}
	if b := m.ByClass[States].Bytes; b < 4000 || b > 8000 {
		t.Errorf("states of four thousand bytes take %d", b)
	}
	if m.UsedMemory < m.ByClass[States].Bytes {
		t.Errorf("used memory %d", m.UsedMemory)
	}
}

func TestEmptySparesAForeignRedis(t *testing.T) {
	ctx, rdb := context.Background(), ownRedis(t)
	size := func() int64 {
		t.Helper()
		n, err := rdb.DBSize(ctx).Result()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	rdb.Set(ctx, "nudged:{g:e:0}:h", 1, 0)
	rdb.Set(ctx, "session:42", 1, 0)
	if err := Empty(ctx, rdb); err == nil || !strings.Contains(err.Error(), "session:42") || size() != 2 {
		t.Fatalf("error %v, %d keys left; want one that names session:42, and both keys", err, size())
	}
	rdb.Del(ctx, "session:42")
	if err := Empty(ctx, rdb); err != nil || size() != 0 {
		t.Fatalf("error %v, %d keys left; want none", err, size())
	}
}
