package processor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Recount says that the number of partitions of an input topic has changed, and
// where in a partition records of both layouts lie side by side: below From all
// were written under the former number, from Until on all under the later one.
//
// Between the two, a record belongs to the former layout if that puts its key here.
// Such records are taken in before users are moved, the others after. Which of the
// two is the case is told by the position's own count: it is Before until the users
// have been moved.
type Recount struct {
	Before      int32 // partitions until then
	From, Until int64
}

// maxRecounts bounds the list; the oldest are dropped.
const maxRecounts = 4

// Rescaled says that users have been moved here from another number of partitions.
// It is known then that they lie where the partitioner puts them.
func (p *Position) Rescaled() bool {
	n := len(p.Recounts)
	return n > 0 && p.Recounts[n-1].Before != p.Counts.Input
}

// WithRecount returns the list of recounts with one more.
func (p *Position) WithRecount(c Recount) []Recount {
	kept := p.Recounts
	if n := len(kept); n > 0 && kept[n-1].Before == c.Before {
		kept = kept[:n-1]
	}
	kept = append(kept[:len(kept):len(kept)], c)
	return kept[max(0, len(kept)-maxRecounts):]
}

func formatRecounts(list []Recount) string {
	var b strings.Builder
	for i, c := range list {
		b.WriteString([]string{";r=", ","}[min(i, 1)])
		fmt.Fprintf(&b, "%d:%d-%d", c.Before, c.From, c.Until)
	}
	return b.String()
}

func parseRecounts(text string) ([]Recount, error) {
	var list []Recount
	for part := range strings.SplitSeq(text, ",") {
		n, stretch, _ := strings.Cut(part, ":")
		f, u, _ := strings.Cut(stretch, "-")
		before, err := strconv.ParseInt(n, 10, 32)
		from, err1 := natural(f)
		until, err2 := natural(u)
		if err = errors.Join(err, err1, err2); err != nil || before < 1 || from > until || len(list) == maxRecounts {
			return nil, fmt.Errorf("%q is not a list of at most %d recounts, each partitions:from-until", text, maxRecounts)
		}
		list = append(list, Recount{int32(before), from, until})
	}
	return list, nil
}

// passOver marks the records that are not to be taken in here, or not yet, as ones
// that only take up an offset.
func (p *Partition) passOver(recs []Record) {
	k := &p.base
	for _, c := range k.Recounts {
		if len(recs) == 0 || recs[0].Offset >= c.Until {
			continue
		}
		moved := c.Before != k.Counts.Input
		for i := range recs {
			r := &recs[i]
			if r.Offset < c.From || r.Offset >= c.Until {
				continue
			}
			former := r.Key == nil || p.cfg.Home(string(r.Key), c.Before) == p.input.Partition
			if former == moved {
				r.Control = true
			}
		}
	}
}

// errAstray ends a session: a user has come to a partition where users of that
// name do not belong, as happens first when the topic has got more partitions. The
// claim that follows asks Kafka.
type errAstray struct {
	user  string
	input TopicPartition
	count int32
}

func (e *errAstray) Error() string {
	return fmt.Sprintf("%s is new in %s, where the default partitioner of Kafka does not put it among %d partitions: the topic may have got more", Hidden(e.user), e.input, e.count)
}

// astray says that the partitioner puts the user into another partition.
func (p *Partition) astray(user string) bool {
	return p.cfg.Home != nil && p.cfg.Home(user, p.base.Counts.Input) != p.input.Partition
}

// refuseAstray is the reason for a dead letter if users have been moved here from
// another number of partitions and the user does not belong here: whoever wrote the
// record still goes by the former number. It depends on nothing but the record, so
// that a replay takes in the same records.
func (p *Partition) refuseAstray(user string) error {
	if !p.base.Rescaled() || !p.astray(user) {
		return nil
	}
	return fmt.Errorf("%s belongs into partition %d of %d: the record was written by a producer that still goes by the former number of partitions",
		Hidden(user), p.cfg.Home(user, p.base.Counts.Input), p.base.Counts.Input)
}
