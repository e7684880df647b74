package processor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// TopicPartition names an input partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

func (tp TopicPartition) String() string { return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition) }

// EpochStart says that the batches from First on were decided under Epoch.
type EpochStart struct {
	Epoch, First int64
}

// History is the epoch list h, ascending by epoch and first seq.
type History []EpochStart

// maxHistory bounds the list; the oldest entries are dropped.
const maxHistory = 64

// EpochAt returns the epoch that decided batch seq, false if the list does not
// reach back that far.
func (h History) EpochAt(seq int64) (int64, bool) {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].First <= seq {
			return h[i].Epoch, true
		}
	}
	return 0, false
}

// With returns the history after epoch decided batch seq.
func (h History) With(epoch, seq int64) History {
	if n := len(h); n > 0 && h[n-1].Epoch == epoch {
		return h
	}
	kept := len(h)
	for kept > 0 && h[kept-1].First >= seq {
		kept-- // of a history that a replay has not come to
	}
	out := append(h[:kept:kept], EpochStart{epoch, seq})
	if len(out) > maxHistory {
		out = out[len(out)-maxHistory:]
	}
	return out
}

// agreement returns the newest seq on which both histories agree, at most
// limit; 0 if there is none. Two holders agree on a batch if and only if its
// epoch is the same, and then on everything before it.
func agreement(a, b History, limit int64) int64 {
	for seq := limit; seq > 0; {
		ea, oka := a.EpochAt(seq)
		eb, okb := b.EpochAt(seq)
		if !oka || !okb {
			return 0
		}
		if ea == eb {
			return seq
		}
		// The epochs differ down to where the later of the two began.
		seq = max(a.firstOf(ea), b.firstOf(eb)) - 1
	}
	return 0
}

func (h History) firstOf(epoch int64) int64 {
	for _, s := range h {
		if s.Epoch == epoch {
			return s.First
		}
	}
	return 1
}

func (h History) String() string {
	var b strings.Builder
	for i, s := range h {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d:%d", s.Epoch, s.First)
	}
	return b.String()
}

// ParseHistory reads what String wrote.
func ParseHistory(text string) (History, error) {
	if text == "" {
		return nil, nil
	}
	parts := strings.Split(text, ",")
	if len(parts) > maxHistory {
		return nil, fmt.Errorf("epoch list has %d entries, at most %d are allowed", len(parts), maxHistory)
	}
	h := make(History, 0, len(parts))
	for _, p := range parts {
		e, f, ok := strings.Cut(p, ":")
		epoch, err1 := strconv.ParseInt(e, 10, 64)
		first, err2 := strconv.ParseInt(f, 10, 64)
		if !ok || err1 != nil || err2 != nil || epoch < 1 || first < 1 {
			return nil, fmt.Errorf("epoch list has the entry %q, expected epoch:seq", p)
		}
		if n := len(h); n > 0 && (h[n-1].Epoch >= epoch || h[n-1].First >= first) {
			return nil, fmt.Errorf("epoch list %q is not ascending", text)
		}
		h = append(h, EpochStart{epoch, first})
	}
	return h, nil
}

// Counts are numbers of partitions.
type Counts struct {
	Input, Sends, Decisions int32
}

// Position is K: what Kafka holds committed for an input partition, the offset
// together with the metadata of the commit.
type Position struct {
	TopicID string // input topic id, then a dot and the cluster id's first 8 characters (t)
	Offset  int64  // next offset to apply (o, and the committed offset itself)
	Base    int64  // first offset of this group's history (b)
	Epoch   int64  // of the claim in force (e)
	Claimer string // random 8 hex digits of the claiming process (w)
	Seq     int64  // of the newest published batch (s)
	History History
	Last    int64 // seq of the newest published batch that had records (l)
	Clock   int64 // partition clock, ms (c)
	Counts  Counts
	Sweep   Sweep // how far schedules have been started (y)
	// First is the seq of the first batch that was decided at or above Base (a).
	// What earlier ones decided lay below, whatever offsets they name, and may be
	// told incompletely. 0: there are none.
	First int64
	// Lost says that an operator has accepted that what lay below Base is lost (z).
	Lost bool
	// Gaps are stretches of the input that an operator has had passed over (j).
	Gaps []Gap
	// Recounts are the changes of the number of partitions, the newest last (r).
	Recounts []Recount
}

// Gap is the stretch of offsets from From up to To, which is not in it.
type Gap struct {
	From, To int64
}

// maxGaps bounds the list; the oldest are dropped.
const maxGaps = 8

// resume returns the offset to go on at, where everything below offset is applied.
func (p *Position) resume(offset int64) int64 {
	offset = max(offset, p.Base)
	for _, g := range p.Gaps {
		if offset >= g.From && offset < g.To {
			offset = g.To
		}
	}
	return offset
}

// metadataVersion opens the commit metadata.
const metadataVersion = "n1;"

// maxMetadata is the most that is ever written; brokers allow 4,096.
const maxMetadata = 3500

// ErrForeignMetadata says that commit metadata was not written by nudged.
var ErrForeignMetadata = errors.New("the commit metadata was not written by nudged")

// Metadata writes the commit metadata. Oldest history entries are left out if
// it would grow too long.
func (p Position) Metadata() string {
	h := p.History
	for {
		text := fmt.Sprintf("%st=%s;o=%d;b=%d;e=%d;w=%s;s=%d;h=%s;l=%d;c=%d;n=%d,%d,%d", metadataVersion,
			p.TopicID, p.Offset, p.Base, p.Epoch, p.Claimer, p.Seq, h, p.Last, p.Clock,
			p.Counts.Input, p.Counts.Sends, p.Counts.Decisions) + p.answered()
		if p.Sweep != (Sweep{}) {
			text += ";y=" + p.Sweep.String()
		}
		if len(text) <= maxMetadata || len(h) <= 1 {
			return text
		}
		h = h[1:]
	}
}

// answered writes what operators have answered and done, nothing if they never had to.
func (p *Position) answered() string {
	var b strings.Builder
	if p.First > 0 {
		fmt.Fprintf(&b, ";a=%d", p.First)
	}
	if p.Lost {
		b.WriteString(";z=1")
	}
	for i, g := range p.Gaps {
		b.WriteString([]string{";j=", ","}[min(i, 1)])
		fmt.Fprintf(&b, "%d-%d", g.From, g.To)
	}
	return b.String() + formatRecounts(p.Recounts)
}

// ParsePosition reads commit metadata. An offset of the commit that differs from
// the one inside means that somebody else moved it; the caller compares.
func ParsePosition(metadata string) (Position, error) {
	var p Position
	rest, ok := strings.CutPrefix(metadata, metadataVersion)
	if !ok {
		return p, ErrForeignMetadata
	}
	seen := map[string]bool{}
	for field := range strings.SplitSeq(rest, ";") {
		key, value, ok := strings.Cut(field, "=")
		if !ok || seen[key] {
			return p, fmt.Errorf("commit metadata has the field %q, expected key=value, each key once", field)
		}
		seen[key] = true
		if err := p.set(key, value); err != nil {
			return p, fmt.Errorf("commit metadata, field %s: %w", key, err)
		}
	}
	for _, key := range []string{"t", "o", "b", "e", "w", "s", "h", "l", "c", "n"} {
		if !seen[key] {
			return p, fmt.Errorf("commit metadata lacks the field %s", key)
		}
	}
	return p, nil
}

func (p *Position) set(key, value string) (err error) {
	switch key {
	case "t":
		p.TopicID = value
	case "o":
		p.Offset, err = natural(value)
	case "b":
		p.Base, err = natural(value)
	case "e":
		p.Epoch, err = natural(value)
	case "w":
		p.Claimer = value
	case "s":
		p.Seq, err = natural(value)
	case "h":
		p.History, err = ParseHistory(value)
	case "l":
		p.Last, err = natural(value)
	case "c":
		p.Clock, err = strconv.ParseInt(value, 10, 64)
	case "n":
		p.Counts, err = parseCounts(value)
	case "y":
		p.Sweep, err = ParseSweep(value)
	case "a":
		p.First, err = natural(value)
	case "z":
		p.Lost = value == "1"
	case "j":
		p.Gaps, err = parseGaps(value)
	case "r":
		p.Recounts, err = parseRecounts(value)
	}
	// Keys of a later version are passed over.
	return err
}

func parseGaps(text string) ([]Gap, error) {
	var gaps []Gap
	for part := range strings.SplitSeq(text, ",") {
		f, t, _ := strings.Cut(part, "-")
		from, err1 := natural(f)
		to, err2 := natural(t)
		if err1 != nil || err2 != nil || from >= to || len(gaps) == maxGaps {
			return nil, fmt.Errorf("%q is not a list of at most %d gaps, each from-to", text, maxGaps)
		}
		gaps = append(gaps, Gap{from, to})
	}
	return gaps, nil
}

func natural(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && n < 0 {
		err = fmt.Errorf("%d is negative", n)
	}
	return n, err
}

func parseCounts(text string) (Counts, error) {
	parts := strings.Split(text, ",")
	if len(parts) != 3 {
		return Counts{}, fmt.Errorf("%q is not three partition counts", text)
	}
	var n [3]int32
	for i, p := range parts {
		v, err := strconv.ParseInt(p, 10, 32)
		if err != nil || v < 0 {
			return Counts{}, fmt.Errorf("%q is not three partition counts", text)
		}
		n[i] = int32(v)
	}
	return Counts{n[0], n[1], n[2]}, nil
}
