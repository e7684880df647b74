package processor

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// Decoder turns a record's value into an event.
type Decoder interface {
	// Decode fills ev, whose Fields it may reuse. Strings may point into value.
	// The error says why the record is a dead letter.
	Decode(ev *rules.Event, value []byte) error
}

// RecordDecoder is a Decoder that needs more of a record than its value, or that
// has to ask for what it needs. If its error has a method Temporary that returns
// true, it is asked again until there is an answer.
type RecordDecoder interface {
	Decoder
	DecodeRecord(ctx context.Context, ev *rules.Event, value []byte, headers []sinks.Header) error
}

// Layout makes the outgoing records: it knows topics and partitions.
type Layout interface {
	// Send and Decision make the records of a message decided in an input
	// partition. The records of one input partition lie in one partition each.
	Send(input int32, user, value []byte) sinks.Record
	Decision(input int32, user, value []byte) sinks.Record
	// DeadLetter makes the record for an input record that could not be taken in.
	DeadLetter(topic string, partition int32, offset int64, reason string, key, value []byte, headers []sinks.Header) sinks.Record
	// IsSend tells the records of Send from the others.
	IsSend(sinks.Record) bool
}

// DecisionLevel says which decisions are written.
type DecisionLevel int

// The levels, as in the configuration.
const (
	DecisionsFires DecisionLevel = iota // all but armed and false conditions of rules without a wait
	DecisionsAll
	DecisionsNone
)

// Settings are what all partitions of a process share.
type Settings struct {
	Group       string
	Claimer     string // random 8 hex digits of this process
	Set         *rules.Set
	NewDecoder  func() Decoder
	Store       Store
	Layout      Layout
	EventClock  bool  // false: the wall clock
	MaxAhead    int64 // ms by which an event may be ahead of its record's timestamp
	MaxEvent    int   // bytes of a record's value
	Decisions   DecisionLevel
	CacheBytes  int // of states, for each partition
	HoldBytes   int // states of so many bytes stay decoded while the same user has further events; 0: 4 KiB
	BatchUsers  int // users after which a batch is closed
	BatchBytes  int // bytes of outgoing records after which a batch is closed
	OutboxLimit int // batches not yet published after which a partition waits
	MaxHints    int // timers of each partition in memory, about, all others being in the store; 0: 25,000
	Counters    *Counters
	Observer    Observer // nil: nobody
	Tracing     bool     // the observer wants traces
	// Home is the partition that the producers' partitioner chooses for a key among
	// so many. nil: it is not known, then numbers of partitions must not change.
	Home func(key string, partitions int32) int32
	// trouble hears of calls to the store that failed and are repeated.
	trouble func(input TopicPartition, what string, err error)
}

// Partition applies the records of one input partition. It is driven by calls of
// one goroutine; Pending and Settle alone may be called from another.
type Partition struct {
	cfg   *Settings
	input TopicPartition
	set   *rules.Set
	dec   Decoder
	recs  RecordDecoder // dec, if it is one

	head    Header // as written last; Offset and Clock run ahead in the open batch
	offset  int64  // next offset to apply
	clock   int64
	wrote   bool // the open batch has something to write
	timers  *timers
	book    *book
	missing []string   // users to be loaded
	armed   []dueEntry // what the open batch has armed and the index lacks
	st      rules.State
	at      uint32 // place in the book of the state that is decoded, or nowhere
	held    bool   // st is newer than what the book has of it
	out     output
	result  rules.Result
	events  []rules.Event
	refused []error // by event of the chunk
	encoded []byte
	count   tally
	stamp   int64 // timestamp of the newest record applied, ms; 0: none
	obs     observing

	crowded crowded

	sweep     sweeping
	forgotten forgetting
	replay    *replay // nil: it decides
	// anywhere says that users of this input are known to lie elsewhere than Home
	// says, so that a new one tells nothing.
	anywhere bool

	publishing
}

// crowded is what was refused since it was told last: the user who was refused last
// has as much pending as is allowed.
type crowded struct {
	starts int64
	user   string
}

// open starts a partition where a claim found it.
func openPartition(cfg *Settings, input TopicPartition, c *Claimed, base Position) *Partition {
	p := &Partition{
		cfg: cfg, input: input, dec: cfg.NewDecoder(),
		head: c.Header, offset: c.Header.Offset, clock: c.Header.Clock,
		timers: newTimers(c.Buckets, c.Header.Clock, cmp.Or(cfg.MaxHints, defaultHints)),
		book:   newBook(cfg.CacheBytes),
	}
	retired := make(map[rules.ID]string, len(c.Names))
	for id, name := range c.Names {
		retired[rules.ID(id)] = name
	}
	p.set = cfg.Set.WithNames(retired)
	p.recs, _ = p.dec.(RecordDecoder)
	p.result.Verbose = cfg.Decisions == DecisionsAll
	// A replay that was cut short has states without a batch.
	p.book.evicted = c.Header.Seq > 0 || c.Header.Clock > 0 || c.Header.Offset != c.Header.Base
	p.out.init(cfg, input)
	p.initSweep(c.Header.Sweep, c.Header.Clock)
	p.obs.init(cfg, input)
	p.publishing.init(base, c.Header)
	if n := len(c.Outbox); n > 0 {
		// Somebody may have been forgotten, and be in it.
		p.forgotten.trim = c.Outbox[n-1].Seq
	}
	return p
}

// Offset is the next offset to apply.
func (p *Partition) Offset() int64 { return p.offset }

// Clock is the partition clock, ms.
func (p *Partition) Clock() int64 { return p.clock }

// NextDue returns when a timer is due next, of those before the horizon.
func (p *Partition) NextDue() (int64, bool) { return p.timers.next() }

// How many records are decoded and loaded together: many, to load many states in
// one call; few while there is nothing to load, so that they stay in the cache of
// the processor.
const (
	chunk      = 2048
	smallChunk = 256
)

// Consume applies records in their order. Those below Offset were applied
// before and are passed over.
func (p *Partition) Consume(ctx context.Context, recs []Record) error {
	p.passOver(recs)
	if p.replay != nil {
		var err error
		if recs, err = p.replayTo(ctx, recs); err != nil {
			return err
		}
	}
	for len(recs) > 0 && recs[0].Offset < p.offset {
		recs = recs[1:]
	}
	if p.cfg.EventClock && p.replay == nil {
		// Whoever had the partition before may have got to an occurrence, or fired a
		// part of what was due, and ended there: the next record comes after it.
		if err := p.runSchedules(ctx, p.clock); err != nil {
			return err
		}
		if err := p.fireUntil(ctx, p.clock); err != nil {
			return err
		}
	}
	for len(recs) > 0 {
		n := min(len(recs), chunk)
		if !p.book.evicted {
			n = min(n, smallChunk)
		}
		if err := p.consumeChunk(ctx, recs[:n]); err != nil {
			return err
		}
		recs = recs[n:]
		if p.full() {
			if err := p.Flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// full says that the open batch has grown to its bounds.
func (p *Partition) full() bool {
	return len(p.book.changed) >= p.cfg.BatchUsers || p.out.size() >= p.cfg.BatchBytes ||
		p.book.bytes >= p.cfg.CacheBytes/2
}

// room is where n records are decoded, used again for each chunk.
func (p *Partition) room(n int) ([]rules.Event, []error) {
	if cap(p.events) < n {
		p.events = make([]rules.Event, n)
		p.refused = make([]error, n)
	}
	return p.events[:n], p.refused[:n]
}

func (p *Partition) consumeChunk(ctx context.Context, recs []Record) error {
	events, refused := p.room(len(recs))
	p.obs.begin()
	end := p.clock
	for i := range recs {
		refused[i] = p.decode(ctx, &events[i], &recs[i])
		if refused[i] != nil && ctx.Err() != nil {
			return ctx.Err() // it may have been refused for that alone
		}
		switch {
		case refused[i] != nil:
			continue
		case isOrder(&recs[i]):
			p.want(string(recs[i].Key))
			continue
		case !p.set.Reads(&events[i]):
			continue
		}
		p.want(events[i].User)
		if p.cfg.EventClock {
			end = max(end, events[i].Time)
		}
	}
	if err := p.lookAhead(ctx, end); err != nil {
		return err
	}
	if err := p.prepare(ctx, end); err != nil {
		return err
	}
	for i := range recs {
		if err := p.applyRecord(ctx, &recs[i], &events[i], refused[i]); err != nil {
			return err
		}
	}
	p.stamp = recs[len(recs)-1].Timestamp
	p.obs.report.Records += len(recs)
	return nil
}

var errTombstone = errors.New("the record has no value")

// decode fills ev from the record, or says why it is a dead letter. Control
// records, and orders to forget somebody, yield an event of no type, which nothing
// reads.
func (p *Partition) decode(ctx context.Context, ev *rules.Event, rec *Record) error {
	fields := ev.Fields[:0]
	*ev = rules.Event{Fields: fields}
	switch {
	case rec.Control:
		return nil
	case isOrder(rec):
		return checkOrder(rec)
	case rec.Value == nil:
		return errTombstone
	case len(rec.Value) > p.cfg.MaxEvent:
		return fmt.Errorf("the value has %d bytes, at most %d are taken (max_event_bytes)", len(rec.Value), p.cfg.MaxEvent)
	}
	if p.recs != nil {
		if err := p.decodeRecord(ctx, ev, rec); err != nil {
			return err
		}
	} else if err := p.dec.Decode(ev, rec.Value); err != nil {
		return err
	}
	ev.Partition, ev.Offset = p.input.Partition, rec.Offset
	if p.obs.tracing && len(rec.Headers) > 0 {
		ev.Trace = p.obs.trace(rec)
	}
	if ev.ID == "" {
		ev.ID = DeriveID(p.input, rec.Offset, rec.Value)
	}
	if p.cfg.MaxAhead > 0 && rec.Timestamp > 0 && ev.Time > rec.Timestamp+p.cfg.MaxAhead {
		ev.Time = rec.Timestamp
		p.count.pulledBack++
	}
	return nil
}

// DeriveID makes the id of an event that has none, from its content and its
// position: the first 8 bytes of SHA-256 over "topic/partition/offset:" and the
// value, in hex.
func DeriveID(input TopicPartition, offset int64, value []byte) string {
	h := sha256.New()
	h.Write([]byte(input.String() + "/" + strconv.FormatInt(offset, 10) + ":"))
	h.Write(value)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func (p *Partition) applyRecord(ctx context.Context, rec *Record, ev *rules.Event, refusal error) error {
	if refusal == nil && !rec.Control && p.set.Reads(ev) {
		refusal = p.refuseAstray(ev.User)
	}
	switch {
	case refusal != nil:
		p.out.deadLetter(rec, refusal)
		p.count.deadLetters++
	case isOrder(rec):
		if err := p.obey(ctx, rec); err != nil {
			return err
		}
	case !rec.Control:
		if err := p.applyEvent(ctx, ev); err != nil {
			return err
		}
	}
	p.offset = rec.Offset + 1
	p.wrote = true
	return nil
}

func (p *Partition) applyEvent(ctx context.Context, ev *rules.Event) error {
	p.count.events++
	if !p.set.Reads(ev) {
		p.count.unread++
		return nil
	}
	if p.cfg.EventClock && ev.Time > p.clock {
		if err := p.runSchedules(ctx, ev.Time); err != nil {
			return err
		}
		if err := p.fireUntil(ctx, ev.Time); err != nil {
			return err
		}
		p.clock = ev.Time
	}
	if p.sweep.At != 0 {
		if err := p.startEarly(ctx, ev.User); err != nil {
			return err
		}
	}
	st, err := p.state(ctx, ev.User)
	if err != nil {
		return err
	}
	if !p.anywhere && p.astray(ev.User) && !p.known() {
		return &errAstray{ev.User, p.input, p.base.Counts.Input}
	}
	before, _ := st.NextDue(p.set)
	p.result.Reset()
	p.set.Step(st, ev.User, rules.Input{Event: ev}, &p.result)
	changed := p.take(ev.User, ByEvent, ev.Offset, p.clock)
	p.offset = ev.Offset + 1
	p.wrote = true
	if changed {
		p.keep(ev.User, p.rearm(st, ev.User, before))
	}
	// A late event may have armed what is due already: once an event has been
	// applied nothing due is left unfired.
	return p.fireUntil(ctx, p.clock)
}

// take books what a Step of the user brought about, and says whether the state has
// changed.
func (p *Partition) take(user string, cause Cause, position, clock int64) bool {
	r := &p.result
	if r.Duplicate {
		p.count.duplicates++
	}
	p.count.missing += int64(r.Missing)
	p.count.mismatches += int64(r.Mismatches)
	if r.Refused > 0 {
		p.count.refused += int64(r.Refused)
		p.crowded.starts += int64(r.Refused)
		p.crowded.user = strings.Clone(user)
	}
	for i := range r.Decisions {
		d := &r.Decisions[i]
		p.count.decided(d.Outcome)
		p.out.decision(d, cause, position, clock, p.obs.decided(d, cause))
	}
	return r.Changed
}
