//go:build chaos

package app

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/nudged/nudged/processor"
)

// chaosFile names the environment variable that names the file with orders, which
// is read again and again. Each line is one:
//
//	exit_at=after-redis-write:17   kill -9 at the 17th time that this step is reached
//	clock=-3000                    the wall clock reads 3 s less than it is
const chaosFile = "NUDGED_CHAOS"

// The steps of the protocol at which the process can be told to die.
const (
	beforeRedisWrite = "before-redis-write"
	afterRedisWrite  = "after-redis-write"
	beforePublish    = "before-publish" // what was written is not in Kafka yet
	afterProduce     = "after-produce"  // records are in the log, no offsets
	afterOffsets     = "after-offsets"  // offsets are sent, the transaction is open
	endAsked         = "end-asked"      // EndTxn is sent, the reply not read
	afterEnd         = "after-end"      // the transaction is committed
	beforeTrim       = "before-trim"    // the same, told to the processor
	afterClaimKafka  = "after-claim-kafka"
	afterClaimRedis  = "after-claim-redis"
	// After Redis has lost something:
	beforeWipe        = "before-wipe"
	afterWipe         = "after-wipe"
	afterEvidence     = "after-evidence" // some of what was decided has been read
	beforeReplayWrite = "before-replay-write"
	afterReplayWrite  = "after-replay-write"
)

// chaos is what this process has been told.
var chaos orders

type orders struct {
	once   sync.Once
	offset atomic.Int64 // of the wall clock, ms

	mu   sync.Mutex
	exit string // as it was ordered last
	step string
	left int
}

// follow reads the orders from now on.
func (o *orders) follow(path string) {
	o.once.Do(func() {
		o.read(path)
		go func() {
			for range time.Tick(20 * time.Millisecond) {
				o.read(path)
			}
		}()
	})
}

func (o *orders) read(path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return // not written yet
	}
	exit, offset := "", int64(0)
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "exit_at":
			exit = value
		case "clock":
			offset, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	o.offset.Store(offset)
	o.mu.Lock()
	defer o.mu.Unlock()
	if exit != o.exit {
		o.exit = exit
		step, n, _ := strings.Cut(exit, ":")
		o.step = step
		o.left, _ = strconv.Atoi(n)
	}
}

// reach dies if that was ordered.
func (o *orders) reach(step string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if step != o.step {
		return
	}
	if o.left--; o.left > 0 {
		return
	}
	fmt.Fprintf(os.Stderr, "{\"msg\":\"ordered to die\",\"step\":%q}\n", step)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until it has come
}

func interpose(cfg *processor.Config) {
	path := os.Getenv(chaosFile)
	if path == "" {
		return
	}
	chaos.follow(path)
	now := cfg.Now
	cfg.Now = func() int64 { return now() + chaos.offset.Load() }
	cfg.Store = &dyingStore{Store: cfg.Store}
	cfg.Log = &dyingLog{Log: cfg.Log}
}

// dyingStore dies around what is asked of a store.
type dyingStore struct{ processor.Store }

func (s *dyingStore) Claim(ctx context.Context, tp processor.TopicPartition, c processor.Claim) (*processor.Claimed, error) {
	claimed, err := s.Store.Claim(ctx, tp, c)
	if err == nil {
		chaos.reach(afterClaimRedis)
	}
	return claimed, err
}

func (s *dyingStore) Write(ctx context.Context, tp processor.TopicPartition, b *processor.Batch) error {
	before, after := beforeRedisWrite, afterRedisWrite
	if replays(b) {
		before, after = beforeReplayWrite, afterReplayWrite
	}
	chaos.reach(before)
	err := s.Store.Write(ctx, tp, b)
	if err == nil {
		chaos.reach(after)
	}
	return err
}

// replays says that a batch decides nothing: no part of the history that it leads to
// was decided under its epoch.
func replays(b *processor.Batch) bool {
	h := b.Next.History
	return len(h) == 0 || h[len(h)-1].Epoch != b.Epoch
}

func (s *dyingStore) Wipe(ctx context.Context, tp processor.TopicPartition, epoch int64) error {
	chaos.reach(beforeWipe)
	err := s.Store.Wipe(ctx, tp, epoch)
	if err == nil {
		chaos.reach(afterWipe)
	}
	return err
}

// dyingLog dies around transactions. One is under way at a time, and a claim's
// follows the Inspect of the claim.
type dyingLog struct {
	processor.Log
	claiming atomic.Bool
}

func (l *dyingLog) Inspect(ctx context.Context, tps []processor.TopicPartition) (map[processor.TopicPartition]processor.Inspection, error) {
	in, err := l.Log.Inspect(ctx, tps)
	l.claiming.Store(err == nil)
	return in, err
}

func (l *dyingLog) Evidence(ctx context.Context, from, until processor.Evidence) (processor.EvidenceReader, error) {
	r, err := l.Log.Evidence(ctx, from, until)
	if err != nil {
		return nil, err
	}
	return dyingReader{r}, nil
}

// dyingReader dies after it has read something.
type dyingReader struct{ processor.EvidenceReader }

func (r dyingReader) Next(ctx context.Context, send bool) ([]processor.EvidenceRecord, error) {
	recs, err := r.EvidenceReader.Next(ctx, send)
	if err == nil {
		chaos.reach(afterEvidence)
	}
	return recs, err
}

func (l *dyingLog) Publish(ctx context.Context, pubs []*processor.Publication) error {
	after := beforeTrim
	if l.claiming.Swap(false) && withoutRecords(pubs) {
		after = afterClaimKafka
	} else {
		chaos.reach(beforePublish)
	}
	err := l.Log.Publish(ctx, pubs)
	if err == nil {
		chaos.reach(after)
	}
	return err
}

func withoutRecords(pubs []*processor.Publication) bool {
	for _, p := range pubs {
		if len(p.Entries) > 0 {
			return false
		}
	}
	return true
}

// dyingRequests dies around requests of a transaction.
type dyingRequests struct{}

var (
	_ kgo.HookBrokerE2E   = dyingRequests{}
	_ kgo.HookBrokerWrite = dyingRequests{}
)

func (dyingRequests) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err == nil && key == kmsg.EndTxn.Int16() {
		chaos.reach(endAsked)
	}
}

func (dyingRequests) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if e2e.Err() != nil {
		return
	}
	switch key {
	case kmsg.Produce.Int16():
		chaos.reach(afterProduce)
	case kmsg.TxnOffsetCommit.Int16():
		chaos.reach(afterOffsets)
	case kmsg.EndTxn.Int16():
		chaos.reach(afterEnd)
	}
}

func interposeKafka() []kgo.Opt { return []kgo.Opt{kgo.WithHooks(dyingRequests{})} }
