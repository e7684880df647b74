// Package workload makes the benchmark's events: a seeded stream of what the
// users of a shop do, in the order of event time, without holding it in memory.
//
// The same Config gives the same bytes on every machine, so the loader, the
// floors and the oracle each make the stream anew instead of passing it around.
package workload

import (
	"container/heap"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The event types and their shares of the stream.
const (
	Search      = "search"       // 50 %
	ProductView = "product_view" // 35 %
	AddToCart   = "add_to_cart"  // 10 %
	Purchase    = "purchase"     // 4 %
	Signup      = "signup"       // 1 %
)

// Shape of the stream. A user comes in sessions: a rule that asks for three
// searches within half an hour needs events of one user close together.
const (
	meanSession  = 3.5   // events a session, geometric, at least 1
	duplicates   = 0.001 // share of events that arrive a second time
	maxDistance  = 8     // a duplicate follows after 1..8 records of its partition
	zipfExponent = 1.05  // P(rank r) ~ 1/(zipfShift+r)^zipfExponent
	zipfShift    = 100   // flattens the head: nobody is a tenth of the traffic
	maxRoundTrip = 0.5   // at most this share of the sessions makes the round of all users
)

// Config says which stream to make. The zero value is not usable: start from
// Default.
type Config struct {
	Events     int           // records in all, duplicates included; at least 1
	Users      int           // population, 1..10,000,000; each comes at least once if there are sessions enough
	Partitions int           // partitions of the topic, 1..1000
	Days       float64       // event time that the stream spans, above 0
	Seed       uint64        // any
	Start      time.Time     // event time at which the stream begins; milliseconds count
	Gap        time.Duration // mean pause between two events of a session, at least 1 ms
}

// Default is the workload of docs/benchmarks.md.
func Default() Config {
	return Config{
		Events:     2_000_000,
		Users:      200_000,
		Partitions: 12,
		Days:       10,
		Seed:       1,
		Start:      time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Gap:        90 * time.Second,
	}
}

// Validate reports every value that is out of range.
func (c Config) Validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(c.Events < 1, "events is %d, want at least 1", c.Events)
	bad(c.Users < 1 || c.Users > 10_000_000, "users is %d, want 1..10000000", c.Users)
	bad(c.Partitions < 1 || c.Partitions > 1000, "partitions is %d, want 1..1000", c.Partitions)
	bad(!(c.Days > 0 && c.Days <= 3650), "days is %v, want above 0 and at most 3650", c.Days)
	bad(c.Gap < time.Millisecond, "gap is %v, want at least 1ms", c.Gap)
	bad(c.Start.Year() < 1970 || c.Start.Year() > 9000, "start is %v, want a year from 1970 to 9000", c.Start)
	return errors.Join(errs...)
}

// Event is one record of the stream. Value belongs to the generator and is
// valid until the next call of Next.
type Event struct {
	ID        string
	Type      string
	User      string
	TimeMS    int64 // Unix milliseconds, never falling from one new event to the next
	Partition int32 // where Kafka's default partitioner puts User
	Value     []byte
}

// Generator makes the stream one event at a time. It is not safe for use by
// several goroutines.
type Generator struct {
	cfg   Config
	rng   *rand.Rand
	zipf  *rand.Zipf
	names []string
	parts []int32
	round []int32 // the users in random order; each session of the round takes the next

	made     int // records handed out
	fresh    int // of them not duplicates
	sessions int
	nextAt   float64 // ms after the start at which the next session begins
	pitch    float64 // ms between the starts of sessions, in the mean
	share    float64 // of the sessions that make the round
	active   sessionHeap
	delayed  [][]pending // by partition
	json     encoder
	value    []byte
}

// pending is a record that waits to arrive a second time.
type pending struct {
	after int // records of the partition still to come before it
	ev    Event
}

// New checks cfg and returns a generator at the beginning of the stream.
func New(cfg Config) (*Generator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("workload: %w", err)
	}
	cfg.Start = cfg.Start.UTC().Truncate(time.Millisecond)
	rng := rand.New(rand.NewPCG(cfg.Seed, 0x6e7564676564)) // the second word only tells this use of the seed from others
	g := &Generator{
		cfg:     cfg,
		rng:     rng,
		zipf:    rand.NewZipf(rng, zipfExponent, zipfShift, uint64(cfg.Users-1)),
		names:   make([]string, cfg.Users),
		parts:   make([]int32, cfg.Users),
		round:   make([]int32, cfg.Users),
		delayed: make([][]pending, cfg.Partitions),
	}
	// The very partitioner that a producer uses, so that the oracle's partitions
	// are those of the topic.
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic("")
	for i := range g.names {
		g.names[i] = fmt.Sprintf("u%06d", i)
		g.parts[i] = int32(partitioner.Partition(&kgo.Record{Key: []byte(g.names[i])}, cfg.Partitions))
		g.round[i] = int32(i)
	}
	rng.Shuffle(len(g.round), func(i, j int) { g.round[i], g.round[j] = g.round[j], g.round[i] })

	count := float64(cfg.Events) / meanSession
	g.pitch = cfg.Days * 24 * 3600 * 1000 / math.Max(count, 1)
	g.share = math.Min(maxRoundTrip, 1.2*float64(cfg.Users)/math.Max(count, 1)) // 1.2: the draw scatters, and the round shall end
	g.nextAt = g.rng.Float64() * g.pitch
	return g, nil
}

// Users returns how many users the population has.
func (g *Generator) Users() int { return len(g.names) }

// Next fills ev with the next record and reports whether there was one.
func (g *Generator) Next(ev *Event) bool {
	if g.made >= g.cfg.Events {
		return false
	}
	g.made++
	if p, ok := g.dueDuplicate(); ok {
		*ev = p
		return true
	}
	for len(g.active) == 0 || g.nextAt <= g.active[0].at {
		g.open()
	}
	s := g.active[0]
	user := s.user
	g.fresh++
	g.value = g.json.append(g.value[:0], g.rng, s, record{
		seq:  g.fresh,
		kind: g.kind(),
		user: g.names[user],
		ms:   g.cfg.Start.UnixMilli() + int64(s.at),
	})
	*ev = Event{
		ID:        g.json.id,
		Type:      g.json.kind,
		User:      g.names[user],
		TimeMS:    g.cfg.Start.UnixMilli() + int64(s.at),
		Partition: g.parts[user],
		Value:     g.value,
	}
	if s.left--; s.left == 0 {
		heap.Pop(&g.active)
	} else {
		s.at += g.rng.ExpFloat64() * float64(g.cfg.Gap) / float64(time.Millisecond)
		heap.Fix(&g.active, 0)
	}
	g.arrived(ev)
	return true
}

// arrived counts ev for the duplicates that wait in its partition and now and
// then makes one of it.
func (g *Generator) arrived(ev *Event) {
	q := g.delayed[ev.Partition]
	for i := range q {
		q[i].after--
	}
	if g.rng.Float64() < duplicates {
		again := *ev
		again.Value = append([]byte(nil), ev.Value...)
		g.delayed[ev.Partition] = append(q, pending{after: 1 + g.rng.IntN(maxDistance), ev: again})
	}
}

// dueDuplicate takes out a duplicate whose turn has come.
func (g *Generator) dueDuplicate() (Event, bool) {
	for p, q := range g.delayed {
		for i := range q {
			if q[i].after <= 0 {
				ev := q[i].ev
				g.delayed[p] = append(q[:i], q[i+1:]...)
				return ev, true
			}
		}
	}
	return Event{}, false
}

// kind draws an event type.
func (g *Generator) kind() string {
	switch d := g.rng.IntN(100); {
	case d < 50:
		return Search
	case d < 85:
		return ProductView
	case d < 95:
		return AddToCart
	case d < 99:
		return Purchase
	default:
		return Signup
	}
}

// open begins the next session. Its user is the next of the round or drawn by
// popularity.
func (g *Generator) open() {
	var user int32
	if len(g.round) > 0 && g.rng.Float64() < g.share {
		user, g.round = g.round[0], g.round[1:]
	} else {
		user = int32(g.zipf.Uint64())
	}
	g.sessions++
	length := 1 + int(math.Log(1-g.rng.Float64())/math.Log(1-1/meanSession))
	heap.Push(&g.active, &session{
		at:   g.nextAt,
		seq:  g.sessions,
		user: user,
		left: length,
		name: strconv.FormatUint(g.rng.Uint64(), 36),
		cart: "c" + strconv.FormatUint(uint64(g.rng.Uint32()), 36),
	})
	g.nextAt = g.pitch * (float64(g.sessions) + g.rng.Float64())
}

// session is a visit under way.
type session struct {
	at   float64 // ms after the start of its next event
	seq  int
	user int32
	left int // events still to come
	name string
	cart string
}

// sessionHeap orders sessions by their next event, then by age, so that ties
// fall the same way each time.
type sessionHeap []*session

func (h sessionHeap) Len() int { return len(h) }
func (h sessionHeap) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].seq < h[j].seq
}
func (h sessionHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *sessionHeap) Push(x any)   { *h = append(*h, x.(*session)) }
func (h *sessionHeap) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return s
}
