package redis_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/redis"
)

func BenchmarkZ(b *testing.B) {
	for _, n := range []int{20, 100, 250, 1000, 5000} {
		for _, large := range []int{1 << 30, 0} {
			b.Run(fmt.Sprintf("n=%d/large=%d", n, large), func(b *testing.B) {
				client := realClient(b)
				s := claimed(b, client)
				redis.SetLargeBatch(s.Store, large)
				fill := processor.Batch{Epoch: 1, Next: processor.Header{Seq: 1}}
				all := []processor.StateWrite{}
				for j := range 100000 {
					st := []byte{}
					for k := range 10 {
						st = binary.LittleEndian.AppendUint64(st, uint64(j*7919*(k+1)))
					}
					all = append(all, processor.StateWrite{User: fmt.Sprintf("user-%08d", j*7919), State: st})
				}
				fill.States = all
				if err := s.Write(b.Context(), benchInput, &fill); err != nil {
					b.Fatal(err)
				}
				run := 1
				write := func() {
					t := processor.Batch{}
					o := run * n % 90000
					t.States = all[o : o+n]
					t.Epoch, t.Version = 1, int64(run)
					t.Next.Seq, t.Next.Offset = int64(run+1), int64(run+1)*100
					if err := s.Write(b.Context(), benchInput, &t); err != nil {
						b.Fatal(err)
					}
					run++
				}
				per(b, client, n, func() {
					for range b.N {
						write()
					}
				})
			})
		}
	}
}
