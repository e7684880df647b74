package redis_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
)

// claimed returns a store whose partition is claimed under epoch 2, and empty.
func claimed(b *testing.B, client goredis.UniversalClient) *store {
	s := open(b, client, 0)
	if _, err := s.Claim(b.Context(), tp, processor.Claim{ID: "bench", Epoch: 1, Claimer: "bench"}); err != nil {
		b.Fatal(err)
	}
	if err := s.Wipe(b.Context(), tp, 1); err != nil {
		b.Fatal(err)
	}
	// A higher epoch begins at version 0.
	if _, err := s.Claim(b.Context(), tp, processor.Claim{ID: "bench", Epoch: 2, Claimer: "bench"}); err != nil {
		b.Fatal(err)
	}
	return s
}

// usage is CPU time spent so far by this process and by Redis.
type usage struct{ client, redis time.Duration }

func measure(b *testing.B, client goredis.UniversalClient) usage {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	info, err := client.Info(context.Background(), "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	u := usage{client: time.Duration(r.Utime.Nano() + r.Stime.Nano())}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(err)
			}
			u.redis += time.Duration(seconds * 1e9)
		}
	}
	return u
}

// per reports the CPU time that f has taken of both, for each of n users a run.
func per(b *testing.B, client goredis.UniversalClient, n int, f func()) {
	b.ReportAllocs()
	before := measure(b, client)
	b.ResetTimer()
	f()
	b.StopTimer()
	after := measure(b, client)
	users := float64(n * b.N)
	b.ReportMetric(float64(after.client-before.client)/users, "client-ns/user")
	b.ReportMetric(float64(after.redis-before.redis)/users/1000, "redis-us/user")
}

// A backlog's batch: users with a state of 80 bytes, some timers, records. Run it
// with NUDGED_TEST_REDIS and nothing else on that Redis.
func BenchmarkWrite(b *testing.B) {
	for _, n := range []int{20, 1_000, 20_000} {
		b.Run(fmt.Sprintf("users=%d", n), func(b *testing.B) {
			client := realClient(b)
			s := claimed(b, client)
			batches := make([]processor.Batch, 5) // 100,000 users in turn, 98 a bucket
			for i := range batches {
				encoded := make([]byte, 0, n*80) // as an owner encodes them
				for j := range n {
					from := len(encoded)
					for k := range 10 {
						encoded = binary.LittleEndian.AppendUint64(encoded, uint64((i*n+j)*7919*(k+1)))
					}
					batches[i].States = append(batches[i].States, processor.StateWrite{
						User: fmt.Sprintf("user-%08d", (i*n+j)*7919), State: encoded[from:],
					})
				}
			}
			run := 0
			write := func() {
				t := &batches[run%len(batches)]
				t.Epoch, t.Version = 2, int64(run)
				t.Next.Seq, t.Next.Offset = int64(run+1), int64(run+1)*100
				if err := s.Write(b.Context(), tp, t); err != nil {
					b.Fatal(err)
				}
				run++
			}
			for range batches { // the hashes are there
				write()
			}
			per(b, client, n, func() {
				for range b.N {
					write()
				}
			})
		})
	}
}

// Timer entries of 20,000 users over far buckets and minutes.
func BenchmarkWriteTimers(b *testing.B) {
	client := realClient(b)
	s := claimed(b, client)
	const n, spread = 20_000, 20
	t := processor.Batch{Epoch: 2}
	for i := range spread {
		bucket := processor.Bucket{Start: int64(i) * processor.FarBucket, Width: processor.FarBucket}
		w := processor.TimerWrite{Bucket: bucket, New: true}
		for j := range n / spread {
			w.Entries = append(w.Entries, processor.TimerEntry{At: bucket.Start + int64(j)*1000, User: fmt.Sprintf("user-%08d", i*n+j)})
		}
		t.Timers = append(t.Timers, w)
		t.Done = append(t.Done, bucket)
	}
	per(b, client, n, func() {
		for run := range b.N {
			t.Version = int64(run)
			t.Next.Seq, t.Next.Offset = int64(run+1), int64(run+1)*100
			if err := s.Write(b.Context(), tp, &t); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// States that are not in the owner's cache, 2,048 users a call, of 100,000.
func BenchmarkStates(b *testing.B) {
	client := realClient(b)
	s := claimed(b, client)
	const stored, n = 100_000, 2048
	var t processor.Batch
	t.Epoch = 2
	users := make([]string, stored)
	for i := range users {
		users[i] = fmt.Sprintf("user-%08d", i*7919)
		t.States = append(t.States, processor.StateWrite{User: users[i], State: bytes.Repeat([]byte{byte(i)}, 80)})
	}
	if err := s.Write(b.Context(), tp, &t); err != nil {
		b.Fatal(err)
	}
	per(b, client, n, func() {
		for run := range b.N {
			from := run * n % (stored - n)
			got, err := s.States(b.Context(), tp, processor.Fence{}, users[from:from+n])
			if err != nil {
				b.Fatal(err)
			}
			if len(got[0]) != 80 {
				b.Fatalf("a state has %d bytes", len(got[0]))
			}
		}
	})
}
