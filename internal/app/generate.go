package app

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Generate makes up the traffic of a shop as it goes on, at the present time,
// into a topic: something to look at where there are no events yet.
type Generate struct {
	Options []kgo.Opt // how to reach Kafka
	Topic   string
	// Rate is events a second, above 0.
	Rate float64
	// Pause is how long a visitor waits from one event to the next, on average;
	// at least 1 ms.
	Pause time.Duration
	// Users is how many people come to the shop, at least 1. One visits once at
	// a time: with too few of them for Rate and Pause, pauses get shorter.
	Users int
	// Traced is the share of events that carry a sampled traceparent, 0 to 1.
	Traced float64
	// Events ends after so many; 0: goes on until ctx ends.
	Events int
	Seed   uint64
}

// Validate reports everything that is out of range.
func (g *Generate) Validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(g.Topic == "", "--topic is empty")
	bad(!(g.Rate > 0 && g.Rate <= 100_000), "--rate %g: expected above 0, at most 100000 events a second", g.Rate)
	bad(g.Pause < time.Millisecond, "--pause %s: at least 1ms", g.Pause)
	bad(g.Users < 1 || g.Users > 10_000_000, "--users %d: expected 1 to 10000000", g.Users)
	bad(!(g.Traced >= 0 && g.Traced <= 1), "--traced %g: expected 0 to 1", g.Traced)
	bad(g.Events < 0, "--events %d: must not be negative", g.Events)
	return errors.Join(errs...)
}

// Run produces until ctx ends or all events are out, and returns how many the
// broker has. The end of ctx is no error.
func (g *Generate) Run(ctx context.Context) (int, error) {
	// What was made goes out also after ctx has ended.
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ClientID("nudged-generate"),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerLinger(20 * time.Millisecond),
		kgo.RecordDeliveryTimeout(time.Minute),
	}, g.Options...)...)
	if err != nil {
		return 0, fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	if err := (&Produce{Topic: g.Topic}).prepare(ctx, cl); err != nil {
		return 0, err
	}
	var mu sync.Mutex
	var failure error
	sent := 0
	delivered := func(_ *kgo.Record, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failure = errors.Join(failure, fmt.Errorf("produce to %s: %w", g.Topic, err))
			return
		}
		sent++
	}
	failed := func() error {
		mu.Lock()
		defer mu.Unlock()
		return failure
	}
	v := newVisitors(g)
	started := time.Now()
	for n := 0; (g.Events == 0 || n < g.Events) && failed() == nil; n++ {
		at := started.Add(time.Duration(float64(n) / g.Rate * float64(time.Second)))
		if !sleepUntil(ctx, at) {
			break
		}
		cl.Produce(sending, v.next(g.Topic, time.Now().UnixMilli()), delivered)
	}
	if err := cl.Flush(sending); err != nil {
		return 0, err
	}
	return sent, failed()
}

// sleepUntil tells whether at has come before the end of ctx.
func sleepUntil(ctx context.Context, at time.Time) bool {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// visitors are the people in the shop. Each has a way before him and takes a
// step of it when it is his turn; who has none left makes place for another.
type visitors struct {
	r      *rand.Rand
	users  int
	traced float64
	inside []visitor
	names  map[string]bool // of those inside
	run    string          // begins the ids of this run's events
	n      int
}

type visitor struct {
	user string
	way  []shopEvent
}

func newVisitors(g *Generate) *visitors {
	r := rand.New(rand.NewPCG(g.Seed, 1))
	v := &visitors{r: r, users: g.Users, traced: g.Traced, names: map[string]bool{}, run: randomPart(r, 4)}
	// With so many inside, each waits Pause for his turn.
	inside := min(max(1, int(g.Rate*g.Pause.Seconds())), (g.Users+1)/2)
	for range inside {
		w := v.enter()
		// Nobody is at the door together with all the others.
		w.way = w.way[r.IntN(len(w.way)):]
		v.inside = append(v.inside, w)
	}
	return v
}

// enter lets somebody in who is not inside.
func (v *visitors) enter() visitor {
	for {
		user := fmt.Sprintf("u%06d", v.r.IntN(v.users))
		if v.names[user] {
			continue
		}
		v.names[user] = true
		var way []shopEvent
		if v.r.IntN(10) == 0 {
			way = append(way, shopEvent{user: user, kind: "signup"})
		}
		return visitor{user, visit(v.r, way, user, 0)}
	}
}

// next is the next event, at a time in Unix ms.
func (v *visitors) next(topic string, now int64) *kgo.Record {
	i := v.r.IntN(len(v.inside))
	w := &v.inside[i]
	e := w.way[0]
	if w.way = w.way[1:]; len(w.way) == 0 {
		delete(v.names, w.user)
		v.inside[i] = v.enter()
	}
	e.at = now
	v.n++
	rec := &kgo.Record{Topic: topic, Key: []byte(e.user), Value: shopJSON(v.r, fmt.Sprintf("%s-%d", v.run, v.n), &e)}
	if v.traced > 0 && v.r.Float64() < v.traced {
		// W3C trace context: version, trace, span, flags (1: sampled).
		rec.Headers = []kgo.RecordHeader{{Key: "traceparent", Value: fmt.Appendf(nil, "00-%s-%s-01", randomPart(v.r, 16), randomPart(v.r, 8))}}
	}
	return rec
}

func randomPart(r *rand.Rand, bytes int) string {
	b := make([]byte, 0, bytes+7)
	for len(b) < bytes {
		b = binary.BigEndian.AppendUint64(b, r.Uint64())
	}
	return hex.EncodeToString(b[:bytes])
}
