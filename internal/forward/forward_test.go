package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/nudged/nudged/internal/embedded"
	"github.com/nudged/nudged/sinks"
)

// patience bounds every wait for something that has to happen.
const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is told what to answer, and keeps what it has taken.
type receiver struct {
	answer func(ctx context.Context, value string) error

	mu    sync.Mutex
	taken []string
	news  chan struct{} // one for each command taken
}

func newReceiver(answer func(ctx context.Context, value string) error) *receiver {
	return &receiver{answer: answer, news: make(chan struct{}, 1<<16)}
}

func (r *receiver) Send(ctx context.Context, c sinks.Record) error {
	if r.answer != nil {
		if err := r.answer(ctx, string(c.Value)); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.taken = append(r.taken, string(c.Value))
	r.mu.Unlock()
	r.news <- struct{}{}
	return nil
}

func (r *receiver) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.taken)
}

// await waits until so many more have been taken.
func (r *receiver) await(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(patience)
	for range n {
		select {
		case <-r.news:
		case <-deadline:
			t.Fatalf("only %d commands were taken", len(r.all()))
		}
	}
}

// world is a Kafka with the two topics.
type world struct {
	t       *testing.T
	brokers []string
	client  *kgo.Client
	adm     *kadm.Client
}

func newWorld(t *testing.T, partitions int32) *world {
	t.Helper()
	brokers, stop, err := embedded.StartKafka(map[string]int32{"sends": partitions, "dead": 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	w := &world{t: t, brokers: brokers}
	w.client = w.newClient(kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	w.adm = kadm.NewClient(w.client)
	return w
}

func (w *world) newClient(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(w.brokers...), kgo.MetadataMinAge(20 * time.Millisecond)}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(cl.Close)
	return cl
}

// put produces commands, each "user rest".
func (w *world) put(values ...string) {
	w.t.Helper()
	var recs []*kgo.Record
	for _, v := range values {
		user, _, _ := strings.Cut(v, " ")
		recs = append(recs, &kgo.Record{Topic: "sends", Key: []byte(user), Value: []byte(v), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}}})
	}
	if err := w.client.ProduceSync(w.t.Context(), recs...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// start runs a forwarder; stop ends it and returns what Run said.
func (w *world) start(r Receiver, window int) (f *Forwarder, stop func() error) {
	w.t.Helper()
	f, err := New(w.t.Context(), Config{
		Options: []kgo.Opt{kgo.SeedBrokers(w.brokers...), kgo.HeartbeatInterval(50 * time.Millisecond)},
		Topic:   "sends", Group: "forward", DeadLetters: "dead", Receiver: r, Window: window,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	w.t.Cleanup(func() { _ = stop() })
	return f, stop
}

// committed is the sum of the group's offsets: how many commands it has done
// with.
func (w *world) committed() (n int64) {
	w.t.Helper()
	offsets, err := w.adm.FetchOffsets(w.t.Context(), "forward")
	if err != nil {
		w.t.Fatal(err)
	}
	offsets.Each(func(o kadm.OffsetResponse) { n += o.At })
	return n
}

func numbers(user string, n int) (values []string) {
	for i := range n {
		values = append(values, fmt.Sprintf("%s %d", user, i))
	}
	return values
}

// requireOrder fails unless every command is there once, each user's in order.
func requireOrder(t *testing.T, taken []string, users, each int) {
	t.Helper()
	next := map[string]int{}
	for _, v := range taken {
		var user string
		var i int
		if _, err := fmt.Sscan(v, &user, &i); err != nil {
			t.Fatal(err)
		}
		if i != next[user] {
			t.Fatalf("user %s: %d came when %d was next", user, i, next[user])
		}
		next[user]++
	}
	if len(next) != users || len(taken) != users*each {
		t.Errorf("%d commands of %d users, want %d of %d", len(taken), len(next), users*each, users)
	}
}

func TestEachCommandOnceInOrder(t *testing.T) {
	w := newWorld(t, 3)
	const users, each = 20, 25
	for i := range each {
		var round []string
		for u := range users {
			round = append(round, fmt.Sprintf("u%d %d", u, i))
		}
		w.put(round...)
	}
	r := newReceiver(nil)
	f, stop := w.start(r, 10)
	r.await(t, users*each)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	requireOrder(t, r.all(), users, each)
	if n := w.committed(); n != users*each || f.Counters.Taken.Load() != users*each {
		t.Errorf("committed %d, counted %d, want %d", n, f.Counters.Taken.Load(), users*each)
	}
	// The next process goes on behind them.
	again := newReceiver(nil)
	_, stop = w.start(again, 10)
	w.put("new 0")
	again.await(t, 1)
	if err := stop(); err != nil || !slices.Equal(again.all(), []string{"new 0"}) {
		t.Errorf("taken %q, %v", again.all(), err)
	}
}

// A command that is not taken yet holds up those of its user, and the offset; not
// other users, until the window is full.
func TestNothingIsCommittedBeforeItIsTaken(t *testing.T) {
	w := newWorld(t, 1)
	let := make(chan struct{})
	r := newReceiver(func(ctx context.Context, v string) error {
		if v != "slow 0" {
			return nil
		}
		select {
		case <-let:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	w.put("fast a", "fast b", "slow 0", "slow 1")
	f, stop := w.start(r, 6)
	w.put(numbers("other", 20)...)
	// From the slow command on the window holds six: itself, the one behind it,
	// and four others. Those that were fetched together may be more.
	r.await(t, 2+4)
	if taken := r.all(); slices.Contains(taken, "slow 1") {
		t.Errorf("the second command of a user overtook the first: %q", taken)
	}
	waitFor(t, "the offset of what is before the slow command", func() bool { return w.committed() == 2 })
	if _, _, underWay := f.Status(); underWay < 6 {
		t.Errorf("%d under way, want the window full", underWay)
	}
	close(let)
	r.await(t, 24-6)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := w.committed(); n != 24 {
		t.Errorf("committed %d, want 24", n)
	}
}

// A tombstone, which forgetting a user leaves in a compacted topic, is passed over.
func TestTombstoneIsNoCommand(t *testing.T) {
	w := newWorld(t, 1)
	w.put("u 0")
	if err := w.client.ProduceSync(t.Context(), &kgo.Record{Topic: "sends", Key: []byte("u")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.put("u 1")
	r := newReceiver(nil)
	f, stop := w.start(r, 6)
	r.await(t, 2)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	requireOrder(t, r.all(), 1, 2)
	if n := w.committed(); n != 3 || f.Counters.Taken.Load() != 2 {
		t.Errorf("committed %d, counted %d, want 3 and 2", n, f.Counters.Taken.Load())
	}
}

// What was under way when a process ended comes again in the next.
func TestAtLeastOnce(t *testing.T) {
	w := newWorld(t, 1)
	entered := make(chan struct{})
	first := newReceiver(func(ctx context.Context, v string) error {
		if v == "u 1" {
			close(entered)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	w.put(numbers("u", 3)...)
	_, stop := w.start(first, 10)
	<-entered
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := w.committed(); n != 1 {
		t.Errorf("committed %d, want only what was taken", n)
	}
	second := newReceiver(nil)
	_, stop = w.start(second, 10)
	second.await(t, 2)
	if err := stop(); err != nil || !slices.Equal(second.all(), []string{"u 1", "u 2"}) {
		t.Errorf("the next process took %q, %v", second.all(), err)
	}
}

func TestDeadLetters(t *testing.T) {
	w := newWorld(t, 1)
	r := newReceiver(func(_ context.Context, v string) error {
		if v == "u 1" {
			return errors.New("it does not want it")
		}
		return nil
	})
	w.put(numbers("u", 3)...)
	f, stop := w.start(r, 10)
	r.await(t, 2)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if w.committed() != 3 || f.Counters.DeadLetters.Load() != 1 {
		t.Errorf("committed %d, %d dead letters counted", w.committed(), f.Counters.DeadLetters.Load())
	}
	cl := w.newClient(kgo.ConsumeTopics("dead"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	recs := cl.PollFetches(ctx).Records()
	if len(recs) != 1 {
		t.Fatalf("%d dead letters", len(recs))
	}
	got := map[string]string{"key": string(recs[0].Key), "value": string(recs[0].Value)}
	for _, h := range recs[0].Headers {
		got[h.Key] = string(h.Value)
	}
	for name, want := range map[string]string{
		"key": "u", "value": "u 1", "h": "1", "nudged-error": "it does not want it", "nudged-topic": "sends", "nudged-partition": "0", "nudged-offset": "1",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

// Only what is committed is forwarded; markers of transactions are no commands
// and do not leave a lag behind.
func TestReadsCommitted(t *testing.T) {
	w := newWorld(t, 1)
	cl := w.newClient(kgo.TransactionalID("t"), kgo.DefaultProduceTopic("sends"))
	for i, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		rec := &kgo.Record{Key: []byte("u"), Value: fmt.Appendf(nil, "u %d", i)}
		if err := cl.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	r := newReceiver(nil)
	_, stop := w.start(r, 10)
	r.await(t, 1)
	waitFor(t, "the offset behind the last marker", func() bool {
		ends, err := w.adm.ListEndOffsets(t.Context(), "sends")
		if err != nil {
			t.Fatal(err)
		}
		end, _ := ends.Lookup("sends", 0)
		return end.Offset >= 6 && w.committed() == end.Offset
	})
	if err := stop(); err != nil || !slices.Equal(r.all(), []string{"u 1"}) {
		t.Errorf("taken %q, %v", r.all(), err)
	}
}

// Processes come and go while commands flow: none is lost, none is repeated, and
// each user's stay in order, since a partition is handed over with what it has
// under way ended.
func TestHandOver(t *testing.T) {
	w := newWorld(t, 4)
	r := newReceiver(nil)
	const users, each = 12, 40
	_, stopFirst := w.start(r, 8)
	var stopSecond func() error
	for i := range each {
		var round []string
		for u := range users {
			round = append(round, fmt.Sprintf("u%d %d", u, i))
		}
		w.put(round...)
		switch i {
		case each / 4:
			_, stopSecond = w.start(r, 8)
		case each * 3 / 4:
			if err := stopFirst(); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.await(t, users*each)
	if err := stopSecond(); err != nil {
		t.Fatal(err)
	}
	requireOrder(t, r.all(), users, each)
	if n := w.committed(); n != users*each {
		t.Errorf("committed %d, want %d", n, users*each)
	}
}

func TestTopicsMustExist(t *testing.T) {
	w := newWorld(t, 1)
	_, err := New(t.Context(), Config{Options: []kgo.Opt{kgo.SeedBrokers(w.brokers...)}, Topic: "sends", Group: "g", DeadLetters: "nowhere"})
	if err == nil || !strings.Contains(err.Error(), `topic "nowhere" cannot be used`) {
		t.Errorf("error %v", err)
	}
}

// waitFor asks again and again, for what gives no sign of its own.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still not: %s", what)
		}
	}
}
